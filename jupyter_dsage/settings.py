"""Every number of the product, each with its reason. Nothing here reads a file or the environment."""

from __future__ import annotations

# --- chunks (core/chunks.py) -------------------------------------------------------------------------------
CHUNK_SECONDS = 0.0095
"""Work in one lease, told once, before `FLUSH_SECONDS` is over. Measured: 2 ms chunks of 1 ms jobs cost 15 % of two
cores, 7.5 ms ones 10 %, these 9 %. 20 ms ones would cost 2 points less (1 less for jobs of 10 ms), but then a killed
worker takes more than 10 ms of finished work with it, or needs another place that outlives it."""
CHUNK_SECONDS_PER_WORKER = 50e-6
"""... and at least this much for each worker, so that one child can answer hundreds of them."""
CHUNK_LEAST_SECONDS = 0.002
"""The guided tail stops here: a lease costs about 0.25 ms, so smaller ones would only send messages. 10,000 no-ops take
15 % less time than with 0.5 ms, 100,000 take 10 % less."""
CHUNK_GROWTH = 8
"""A batch's leases grow by this factor until their time is known; 4 messages reach 4,096 jobs."""
SEGMENT_JOBS = 4096
"""Jobs in one pickle at most: one call of pickle takes up to 3 ms for them, in which the kernel does nothing else."""
SEGMENT_NUMBERS = 32_768
"""... but so many if a job takes few bytes, a range or small numbers: 0.8 ms. A million no-ops take a quarter less time
than with 4,096, since the child has fewer messages; with 65,536 they took longer again."""
NUMBER_BYTES = 8
"""Few bytes of a job: a pair of (args, kwargs) takes 9 at least."""
SEGMENT_BYTES = 400_000
"""Bytes in one pickle at most, if it holds more than one job: what moves in under 1 ms."""
WAITING_SECONDS = 0.2
"""Work of an endless source kept waiting in the child: the kernel's cell may hold its lock meanwhile."""
WAITING_JOBS_PER_SLOT = 4
"""Jobs of an endless source kept waiting for each slot, however long they take."""
GATHER_SECONDS = 0.005
"""Single jobs gather this long at most while the workers have enough to do, so that they travel together."""
HAND_OVER_SECONDS = 0.02
"""A `submit` while all workers idle waits so long at most until it is sent: the cell may keep the interpreter next."""
SUBMITTED_TOGETHER = 1024
"""Single jobs that travel together at most: the workers have begun long before the last of 100,000 is submitted."""
FEED_BYTES = 64_000_000
"""Pickled arguments sent to the child and not yet finished, for one batch; the feeder waits beyond it."""

# --- leases (core/scheduler.py) ----------------------------------------------------------------------------
LEASES_IN_FLIGHT = 2
"""Leases at one worker: the second is there when the first ends, which hides the round trip (about 0.5 ms)."""
DEPTH_SECONDS = 0.1
"""A worker whose lease is expected to take longer gets no second one: 0.5 ms of 100 ms is not worth a wait."""
DEPTH_LATENCIES = 4
"""... unless it is far away: then up to this many round trips of work may stand before the second lease."""
PATIENCE_SECONDS = 0.05
"""A lease older than this (and than PATIENCE_FACTOR times its estimate) is handed back when others idle."""
PATIENCE_FACTOR = 3.0
SEGMENTS_HELD = 8
"""Segments a worker keeps in memory: both leases', and those that it comes back to after a recall; one that has a
single job it drops with the lease after it."""
AFFINITY_SECONDS = 0.001
"""Jobs shorter than this are leased so that a worker stays in its segment (unpickling costs about 1 us a
job); longer ones in plain order, which is what people expect to watch."""
LOOK_AHEAD = 8
"""Places where a worker that has finished its segment looks for an untouched one."""
LOSS_ATTEMPTS = 3
"""A job that was running when its worker was lost is tried this often in all."""
LAPSED_LEASES = 10_000
"""Leases of lost workers that are remembered, in case an outcome comes late."""
BIRTH_ATTEMPTS = 5
"""Workers of one engine that may die in a row before they are ready; then the engine has failed."""
BIRTH_BACKOFF_SECONDS = 0.1
"""Wait before the second start in a row; doubles each time."""
LOAD_BACKOFFS = 4
"""... and how often at most after workers that were lost while they loaded a function: 0.8 s, then each time."""

