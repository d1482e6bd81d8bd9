"""``python -m jupyter_dsage.worker.spare FD``: answers one question of the child, and leaves; see `child.spares`.

It does what the child never does: evaluates what the user typed for *Add jobs*, and unpickles arguments and outcomes
for people to read. FD is its end of a socket pair. What it prints goes nowhere.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from jupyter_dsage import settings
from jupyter_dsage.core.chunks import segment_size
from jupyter_dsage.errors import DsageError, JournalError, UsageError
from jupyter_dsage.net.stream import StreamLink
from jupyter_dsage.store.journal import JournalReader
from jupyter_dsage.wire import brief, codec, data_calls, payload, safe_text, spare
from jupyter_dsage.wire import messages as m
from jupyter_dsage.worker.blame import ending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from jupyter_dsage.wire.codec import Frame

_GRACE_SECONDS = 5
"""The child kills a spare that takes too long; where the child is gone the system does, so much later."""
_READ_SECONDS = 5
"""Arguments may take so long to read: the rest of what is asked is known at once."""
_MOST_TEXT = 100_000
"""Characters of a traceback that are shown: a recursion's has more."""


def main() -> None:
    """Answer one question."""
    signal.alarm(int(settings.SPARE_SECONDS) + _GRACE_SECONDS)
    link = StreamLink(socket.socket(fileno=int(sys.argv[1])))
    question, frames = _question(link)
    if not isinstance(question, (spare.Evaluate, spare.ReadJob)):
        raise TypeError(question)
    sys.path[:] = [*question.path, *(entry for entry in sys.path if entry not in question.path)]
    with contextlib.suppress(OSError):  # it was removed; what is asked may not need it
        os.chdir(question.cwd)
    frame = frames[0] if frames else None
    if isinstance(question, spare.Evaluate):
        _evaluate(link, question, frame)
    else:
        _read(link, question, frame)


def _question(link: StreamLink) -> tuple[m.Message, list[Frame]]:
    while (frames := link.receive()) is None:
        select.select([link], [], [])
    return spare.to_spare(frames)


def _tell(link: StreamLink, message: m.Message, *frames: Frame) -> None:
    link.send(codec.encode(message, *frames))
    while link.wants_write:
        select.select([], [link], [])
        link.flush()


# --- Add jobs ------------------------------------------------------------------------------------------------


def _evaluate(link: StreamLink, question: spare.Evaluate, function: Frame | None) -> None:
    """Tell the jobs that an expression stands for, in segments; or why there are none."""
    error = ""
    try:
        for count, data in _segments(_jobs(question, function), bare=question.bare, plain=question.plain):
            _tell(link, spare.Segment(count), data)
    except DsageError as raised:
        error = safe_text.exact(str(raised))
    except BaseException as raised:  # noqa: BLE001  (whatever the user's expression raises is shown to them)
        error = brief.error(safe_text.type_name(raised), _said(raised))
    _tell(link, spare.Done(error))


def _said(error: BaseException) -> str:
    return safe_text.safely(lambda: str(error), "")


def _jobs(question: spare.Evaluate, function: Frame | None) -> Iterable[Any]:
    if question.plain:
        try:
            found: Iterable[Any] = ast.literal_eval(question.text.strip())
        except ValueError:
            raise UsageError(
                "The jobs of a service are plain data, so only literals can be added: write the jobs out, such as "
                "[([1000], {'bins': 10})]."
            ) from None
        return found
    jobs: Iterable[Any] = eval(question.text.strip(), _names(function))  # noqa: S307  (with the power of a kernel)
    return jobs


def _names(function: Frame | None) -> dict[str, Any]:
    """Return the names the batch's function captured."""
    if function is None:
        return {}
    loaded = payload.load_function(function)
    names = dict(getattr(loaded, "__globals__", {}))
    cells = getattr(loaded, "__closure__", None) or ()
    free = getattr(getattr(loaded, "__code__", None), "co_freevars", ())
    names.update({name: cell.cell_contents for name, cell in zip(free, cells, strict=True)})
    return names


