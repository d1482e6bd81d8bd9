"""The life of a worker, from the fork on: join the child, run one lease after another, leave."""

from __future__ import annotations

import builtins
import ctypes
import faulthandler
import os
import signal
import sys
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import PeerGoneError
from jupyter_dsage.net.unix_transport import UnixNetwork
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m
from jupyter_dsage.worker.import_watch import ImportWatch
from jupyter_dsage.worker.loading import Payloads
from jupyter_dsage.worker.offered import Services
from jupyter_dsage.worker.output import Output
from jupyter_dsage.worker.page import JOB
from jupyter_dsage.worker.process_state import ProcessState
from jupyter_dsage.worker.run import Runner

if TYPE_CHECKING:
    from types import FrameType

    from jupyter_dsage.net.transport import Frame
    from jupyter_dsage.net.unix_transport import UnixLink
    from jupyter_dsage.worker.page import Page

_PR_SET_PDEATHSIG = 1
_ORPHAN_CHECK_SECONDS = 1.0


def work(setup: m.SupervisorSetup, worker: int, page: Page, supervisor: int) -> None:
    """Be worker number `worker` until told to leave; runs in a forked process and never returns."""
    _die_with(supervisor)
    kept = os.path.join(setup.keep or setup.folder, "output")  # noqa: PTH118
    output = Output(output_path(setup.folder, worker), page, kept)
    _settle_in(setup, output)
    network = UnixNetwork()
    link, poller = network.connect(setup.address), network.poller()
    poller.watch(link)

    place = _file(link.fileno())

    def send(message: m.Message, *data: Frame) -> None:
        if _file(link.fileno()) != place:
            if isinstance(message, m.Report) and message.stop > message.first and not runner.inside:
                page.words[JOB] = message.stop - 1  # the page may show the next job already, which has not begun
            output.leave()
        try:
            link.send(codec.encode(message, *data))
            link.drain()  # the child reads at any time, and nobody here would see to the rest while a job runs
        except PeerGoneError:
            os._exit(1)  # the child is gone, and the supervisor with it

    offered = Services(setup.services, plain=setup.plain)
    payloads = Payloads(offered, (setup.cwd, setup.path), follow=setup.follow)
    runner = Runner(page, output, send, supervisor, payloads)

    runner.forks.watch(link.fileno(), output.flush)

    def interrupted(_signal: int, _frame: FrameType | None) -> None:
        if runner.inside and not runner.forks.copied and (why := page.why_to_end()) is not None:
            runner.interrupt(why)

    signal.signal(signal.SIGINT, interrupted)
    runner.state = ProcessState(output.restore_descriptors, setup.cwd, setup.path)
    sys.meta_path.insert(0, ImportWatch(runner.state))
    send(m.WorkerHello(settings.PROTOCOL, worker, os.getpid()))
    while True:
        poller.wait(_ORPHAN_CHECK_SECONDS)
        if os.getppid() != supervisor:
            os._exit(1)
        while (frames := _next(link)) is not None:
            if not _obey(runner, *codec.to_worker(frames)):
                os._exit(0)
        runner.look_at_modules()


def _file(descriptor: int) -> tuple[int, int] | None:
    """Return which file a descriptor leads to."""
    try:
        stat = os.fstat(descriptor)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _next(link: UnixLink) -> list[Frame] | None:
    """Return the next message that is here, or None; leave if there is nobody any more to send one."""
    try:
        return link.receive()
    except PeerGoneError:
        os._exit(1)


def output_path(folder: str, worker: int) -> str:
    """Return the path of a worker's output file."""
    return os.path.join(folder, f"worker-{worker}.out")  # noqa: PTH118  (pathlib is not needed in a worker)


def _obey(runner: Runner, message: m.Message, data: list[Frame]) -> bool:
    """Do what a message says; return whether this worker is fit for more."""
    match message:
        case m.Function():
            runner.payloads.learn(message, data[0])
        case m.Service():
            runner.payloads.learn(message)
        case m.RunJobs():
            runner.payloads.hold(message, data[0] if data else None)
            return runner.run(message)
        case m.Leave():
            os._exit(0)
        case m.Refused():
            print(f"The child refused this worker: {message.reason}", file=sys.stderr, flush=True)  # noqa: T201
            os._exit(1)
    return True


def _die_with(supervisor: int) -> None:
    """Have the system kill this process when its parent, the supervisor, dies (Linux; elsewhere it looks itself)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(1)


def _display(*values: object, **_: object) -> None:
    """Print what IPython would display: it goes to the job's output."""
    for value in values:
        print(repr(value))  # noqa: T201


def _settle_in(setup: m.SupervisorSetup, output: Output) -> None:
    """Take on the user's directory and import path, and lead output away."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    output.install()
    faulthandler.enable(file=2)  # a descriptor: it survives a changed sys.stderr
    builtins.display = _display  # type: ignore[attr-defined]  # as in IPython, where everybody has it
    sys.path[:] = setup.path
    try:
        os.chdir(setup.cwd)
    except OSError as error:
        print(f"The working directory {setup.cwd!r} cannot be entered: {error}", file=sys.stderr)  # noqa: T201
