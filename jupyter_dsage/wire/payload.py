"""Payloads: functions, arguments and outcomes as bytes. The only file that pickles; the child never calls it.

Function and captured names: one pickle per batch. Arguments and outcomes: one payload per chunk. What is made
of scalars is pickled together; anything else is pickled by itself *inside* the chunk, so that jobs that share
a chunk share nothing else: a list that one job changes is not changed for its neighbour, and a value that
cannot be read again spoils no other. Large buffers lie beside the pickle (`wire.buffers`). `pickle` is used
wherever it can name things by reference; `cloudpickle` only for what has no name that workers can import.
"""

from __future__ import annotations

import io
import pickle
import re
from functools import partial
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from jupyter_dsage.errors import DsageError, UnpicklableError, UsageError
from jupyter_dsage.wire import brief, import_order, safe_text, sources, surroundings
from jupyter_dsage.wire.buffers import Beside, Buffers, pack, unpack
from jupyter_dsage.wire.importable import importable
from jupyter_dsage.wire.picklers import Pickler, cloud_pickler
from jupyter_dsage.wire.raised import Raised  # noqa: TC001  (what is in journals names it here)
from jupyter_dsage.wire.seconds import Seconds
from jupyter_dsage.wire.unpicklable import find_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jupyter_dsage.wire.surroundings import Surroundings

Call = tuple[tuple[Any, ...], dict[str, Any]]
"""The arguments of one job."""

Frame = bytes | memoryview

SCALARS = frozenset({int, float, complex, bool, str, bytes, type(None)})
"""Types whose values cannot change, cannot fail to be pickled, and refer to nothing."""

Alone = tuple[bytes, int, int]
"""A pickle by itself inside a chunk, and which of the chunk's buffers are its own: from, to."""

PROTOCOL = 5
_BY_VALUE = re.compile(rb"_class_setstate")
BARE, TUPLES, EACH = 0, 1, 2


def dumps(value: Any, label: str, beside: Beside | None = None) -> bytes:
    """Return a value pickled, by reference where possible; its large buffers go into `beside`, if there is one.

    Raises UnpicklableError, which names the culprit by its path from `label` (``fn → closure 'lock'``).
    """
    if type(value) in SCALARS:
        return pickle.dumps(value, PROTOCOL)
    buffer, take = io.BytesIO(), None if beside is None else beside.take
    before = 0 if beside is None else len(beside.views)
    try:
        Pickler(buffer, PROTOCOL, buffer_callback=take).dump(value)
    except Exception:  # noqa: BLE001  (any __reduce__ may raise anything; cloudpickle has the second word)
        if beside is not None:
            del beside.views[before:]
        return _cloud_dumps(value, label, take)
    return buffer.getvalue()


def _cloud_dumps(value: Any, label: str, take: Callable[[pickle.PickleBuffer], bool] | None) -> bytes:
    buffer = io.BytesIO()
    try:
        cloud_pickler()(buffer, PROTOCOL, buffer_callback=take).dump(value)
    except Exception as error:
        path, culprit = find_path(value, label, _can_pickle)
        raise UnpicklableError(
            f"{path} cannot be pickled, so it cannot travel between processes ({culprit})."
        ) from error
    return buffer.getvalue()


def _can_pickle(value: Any) -> Exception | None:
    try:
        cloud_pickler()(io.BytesIO(), PROTOCOL).dump(value)
    except Exception as error:  # noqa: BLE001  (the question is whether anything is raised)
        return error
    return None


class _Reader(pickle.Unpickler):
    """Reads a value back without touching the classes that this process has.

    cloudpickle sends a class of ``__main__`` whole. To read it would give the class here the attributes that it
    had when the job was sent: its counters set back, its methods blind to what the notebook changed since.
    """

    def __init__(self, data: Frame, buffers: Sequence[Any]) -> None:
        super().__init__(io.BytesIO(data), buffers=buffers)
        self._here: list[type] = []

    def find_class(self, module: str, name: str) -> Any:
        """Return a global, but for those of cloudpickle that make and fill classes a stand-in."""
        found = super().find_class(module, name)
        if module.startswith("cloudpickle") and name in {"_make_skeleton_class", "_make_skeleton_enum"}:
            return partial(self._make, found)
        if module.startswith("cloudpickle") and name == "_class_setstate":
            return partial(self._fill, found)
        return found

    def _make(self, make: Callable[..., type], *args: Any) -> type:
        from cloudpickle import cloudpickle

        # By this number cloudpickle knows a class again; without the (private) table every class counts as new.
        known = getattr(cloudpickle, "_DYNAMIC_CLASS_TRACKER_BY_ID", {}).get(args[-2])
        if known is not None:
            self._here.append(known)
        return make(*args)

    def _fill(self, fill: Callable[..., Any], made: type, state: Any) -> Any:
        return made if any(made is known for known in self._here) else fill(made, state)


