"""Arguments and outcomes of services as plain data: what `wire.payload` is for functions, without any pickle.

A segment is a list with one entry a job: its (args, kwargs), written by itself, so that one bad job spoils no other;
or the sentence why it could not be sent. The client writes segments and reads outcomes, the worker the other way
round; both read untrusted bytes, and get `ProtocolError` for nonsense.
"""

from __future__ import annotations

import math
import sys
from array import array
from typing import TYPE_CHECKING, Any

from jupyter_dsage.errors import DsageError, NotDataError, ProtocolError
from jupyter_dsage.wire import data
from jupyter_dsage.wire.payload import SCALARS, Call, Frame, Outcomes, check_call
from jupyter_dsage.wire.raised import Raised
from jupyter_dsage.wire.safe_text import exact
from jupyter_dsage.wire.seconds import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_TEXTS = ("type_name", "text", "traceback", "kind", "said", "arguments")
"""What travels of an exception: never the exception itself."""
_FIELDS = 6


# --- arguments -----------------------------------------------------------------------------------------------


def dump_items(items: Sequence[Any], first: int, *, strict: bool = False) -> bytes:
    """Return a segment of jobs with one argument each. `first`: number of the first, for messages."""
    return _dump((((item,), {}) for item in items), first, strict=strict)


def dump_calls(calls: Sequence[Any], first: int, *, strict: bool = False) -> bytes:
    """Return a segment of jobs given as (args, kwargs) pairs.

    With `strict` a job that cannot travel raises (NotDataError, PayloadTooLargeError, UsageError); else it becomes a
    job that raises NotDataError with the same sentence at the worker, so that it ends alone.
    """
    return _dump(calls, first, strict=strict)


def pack_call(args: tuple[Any, ...], kwargs: dict[str, Any], number: int) -> bytes:
    """Return the arguments of one job, for `dump_packed`; raises NotDataError, PayloadTooLargeError."""
    return _dump_call(data.writer(), (args, kwargs), number)


def dump_packed(calls: Sequence[bytes]) -> bytes:
    """Return a segment of jobs that went through `pack_call`."""
    return data.dumps(list(calls), "the segment")


def dump_refused(error: DsageError, count: int) -> bytes:
    """Return a segment of jobs that raise an error's sentence instead of running."""
    return data.dumps([exact(str(error))] * count, "the segment")


def _dump(calls: Iterable[Any], first: int, *, strict: bool) -> bytes:
    write = data.writer()
    out: list[bytes | str] = []
    for number, call in enumerate(calls, first):
        try:
            out.append(_dump_call(write, call, number))
        except DsageError as error:
            if strict:
                raise
            out.append(exact(str(error)))
    return write(out, "the segment")


def _dump_call(write: Callable[[Any, str], bytes], call: Any, number: int) -> bytes:
    args, kwargs = check_call(call, number)
    for name in kwargs:
        if type(name) is not str:
            raise NotDataError(f"Job {number}: {name!r} names no keyword argument: only a string can.")
    try:
        return write((args, kwargs), "")
    except DsageError:
        write(args, f"job {number} → args")  # one of the two raises again, with a path that says which
        write(kwargs, f"job {number} → kwargs")
        raise


class DataJobs:
    """The arguments of a segment: ``jobs[i]`` gives a fresh (args, kwargs) for its i-th job."""

    __slots__ = ("_calls",)

    def __init__(self, segment: Frame) -> None:
        calls = data.loads(segment)
        if type(calls) is not list:
            raise ProtocolError("A peer sent a segment that is no list of jobs.")
        self._calls = calls

    def __len__(self) -> int:
        return len(self._calls)

    def __getitem__(self, index: int) -> Call:
        """Return one job's arguments; raises NotDataError if they could not be sent, ProtocolError for nonsense."""
        if not 0 <= index < len(self._calls):
            raise ProtocolError(f"A peer sent a segment of {len(self._calls)} jobs, and asks for job {index} of it.")
        call = self._calls[index]
        if type(call) is str:
            raise NotDataError(call)
        if type(call) is not bytes:
            raise ProtocolError("A peer sent a job that is no call.")
        match data.loads(call):
            case (tuple() as args, dict() as kwargs) if all(type(name) is str for name in kwargs):
                return args, kwargs
            case _:
                raise ProtocolError("A peer sent a job that is no pair of arguments and keyword arguments.")