# --- worker (worker/) --------------------------------------------------------------------------------------
TICK_SECONDS = 0.05
"""How often a worker's ticker looks whether a long job keeps finished ones from being told. Each look interrupts the
job that runs: every 10 ms they cost 1 % of jobs of 1 ms."""
TICKS_IDLE = 20
"""After so many ticks (1 s) without a lease the worker's ticker sleeps until there is one."""
COPIED_BYTES = 262_144
"""What a function captured is copied for each job up to this size (0.1 ms); what is larger is shared at a worker."""
STRIDE_SECONDS = 0.0002
"""Work in one stride of very short jobs, between two looks at the clock and at the page: they cost 3 us."""
STRIDE_LEAST = 16
"""Jobs of a first stride: with 3 us for the stride it costs 0.2 us a job."""
STRIDE_GROWTH = 4
"""How much longer the next stride may be: one that was measured too short is no surprise then."""
STRIDE_TRUST = 0.1
"""How much of what was measured last goes into the mean."""
STATE_SECONDS = 0.002
"""After so much work a worker looks whether a job has changed what its process shares with other jobs: 10 us."""
STATE_LEASES = 3
"""... and after so many leases of each function, however short."""
STATE_ALL_SECONDS = 0.1
"""... and so often, between leases, at all of that: 80 us. Before a job of another batch it always does."""
FLUSH_SECONDS = 0.01
"""Outcomes wait at most this long at a job boundary: smooth progress, and little to run again after a kill."""
FLUSH_LIMITED_SECONDS = 0.001
"""... and shorter in a batch with limits: a job that holds the interpreter lock until it is killed lets nothing be told
meanwhile, and what was told runs no second time. A message costs about 0.1 ms."""
FLUSH_BYTES = 1_000_000
"""... or until this many bytes of pickled values have gathered."""
LOAD_SECONDS = 5.0
"""In a batch with a time limit, loading its function may take this long, or that limit if it is more: the first job of
each worker would fail otherwise where an import is slow (Sage: 3 s). The job's own time begins after that."""
INTERRUPT_GRACE_SECONDS = 1.0
"""A job to be cancelled gets SIGINT, and SIGKILL for its worker this much later (2 s are promised)."""
GUARD_SECONDS = 0.2
"""How often a supervisor looks for jobs over their limits: with the grace, they are ended in less than 2 s."""
TREE_SECONDS = 0.5
"""How often it looks for what workers with a limit of memory have started: that reads every process there is."""
MEMORY_EXCESS = 1.5
"""A job that takes so many times its memory limit gets no grace."""
SUSPICIOUS_MEMORY = 0.5
"""A worker killed by somebody (SIGKILL) that had this part of all memory was probably killed for that."""
KILL_SECONDS = 10.0
"""The system's kill of some process for want of memory explains a worker's SIGKILL for so long."""
STATUS_SECONDS = 1.0
"""How often a supervisor looks for stopped workers, and is asked itself whether it is there."""
RECALL_SETTLE_SECONDS = 0.002
"""Between writing a recall into a worker's page and reading what it runs (see worker/page.py)."""
ERRORS_IN_A_REPORT = 20
"""Failed jobs that a report puts into words for the view; the rest are told in their payload."""
OUTPUT_TAIL_BYTES = 8192
"""The end of a job's output that travels with its outcome."""
OUTPUT_FILE_BYTES = 1_000_000
"""A worker's output file takes up to so much room, and what comes in the time between two looks at it."""
OUTPUT_REACH_BYTES = 100_000_000_000
"""Its size, holes included, rises up to this before it begins anew between jobs: some file systems end at 2 TB. So far
that what the supervisor may still be freeing for the job before is nowhere near what the next one writes."""
OUTPUT_CAP_BYTES = 10_000_000
"""Of what a job printed so much is kept on disk: the beginning, and the end."""
OUTPUT_KEPT_BYTES = 1_000_000_000
"""All that a session's workers on one host keep of what jobs printed: a hundred that printed without end."""
LOOK_SECONDS = 20e-6
"""After jobs that took longer the worker always looks whether something was printed beside Python (0.5 us)."""
LOOK_JOBS = 500
"""... and after this many jobs of each function, however short: 0.3 ms a worker, and then it is known."""
MODULES_SECONDS = 1.0
"""How often a worker looks whether modules that it has imported were edited; a look costs 1 us a module."""
LOOK_OUTPUT_SECONDS = 2.0
"""What a running job has printed is asked for so long; a host that is away does not answer."""
HEAVY_SECONDS = 0.02
"""How often the supervisor looks while a job prints much: 2 GB/s make 40 MB in that time."""
STDERR_TAIL_BYTES = 2048
"""The end of a lost worker's output that its story quotes."""