def _segments(jobs: Iterable[Any], *, bare: bool, plain: bool) -> Iterator[tuple[int, Frame]]:
    """Cut jobs into segments as the client's feeder does; one that cannot travel is an error, and nothing is added."""
    how = data_calls if plain else payload
    left, cut, size = iter(jobs), 0, 0
    while items := list(itertools.islice(left, segment_size(cut, size / cut if cut else None))):
        data: Frame = how.dump_items(items, cut, strict=True) if bare else _dump_calls(how, items, cut)
        cut, size = cut + len(items), size + len(data)
        if cut > settings.EXPRESSION_JOBS or size > settings.EXPRESSION_BYTES:
            raise UsageError(
                f"These are more than {settings.EXPRESSION_JOBS:,} jobs or {settings.EXPRESSION_BYTES:,} bytes: add "
                "fewer at a time."
            )
        yield len(items), data


def _dump_calls(how: Any, items: list[Any], first: int) -> Frame:
    """Dump jobs of several arguments: (args, kwargs) pairs, or the values of a comprehension's variables."""
    calls = [item if _is_pair(item) else (item if isinstance(item, tuple) else (item,), {}) for item in items]
    dumped: Frame = how.dump_calls(calls, first, strict=True)
    return dumped


def _is_pair(job: Any) -> bool:
    return isinstance(job, (tuple, list)) and len(job) == 2 and isinstance(job[1], dict)  # noqa: PLR2004


# --- one job in words ----------------------------------------------------------------------------------------


def _read(link: StreamLink, question: spare.ReadJob, segment: Frame | None) -> None:
    """Tell what the journal knows of a job."""
    reader = JournalReader(question.store) if question.store else None
    arguments = _arguments(question, segment, reader)
    found = _end(question, reader) if reader is not None and question.ended else None
    if found is None:
        _tell(link, spare.JobRead(arguments))
        return
    header, told = found
    read = spare.JobRead(arguments)
    if isinstance(told, m.Outcomes) and reader is not None:
        with contextlib.suppress(JournalError):  # the payload is gone, and the rest is known
            read = _outcome(question, told, reader.payload(told.row), arguments)
    _tell(link, read, header)


def _arguments(question: spare.ReadJob, segment: Frame | None, reader: JournalReader | None) -> str | None:
    """Return a job's arguments as a short text; where reading them fails, None, or how the process ended that did."""
    if segment is None and question.row and reader is not None:
        with contextlib.suppress(JournalError):  # the payload is gone, and the rest is known
            segment = reader.payload(question.row)
    if segment is None:
        return None
    return _in_a_fork(lambda: _shown(question, segment))


def _shown(question: spare.ReadJob, segment: Frame) -> str:
    jobs = data_calls.DataJobs(segment) if question.plain else payload.Jobs(segment)
    return brief.call(*jobs[question.index])


def _in_a_fork(make: Callable[[], str]) -> str | None:
    """Return a text made by code of the user's, which may exit, crash or hang: in a process that nothing else needs.

    None if it raises; a text in angle brackets says how that process ended.
    """
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(out)
            os.write(into, make().encode("utf-8", "backslashreplace"))
        finally:
            os._exit(0)
    os.close(into)
    with open(out, "rb") as pipe:  # noqa: PTH123  (a descriptor has no path)
        ready = select.select([pipe], [], [], _READ_SECONDS)[0]
        text = os.read(pipe.fileno(), select.PIPE_BUF).decode() if ready else ""
    if not ready:
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    if not ready:
        return f"<reading them takes more than {_READ_SECONDS} s>"
    return text or (f"<reading them ends the process: {ending(status)}>" if status else None)


def _end(question: spare.ReadJob, reader: JournalReader) -> tuple[bytes, m.Outcomes | m.Lost] | None:
    """Return the newest row that tells how a job ended."""
    for row in reader.told():
        told = codec.in_journal.header(row.header) if row.header else None
        if not isinstance(told, (m.Outcomes, m.Lost)) or told.batch != question.batch:
            continue
        if any(first <= question.job < stop for first, stop in told.runs):
            return row.header, told
    return None


def _outcome(question: spare.ReadJob, told: m.Outcomes, data: Frame, arguments: str | None) -> spare.JobRead:
    outcomes = data_calls.load_outcomes(data) if question.plain else payload.Outcomes.load(data)
    at = question.job - told.first
    seconds, output = round(outcomes.seconds[at], 6), outcomes.outputs.get(at) or None
    raised = outcomes.raised.get(at)
    if raised is None:
        return spare.JobRead(arguments, seconds, output=output)
    error = brief.error(raised.type_name, raised.said)
    shown = arguments if arguments is not None else raised.arguments or None
    return spare.JobRead(shown, seconds, error, raised.traceback[-_MOST_TEXT:], output)


if __name__ == "__main__":
    main()
