"""Messages survive the way through the codec, and whatever bytes come in, only ProtocolError comes out."""

from __future__ import annotations

import random
import struct
import tracemalloc
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jupyter_dsage import settings
from jupyter_dsage.errors import PayloadTooLargeError, ProtocolError, VersionMismatchError
from jupyter_dsage.wire import codec, remote, spare
from jupyter_dsage.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Iterable

DIRECTIONS: dict[str, tuple[Any, codec.Decoder[Any]]] = {
    "from_client": (m.FROM_CLIENT, codec.from_client),
    "from_operator": (m.FROM_OPERATOR, codec.from_operator),
    "to_client": (m.TO_CLIENT, codec.to_client),
    "in_journal": (m.IN_JOURNAL, codec.in_journal),
    "from_worker": (m.FROM_WORKER, codec.from_worker),
    "to_worker": (m.TO_WORKER, codec.to_worker),
    "to_supervisor": (m.TO_SUPERVISOR, codec.to_supervisor),
    "from_supervisor": (m.FROM_SUPERVISOR, codec.from_supervisor),
    "from_a_client_to_a_server": (remote.FROM_CLIENT, remote.FROM_ROLE["client"]),
    "from_a_caller_to_a_server": (remote.FROM_CALLER, remote.FROM_ROLE["caller"]),
    "from_a_server": (remote.FROM_SERVER, remote.from_server),
    "to_spare": (spare.TO_SPARE, spare.to_spare),
    "from_spare": (spare.FROM_SPARE, spare.from_spare),
    "envelope": (remote.Envelope, remote._envelope),
}


def kinds_of(union: Any) -> tuple[Any, ...]:
    """Return the kinds of a direction: a union's members, or the one kind there is."""
    return get_args(union) or (union,)


KINDS = [(name, kind) for name, (union, _) in DIRECTIONS.items() for kind in kinds_of(union)]
MAGIC = b"D" + bytes([settings.PROTOCOL])
relaxed = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
DECODERS = [decode for _, decode in DIRECTIONS.values()]

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