# --- processes ---------------------------------------------------------------------------------------------
START_SECONDS = 30.0
"""The child must say that it is ready within this time; 0.2 s is usual, a cold file system may take 10."""
REVIVE_SECONDS = 600.0
"""... or within this time where it reads a journal first, of which a million rows take about a minute."""
JOIN_SECONDS = 30.0
"""A started worker must say hello within this time, else it is killed and counts as dead at birth."""
DIE_SECONDS = 5.0
"""P8: after `die` everything local is gone within this time; what is not is killed."""
OBITUARY_SECONDS = 0.02
"""A dead worker's last messages are read for this long before its death is acted on."""

# --- the journal (store/, child/recorder.py) ---------------------------------------------------------------
LARGE_PAYLOAD_BYTES = 1_000_000
"""A payload above this goes to a file of its own, written by a thread: SQLite takes 1 ms for so much."""
UNSENT_PAYLOAD_BYTES = 65_536
"""A payload above this is not sent to clients, which read it in the journal when somebody looks: one copy less."""
CHECKPOINT_BYTES = 16_000_000
"""The write-ahead log is moved into the database when it has grown by this, in a thread: it waits for the disk."""
TOUCH_SECONDS = 3600.0
"""How often a child marks the files of its folder as new: systems remove what is old in /tmp, mostly after 10 days."""
CHILD_END_SECONDS = 1.0
"""A child whose connection ends is waited for so long; if it lives then, it is connected to again."""
RECONNECTS = 30
"""... and so often in a row at most."""
READER_CLOSE_SECONDS = 1.0
"""Who closes a client's reader of the journal waits so long for a thread that is just reading."""
FILE_WRITERS = 2
"""Threads that write large payloads: one alone leaves a fifth of the disk's speed (1 MB each, 1.7 against 2.1 GB/s)."""
CHECKPOINT_FILES_BYTES = 268_435_456
"""... or when files have been written of so much: what is forgotten before that may never come to the disk at all."""
SYNC_SECONDS = 5.0
"""... or when files have waited for so long: until they are on the disk they do not outlast a crash of the machine."""
BALLAST_BYTES = 1_000_000
"""Let go when the disk is full, so that thousands of short rows can still say which outcomes were not stored."""
JOURNAL_BEHIND_BYTES = 2_000_000_000
"""`submit` slows down while a client has sent this much that is not in the journal yet (P10)."""
OUTCOMES_KEPT_BYTES = 200_000_000
"""Payloads of outcomes that a client keeps in memory until somebody looks; the rest stay on disk (P10)."""
SEGMENTS_KEPT = 128
"""... and so many of them at most that are memory segments: each has a descriptor."""
JOURNAL_DAYS = 30.0
"""A journal that nobody has written to for so long is removed when a session starts."""
JOURNALS_BYTES = 20_000_000_000
"""All journals of sessions that do not live take this much together; the oldest go first."""
SYNC_ROWS = 500
"""Rows of the journal that are told to a new client at a time: about 10 ms of the child's loop."""

