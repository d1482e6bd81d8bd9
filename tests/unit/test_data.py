"""Plain data travels whole; what is none is refused by its path; bytes from anybody end in ProtocolError at worst."""

from __future__ import annotations

import collections
import decimal
import enum
import fractions
import math
import pickle
import struct
import subprocess
import sys
import time
import tracemalloc
from typing import Any, NamedTuple

import msgpack
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jupyter_dsage.errors import NotDataError, PayloadTooLargeError, ProtocolError, UsageError
from jupyter_dsage.wire import arrays, data, data_calls
from jupyter_dsage.wire.data_calls import DataJobs, dump_calls, dump_items, dump_outcomes, load_outcomes
from jupyter_dsage.wire.payload import Outcomes
from jupyter_dsage.wire.raised import Raised

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | TEXT | st.binary()
KEYS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT | st.binary(),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=4,
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=20,
)


def there(value: Any) -> Any:
    return data.loads(data.dumps(value, "the value"))


def alike(a: Any, b: Any) -> bool:
    """Tell whether two values are of the same types all the way down, and equal; NaN equals NaN."""
    return repr(a) == repr(b)


def ext(code: int, content: bytes) -> bytes:
    return b"\xc9" + struct.pack(">Ib", len(content), code) + content


def array_of(name: bytes, shape: tuple[int, ...], content: bytes) -> bytes:
    return struct.pack(f"<BB{len(shape)}Q", len(name), len(shape), *shape) + name + content


# --- whole ---------------------------------------------------------------------------------------------------


@given(VALUES)
@example(2**64)
@example(-(2**63) - 1)
@example([10**5000, -(10**5000), 0, -1, 2**63, -(2**63)])
@example({(1, ("a", None)): [()], 1: {}, "": b""})
@example(())
def test_data_arrives_as_it_was(value: Any) -> None:
    if isinstance(value, list) and value and isinstance(value[0], int) and value[0].bit_length() > 10_000:
        assert there(value) == value  # too long to be shown
    else:
        assert alike(there(value), value)


ARRAYS = [
    np.arange(6, dtype=np.int32).reshape(2, 3),
    np.arange(6.0).reshape(2, 3).T,
    np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    np.arange(20)[::-3],
    np.arange(5, dtype=">u2"),
    np.array([True, False]),
    np.array([1 + 2j], dtype=np.complex64),
    np.array([1.5], dtype=np.float16),
    np.array(["a", "äöü", "\U0001f600"]),
    np.array(["a", "b"]).astype(">U3"),
    np.array([b"a", b"bc"]),
    np.array(["2026-01-01", "NaT"], dtype="M8[D]"),
    np.array([1, 2], dtype="m8[25s]"),
    np.zeros((0, 3)),
    np.zeros((3, 0, 2), dtype="U5"),
    np.array(7),
    np.broadcast_to(np.float64(3), (4, 2)),
    np.zeros((1,) * 30),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}-{array.shape[:3]}")
def test_arrays_arrive_whole_and_writable(array: np.ndarray[Any, Any]) -> None:
    out = there([array])[0]
    assert type(out) is np.ndarray
    assert out.dtype == array.dtype
    assert out.shape == array.shape
    assert out.tobytes() == array.tobytes()
    assert out.flags.c_contiguous
    assert out.flags.writeable
    assert out.flags.aligned
    if out.size:
        out[...] = out.flat[0]


SCALARS = [
    *(np.float64(1.5), np.int8(-3), np.uint64(2**64 - 1), np.bool_(1), np.complex64(1j), np.float16(2), np.float32(3)),
    *(np.str_("a"), np.str_(""), np.bytes_(b"a"), np.datetime64("2026-01-01T01"), np.timedelta64(5, "ms")),
]


@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
def test_numpy_scalars_stay_what_they_are(scalar: Any) -> None:
    out = there(scalar)
    assert type(out) is type(scalar)
    assert out == scalar
    assert there({scalar: 1}) == {scalar: 1}


class Whole:
    """As Sage's Integer: no `int`, but as good as one."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


class Real:
    """As Sage's RealNumber."""

    def __float__(self) -> float:
        return 0.5


def test_numbers_of_other_libraries_arrive_as_pythons() -> None:
    value = [Whole(3), Whole(-(2**70)), Real(), fractions.Fraction(1, 2), {Whole(1): Whole(2)}]
    assert alike(there(value), [3, -(2**70), 0.5, 0.5, {1: 2}])


