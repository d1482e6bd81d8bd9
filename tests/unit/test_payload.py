"""Functions, arguments and outcomes travel: whole, apart from each other, and with a sentence where they cannot."""

from __future__ import annotations

import collections
import functools
import math
import pickle
import subprocess
import sys
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jupyter_dsage.errors import UnpicklableError, UsageError
from jupyter_dsage.wire import payload
from jupyter_dsage.wire.payload import BARE, EACH, TUPLES, Jobs, Outcomes
from jupyter_dsage.worker.failure import describe


def there(function: Any) -> Any:
    """Return a function as a worker has it."""
    return payload.load_function(payload.dump_function(function))


def mode(data: bytes) -> int:
    found: int = pickle.loads(data)[0]
    return found


def double(x: int) -> int:
    return 2 * x


class Adder:
    def __init__(self, much: int) -> None:
        self.much = much

    def __call__(self, x: int) -> int:
        return x + self.much

    def add(self, x: int) -> int:
        return x + self.much


# --- functions -----------------------------------------------------------------------------------------------


def test_functions_with_a_name_travel_by_it() -> None:
    for function in (double, math.sqrt, Adder, collections.OrderedDict):
        assert there(function) is function


def test_functions_without_a_name_travel_by_value() -> None:
    base = 10

    def inner(x: int, *, much: int = 1) -> int:
        return x + base + much

    assert there(lambda x: x + base)(1) == 11
    assert there(inner)(1, much=2) == 13
    assert there(functools.partial(inner, much=5))(1) == 16


def test_callables_of_other_kinds_travel() -> None:
    assert there(Adder(3))(4) == 7
    assert there(Adder(3).add)(4) == 7
    assert there(functools.partial(double))(4) == 8
    assert there([1, 2, 1].count)(1) == 2


def test_what_is_no_function_is_refused() -> None:
    for thing in (3, None, [double]):
        with pytest.raises(UsageError, match=r"must be a function or a service's name, not "):
            payload.dump_function(thing)  # type: ignore[arg-type]


def test_only_functions_that_travel_as_a_name_are_by_reference() -> None:
    assert payload.by_reference(double)
    assert payload.by_reference(Adder)
    assert not payload.by_reference(lambda: 1)
    assert not payload.by_reference(Adder(1))
    assert not payload.by_reference(functools.partial(double))
    hidden = functools.wraps(double)(lambda x: x)
    assert not payload.by_reference(hidden)


def test_a_function_that_cannot_travel_is_named_by_its_path() -> None:
    lock = threading.Lock()

    def job() -> Any:
        return lock

    with pytest.raises(UnpicklableError, match=r"^job → closure 'lock' cannot be pickled, so it cannot travel "):
        payload.dump_function(job)


# --- __main__ ------------------------------------------------------------------------------------------------