# --- sessions (child/clients.py, client/session.py) --------------------------------------------------------
IDLE_SECONDS = 600.0
"""A child without work and without clients leaves after this time; its journal stays."""
CLIENT_CHECK_SECONDS = 1.0
"""How often the child looks whether its clients' processes live."""
CHILD_CHECK_SECONDS = 1.0
"""How often a client looks whether its child is stopped."""
READ_AHEAD_BYTES = 600_000
"""Who waits for results reads them while others run, so many bytes together (200,000 numbers): each time takes the lock
that the I/O thread needs, and a core."""
ACKNOWLEDGE_SECONDS = 0.02
"""What a client sent and is stored is acknowledged this much later at most, together with what came meanwhile."""
GROUP_SECONDS = 0.025
"""While more of a batch is queued, outcomes of little work are committed and told together, this often: each time costs
0.15 ms of the cores on which the jobs run."""
GROUP_LATEST_SECONDS = 0.04
"""... and at the latest so long after the last time, where nothing else comes that would take them along."""
GROUP_WORK_SECONDS = 0.02
"""Outcomes of more work than this are not kept waiting: it would be done again if the child were killed."""
STOPPED_SECONDS = 10.0
"""A process that has been stopped (SIGSTOP) for so long is taken for lost, and killed."""
CHILD_STOPPED_SECONDS = 60.0
"""A child that has been stopped for so long is killed by a client and revived: who stops it on purpose has time."""
EXIT_IN_USE = 75
"""Exit code of a child whose journal another one holds (EX_TEMPFAIL of sysexits.h)."""
REVIVALS = 5
"""Children of one session that may be killed within REVIVAL_SECONDS; then something is wrong with it."""
REVIVAL_SECONDS = 60.0

# --- wire --------------------------------------------------------------------------------------------------
PROTOCOL = 5
"""Version of the messages; peers of different versions refuse each other."""
MAX_HEADER_BYTES = 16_000_000
"""A message's first frame: a million failed jobs in one report stay below it."""
MAX_FRAMES = 4
"""Frames in one message."""
MAX_FRAME_BYTES = 8_000_000_000
"""One payload between processes of one host; checked by the sender too."""
MAX_JOBS = 2**53
"""Job numbers stay below this: they are exact in JavaScript as well."""

# --- shared memory (wire/segments.py) ------------------------------------------------------------------------
SHARED_BYTES = 65_536
"""Buffers above this leave the pickle and lie in a segment: below it a copy costs less than a descriptor."""
SHARED_FRAME_BYTES = 262_144
"""A frame above this that came otherwise (from the journal, from another host) is passed on in a segment."""
SHARED_OPEN = 256
"""Segments that a process reads at once, each with a descriptor: 1,024 is a usual limit, most of it the user's."""
SHARED_STEP_BYTES = 4_194_304
"""Written at a time where a frame goes to a file: smaller ones are slower (74 instead of 46 ms for 100 MB at 1 MB)."""
SHARED_HALVED_BYTES = 8_388_608
"""A buffer above this is copied by two threads, each half in windows of SHARED_WINDOW_BYTES."""
SHARED_WINDOW_BYTES = 16_777_216
"""Mapped at a time: 1 MB windows take half as long again, and all of it would count as the worker's memory."""
SHARED_SPARE = 64
"""Segments that a process keeps to write into them again."""
SHARED_SPARE_BYTES = 268_435_456
"""... and the memory that they take at most: two arrays of 100 MB fit."""
SHARED_TRIED = 4
"""How many of them are tried before a new one is made: each costs 1 us."""

# --- worker servers (net/talk.py, child/engines/dsage.py, worker/server.py) --------------------------------
LAST_WORD_MS = 1000
"""How long a child that leaves waits at most until the server has its word of it."""
BACKLOG = 1024
"""Connections that may wait to be taken: strangers who come in crowds are not to keep others waiting."""
BULK_BYTES = 65_536
"""Frames above this go over TLS: CURVE moves 10-40 MB/s with the pyzmq wheels, and holds up heartbeats meanwhile."""
LATENCY_STEP = 0.25
"""A change of the latency by this part is told to the scheduler; leases need not follow every beat."""
BEAT_SECONDS = 1.0
"""How often a child says that it is there, and measures how long a message takes."""
REDIAL_SECONDS = 5.0
"""A server silent this long is dialled anew: a fresh connection is up sooner than TCP tries again."""
AWAY_SECONDS = 10.0
"""A server silent this long is away: its jobs run elsewhere (P5)."""
DIAL_SECONDS = 5.0
"""A dialled connection must be admitted within this time, and so each bulk connection after it, else all is dialled
anew. From 0.3 s away (0.6 s there and back) the former takes 3 s, each of the latter 2 s."""
STRANGE_DIALS = 3
"""Handshakes that may fail in a row before what answers is taken for a stranger: a server that is just being started
or ended, or a tunnel without a far end, looks the same for a moment."""
DIAL_BACKOFF_SECONDS = 0.2
"""Wait before dialling anew; doubles up to REDIAL_SECONDS."""
UNREACHABLE_SECONDS = 20.0
"""A server that was never reached for this long has failed; jobs that only it could run end with the reason."""
LINGER_SECONDS = 600.0
"""A server whose link is down keeps workers and outcomes this long (`?linger=`)."""
MAX_CALLER_BYTES = 256_000_000
"""What a caller may have waiting at a server: whom one does not trust with a shell is not to fill its memory."""
MAX_CALLER_THINGS = 10_000
"""... and leases, services and the like that may wait there."""
MAX_ROOMS = 64
"""Children that a server has at once, whoever they are."""
MAX_CALLER_ROOMS = 4
"""... and those of one caller."""
MESSAGES_AT_A_TIME = 1000
"""Messages a server reads before its workers get their turn: no child is to keep it from the others."""
BANNED_KEPT = 10_000
"""Connections that sent nonsense and are remembered; zmq cannot close a single one."""
PARTED_KEPT = 1_000
"""Connections of children that are let go of and remembered."""
MAX_INLINE_BYTES = 20_000_000
"""One message between hosts outside the bulk connection, its header included."""