def test_a_mapped_array_and_a_bytearray_arrive_as_what_they_hold(tmp_path: Any) -> None:
    mapped = np.memmap(tmp_path / "a", np.float64, "w+", shape=(4,))
    mapped[:] = 3
    assert there(mapped).tolist() == [3, 3, 3, 3]
    assert there(bytearray(b"ab")) == b"ab"


def test_numpy_is_not_imported_for_what_needs_none() -> None:
    script = (
        "import sys\n"
        "from jupyter_dsage.wire import data, data_calls\n"
        "jobs = data_calls.DataJobs(data_calls.dump_calls([([1], {'a': (2, 2**70)})], 0))\n"
        "assert jobs[0] == ((1,), {'a': (2, 2**70)})\n"
        "assert 'numpy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


# --- refused -------------------------------------------------------------------------------------------------

ONLY = "and a service takes only numbers, strings, bytes, lists, tuples, dicts and arrays: convert it first."


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (decimal.Decimal(1), f"the value is a decimal.Decimal, {ONLY}"),
        ({"loc": [1, 2, {3}]}, f"the value['loc'][2] is a set, {ONLY}"),
        ([(1, {"a": object})], f"the value[0][1]['a'] is a type, {ONLY}"),
        ({frozenset({1}): 1}, f"the value → key frozenset({{1}}) is a frozenset, {ONLY}"),
        ([len], f"the value[0] is a builtin_function_or_method, {ONLY}"),
        (collections.OrderedDict(), f"the value is a collections.OrderedDict, {ONLY}"),
        (np.array([None]), f"the value is a numpy.ndarray of dtype object, {ONLY}"),
        (np.zeros(2, "i4,f8"), f"the value is a numpy.ndarray of dtype [('f0', '<i4'), ('f1', '<f8')], {ONLY}"),
        (np.ma.array([1]), f"the value is a numpy.ma.MaskedArray, {ONLY}"),
        (["a\ud800"], "the value[0] is a text with a lone surrogate, which is no character: remove it first."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_data_is_named_by_its_path(value: Any, sentence: str) -> None:
    with pytest.raises(NotDataError) as raised:
        data.dumps(value, "the value")
    assert str(raised.value) == sentence


def test_subclasses_of_data_are_none() -> None:
    class Text(str):
        __slots__ = ()

    class Point(NamedTuple):
        x: int

    for value in (Colour.RED, Text("a"), collections.defaultdict(int), Point(1)):
        with pytest.raises(NotDataError, match=r"^the value\[0\] is a "):
            data.dumps([value], "the value")


def test_what_contains_itself_or_is_too_deep_is_refused() -> None:
    ring: list[Any] = []
    ring.append(ring)
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    for value in (ring, deep):
        with pytest.raises(NotDataError, match=r"^job 3 is nested more than 500 levels deep, or contains itself"):
            data.dumps(value, "job 3")


def test_a_repr_that_fails_spoils_no_message() -> None:
    class Bad:
        def __repr__(self) -> str:
            raise RuntimeError

    with pytest.raises(NotDataError, match=r"^the value → key of type .*Bad is a "):
        data.dumps({Bad(): 1}, "the value")


def test_too_large_a_value_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "MOST_BYTES", 100)
    with pytest.raises(PayloadTooLargeError, match=r"^the value\[1\]: more than .* bytes in one value; pass the name"):
        data.dumps([1, np.zeros(50)], "the value")


def test_a_writer_goes_on_after_a_refusal() -> None:
    write = data.writer()
    with pytest.raises(NotDataError):
        write([1, 2, {3}], "x")
    assert data.loads(write([1], "x")) == [1]


# --- untrusted bytes -----------------------------------------------------------------------------------------


def refused(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        data.loads(frame)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x01\x01",  # bytes left over
        b"\xc1",  # never used
        b"\xdd\xff\xff\xff\xff",  # a list of 4,294,967,295
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xa1\xff",  # no UTF-8
        b"\xa3\xed\xa0\x80",  # a surrogate
        b"\x81\x90\x01",  # a list as a key
        b"\x91" * 2000 + b"\x01",
        msgpack.packb([1, msgpack.ExtType(1, b"")]),  # marks in wrong places
        msgpack.packb([msgpack.ExtType(1, b"")] * 2),
        msgpack.packb({1: msgpack.ExtType(1, b"")}),
        msgpack.packb(msgpack.ExtType(1, b"")),
        msgpack.packb([msgpack.ExtType(1, b"x"), 1]),
        ext(2, b""),
        ext(3, b"short"),
        ext(6, b""),
        ext(-1, b"12345"),
        ext(127, b"\x91" * 100),
        ext(4, b""),
        ext(4, b"\xff"),
        ext(4, b"\x03\xff<f8"),
        ext(5, array_of(b"<f8", (1,), bytes(8))),  # a scalar with a dimension
        pickle.dumps([1, 2]),
        pickle.dumps(print, 0),
    ],
    ids=lambda frame: frame[:12].hex(),
)
def test_nonsense_is_refused(frame: bytes) -> None:
    refused(frame)