MAIN = r'''
import enum, pickle, re, subprocess, sys
from jupyter_dsage.wire import payload
from jupyter_dsage.worker.failure import describe
from jupyter_dsage.client.record import exception

WORKER = """
import pickle, sys
from jupyter_dsage.wire import payload
from jupyter_dsage.worker.failure import describe
function, segment, count = pickle.load(sys.stdin.buffer)
function, jobs = payload.load_function(function), payload.Jobs(segment)
outcomes = payload.Outcomes()
for at in range(count):
    args, kwargs = jobs[at]
    try:
        outcomes.each[at] = payload.dumps(function(*args, **kwargs), "the value")
    except Exception as error:
        outcomes.raised[at] = describe(error)
sys.stdout.buffer.write(outcomes.dump())
"""

def send(function, calls):
    return pickle.dumps((payload.dump_function(function), payload.dump_calls(calls, 0), len(calls)))

def run(data):
    done = subprocess.run([sys.executable, "-c", WORKER], input=data, capture_output=True, check=True)
    return payload.Outcomes.load(done.stdout)

scale = 2
class Point:
    made = 0
    def __init__(self, x):
        self.x = x
    def scaled(self):
        return self.x * scale
class Color(enum.Enum):
    RED = 1
class OwnError(Exception):
    pass
def helper(x):
    return Point(x.scaled())
def job(point, color=Color.RED, fail=False):
    if fail:
        raise OwnError(point, color)
    return helper(point), color, type(point)

before = Point.scaled
sent = send(job, [((Point(5),), {}), ((Point(6),), {"color": Color.RED}), ((Point(7),), {"fail": True})])
Point.made = 3
scale = 100
got = run(sent)
for at, expected in enumerate((10, 12)):
    point, color, cls = payload.loads(got.each[at])
    assert type(point) is Point and isinstance(point, Point) and cls is Point, type(point)
    assert color is Color.RED, color
    assert point.x == expected, point.x
    assert point.scaled() == 100 * expected, "the method forgot the notebook's globals"
assert Point.scaled is before, "the class was changed"
assert Point.made == 3, "the class was set back"
error = exception(got.raised[2])
assert type(error) is OwnError, repr(error)
assert error.args[0].x == 7 and error.args[1] is Color.RED
assert "raise OwnError(point, color)" in str(error.__cause__), error.__cause__

def make(n):
    class Local:
        value = n
    return Local()
got = run(send(make, [((1,), {}), ((2,), {})]))
assert [type(payload.loads(got.each[at])).value for at in (0, 1)] == [1, 2]

got = run(send(lambda n: lambda x: x + n * scale, [((1,), {})]))
assert payload.loads(got.each[0])(5) == 105

# --- what pickle would name by a reference into the notebook ---
import __main__ as notebook
import copyreg, dataclasses, functools, importlib.util, json, math, types, typing
import numpy as np

@functools.cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
@functools.lru_cache(maxsize=7, typed=True)
def times(x):
    return x * scale
root = functools.cache(math.sqrt)
misled = functools.wraps(len)(functools.cache(lambda x: x + 1))
UserId, T = typing.NewType("UserId", int), typing.TypeVar("T")
P, Ts = typing.ParamSpec("P"), typing.TypeVarTuple("Ts")
class Missing:
    def __init__(self):
        self.note = "mine"
    def __reduce__(self):
        return "MISSING"
class Slotted:
    __slots__ = ("a",)
SLOTTED, MISSING = Slotted(), Missing()
SLOTTED.a = 4
copyreg.pickle(Slotted, lambda _: "SLOTTED")
@dataclasses.dataclass(slots=True)
class Row:
    x: int
@functools.singledispatch
def kind(x):
    return "any"
@kind.register
def _(x: list):
    return [kind(each) for each in x]
@kind.register(Color)
def _(x):
    return "color"
class Table(typing.Generic[T]):
    @functools.lru_cache
    def row(self, x):
        return x + scale
    @functools.cached_property
    def head(self):
        return 5
    @functools.singledispatchmethod
    def cell(self, x):
        return "any"
    @cell.register
    def _(self, x: int):
        return "int"
    class Inner:
        @staticmethod
        @functools.cache
        def deep(x):
            return x + 1
@functools.wraps(json.dumps)
def wrapped(x):
    return x
adrift = types.FunctionType((lambda x: x + 1).__code__, globals())
adrift.__module__, adrift.__name__, adrift.__qualname__ = None, "adrift", "adrift"
class LazyImport:
    """As Sage's: a name that is imported when it is first used, of a class that cannot be pickled."""
    def __init__(self, get):
        self._get = get
    def _get_object(self):
        return self._get()
    def __call__(self, *args):
        return self._get()(*args)
    def __reduce__(self):
        raise TypeError("no default __reduce__ due to non-trivial __cinit__")
fmean = LazyImport(lambda: importlib.import_module("statistics").fmean)
spec = importlib.util.find_spec("wave")
spec.loader = importlib.util.LazyLoader(spec.loader)
wave = sys.modules["wave"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(wave)

CASES = {
    "lazy": (lambda: (fmean([1, 2]), wave.__name__, type(fmean)), (1.5, "wave", types.FunctionType)),
    "fib": (lambda: (fib(10), fib.cache_info().misses), (55, 11)),
    "times": (lambda: (times(2), times.cache_parameters()), (200, {"maxsize": 7, "typed": True})),
    "root": (lambda: root(4), 2.0),
    "misled": (lambda: misled(1), 2),
    "types": (lambda: (UserId(3), UserId.__module__, str(list[UserId])), (3, "__main__", "list[__main__.UserId]")),
    "parameters": (lambda: (P.__name__, Ts.__name__, T.__name__), ("P", "Ts", "T")),
    "sentinels": (lambda: (MISSING.note, SLOTTED.a), ("mine", 4)),
    "kind": (lambda: kind([1, Color.RED]), ["any", "color"]),
    "Table": (lambda: (Table().row(1), Table().head, Table.Inner.deep(1)), (101, 5, 2)),
    "cells": (lambda: (Table().cell(1), Table().cell("")), ("int", "any")),
    "wrapped": (lambda: wrapped(2), 2),
    "adrift": (lambda: adrift(2), 3),
}
fib(3)  # the worker's cache begins empty
got = run(send(lambda case: case(), [((case,), {}) for case, _ in CASES.values()]))
for at, (name, (_, expected)) in enumerate(CASES.items()):
    assert at in got.each, (name, got.raised[at].traceback)
    assert payload.loads(got.each[at]) == expected, (name, payload.loads(got.each[at]))
for whole in (fib, kind, adrift):
    assert payload.dump_function(whole)
assert run(send(fib, [((10,), {})])).each
got = run(send(lambda *values: values, [((UserId, MISSING, T, P, Ts), {}), ((SLOTTED, Row(2)), {})]))
for value, here in zip(payload.loads(got.each[0]), (UserId, MISSING, T, P, Ts), strict=True):
    assert value is here, value
slotted, row = payload.loads(got.each[1])
assert (type(slotted), slotted.a, row) == (Slotted, 4, Row(2)), "a class with slots had none at the worker"

double = np.frompyfunc(lambda x: 2 * x, 1, 1)
for refused, why in (
    (lambda: double(1), "'double' cannot be pickled, .* would be looked up as .* in '__main__', which workers cannot"),
    (lambda: notebook.scale, "'notebook' cannot be pickled, .* it is the notebook itself, which workers do not have"),
):
    try:
        payload.dump_function(refused)
    except payload.UnpicklableError as error:
        assert re.search(why, str(error)), error
    else:
        raise AssertionError(why)
print("well")
'''