def loads(data: Frame, buffers: Sequence[Any] = ()) -> Any:
    """Return the value of a pickle, changing no class that this process has; raises whatever its classes raise."""
    if _BY_VALUE.search(data):
        return _Reader(data, buffers).load()
    return _read(data, buffers)


def _read(data: Frame, buffers: Sequence[Any] = ()) -> Any:
    """Return the value of a pickle, once more if an import failed for its order alone."""
    try:
        return pickle.loads(data, buffers=buffers)
    except ImportError as error:
        if not import_order.repaired(error):
            raise
    return pickle.loads(data, buffers=buffers)


# --- functions -----------------------------------------------------------------------------------------------


def by_reference(function: Callable[..., Any]) -> bool:
    """Tell whether a function travels as a name only, so that its bytes stay the same for ever."""
    if not importable(getattr(function, "__module__", "__main__")):
        return False
    try:
        pickle.dumps(function, PROTOCOL)
    except Exception:  # noqa: BLE001  (the question is whether anything is raised)
        return False
    if isinstance(function, BuiltinFunctionType):
        return isinstance(function.__self__, ModuleType)  # not a method bound to a list
    return isinstance(function, (FunctionType, type))


def dump_function(function: Callable[..., Any]) -> Frame:
    """Return a function with what it captured; raises UnpicklableError, or UsageError if it is not callable."""
    if not callable(function):
        raise UsageError(f"The first argument must be a function or a service's name, not {brief.value(function)}.")
    beside = Beside()
    data = dumps(function, getattr(function, "__name__", type(function).__name__), beside)
    head = (data, sources.collect(function), *filter(None, [surroundings.here()]))
    return pack(pickle.dumps(head, PROTOCOL), beside.views)


def load_function(payload: Frame) -> Callable[..., Any]:
    """Return the function of a payload, its source lines made known; raises whatever its imports raise."""
    return PackedFunction(payload).load()


class PackedFunction:
    """The payload of a function, from which it can be loaded more than once; its source lines are made known.

    `shared`: all that are loaded have the same large buffers, which cannot be written to.
    """

    def __init__(self, payload: Frame, *, shared: bool = False) -> None:
        head, self._buffers = unpack(payload)
        self._data, lines, *around = pickle.loads(head)
        self.surroundings: Surroundings | None = around[0] if around else None
        self._views = [memoryview(each).toreadonly() for each in self._buffers.all()] if shared else None
        sources.install(lines)

    @property
    def pickle_bytes(self) -> int:
        """Bytes of the pickle, without the buffers beside it."""
        return len(self._data)

    def load(self) -> Callable[..., Any]:
        """Return the function, fresh; raises whatever its imports and its classes raise."""
        buffers = self._buffers.all() if self._views is None else self._views
        function: Callable[..., Any] = _read(self._data, buffers)
        return function


# --- arguments -----------------------------------------------------------------------------------------------


def dump_items(items: Sequence[Any], first: int, *, strict: bool = False) -> Frame:
    """Return a chunk of jobs with one argument each. `first`: number of the first, for messages."""
    if type(items) is range or SCALARS.issuperset(map(type, items)):
        return pickle.dumps((BARE, items), PROTOCOL)
    return _dump_each([((item,), {}) for item in items], first, strict=strict)


def dump_calls(calls: Sequence[Any], first: int, *, strict: bool = False) -> Frame:
    """Return a chunk of jobs given as (args, kwargs) pairs.

    With `strict` a job that cannot travel raises (UnpicklableError, UsageError); else it becomes a job that
    raises that error at the worker, so that it ends alone.
    """
    if all(_plain(call) for call in calls):
        return pickle.dumps((TUPLES, [tuple(call[0]) for call in calls]), PROTOCOL)
    return _dump_each(calls, first, strict=strict)