@pytest.mark.parametrize(
    ("name", "shape", "content"),
    [
        (b"|O", (1,), bytes(8)),
        (b"|V8", (1,), bytes(8)),
        (b"i4,i4", (1,), bytes(8)),
        (b"(1000000000,)i4", (1,), bytes(8)),
        (b"float", (1,), bytes(8)),
        (b"<f3", (1,), bytes(3)),
        (b"<U0", (10**9,), b""),
        (b"|S0", (2**63,), b""),
        (b"<M8[x]", (1,), bytes(8)),
        (b"<M8[9999999999s]", (1,), bytes(8)),
        (b"<f8", (2,), bytes(8)),
        (b"<f8", (2**64 - 1,), bytes(8)),
        (b"<f8", (2**63, 2), bytes(16)),
        (b"<f8", (0, 2**63), b""),
        (b"<f8", (1,) * 70, bytes(8)),
        (b"\xff\xff\xff", (1,), bytes(8)),
        (b"|b1", (2,), b"\x01\x02"),
        (b"<U1", (1,), b"\x00\x00\x11\x00"),
        (b">U1", (1,), b"\x00\x11\x00\x00"),
        (b"|S999999999", (0, 2**40), b""),
    ],
)
def test_arrays_that_are_none_are_refused(name: bytes, shape: tuple[int, ...], content: bytes) -> None:
    refused(ext(4, array_of(name, shape, content)))


def test_nothing_is_unpickled(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("unpickled")

    for name in ("loads", "load", "Unpickler"):
        monkeypatch.setattr(pickle, name, explode)
    segment = dump_calls([([np.arange(3)], {"x": (1, 2j)}), ([b"\x80\x05N."], {})], 0)
    jobs = DataJobs(segment)
    assert jobs[0][1] == {"x": (1, 2j)}
    assert jobs[1] == ((b"\x80\x05N.",), {})
    out = Outcomes()
    out.values, out.each = [1, None], {1: data.dumps(np.arange(3), "x")}
    out.seconds.append(0, 2)
    assert data.loads(load_outcomes(dump_outcomes(out)).each[1]).tolist() == [0, 1, 2]
    for read in (data.loads, DataJobs, load_outcomes):
        with pytest.raises(ProtocolError):
            read(pickle.dumps([1], 5))


@pytest.mark.parametrize(
    "frame",
    [
        b"\xdd\x00\x0f\x42\x40" * 200_000,
        b"\x91" * 1_000_000,
        b"\xdc\xff\xff" * 300_000,
        b"\xdf\x00\x07\xa1\x20" * 200_000,
    ],
    ids=["lists", "deep", "short lists", "maps"],
)
def test_heads_that_announce_much_take_no_memory(frame: bytes) -> None:
    tracemalloc.start()
    try:
        refused(frame)
        assert tracemalloc.get_traced_memory()[1] < 10 * len(frame)
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_else(frame: bytes) -> None:
    for read in (data.loads, load_outcomes, lambda frame: DataJobs(frame)[0]):
        try:
            read(frame)
        except (ProtocolError, NotDataError):
            continue


GOOD = [
    data.dumps([1, (2, 2**80), {"a": np.arange(3.0), (1,): np.float32(1)}, np.array(["ab"]), 1j, "ä", b"x"], "x"),
    data.dumps(np.array([True, False]), "x"),
    dump_calls([([1000], {"loc": (1, 2)}), ([{1}], {}), ([], {})], 0),
]


@given(st.sampled_from(GOOD), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4), st.data())
def test_mutated_bytes_raise_nothing_else(good: bytes, changes: list[tuple[int, int]], more: st.DataObject) -> None:
    frame = bytearray(good)
    for at, byte in changes:
        frame[at % len(frame)] = byte
    cut = more.draw(st.integers(0, len(frame)))
    for sent in (bytes(frame), bytes(frame[:cut]), bytes(frame[cut:] + frame[:cut])):
        try:
            data.loads(sent)
            jobs = DataJobs(sent)
            for index in range(len(jobs)):
                jobs[index]
        except (ProtocolError, NotDataError):
            continue