def test_what_lives_in_main_travels_and_comes_back_as_the_same(tmp_path: Any) -> None:
    script = tmp_path / "notebook.py"
    script.write_text(MAIN)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("well\n", "")


# --- arguments -----------------------------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.complex_numbers(allow_nan=False)
scalars = scalars | st.text() | st.binary()
anything = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(anything, min_size=1))
def test_items_come_back(items: list[Any]) -> None:
    jobs = Jobs(payload.dump_items(items, 0))
    assert [jobs[at] for at in range(len(items))] == [((item,), {}) for item in items]


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.lists(anything), st.dictionaries(st.text(), anything)), min_size=1))
def test_calls_come_back(calls: list[Any]) -> None:
    jobs = Jobs(payload.dump_calls(calls, 0))
    assert [jobs[at] for at in range(len(calls))] == [(tuple(args), kwargs) for args, kwargs in calls]
    packed = [payload.pack_call(tuple(args), kwargs, 0) for args, kwargs in calls]
    jobs = Jobs(payload.dump_packed(packed))
    assert [jobs[at] for at in range(len(calls))] == [(tuple(args), kwargs) for args, kwargs in calls]


def test_scalars_travel_together_and_anything_else_by_itself() -> None:
    assert mode(payload.dump_items([1, "two", None], 0)) == BARE
    assert mode(payload.dump_items(range(5), 0)) == BARE
    assert mode(payload.dump_items([1, [2]], 0)) == EACH
    assert mode(payload.dump_calls([((1, 2), {}), ([3], {})], 0)) == TUPLES
    assert mode(payload.dump_calls([((1,), {"a": 1})], 0)) == EACH
    assert mode(payload.dump_packed([((1,), {})])) == TUPLES
    assert mode(payload.dump_packed([((1,), {}), payload.pack_call(([],), {}, 1)])) == EACH


class Number(int):
    """Not a scalar: it may be changed."""


def test_a_subclass_of_a_scalar_stays_what_it_is() -> None:
    number = Number(5)
    number.note = "kept"  # type: ignore[attr-defined]
    (back,), _ = Jobs(payload.dump_items([1, number], 0))[1]
    assert (type(back), back, back.note) == (Number, 5, "kept")


def test_text_that_utf_8_cannot_say_travels() -> None:
    assert Jobs(payload.dump_items(["\ud800"], 0))[0] == (("\ud800",), {})


def test_jobs_that_share_an_argument_get_their_own_copies() -> None:
    shared = [1]
    for data in (
        payload.dump_items([shared, shared], 0),
        payload.dump_calls([((shared,), {}), ((shared,), {"key": shared})], 0),
        payload.dump_packed([payload.pack_call((shared,), {}, at) for at in range(2)]),
    ):
        jobs = Jobs(data)
        (first,), _ = jobs[0]
        first.append(2)
        (second,), _ = jobs[1]
        assert second == [1]
        assert jobs[0][0] == ([1],), "a job that is tried again starts afresh"


def test_one_job_keeps_what_its_own_arguments_share() -> None:
    shared = [1]
    (first,), kwargs = Jobs(payload.dump_calls([((shared,), {"key": shared})], 0))[0]
    assert first is kwargs["key"]


def test_keyword_arguments_are_fresh_each_time() -> None:
    for data in (payload.dump_items([1], 0), payload.dump_calls([((1,), {})], 0), payload.dump_items([[1]], 0)):
        jobs = Jobs(data)
        jobs[0][1]["key"] = 1
        assert jobs[0][1] == {}