# --- outcomes ------------------------------------------------------------------------------------------------


def dump_outcomes(outcomes: Outcomes) -> bytes:
    """Return the payload of a run's outcomes. Each of `outcomes.each` must have been made by `data.dumps`.

    Never fails for a value: a scalar that cannot travel becomes an outcome of its job that says so.
    """
    raised = {at: [exact(getattr(one, name)) for name in _TEXTS] for at, one in outcomes.raised.items()}
    outputs = {at: exact(text) for at, text in outcomes.outputs.items()}
    seconds = array("f", outcomes.seconds)
    if sys.byteorder == "big":
        seconds.byteswap()
    values = outcomes.values
    write = data.writer()
    try:
        return write([values, outcomes.each, raised, outputs, outcomes.files, seconds.tobytes()], "the outcomes")
    except DsageError:
        values = [_travelling(write, value, at, raised) for at, value in enumerate(values)]
        return write([values, outcomes.each, raised, outputs, outcomes.files, seconds.tobytes()], "the outcomes")


def _travelling(write: Callable[[Any, str], bytes], value: Any, at: int, raised: dict[int, list[str]]) -> Any:
    """Return a value that can travel; else None, and note in `raised` why."""
    try:
        write(value, "The job's value")
    except DsageError as error:
        raised[at] = [type(error).__name__, repr(error), str(error), "", str(error), ""]
        return None
    return value


def load_outcomes(frame: Frame) -> Outcomes:
    """Return the outcomes of a payload, all checked; values written by themselves stay bytes. Raises ProtocolError."""
    parts = data.loads(frame)
    if type(parts) is not list or len(parts) != _FIELDS:
        raise _nonsense("six fields")
    values, each, raised, outputs, files, seconds = parts
    if type(values) is not list or not {type(value) for value in values} <= SCALARS:
        raise _nonsense("values that are scalars")
    count = len(values)
    out = Outcomes()
    out.values = values
    out.each = _table(each, count, bytes, "values")
    out.outputs = _table(outputs, count, str, "outputs")
    out.files = _table(files, count, str, "files")
    out.raised = {at: _raised(texts) for at, texts in _table(raised, count, list, "exceptions").items()}
    if out.each.keys() & out.raised.keys() or any(values[at] is not None for at in (*out.each, *out.raised)):
        raise _nonsense("one outcome a job")
    out.seconds = _seconds(seconds, count)
    return out


def _table(found: Any, count: int, kind: type, what: str) -> dict[int, Any]:
    """Return a dict from jobs of the run to values of a type, checked."""
    if type(found) is not dict or not all(
        type(at) is int and 0 <= at < count and type(value) is kind for at, value in found.items()
    ):
        raise _nonsense(f"{what} by their jobs")
    return found


def _raised(texts: list[Any]) -> Raised:
    if len(texts) != len(_TEXTS) or any(type(text) is not str for text in texts):
        raise _nonsense("exceptions as texts")
    return Raised(None, *texts)


def _seconds(packed: Any, count: int) -> Seconds:
    seconds = array("f")
    if type(packed) is not bytes or len(packed) != count * seconds.itemsize:
        raise _nonsense("one time a job")
    seconds.frombytes(packed)
    if sys.byteorder == "big":
        seconds.byteswap()
    if not all(0 <= second < math.inf for second in seconds):
        raise _nonsense("times that are numbers")
    out = Seconds()
    for second in seconds:
        out.append(second)
    return out


def _nonsense(wanted: str) -> ProtocolError:
    return ProtocolError(f"A peer sent outcomes that are not {wanted}.")