# --- streams that something else carries (net/packet_link.py, net/stream_dialer.py, worker/rooms.py) --------------
PACKET_BYTES = 65_536
"""Part of a large frame that a message must wait for. Measured over ssh on loopback: no slower than with 1 MB."""
PACE_SECONDS = 1.0
"""Large frames under way may hold up a message for so long: a beat every second must pass within AWAY_SECONDS."""
PACE_FIRST_BYTES = 1_000_000
"""Under way before anything is known of the link."""
PACE_LEAST_BYTES = 131_072
"""Two packets: one travels while the other is acknowledged."""
PACE_MOST_BYTES = 64_000_000
"""Beyond it a link of 1 GB/s gains nothing more."""
SQUEEZE_BELOW = 200e6
"""Bytes a second of a link above which nothing is compressed. Measured on parts of 64 KB: zstd's level 1 takes 480 MB/s
of integers (to 8-13 %), 990 MB/s of normal floats (to 96 %), 3,800 MB/s of random bytes; half of the slowest is left
for decompression, which shares a core on a small host."""
SQUEEZE_GAIN = 0.9
"""A part that does not shrink to this share goes as it is, and so do the next SQUEEZE_PAUSE."""
SQUEEZE_PAUSE = 15
SSH_DIAL_SECONDS = 20.0
"""An ssh connection through jump hosts, a shell's start-up files and the start of a Python there, at 0.3 s of delay."""
SSH_PATIENCE = 30.0
"""Until a host by ssh counts as out of reach: a first attempt that fails slowly, and a second."""
SSH_LAST_WORD_SECONDS = 0.1
"""ssh ends so soon after its stream, with the reason on its standard error. It holds up the child meanwhile."""
SLURM_LOOK_SECONDS = 2.0
"""How often the queue is asked about our job: its words are shown, and its end is noticed."""
SLURM_COMMAND_SECONDS = 0.1
"""How often a command of Slurm's that runs is looked at."""
BOOTSTRAP_SECONDS = 600.0
"""Making an environment on another host: pip fetches some packages there."""
STDERR_KEPT = 2000
"""Characters of another host's last words that are kept, for the sentence why it cannot be used."""
ROOMS_START_SECONDS = 15.0
"""A room server that was started must listen within this time."""
ROOMS_ALONE_SECONDS = 60.0
"""A room server to which no child has ever spoken ends after this time."""

# --- adapters of other schedulers (adapters/, net/adapter_link.py) -------------------------------------------
NEWS_SECONDS = 2.0
"""An adapter asks its agents for news again after this time, if there were none: so they know that it is there."""
NEWS_BYTES = 32_000_000
"""News that travel together at most, but for one message that is larger by itself."""
ADAPTER_SILENT_SECONDS = 15.0
"""An agent that its adapter has not asked for so long ends its workers: the adapter, or the way to it, is gone."""
CARRIED_BYTES = 1_000_000
"""A payload above this is carried by itself, so that orders need not wait for it."""
LOOK_AROUND_SECONDS = 0.5
"""How often an adapter asks which workers the other scheduler has; one that is gone shows sooner, by its agent."""
ADAPTER_START_SECONDS = 60.0
"""An adapter must have found its cluster within this time: it loads a large library, or starts a cluster itself."""
ADAPTER_BACKOFF_SECONDS = 30.0
"""The wait before an adapter is started anew doubles up to this: each start takes a second of a core."""
ADAPTER_LINGER_SECONDS = 20.0
"""An engine whose adapter has ended is given up after this time: the workers went with it."""