def test_the_first_jobs_must_be_able_to_travel() -> None:
    lock = threading.Lock()
    with pytest.raises(UnpicklableError, match=r"^job 8 → \[0\] → \[0\] → \[1\] cannot be pickled"):
        payload.dump_items([1, [2, lock]], 7, strict=True)
    with pytest.raises(UnpicklableError, match=r"^job 7 → \[1\] → \['key'\] cannot be pickled"):
        payload.dump_calls([((), {"key": lock})], 7, strict=True)
    with pytest.raises(UnpicklableError, match=r"^job 7 → \[0\] → \[0\] cannot be pickled"):
        payload.pack_call((lock,), {}, 7)
    with pytest.raises(UsageError, match=r"^Job 8 is 3, not an"):
        payload.dump_calls([((), {}), 3], 7, strict=True)


def test_a_later_job_that_cannot_travel_ends_alone() -> None:
    lock = threading.Lock()
    jobs = Jobs(payload.dump_calls([((1,), {}), ((lock,), {}), "no pair", (([2],), {})], 7))
    assert jobs[0] == ((1,), {})
    with pytest.raises(UnpicklableError, match=r"^job 8 → \[0\] → \[0\] cannot be pickled"):
        jobs[1]
    with pytest.raises(UsageError, match=r"^Job 9 is 'no pair', not an"):
        jobs[2]
    assert jobs[3] == (([2],), {})


class NotReadable:
    def __reduce__(self) -> Any:
        return int, ("not a number",)


def test_an_argument_that_cannot_be_read_ends_its_own_job() -> None:
    jobs = Jobs(payload.dump_items([[1], NotReadable(), [3]], 0))
    assert jobs[0] == (([1],), {})
    with pytest.raises(ValueError, match="invalid literal"):
        jobs[1]
    assert jobs[2] == (([3],), {})


def raising() -> Any:
    yield 1
    raise ZeroDivisionError


class Unpresentable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Touchy:
    """Like an array: no yes or no from its comparisons."""

    def __eq__(self, other: object) -> Any:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        (3, "3"),
        (None, "None"),
        ((), r"\(\)"),
        (((),), r"\(\(\),\)"),
        (((), {}, {}), r"\(\(\), \{\}, \{\}\)"),
        ((1, {}), r"\(1, \{\}\)"),
        (("ab", {}), r"\('ab', \{\}\)"),
        ((b"ab", {}), r"\(b'ab', \{\}\)"),
        ("ab", "'ab'"),
        (((), None), r"\(\(\), None\)"),
        (((), [1]), r"\(\(\), \[1\]\)"),
        (((), Touchy()), r"\(\(\), <.*"),
        ((raising(), {}), r"\(<generator .*"),
        (Unpresentable(), "a Unpresentable whose repr fails"),
        (list(range(100)), r"\[0, 1, 2.*\.\.\."),
    ],
)
def test_what_is_no_pair_is_refused_in_a_sentence(call: Any, shown: str) -> None:
    sentence = (
        rf"^Job 5 is {shown}, not an \(args, kwargs\) pair such as .*; use session\.map\(fn, items\) for plain items\.$"
    )
    with pytest.raises(UsageError, match=sentence):
        payload.check_call(call, 5)


def test_pairs_of_other_kinds_are_taken() -> None:
    assert payload.check_call([[1, 2], {"a": 1}], 0) == ((1, 2), {"a": 1})
    assert payload.check_call(((x for x in (1, 2)), [("a", 1)]), 0) == ((1, 2), {"a": 1})


# --- outcomes ------------------------------------------------------------------------------------------------


def test_outcomes_come_back() -> None:
    out = Outcomes()
    out.values = [1, None, None]
    out.each = {1: payload.dumps([2], "the value")}
    out.raised = {2: describe(ValueError("no"))}
    out.outputs = {0: "printed"}
    back = Outcomes.load(memoryview(out.dump()))
    assert (back.values, back.each, back.outputs) == (out.values, out.each, out.outputs)
    assert payload.loads(back.each[1]) == [2]
    raised = back.raised[2]
    assert (raised.type_name, raised.text, raised.kind) == ("ValueError", "ValueError('no')", "")
    assert raised.traceback == "ValueError: no\n"


def test_a_value_that_cannot_be_read_does_not_keep_the_others_from_it() -> None:
    out = Outcomes()
    out.values = [None, 5]
    out.each = {0: payload.dumps(NotReadable(), "the value")}
    assert Outcomes.load(out.dump()).values[1] == 5