def values(wanted: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for what msgspec says that a field may hold."""
    info = msgspec.inspect
    match wanted:
        case info.StructType():
            return instances(wanted.cls)
        case info.IntType():
            return st.integers(wanted.ge or 0, wanted.le or 2**32)
        case info.StrType():
            return text
        case info.FloatType():
            return st.floats(min_value=0, allow_nan=False)
        case info.BoolType():
            return st.booleans()
        case info.NoneType():
            return st.none()
        case info.UnionType():
            return st.one_of(*map(values, wanted.types))
        case info.VarTupleType():
            return st.lists(values(wanted.item_type), max_size=5).map(tuple)
        case info.TupleType():
            return st.tuples(*map(values, wanted.item_types))
    raise NotImplementedError(wanted)


def instances(kind: type[Any]) -> st.SearchStrategy[Any]:
    shape = msgspec.inspect.type_info(kind)
    assert isinstance(shape, msgspec.inspect.StructType)
    return st.builds(kind, **{field.name: values(field.type) for field in shape.fields})


def report(seconds: float) -> m.Report:
    """Return a report that is empty but for its seconds; its other fields are of no interest here."""
    fields = dict.fromkeys(m.Report.__struct_fields__, 0) | {"failed": (), "errors": (), "ended": True}
    known = {name: value for name, value in fields.items() if name in m.Report.__struct_fields__}
    return m.Report(**known | {"seconds": seconds})  # type: ignore[arg-type]


def payload_for(message: m.Message) -> list[bytes]:
    return [b"payload"] * max(message.frames)


every_message = st.sampled_from(KINDS).flatmap(lambda pair: st.tuples(st.just(pair[0]), instances(pair[1])))


def only_our_error(decode: codec.Decoder[Any], frames: list[bytes]) -> None:
    """Decode; pass if that gives a message or a ProtocolError, fail at anything else."""
    try:
        message, _ = decode(frames)
    except ProtocolError:
        return
    assert isinstance(message, m.Message)


# --- there and back ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "kind"), KINDS, ids=lambda part: part if isinstance(part, str) else part.__name__
)
@relaxed
@given(data=st.data())
def test_every_message_comes_back_as_it_was(direction: str, kind: type[m.Message], data: st.DataObject) -> None:
    message = data.draw(instances(kind))
    decode = DIRECTIONS[direction][1]
    for count in message.frames:
        payload = [b"%d" % at for at in range(count)]
        frames = codec.encode(message, *payload)
        got, rest = decode(frames)
        assert (got, rest) == (message, payload)
        assert decode([memoryview(frame) for frame in frames])[0] == message


def test_every_kind_has_a_tag_of_its_own_in_its_direction() -> None:
    for union, _ in DIRECTIONS.values():
        tags = [kind.__struct_config__.tag for kind in kinds_of(union)]
        assert len(set(tags)) == len(tags)
    assert {kind for _, kind in KINDS} == set(m.Message.__subclasses__())


@relaxed
@given(every_message)
def test_a_message_of_another_direction_is_refused(pair: tuple[str, m.Message]) -> None:
    direction, message = pair
    frames = codec.encode(message, *payload_for(message))
    for name, (union, decode) in DIRECTIONS.items():
        if type(message) in kinds_of(union):
            continue
        assert name != direction
        with pytest.raises(ProtocolError):
            decode(frames)


def test_a_caller_has_no_word_for_a_function_and_a_client_has_one_more_than_a_caller() -> None:
    assert set(kinds_of(remote.FROM_CLIENT)) - set(kinds_of(remote.FROM_CALLER)) == {m.Function}
    assert set(kinds_of(remote.FROM_CALLER)) < set(kinds_of(remote.FROM_CLIENT))
    with pytest.raises(ProtocolError):
        remote.FROM_ROLE["caller"](codec.encode(m.Function("f"), b"a pickle"))


@relaxed
@given(every_message)
def test_a_wrong_number_of_frames_is_refused_on_both_sides(pair: tuple[str, m.Message]) -> None:
    direction, message = pair
    header = codec.encode(message, *payload_for(message))[0]
    for count in range(settings.MAX_FRAMES + 3):
        if count in message.frames:
            continue
        with pytest.raises(ProtocolError):
            codec.encode(message, *[b""] * count)
        with pytest.raises(ProtocolError):
            DIRECTIONS[direction][1]([header, *[b""] * count])


def test_no_frames_are_no_message() -> None:
    for decode in DECODERS:
        with pytest.raises(ProtocolError):
            decode([])
        with pytest.raises(ProtocolError):
            decode([b""])


@relaxed
@given(every_message, st.integers(0, 255).filter(lambda version: version != settings.PROTOCOL))
def test_another_version_is_refused_in_a_sentence_that_names_both(pair: tuple[str, m.Message], version: int) -> None:
    direction, message = pair
    frames = codec.encode(message, *payload_for(message))
    frames[0] = b"D" + bytes([version]) + bytes(frames[0][2:])
    with pytest.raises(VersionMismatchError, match=rf"protocol {version}, this is protocol {settings.PROTOCOL}:"):
        DIRECTIONS[direction][1](frames)


# --- bad bytes -----------------------------------------------------------------------------------------------


def test_50_000_random_byte_strings_raise_nothing_but_our_error() -> None:
    rng = random.Random(2008)
    for number in range(50_000):
        data = rng.randbytes(rng.randint(0, 60))
        frames = [MAGIC + data if number % 2 else data, *[b"x"] * rng.randint(0, 2)]
        only_our_error(DECODERS[number % len(DECODERS)], frames)


@hypothesis_settings(relaxed, max_examples=2000)
@given(st.sampled_from(DECODERS), st.lists(st.binary(max_size=200), max_size=6), st.booleans())
def test_arbitrary_bytes_raise_nothing_but_our_error(
    decode: codec.Decoder[Any],
    frames: list[bytes],
    with_magic: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    if frames and with_magic:
        frames = [MAGIC + frames[0], *frames[1:]]
    only_our_error(decode, frames)


TAGS = sorted({str(kind.__struct_config__.tag) for _, kind in KINDS})
LEAVES: list[Any] = [
    None,
    True,
    0,
    -1,
    1,
    2**53 + 1,
    2**64 - 1,
    -(2**63),
    0.5,
    float("nan"),
    float("inf"),
    "",
    "a" * 70,
]


def nonsense(rng: random.Random, depth: int = 3) -> Any:
    """Return something that MessagePack can say."""
    shape = rng.randrange(8 if depth else 6)
    if shape < 5:
        return rng.choice(LEAVES)
    if shape == 5:
        return rng.randbytes(rng.randrange(9))
    items = [nonsense(rng, depth - 1) for _ in range(rng.randrange(5))]
    return items if shape == 6 else {f"k{at}" if at % 2 else at: item for at, item in enumerate(items)}


def test_well_formed_nonsense_raises_nothing_but_our_error() -> None:
    rng = random.Random(2009)
    for number in range(50_000):
        fields = [nonsense(rng) for _ in range(rng.randrange(9))]
        header = MAGIC + msgspec.msgpack.encode([rng.choice(TAGS), *fields])
        only_our_error(DECODERS[number % len(DECODERS)], [header, *[b"x"] * rng.randrange(3)])


@hypothesis_settings(relaxed, max_examples=2000)
@given(every_message, st.data())
def test_a_damaged_message_raises_nothing_but_our_error(pair: tuple[str, m.Message], data: st.DataObject) -> None:
    direction, message = pair
    header = bytearray(codec.encode(message, *payload_for(message))[0])
    for _ in range(data.draw(st.integers(1, 4))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    only_our_error(DIRECTIONS[direction][1], [bytes(header), *payload_for(message)])


@relaxed
@given(every_message)
def test_a_message_cut_short_or_with_a_tail_is_refused(pair: tuple[str, m.Message]) -> None:
    direction, message = pair
    header = bytes(codec.encode(message, *payload_for(message))[0])
    for stop in range(len(header)):
        with pytest.raises(ProtocolError):
            DIRECTIONS[direction][1]([header[:stop], *payload_for(message)])
    with pytest.raises(ProtocolError):
        DIRECTIONS[direction][1]([header + b"\xc0", *payload_for(message)])


@pytest.mark.parametrize("depth", [10, 1000, 100_000, 5_000_000])
@pytest.mark.parametrize("opener", [b"\x91", b"\x81", b"\x81\xa1a", b"\xdc\x00\x01"])
def test_deep_nesting_is_refused(depth: int, opener: bytes) -> None:
    deep = opener * (depth // len(opener))
    for header in (deep, b"\x93\xa6cancel\x01" + deep, b"\x94\xa6cancel\x01\xc0" + deep, b"\x93\xa6answer\x01" + deep):
        for decode in DECODERS:
            with pytest.raises(ProtocolError):
                decode([MAGIC + header])


def declared(length: int) -> Iterable[bytes]:
    """Yield headers of each kind of container that say that much more follows than does."""
    size = struct.pack(">I", length)
    for start in (b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"):  # array, map, str, bin, ext
        yield start + size
        yield b"\x93\xa6cancel\x01" + start + size
        yield b"\x93\xa6answer\x01" + start + size
        yield b"\x94\xa4pool" + start + size
        yield b"\x93\xa6cancel\x01\x91" + start + size
        yield b"\xdd" + size + b"\xa6cancel" + start + size


@pytest.mark.parametrize("length", [1, 1000, 10**6, 10**8, 2**31, 2**32 - 1])
def test_a_huge_declared_length_allocates_nothing(length: int) -> None:
    tracemalloc.start()
    try:
        for header in declared(length):
            for decode in DECODERS:
                with pytest.raises(ProtocolError):
                    decode([MAGIC + header])
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "message",
    [
        m.Cancel(-1, None),
        m.Cancel(settings.MAX_JOBS + 1, None),
        m.Cancel(2**64 - 1, None),
        m.AddJobs(1, "f", 0),
        m.Limit(1, 0),
        m.OpenBatch(1, "n" * 1001, 0, None),
        m.Cancel(1, ((1, 2, 3),)),  # type: ignore[arg-type]
        m.Cancel(1, ((1, "2"),)),  # type: ignore[arg-type]
        m.OpenBatch(True, "n", 0, None),  # noqa: FBT003 - a wrong value
        m.OpenBatch(1.5, "n", 0, None),  # type: ignore[arg-type]
    ],
)
def test_values_out_of_bounds_are_refused(message: m.Message) -> None:
    with pytest.raises(ProtocolError):
        codec.from_client([MAGIC + msgspec.msgpack.encode(message), *payload_for(message)])


def test_a_number_of_seconds_that_is_none_is_refused() -> None:
    assert codec.from_worker(codec.encode(report(1.5)))[0] == report(1.5)
    for seconds in (-1.0, float("nan"), float("-inf")):
        with pytest.raises(ProtocolError):
            codec.from_worker([MAGIC + msgspec.msgpack.encode(report(seconds))])


def test_a_name_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(ProtocolError):
        codec.from_client([MAGIC + b"\x95\xa4open\x01\xa2\xff\xfe\x00\xc0"])


def test_text_that_utf_8_cannot_say_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match="A OpenBatch message cannot carry this text"):
        codec.encode(m.OpenBatch(1, "\ud800", 0, None))


# --- limits of the sender ------------------------------------------------------------------------------------


def test_a_payload_too_large_to_be_taken_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MAX_FRAME_BYTES", 1000)
    message = m.AddJobs(1, "f", 1)
    assert len(codec.encode(message, bytes(1000))) == 2
    for frame in (bytes(1001), memoryview(bytes(1008)).cast("d")):
        with pytest.raises(PayloadTooLargeError, match=r"exceed the 1,000 that one message may"):
            codec.encode(message, frame)


def test_a_header_too_long_is_neither_sent_nor_read(monkeypatch: pytest.MonkeyPatch) -> None:
    message = m.Cancel(1, tuple((number, number + 1) for number in range(0, 2000, 2)))
    frames = codec.encode(message)
    monkeypatch.setattr(settings, "MAX_HEADER_BYTES", 1000)
    with pytest.raises(PayloadTooLargeError):
        codec.encode(message)
    with pytest.raises(ProtocolError, match="too long"):
        codec.from_client(frames)
