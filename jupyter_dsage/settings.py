"""Every number of the product, each with its reason. Nothing here reads a file or the environment."""

from __future__ import annotations

# --- chunks (core/chunks.py) -------------------------------------------------------------------------------
CHUNK_SECONDS = 0.0075
"""Work in one lease. Measured: 2 ms chunks of 1 ms jobs cost 15 % of two cores, 10 ms ones 5 %."""
CHUNK_SECONDS_PER_WORKER = 50e-6
"""... and at least this much for each worker, so that one child can answer hundreds of them."""
CHUNK_LEAST_SECONDS = 0.0005
"""The guided tail stops here: a message costs about 0.25 ms, so smaller chunks would only send messages."""
CHUNK_GROWTH = 8
"""A batch's leases grow by this factor until their time is known; 4 messages reach 4,096 jobs."""
SEGMENT_JOBS = 4096
"""Jobs in one pickle at most: one call of pickle takes about 1 ms for them."""
SEGMENT_BYTES = 400_000
"""Bytes in one pickle at most, if it holds more than one job: what moves in under 1 ms."""
WAITING_SECONDS = 0.2
"""Work of an endless source kept waiting in the child: the kernel's cell may hold its lock meanwhile."""
WAITING_JOBS_PER_SLOT = 4
"""Jobs of an endless source kept waiting for each slot, however long they take."""
GATHER_SECONDS = 0.005
"""Single jobs gather this long at most while the workers have enough to do, so that they travel together."""
FEED_BYTES = 64_000_000
"""Pickled arguments sent to the child and not yet finished, for one batch; the feeder waits beyond it."""

# --- leases (core/scheduler.py) ----------------------------------------------------------------------------
LEASES_IN_FLIGHT = 2
"""Leases at one worker: the second is there when the first ends, which hides the round trip (about 0.5 ms)."""
DEPTH_SECONDS = 0.1
"""A worker whose lease is expected to take longer gets no second one: 0.5 ms of 100 ms is not worth a wait."""
PATIENCE_SECONDS = 0.05
"""A lease older than this (and than PATIENCE_FACTOR times its estimate) is handed back when others idle."""
PATIENCE_FACTOR = 3.0
SEGMENTS_HELD = 8
"""Segments a worker keeps in memory: both leases', and those that it comes back to after a recall."""
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

# --- worker (worker/) --------------------------------------------------------------------------------------
FLUSH_SECONDS = 0.01
"""Outcomes wait at most this long at a job boundary: smooth progress, and little to run again after a kill."""
FLUSH_BYTES = 1_000_000
"""... or until this many bytes of pickled values have gathered."""
INTERRUPT_GRACE_SECONDS = 1.0
"""A job to be cancelled gets SIGINT, and SIGKILL for its worker this much later (2 s are promised)."""
RECALL_SETTLE_SECONDS = 0.002
"""Between writing a recall into a worker's page and reading what it runs (see worker/page.py)."""
ERRORS_IN_A_REPORT = 20
"""Failed jobs that a report puts into words for the view; the rest are told in their payload."""
OUTPUT_TAIL_BYTES = 8192
"""The end of a job's output that travels with its outcome."""
OUTPUT_FILE_BYTES = 1_000_000
"""A worker's output file is cut when it grows beyond this."""
STDERR_TAIL_BYTES = 2048
"""The end of a lost worker's output that its story quotes."""

# --- processes ---------------------------------------------------------------------------------------------
START_SECONDS = 30.0
"""The child must say that it is ready within this time; 0.2 s is usual, a cold file system may take 10."""
JOIN_SECONDS = 30.0
"""A started worker must say hello within this time, else it is killed and counts as dead at birth."""
DIE_SECONDS = 5.0
"""P8: after `die` everything local is gone within this time; what is not is killed."""
OBITUARY_SECONDS = 0.02
"""A dead worker's last messages are read for this long before its death is acted on."""
OWNER_CHECK_SECONDS = 1.0
"""How often the child looks whether the process that owns it still lives."""

# --- wire --------------------------------------------------------------------------------------------------
PROTOCOL = 1
"""Version of the messages; peers of different versions refuse each other."""
MAX_HEADER_BYTES = 16_000_000
"""A message's first frame: a million failed jobs in one report stay below it."""
MAX_FRAMES = 4
"""Frames in one message."""
MAX_FRAME_BYTES = 8_000_000_000
"""One payload between processes of one host; checked by the sender too."""
MAX_JOBS = 2**53
"""Job numbers stay below this: they are exact in JavaScript as well."""

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
EVALUATE_SECONDS = 30.0
"""An expression typed into *Add jobs* may take this long."""