@given(st.binary(max_size=100), st.integers(-128, 127))
def test_random_extensions_raise_nothing_else(content: bytes, code: int) -> None:
    try:
        data.loads(ext(code, content))
    except ProtocolError:
        return


@given(
    st.sampled_from([b"<f8", b"|b1", b"<U2", b"|S3", b"<M8[us]", b"<m8", b"<c32", b"<f16", b"|i1"]),
    st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3), max_size=3),
    st.binary(max_size=64),
)
def test_random_arrays_raise_value_errors_only(name: bytes, shape: list[int], content: bytes) -> None:
    try:
        out = arrays.unpack(array_of(name, tuple(shape), content))
    except ValueError:
        return
    assert out.nbytes == len(content)
    repr(out.tolist() if out.size else out.shape)


# --- calls ---------------------------------------------------------------------------------------------------


def test_calls_and_items_arrive() -> None:
    calls: list[Any] = [([1000], {"bins": 10}), ((1, [2]), {}), ([], {"a": {"b": (1,)}})]
    jobs = DataJobs(dump_calls(calls, 7, strict=True))
    assert [jobs[i] for i in range(len(jobs))] == [((1000,), {"bins": 10}), ((1, [2]), {}), ((), {"a": {"b": (1,)}})]
    jobs = DataJobs(dump_items([1, (2,), [3]], 0))
    assert [jobs[i] for i in range(3)] == [((1,), {}), (((2,),), {}), (([3],), {})]
    jobs = DataJobs(data_calls.dump_packed([data_calls.pack_call((1,), {"a": 2}, 0), data_calls.pack_call((), {}, 1)]))
    assert [jobs[0], jobs[1]] == [((1,), {"a": 2}), ((), {})]


def test_jobs_share_nothing() -> None:
    shared = [1]
    jobs = DataJobs(dump_items([shared, shared], 0))
    jobs[0][0][0].append(2)
    assert jobs[0] == jobs[1] == (([1],), {})


def test_a_job_that_cannot_travel_ends_alone() -> None:
    jobs = DataJobs(dump_calls([([1], {}), ([1], {"loc": [0, 1, {2}]}), ([{3}], {}), 5, ([], {1: 2}), ([2], {})], 3))
    assert jobs[0] == ((1,), {})
    assert jobs[5] == ((2,), {})
    for index, sentence in [
        (1, f"job 4 → kwargs['loc'][2] is a set, {ONLY}"),
        (2, f"job 5 → args[0] is a set, {ONLY}"),
        (3, "Job 6 is 5, not an (args, kwargs) pair"),
        (4, "Job 7: 1 names no keyword argument: only a string can."),
    ]:
        with pytest.raises(NotDataError) as raised:
            jobs[index]
        assert str(raised.value).startswith(sentence)
    jobs = DataJobs(dump_items(["\ud800", 1], 0))
    with pytest.raises(NotDataError, match=r"^job 0 → args\[0\] is a text with a lone surrogate"):
        jobs[0]
    assert jobs[1] == ((1,), {})
    with pytest.raises(NotDataError, match=r"^no \\ud800$"):
        DataJobs(data_calls.dump_refused(UsageError("no \ud800"), 2))[1]


def test_strict_raises_at_once() -> None:
    with pytest.raises(NotDataError, match=r"^job 3 → args\[0\] is a set"):
        dump_calls([([{1}], {})], 3, strict=True)
    with pytest.raises(NotDataError, match=r"^job 3 → args\[0\] is a set"):
        dump_items([{1}], 3, strict=True)
    with pytest.raises(UsageError, match=r"^Job 3 is 5, not an"):
        dump_calls([5], 3, strict=True)


@pytest.mark.parametrize(
    "call",
    [
        1,
        None,
        b"",
        b"\x01",
        *(data.dumps(value, "x") for value in (((), {}, 1), ([], {}), ((), {1: 2}), ((), 3))),
    ],
)
def test_a_job_that_is_no_call_is_nonsense(call: Any) -> None:
    jobs = DataJobs(data.dumps([call], "x"))
    with pytest.raises(ProtocolError):
        jobs[0]


def test_a_job_outside_the_segment_is_nonsense() -> None:
    jobs = DataJobs(dump_items([1], 0))
    for index in (1, -1):
        with pytest.raises(ProtocolError, match=r"asks for job -?1 of it"):
            jobs[index]
    with pytest.raises(ProtocolError, match="no list of jobs"):
        DataJobs(data.dumps({}, "x"))