def pack_call(args: tuple[Any, ...], kwargs: dict[str, Any], number: int) -> Call | Frame:
    """Return the arguments of one job: themselves if they are plain, else pickled; raises UnpicklableError.

    Those with large buffers are a chunk already (a memoryview): they are copied now, and travel by themselves.
    """
    call, beside = (args, kwargs), Beside()
    if _plain(call):
        return call
    data = dumps(call, f"job {number}", beside)
    if not beside.views:
        return data
    return memoryview(pack(pickle.dumps((EACH, [(data, 0, len(beside.views))]), PROTOCOL), beside.views))


def dump_numbers(calls: Sequence[tuple[Any, ...]]) -> bytes:
    """Return a chunk of jobs whose arguments are scalars, given by position."""
    return pickle.dumps((TUPLES, calls), PROTOCOL)


def dump_packed(calls: Sequence[Call | Frame]) -> Frame:
    """Return a chunk of jobs that went through `pack_call`."""
    if isinstance(calls[0], memoryview):
        return calls[0]
    if not any(isinstance(call, bytes) for call in calls):
        return pickle.dumps((TUPLES, [call[0] for call in calls]), PROTOCOL)
    each = [call if isinstance(call, bytes) else pickle.dumps(call, PROTOCOL) for call in calls]
    return pickle.dumps((EACH, each), PROTOCOL)


def _plain(call: Any) -> bool:
    return (
        type(call) is tuple
        and len(call) == 2  # noqa: PLR2004  (args, kwargs)
        and type(call[0]) in {tuple, list}
        and type(call[1]) is dict
        and not call[1]
        and all(type(value) in SCALARS for value in call[0])
    )


def dump_refused(error: DsageError, count: int) -> bytes:
    """Return a chunk of jobs that raise an error instead of running: what they were to be called with cannot travel."""
    return pickle.dumps((EACH, [pickle.dumps(error, PROTOCOL)] * count), PROTOCOL)


def _dump_each(calls: Sequence[Any], first: int, *, strict: bool) -> Frame:
    out: list[bytes | Alone] = []
    beside = Beside()
    for number, call in enumerate(calls, first):
        try:
            out.append(_beside(check_call(call, number), f"job {number}", beside))
        except BaseException as error:
            if strict:
                raise
            refused = error if isinstance(error, DsageError) else UnpicklableError(_raised_where(number, error))
            out.append(pickle.dumps(type(refused)(str(refused)), PROTOCOL))
    return pack(pickle.dumps((EACH, out), PROTOCOL), beside.views)


def _raised_where(number: int, error: BaseException) -> str:
    said = safe_text.safely(lambda: str(error), "")
    return f"The arguments of job {number} cannot be pickled: they raised {safe_text.type_name(error)}: {said}".rstrip(
        ": "
    )


def _beside(value: Any, label: str, beside: Beside) -> bytes | Alone:
    """Return a value as it stands in a chunk, its large buffers put beside it."""
    before = len(beside.views)
    data = dumps(value, label, beside)
    return (data, before, len(beside.views)) if len(beside.views) > before else data


def check_call(call: Any, number: int) -> Call:
    """Return an (args, kwargs) pair as a tuple and a dict; raises UsageError for anything else."""
    try:
        args, kwargs = call
        if isinstance(args, (str, bytes)):
            raise TypeError  # noqa: TRY301  (a string would be spelled out letter by letter)
        pair = tuple(args), dict(kwargs)
    except Exception:  # noqa: BLE001  (the user's iterators and mappings may raise anything)
        raise UsageError(
            f"Job {number} is {brief.value(call)}, not an (args, kwargs) pair such as ([1000], {{'bins': 10}}); "
            "use session.map(fn, items) for plain items."
        ) from None
    return pair


