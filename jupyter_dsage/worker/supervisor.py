"""The supervisor of one host: forks workers, watches them, ends jobs, and tells the child who died of what.

One thread, no zmq context (it forks), a selector over the socket to the child and the wake-up of signals. When
that socket ends, it kills every worker with its process group, and whatever they left behind, and exits.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import os
import selectors
import shutil
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError
from jupyter_dsage.lazy import psutil
from jupyter_dsage.net.last_pages import note_last_jobs, page_path
from jupyter_dsage.net.sweep import MARK, adopt
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m
from jupyter_dsage.worker import blame, loop, processes
from jupyter_dsage.worker.blame import Memory
from jupyter_dsage.worker.guard import Guard, Verdict
from jupyter_dsage.worker.output_file import head_path, tail_of, trim
from jupyter_dsage.worker.page import BATCH, OUT_START, Page

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.net.stream import StreamLink

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Supervisor:
    """Serves one child over one link."""

    def __init__(self, link: StreamLink) -> None:
        self._link = link
        self._setup: m.SupervisorSetup | None = None
        self._pids: dict[int, int] = {}
        """Worker -> pid."""
        self._pages: dict[int, Page] = {}
        self._guard = Guard(self._kill)
        self._memory = Memory()
        self._killed: dict[int, Verdict] = {}
        """Workers that the child had killed."""
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        """What to do at a later time: (monotonic seconds, a serial number, what)."""
        self._serial = 0
        self._dismissed = False
        """Whether the child has said that it leaves; else, when it is gone, it was killed."""
        self._selector = selectors.DefaultSelector()
        self._signals = socket.socketpair()

    def run(self) -> None:
        """Serve until the child is gone or says so; leaves nothing behind."""
        self._prepare()
        self._tell(m.SupervisorReady(os.getpid(), socket.gethostname()))
        self._look()
        try:
            while True:
                self._wait()
                self._reap()
                self._do_due()
                while (frames := self._link.receive()) is not None:
                    self._obey(codec.to_supervisor(frames)[0])
        except PeerGoneError:
            if self._setup is not None and self._setup.keep and not self._dismissed:
                running = [(page.words[BATCH], page.running().job) for page in self._pages.values()]
                note_last_jobs(self._setup.keep, [(batch, job) for batch, job in running if job is not None])
            self._kill_all()
            if self._setup is not None:  # who started this may have been killed: nobody else would
                shutil.rmtree(self._setup.folder, ignore_errors=True)

    def _prepare(self) -> None:
        adopt()
        # Who starts it may have these blocked, as a worker of Ray has, and a process inherits that.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD, signal.SIGINT, signal.SIGTERM})
        for end in self._signals:
            end.setblocking(False)  # noqa: FBT003  (the standard library's signature)
        signal.set_wakeup_fd(self._signals[1].fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._selector.register(self._link, selectors.EVENT_READ)
        self._selector.register(self._signals[0], selectors.EVENT_READ)

    def _wait(self) -> None:
        timeout = max(0.0, self._later[0][0] - time.monotonic()) if self._later else None
        write = selectors.EVENT_WRITE if self._link.wants_write else 0
        self._selector.modify(self._link, selectors.EVENT_READ | write)
        for key, events in self._selector.select(timeout):
            if key.fileobj is self._signals[0]:
                self._signals[0].recv(4096)
            elif events & selectors.EVENT_WRITE:
                self._link.flush()

    def _tell(self, message: m.Message) -> None:
        self._link.send(codec.encode(message))

    def _after(self, seconds: float, what: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._later, (time.monotonic() + seconds, self._serial, what))

    def _do_due(self) -> None:
        while self._later and self._later[0][0] <= time.monotonic():
            heapq.heappop(self._later)[2]()

    # --- what the child orders -----------------------------------------------------------------------------

    def _obey(self, message: m.Message) -> None:
        match message:
            case m.SupervisorSetup():
                self._setup = message
            case m.Environment():
                _set_environment(dict(message.variables))
            case m.Leave():
                self._dismissed = True
            case m.SpawnWorker():
                self._fork(message.worker)
            case m.KillWorker():
                self._killed[message.worker] = Verdict("", "")
                self._kill(message.worker)
            case m.ReadOutput():
                self._read_output(message)
            case m.Ping():
                self._tell(m.Pong(message.number))
            case m.Recall():
                self._recall(message)
            case m.EndJob():
                self._end_job(message)

    def _look(self) -> None:
        self._guard.look()
        self._memory.look(time.monotonic())
        folder = self._setup.folder if self._setup else "."
        heavy = [trim(loop.output_path(folder, worker), page) for worker, page in self._pages.items()]
        self._after(settings.HEAVY_SECONDS if any(heavy) else settings.GUARD_SECONDS, self._look)

    def _fork(self, worker: int) -> None:
        if self._setup is None:
            raise PeerGoneError("The child ordered a worker before it said where workers call.")
        page = Page(page_path(self._setup.folder, worker))
        gc.freeze()  # so that collections in the worker leave shared memory shared
        here = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._be_worker(worker, page, here)
        self._pids[worker], self._pages[worker] = pid, page
        self._guard.watch(worker, pid, page)
        try:
            os.setpgid(pid, pid)
        except OSError:
            return  # it has done so itself already, or is dead already

    def _be_worker(self, worker: int, page: Page, supervisor: int) -> None:
        """Turn this forked process into a worker; never returns."""
        code = 1
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for end in self._signals:
                end.close()
            self._selector.close()
            self._link.close()
            if self._setup is not None:
                loop.work(self._setup, worker, page, supervisor)
        except BaseException:  # noqa: BLE001  (a forked process must not run on in its parent's code)
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
        finally:
            os._exit(code)

    def _read_output(self, order: m.ReadOutput) -> None:
        page, text = self._pages.get(order.worker), ""
        if page is not None and self._setup is not None:
            running = page.running()
            if (running.lease, running.job) == (order.lease, order.job):
                text = tail_of(loop.output_path(self._setup.folder, order.worker), page.words[OUT_START])
        self._tell(m.OutputRead(order.ask, order.worker, text))

    def _recall(self, order: m.Recall) -> None:
        page = self._pages.get(order.worker)
        if page is None:
            return  # it is dead; its obituary tells more
        limit = max(order.first, page.unstarted(order.lease, order.first, order.stop))
        page.recall(order.lease, limit)

        def settled() -> None:
            if order.worker in self._pages:
                start = page.unstarted(order.lease, limit, order.stop)
                self._tell(m.Recalled(order.worker, order.lease, start))

        self._after(settings.RECALL_SETTLE_SECONDS, settled)

    def _end_job(self, order: m.EndJob) -> None:
        # After the recall that comes before it has settled, so that no further job of the run can start.
        self._after(2 * settings.RECALL_SETTLE_SECONDS, lambda: self._interrupt(order))

    def _interrupt(self, order: m.EndJob) -> None:
        page = self._pages.get(order.worker)
        if page is None:
            return
        job = page.cancel(order.lease, order.first, order.stop)
        if job is None:
            return
        last = time.monotonic() + settings.INTERRUPT_GRACE_SECONDS

        def insist() -> None:
            running = page.running() if self._pages.get(order.worker) is page else None
            if running is None or (running.lease, running.job) != (order.lease, job):
                return
            if time.monotonic() >= last:
                self._killed[order.worker] = Verdict("", "", order.lease, job)
                self._kill(order.worker)
                return
            # More than once: an interrupt that comes just before a call that waits does not wake it.
            self._signal(order.worker, signal.SIGINT)
            self._after(settings.GUARD_SECONDS, insist)

        insist()

    def _signal(self, worker: int, number: int) -> None:
        # The pid is ours until `_reap` has collected it, so it cannot be anybody else's.
        os.kill(self._pids[worker], number)

    def _kill(self, worker: int) -> None:
        if worker in self._pids:
            processes.kill_tree(self._pids[worker])

    # --- the dead ------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        by_pid = {pid: worker for worker, pid in self._pids.items()}
        while (pid := processes.dead_pid()) is not None:
            if pid in by_pid:
                processes.kill_group(pid)  # while the dead leader is not collected, its number is nobody else's
            _, status, usage = os.wait4(pid, 0)
            if pid in by_pid:
                self._bury(by_pid[pid], pid, status, usage.ru_maxrss * _RSS_UNIT)

    def _bury(self, worker: int, pid: int, status: int, peak: int) -> None:
        del self._pids[worker]
        page = self._pages.pop(worker)
        # A job that was over is the suspect too, if its outcome was not told: it may have broken what tells.
        runs, last = page.running().job is not None, page.running(last=True)
        seconds = max(0.0, (time.monotonic_ns() - last.started) / 1e9) if runs else 0.0
        output, loading = self._last_lines(worker, page), page.loads() if runs else ""
        page.close()
        verdict, ordered = self._guard.verdict(worker), self._killed.pop(worker, None)
        verdict = verdict or ordered
        if verdict is None:
            ending = self._memory.ending(status, peak, time.monotonic())
        else:
            ending = verdict.text or blame.ending(status)
        job, cause = last.job, ""
        if verdict is not None and verdict.job is not None:
            if (verdict.lease, verdict.job) == (last.lease, last.job):
                cause = verdict.cause
            else:
                job = None  # the job that was meant ended in that instant, and no other is to blame
        story = m.Story(worker, socket.gethostname(), pid, ending, seconds, peak, output, cause, loading)
        self._tell(m.WorkerGone(worker, None if job is None else last.lease, job, story))

    def _last_lines(self, worker: int, page: Page) -> str:
        """Return the end of what the job had printed in which a worker died, and remove the worker's files."""
        path = loop.output_path(self._setup.folder if self._setup else ".", worker)
        text = tail_of(path, page.words[OUT_START], settings.STDERR_TAIL_BYTES)
        for left in (path, head_path(path), page_path(self._setup.folder if self._setup else ".", worker)):
            with contextlib.suppress(OSError):
                os.unlink(left)  # noqa: PTH108
        return text

    def _kill_all(self) -> None:
        """Kill the workers and everything that they started, in groups of its own or not."""
        deadline = time.monotonic() + settings.DIE_SECONDS - 1
        for pid in self._pids.values():
            processes.kill_group(pid)
        me = psutil.Process()
        while (left := me.children(recursive=True)) and time.monotonic() < deadline:
            processes.kill(left)
            psutil.wait_procs(left, timeout=0.2)
            processes.collect()


def _set_environment(variables: dict[str, str]) -> None:
    """Have these environment variables and no others, but for the mark by which this process's own are found."""
    variables[MARK] = os.environ.get(MARK, "")
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)