def test_a_hundred_thousand_calls_take_less_than_a_second() -> None:
    calls = [([1000], {"a": 1, "b": 2.0, "c": "x", "d": None, "e": True})] * 4096
    started = time.process_time()
    for first in range(0, 100_000, 4096):
        dump_calls(calls, first)
    assert time.process_time() - started < 1


# --- outcomes ------------------------------------------------------------------------------------------------


def outcomes() -> Outcomes:
    out = Outcomes()
    out.values = [1, None, "a", None, 2**70, 1j, b"x", None]
    out.each = {1: data.dumps([1, (2,)], "x")}
    out.raised = {3: Raised(b"never sent", "ValueError", "ValueError('x\ud800')", "Traceback", "", "x\ud800", "(1,)")}
    out.outputs = {0: "hello\n", 3: "\udcff"}
    out.seconds.append(0.5, 8)
    return out


def test_outcomes_arrive() -> None:
    out = load_outcomes(dump_outcomes(outcomes()))
    assert out.values == outcomes().values
    assert {at: data.loads(one) for at, one in out.each.items()} == {1: [1, (2,)]}
    assert out.outputs == {0: "hello\n", 3: "\\udcff"}
    assert list(out.seconds) == [0.5] * 8
    assert out.raised.keys() == {3}
    assert [getattr(out.raised[3], name) for name in Raised.__slots__] == [
        *("(1,)", None, "", "x\\ud800", "ValueError('x\\ud800')", "Traceback", "ValueError"),
    ]


def test_a_value_that_cannot_travel_becomes_an_exception() -> None:
    given_ = outcomes()
    given_.values[2] = "\ud800"
    out = load_outcomes(dump_outcomes(given_))
    assert out.values[2] is None
    assert out.raised[2].type_name == "NotDataError"
    assert out.raised[2].said.startswith("The job's value is a text with a lone surrogate")
    assert given_.values[2] == "\ud800"
    assert given_.raised.keys() == {3}


def fields(**changed: Any) -> list[Any]:
    texts = ["ValueError", "x", "t", "", "x", ""]
    good = {
        "values": [1, None, None],
        "each": {1: b"\x01"},
        "raised": {2: texts},
        "outputs": {0: "o"},
        "files": {0: "/f"},
        "seconds": bytes(12),
    }
    return list((good | changed).values())


NAN, INFINITE, MINUS = (struct.pack("<3f", number, 0, 0) for number in (math.nan, math.inf, -1))


def test_the_fields_as_they_should_be() -> None:
    assert load_outcomes(data.dumps(fields(), "x")).values == [1, None, None]


@pytest.mark.parametrize(
    "nonsense",
    [
        *({}, [], [1] * 5, fields()[:4], [*fields(), 1], tuple(fields())),
        *(
            fields(values=values)
            for values in (3, (1, None, None), [[1], None, None], [1, None], [1, 5, None], [1, None, 5])
        ),
        *(
            fields(each=each)
            for each in ([], {3: b""}, {-1: b""}, {True: b""}, {"1": b""}, {1: "x"}, {2: b"x"}, {0: b""})
        ),
        *(
            fields(raised=raised)
            for raised in ([], {2: []}, {2: [1] * 6}, {2: "abcdef"}, {3: ["x"] * 6}, {1: ["x"] * 6})
        ),
        *(fields(outputs=outputs) for outputs in ([], {0: b"x"}, {5: "x"}, {0.0: "x"})),
        *(fields(seconds=seconds) for seconds in (b"", bytes(11), "x" * 12, NAN, INFINITE, MINUS)),
    ],
)
def test_outcomes_that_are_none_are_refused(nonsense: Any) -> None:
    with pytest.raises(ProtocolError):
        load_outcomes(data.dumps(nonsense, "x"))


def test_keys_that_are_made_to_collide_are_refused_at_once() -> None:
    prime = 2**61 - 1
    assert data.loads(data.dumps({n * prime: n for n in range(50)}, "few"))[7 * prime] == 7
    packer = msgpack.Packer(default=data._extended, strict_types=True)
    many = packer.pack_map_pairs([(n * prime, n) for n in range(100_000)])
    began = time.monotonic()
    with pytest.raises(ProtocolError, match="made to collide"):
        data.loads(many)
    assert time.monotonic() - began < 5
    honest = {n: n for n in range(-10_000, 10_000)} | {(n, -n): n for n in range(1000)}
    assert data.loads(data.dumps(honest, "honest")) == honest