class Jobs:
    """The decoded arguments of a segment: ``jobs[i]`` gives a fresh (args, kwargs) for its i-th job."""

    __slots__ = ("_buffers", "_calls", "_mode")

    def __init__(self, data: Frame) -> None:
        head, self._buffers = unpack(data)
        self._mode, self._calls = pickle.loads(head)

    @property
    def plain(self) -> bool:
        """Whether all arguments are scalars, given by position."""
        return bool(self._mode != EACH)

    @property
    def bare(self) -> bool:
        """Whether each job has one argument."""
        return bool(self._mode == BARE)

    def calls(self, first: int, stop: int) -> Sequence[Any]:
        """Return the arguments of some plain jobs: one each if they are bare, else a tuple each."""
        calls: Sequence[Any] = self._calls[first:stop]
        return calls

    def __getitem__(self, index: int) -> Call:
        """Return one job's arguments; raises what the job is to end with if it could not be sent."""
        call = self._calls[index]
        if self._mode == BARE:
            return (call,), {}
        if self._mode == TUPLES:
            return call, {}
        call = _read(call[0], self._buffers.some(*call[1:])) if isinstance(call, tuple) else _read(call)
        if isinstance(call, Exception):
            raise call
        args, kwargs = call
        return args, kwargs


# --- outcomes ------------------------------------------------------------------------------------------------


_GONE = Buffers()
"""What stands in the place of buffers that were let go of."""


class Outcomes:
    """The outcomes of a run of jobs. Values that are not scalars stay pickled until someone looks."""

    __slots__ = ("_buffers", "_views", "each", "files", "outputs", "raised", "seconds", "values")

    def __init__(self) -> None:
        self.values: list[Any] = []
        """One entry a job; None where the job's value is in `each` or it raised."""
        self.each: dict[int, bytes | Alone] = {}
        self._views: list[memoryview] = []
        self._buffers = Buffers()
        self.raised: dict[int, Raised] = {}
        self.outputs: dict[int, str] = {}
        """The end of what a job printed."""
        self.files: dict[int, str] = {}
        """Where the whole of it is kept, if that is more."""
        self.seconds = Seconds()
        """How long each job took."""

    def put(self, index: int, data: bytes, beside: Beside) -> None:
        """Note a value by its pickle, and what lies beside that: it is copied by `dump`, and must not change before."""
        self.values.append(None)
        first = len(self._views)
        self._views += beside.views
        self.each[index] = (data, first, len(self._views)) if beside.views else data

    def read(self, index: int, buffers: Buffers | None = None) -> Any:
        """Return a value of `each`, fresh; raises whatever its classes raise. `buffers`: those there were before."""
        entry = self.each[index]
        if isinstance(entry, bytes):
            return loads(entry)
        return loads(entry[0], (buffers or self._buffers).some(*entry[1:]))

    @property
    def buffers(self) -> Buffers | None:
        """What lies beside the pickles; None once it was let go of."""
        return self._buffers if self._buffers is not _GONE else None

    def is_large(self, index: int) -> bool:
        """Tell whether there are buffers beside a value's pickle."""
        return isinstance(self.each.get(index), tuple)

    def drop_buffers(self) -> None:
        """Let go of what lies beside the pickles: every value has been read."""
        self._buffers = _GONE

    def use_buffers(self, data: Frame) -> Buffers:
        """Have again what lay beside the pickles: `data` is the payload from which these outcomes were loaded."""
        self._buffers = again = unpack(data)[1]
        return again

    def alone(self, index: int) -> Outcomes:
        """Return one job's outcome by itself, for a worker that could not `dump` all of them."""
        one, entry = Outcomes(), self.each.get(index)
        one.values.append(self.values[index])
        if entry is not None:
            one._views = self._views[entry[1] : entry[2]] if isinstance(entry, tuple) else []
            one.each[0] = (entry[0], 0, len(one._views)) if isinstance(entry, tuple) else entry
        one.raised = {0: self.raised[index]} if index in self.raised else {}
        one.outputs = {0: self.outputs[index]} if index in self.outputs else {}
        one.files = {0: self.files[index]} if index in self.files else {}
        one.seconds.append(self.seconds[index])
        return one

    def dump(self) -> Frame:
        """Return the payload."""
        parts = (self.values, self.each, self.raised, self.outputs, self.files, self.seconds.dump())
        return pack(pickle.dumps(parts, PROTOCOL), self._views)

    @classmethod
    def load(cls, data: Frame) -> Outcomes:
        """Return the outcomes of a payload; values pickled by themselves are not touched."""
        out = cls()
        head, out._buffers = unpack(data)
        out.values, out.each, out.raised, out.outputs, out.files, seconds = pickle.loads(head)
        out.seconds = Seconds.load(seconds)
        return out