# --- the view (child/view.py) ------------------------------------------------------------------------------
VIEWS_A_SECOND = 5
"""Views of one batch a second, at most: what the eye follows; each is made only while somebody watches."""
VIEW_BYTES = 20_000
"""One view at most, whatever the batch: the promise of the design."""
GRID_CELLS = 10_000
"""Cells of the grid; more jobs are folded into them. 500 by 20 pixels of 1.5 by 1.5: the smallest one can point at."""
GRID_CHARACTERS = 10_000
"""The run-length string of the grid; a longer one is folded further."""
LANES = 16
"""Workers shown with their lane; the rest are counted."""
ENGINES_SHOWN = 16
"""Engines in a view, those in trouble first; the rest are counted: 64 with their notes would not fit."""
LANE_SECONDS = 30.0
"""What a lane shows."""
LANE_BITS = 24
"""Bits of a lane in one view: 16 lanes of 24 bits of about 20 bytes are 8 KB."""
RATE_SECONDS = 10.0
"""The rate is that of the last so many seconds."""
FAILURES_SHOWN = 20
"""Failed jobs listed in a view; the rest are counted."""
ERRORS_KEPT = 1000
"""Errors in words kept for one batch."""
SNAPSHOT_SECONDS = 1.0
"""A cell's output waits so long for the snapshot that is saved with it: milliseconds, unless the child is stopped."""

# --- what is asked of the child by hand (child/session_view.py, spares.py, additions.py) ---------------------
SESSION_VIEWS_A_SECOND = 2
"""Views of a session a second, at most; CPU and memory of its workers are read half as often."""
BATCHES_SHOWN = 100
"""Batches in one of them, the newest first; the rest are counted."""
SESSION_WORKERS_SHOWN = 64
"""... and workers: 64 rows take 10 KB. What does not fit `VIEW_BYTES` is counted only."""
SPARE_SECONDS = 30.0
"""An expression typed into *Add jobs* may take this long, and so may reading a job's end."""
SPARES = 4
"""Spares at once: each takes 0.15 s of a core to start. Further questions wait for their turn."""
EXPRESSION_JOBS = 1_000_000
"""Jobs that one expression may stand for: an endless one is to end."""
EXPRESSION_BYTES = 256_000_000
"""... and the bytes of their arguments; the child holds them until the last one is known to be well."""
OFFER_SECONDS = 2.0
"""A kernel that holds its interpreter lock numbers jobs late; who adds them is told so after this time."""

# --- the server extension (server/) --------------------------------------------------------------------------
QUESTION_SECONDS = 5.0
"""A child answers within milliseconds; one that has not by then is stopped, and the request ends with a sentence."""
ROW_SECONDS = 1.0
"""... and where it is one of a list, the list does not wait for it so long."""
CONNECTION_SECONDS = 2.0
"""A connection that nobody uses is kept for so long: requests come in groups."""
REVIVED_SECONDS = 5.0
"""A killed child is revived by its client within a second; after this time the session is over, as its viewers see."""
CHANNEL_COMMANDS = 64
"""Commands of one channel that are being carried out at once; more are refused."""

# --- bulk connections (net/bulk.py, net/bulk_door.py) --------------------------------------------------------
BULK_CONNECT_SECONDS = 5.0
"""Dialling another host's bulk port, TLS handshake included; 0.3 s of delay and some loss take 2."""
BULK_HANDSHAKE_SECONDS = 3.0
"""Who has not shown a pinned certificate within this time is dropped."""
BULK_PENDING = 256
"""Connections that have shown nothing yet; beyond it the oldest is dropped. A descriptor and 50 KB each."""
BULK_SILENCE_SECONDS = 10
"""A bulk connection whose other end acknowledges nothing for so long is gone (P5)."""
BULK_SLICE_BYTES = 262_144
"""One call of the TLS library. Measured: 500-600 MB/s from 64 KB to 1 MB, half of it with 4 MB."""
