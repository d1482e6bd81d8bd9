"""The life of a worker, from the fork on: join the child, run one lease after another, leave."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.net.zmq_transport import ZmqNetwork
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m
from jupyter_dsage.worker.offered import Services
from jupyter_dsage.worker.output import Output
from jupyter_dsage.worker.run import Runner

if TYPE_CHECKING:
    from types import FrameType

    from jupyter_dsage.net.transport import Frame
    from jupyter_dsage.worker.page import Page

_PR_SET_PDEATHSIG = 1
_ORPHAN_CHECK_SECONDS = 1.0


def work(setup: m.SupervisorSetup, worker: int, page: Page, supervisor: int) -> None:
    """Be worker number `worker` until told to leave; runs in a forked process and never returns."""
    _die_with(supervisor)
    kept = os.path.join(setup.keep or setup.folder, "output")  # noqa: PTH118
    output = Output(output_path(setup.folder, worker), page, kept)
    _settle_in(setup, output)
    network = ZmqNetwork()
    link, poller = network.connect(setup.address), network.poller()
    poller.watch(link)

    def send(message: m.Message, *data: Frame) -> None:
        link.send(codec.encode(message, *data))

    runner = Runner(page, output, send, supervisor, Services(setup.services, plain=setup.plain))

    def interrupted(_signal: int, _frame: FrameType | None) -> None:
        if runner.inside and (why := page.why_to_end()) is not None:
            runner.interrupt(why)

    signal.signal(signal.SIGINT, interrupted)
    send(m.WorkerHello(settings.PROTOCOL, worker, os.getpid()))
    while True:
        poller.wait(_ORPHAN_CHECK_SECONDS)
        if os.getppid() != supervisor:
            os._exit(1)
        while (frames := link.receive()) is not None:
            if not _obey(runner, *codec.to_worker(frames)):
                network.close()  # which hands over what was told
                os._exit(0)
        runner.look_at_modules()


def output_path(folder: str, worker: int) -> str:
    """Return the path of a worker's output file."""
    return os.path.join(folder, f"worker-{worker}.out")  # noqa: PTH118  (pathlib is not needed in a worker)


def _obey(runner: Runner, message: m.Message, data: list[Frame]) -> bool:
    """Do what a message says; return whether this worker is fit for more."""
    match message:
        case m.Function():
            runner.learn(message, data[0])
        case m.Service():
            runner.learn_service(message)
        case m.RunJobs():
            runner.hold(message, data[0] if data else None)
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


def _settle_in(setup: m.SupervisorSetup, output: Output) -> None:
    """Take on the user's directory and import path, and lead output away."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    output.install()
    faulthandler.enable(file=2)  # a descriptor: it survives a changed sys.stderr
    sys.path[:] = setup.path
    try:
        os.chdir(setup.cwd)
    except OSError as error:
        print(f"The working directory {setup.cwd!r} cannot be entered: {error}", file=sys.stderr)  # noqa: T201
