"""A talk over connections that drop: everything arrives once, in its worker's order, and nothing is kept for long."""

from __future__ import annotations

import copy
import inspect
from collections import deque
from contextlib import suppress
from itertools import pairwise

import hypothesis
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from msgspec import inspect as shape

from jupyter_dsage import settings
from jupyter_dsage.errors import ProtocolError
from jupyter_dsage.net import conversation
from jupyter_dsage.net.conversation import Conversation, key_of
from jupyter_dsage.wire import codec, remote
from jupyter_dsage.wire import messages as m

BULK = 20
"""Frames above so many bytes go apart in these tests."""
WORKERS = [0, 1, 2, remote.DEPOSIT]


@pytest.fixture(autouse=True)
def small_bulk(monkeypatch):
    monkeypatch.setattr(settings, "BULK_BYTES", BULK)


# --- two sides and a bad link ------------------------------------------------------------------------------


class Side:
    """One end, with all it ever posted and was handed; `link` and `bulk` are what is under way from it."""

    def __init__(self):
        self.conversation = Conversation()
        self.posted = []
        """(worker, frames), by number."""
        self.handed = {worker: [] for worker in WORKERS}
        self.link = deque()
        self.bulk = deque()
        self.came = {}
        """Number -> the indexes of frames that have come to the other side, with 0 for the message itself."""

    def post(self, worker, sizes, *, up):
        number = len(self.posted) + 1
        frames = [b"%d" % number, *(bytes([number % 256]) * size for size in sizes)]
        self.posted.append((worker, frames))
        letter = self.conversation.post(worker, frames)
        assert letter.number == number
        if up:
            self.transmit(letter)

    def transmit(self, letter):
        self.link.append(letter.sealed(self.conversation.got))
        self.bulk.extend(letter.bulk())

    def whole(self, number):
        _, frames = self.posted[number - 1]
        wanted = {0, *(index for index, frame in enumerate(frames) if index and len(frame) > BULK)}
        return wanted <= self.came.get(number, set())


class TalkMachine(RuleBasedStateMachine):
    """Messages and bulk frames move one by one, or the connections drop with all that is under way."""

    def __init__(self):
        super().__init__()
        self.sides = [Side(), Side()]
        self.up = True

    side = st.sampled_from([0, 0, 1])

    @rule(side=side, worker=st.sampled_from(WORKERS), sizes=st.lists(st.sampled_from([0, 7, 21, 50]), max_size=3))
    def post(self, side, worker, sizes):
        self.sides[side].post(worker, sizes, up=self.up)

    @precondition(lambda self: self.up)
    @rule(side=side, count=st.integers(1, 5))
    def link_moves(self, side, count):
        here, there = self.sides[side], self.sides[1 - side].conversation
        for _ in range(min(count, len(here.link))):
            envelope, inline = remote.unseal(here.link.popleft())
            there.acknowledged(envelope.got)
            if envelope.number:
                there.take(envelope, inline)
                here.came.setdefault(envelope.number, set()).add(0)
        self.hand_over(side)

    @precondition(lambda self: self.up)
    @rule(side=side, count=st.integers(1, 5))
    def bulk_moves(self, side, count):
        here, there = self.sides[side], self.sides[1 - side].conversation
        for _ in range(min(count, len(here.bulk))):
            key, frame = here.bulk.popleft()
            number, index = divmod(key, settings.MAX_FRAMES)
            assert there.expects(key, len(frame))
            there.take_bulk(key, frame)
            here.came.setdefault(number, set()).add(index)
        self.hand_over(side)

    def hand_over(self, side):
        ready = self.sides[1 - side].conversation.ready()
        while ready:
            worker, frames = ready.popleft()
            number = int(frames[0])
            assert (worker, frames) == self.sides[side].posted[number - 1], "it arrived as something else"
            self.sides[side].handed[worker].append(number)

    @precondition(lambda self: self.up)
    @rule(side=side)
    def beat(self, side):
        here = self.sides[side]
        here.link.append(remote.seal(remote.Envelope(0, 0, here.conversation.got), codec.encode(remote.Beat(0.0))))

    @precondition(lambda self: self.up)
    @rule()
    def connections_drop(self):
        self.up = False
        for here in self.sides:
            here.link.clear()
            here.bulk.clear()

    @precondition(lambda self: not self.up)
    @rule()
    def connections_stand_again(self):
        self.up = True
        for here, there in (self.sides, self.sides[::-1]):
            here.conversation.acknowledged(there.conversation.got)
            for letter in here.conversation.kept():
                here.transmit(letter)

    @invariant()
    def what_is_whole_was_handed_over_once_and_in_its_workers_order(self):
        for here in self.sides:
            for worker in WORKERS:
                numbers = [n for n, (whose, _) in enumerate(here.posted, 1) if whose == worker]
                if worker == remote.DEPOSIT:
                    assert sorted(here.handed[worker]) == list(filter(here.whole, numbers))
                    continue
                late = next((at for at, number in enumerate(numbers) if not here.whole(number)), len(numbers))
                assert here.handed[worker] == numbers[:late], "nobody waits for another worker's frame"

    @invariant()
    def what_is_kept_is_what_is_not_known_to_have_arrived(self):
        for here, there in (self.sides, self.sides[::-1]):
            got = there.conversation.got
            assert got == next((n for n in range(len(here.posted)) if not here.whole(n + 1)), len(here.posted))
            kept = [letter.number for letter in here.conversation.kept()]
            assert kept == list(range(len(here.posted) - len(kept) + 1, len(here.posted) + 1))
            assert len(here.posted) - len(kept) <= got

    @invariant()
    def the_account_of_what_waits_is_right(self):
        for side in self.sides:
            talk = side.conversation
            arriving = sum(part.bytes() for part in talk._arriving.values())
            assert talk.waiting_bytes() == arriving + sum(map(len, talk._early.values()))

    def teardown(self):
        if not self.up:
            self.connections_stand_again()
        for _ in range(3):
            for side in (0, 1):
                self.bulk_moves(side, 10**6)
                self.link_moves(side, 10**6)
                self.beat(side)
        self.what_is_whole_was_handed_over_once_and_in_its_workers_order()
        for here in self.sides:
            assert sum(map(len, here.handed.values())) == len(here.posted), "something never arrived"
            talk = here.conversation
            assert not talk.kept()
            assert talk.waiting_bytes() == 0
            assert not any([talk._arriving, talk._early, talk._lanes, talk._ahead]), "something is kept for good"


def test_whatever_drops_everything_arrives_once():
    calm = [hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.filter_too_much]
    profile = hypothesis.settings(max_examples=200, stateful_step_count=60, deadline=None, suppress_health_check=calm)
    run_state_machine_as_test(TalkMachine, settings=profile)


# --- one by one --------------------------------------------------------------------------------------------


def letters(*messages):
    """Return the letters of a side that posts (worker, frames)."""
    side = Conversation()
    return [side.post(worker, [b"head", *frames]) for worker, frames in messages]


def take(talk, letter):
    talk.take(*remote.unseal(letter.sealed(0)))


def handed(talk):
    out = [(worker, b"".join(map(bytes, frames[1:]))) for worker, frames in talk.ready()]
    talk.ready().clear()
    return out


def test_a_large_frame_holds_up_its_own_worker_and_no_other():
    big, behind, other, shared = letters((1, [b"x" * 99]), (1, [b"behind"]), (2, [b"other"]), (remote.DEPOSIT, [b"s"]))
    talk = Conversation()
    for letter in (big, behind, other, shared):
        take(talk, letter)
    assert handed(talk) == [(2, b"other"), (remote.DEPOSIT, b"s")]
    assert talk.got == 0
    talk.take_bulk(*big.bulk()[0])
    assert handed(talk) == [(1, b"x" * 99), (1, b"behind")]
    assert talk.got == 4


def test_a_small_frame_between_large_ones_keeps_its_place():
    (letter,) = letters((1, [b"x" * 50, b"small", b"y" * 60]))
    assert [index for index, _ in letter.apart()] == [1, 3]
    talk = Conversation()
    for key, frame in reversed(letter.bulk()):
        talk.take_bulk(key, frame)
    assert handed(talk) == []
    take(talk, letter)
    assert handed(talk) == [(1, b"x" * 50 + b"small" + b"y" * 60)]


def test_the_header_stays_on_the_link_however_long_it_is():
    side = Conversation()
    letter = side.post(1, [b"h" * 1000])
    assert letter.bulk() == []
    talk = Conversation()
    take(talk, letter)
    assert talk.got == 1


def test_what_was_acknowledged_is_forgotten():
    side = Conversation()
    for _ in range(1000):
        side.acknowledged(side.post(1, [b"head"]).number)
    assert side.kept() == []
    talk = Conversation()
    for letter in letters(*[(n % 3, [b"x"]) for n in range(1000)]):
        take(talk, letter)
    talk.ready().clear()
    assert not any([talk._arriving, talk._early, talk._lanes, talk._ahead])


def envelope(number=1, worker=1, bulk=()):
    return remote.Envelope(number, worker, 0, bulk)


LONG = b"x" * 50
NONSENSE = {
    "number 0": lambda talk: talk.take(envelope(0), [b"h"]),
    "a number far ahead": lambda talk: talk.take(envelope(10**9), [b"h"]),
    "one lost on the way": lambda talk: talk.take(envelope(5), [b"h"]),
    "no header": lambda talk: talk.take(envelope(4), []),
    "the header apart": lambda talk: talk.take(envelope(4, bulk=((0, 50),)), [b"h"]),
    "an index that leaves a gap": lambda talk: talk.take(envelope(4, bulk=((3, 50),)), [b"h"]),
    "an early frame of another size": lambda talk: talk.take(envelope(4, bulk=((1, 49), (2, 50))), [b"h"]),
    "an early frame that is none of its own": lambda talk: talk.take(envelope(4, bulk=((1, 50),)), [b"h"]),
    "a late frame of another size": lambda talk: talk.take_bulk(key_of(3, 1), b"y" * 49),
    "a bulk frame far ahead": lambda talk: talk.take_bulk(key_of(conversation._WINDOW + 9, 1), LONG),
    "a bulk frame of message 0": lambda talk: talk.take_bulk(key_of(0, 1), LONG),
    "a header as a bulk frame": lambda talk: talk.take_bulk(key_of(5, 0), LONG),
    "acknowledging what was never sent": lambda talk: talk.acknowledged(2),
}


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_is_refused_and_changes_nothing(nonsense):
    talk = Conversation()
    talk.post(1, [b"head"])
    talk.take(envelope(1, 0), [b"h"])
    talk.take(envelope(2, 1, ((1, 50),)), [b"h"])
    talk.take(envelope(3, 2, ((1, 50),)), [b"h"])
    for index in (1, 2):
        talk.take_bulk(key_of(4, index), LONG)  # early
    before = copy.deepcopy(vars(talk))
    with pytest.raises(ProtocolError):
        NONSENSE[nonsense](talk)
    assert vars(talk) == before
    talk.take(envelope(4, 0, ((1, 50), (2, 50))), [b"h"])
    assert [worker for worker, _ in talk.ready()] == [0, 0]


@pytest.mark.parametrize("again", [take, lambda talk, letter: talk.take_bulk(*letter.bulk()[0])])
def test_what_comes_again_changes_nothing(again):
    (letter,) = letters((1, [LONG]))
    talk = Conversation()
    talk.take_bulk(*letter.bulk()[0])
    take(talk, letter)
    before = copy.deepcopy(vars(talk))
    again(talk, letter)
    assert vars(talk) == before


def test_no_more_waits_than_may():
    talk = Conversation(most=2000)
    assert talk.expects(key_of(1, 1), 2000)
    assert not talk.expects(key_of(1, 1), 2001)
    talk.take_bulk(key_of(1, 1), b"x" * 1500)
    talk.take_bulk(key_of(1, 1), b"x" * 1500)
    assert talk.waiting_bytes() == 1500, "what comes twice counts once"
    assert not talk.expects(key_of(2, 1), 501)
    talk.take(envelope(1, 1, ((1, 1500),)), [b"h"])
    assert talk.waiting_bytes() == 0
    assert talk.expects(key_of(2, 1), 2000)


def test_messages_that_wait_behind_a_frame_that_never_comes_fill_no_memory():
    talk = Conversation(most=10_000)
    talk.take(envelope(1, 1, ((1, 50),)), [b"h"])
    for number in range(2, 20):
        talk.take(envelope(number, 1), [b"h"])
    with pytest.raises(ProtocolError, match="waits"):
        talk.take(envelope(20, 1), [b"h"])
    assert talk.waiting_bytes() <= 10_000
    talk.take(envelope(20, 2), [b"other"])
    assert [worker for worker, _ in talk.ready()] == [2], "others go on"


def test_a_frame_larger_than_any_may_be_is_not_expected():
    talk = Conversation()
    assert talk.expects(key_of(1, 1), settings.MAX_FRAME_BYTES)
    assert not talk.expects(key_of(1, 1), settings.MAX_FRAME_BYTES + 1)
    assert not talk.expects(key_of(0, 1), 50)
    assert not talk.expects(key_of(conversation._WINDOW + 1, 1), 50)


# --- envelopes and roles -----------------------------------------------------------------------------------

numbers = st.integers(0, 2**53)
bulks = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 10**10)), max_size=5).map(tuple)


@given(numbers, numbers, numbers, bulks, st.lists(st.binary(max_size=9), max_size=5))
def test_an_envelope_comes_back_as_it_was_or_is_refused(number, worker, got, bulk, frames):
    made = remote.Envelope(number, worker, got, bulk)
    fits = all(0 < i < settings.MAX_FRAMES and size <= settings.MAX_FRAME_BYTES for i, size in bulk)
    fits = fits and all(a[0] < b[0] for a, b in pairwise(bulk))
    fits = fits and 0 < len(frames) <= settings.MAX_FRAMES - len(bulk)
    sealed = remote.seal(made, frames)
    if fits:
        assert remote.unseal(sealed) == (made, frames)
    else:
        with pytest.raises(ProtocolError):
            remote.unseal(sealed)


def refuses_or_takes(frames):
    """Feed bytes to all that reads them; only ProtocolError may come out."""
    with suppress(ProtocolError):
        opened, inline = remote.unseal(frames)
        talk = Conversation(most=1000)
        talk.acknowledged(opened.got)
        talk.take(opened, inline)
    for decode in (*remote.FROM_ROLE.values(), remote.from_server):
        with suppress(ProtocolError):
            decode(frames)


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_random_bytes_are_refused(frames):
    refuses_or_takes(frames)


@given(st.data())
def test_a_message_with_some_bytes_changed_is_refused_or_read(data):
    inside = codec.encode(m.SpawnWorker(data.draw(numbers)))
    frames = remote.seal(remote.Envelope(1, data.draw(numbers), 0, data.draw(bulks)), [*inside, b"payload"])
    for _ in range(data.draw(st.integers(1, 4))):
        which = data.draw(st.integers(0, len(frames) - 1))
        frame = bytearray(frames[which])
        at = data.draw(st.integers(0, len(frame) - 1))
        frame[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
        frames[which] = bytes(frame) or b"x"
    refuses_or_takes(frames)


@given(st.recursive(st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
                    lambda inner: st.lists(inner, max_size=6), max_leaves=20))  # fmt: skip
def test_any_packed_header_is_refused_or_read(value):
    try:
        header = b"D" + bytes([settings.PROTOCOL]) + msgspec.msgpack.encode(value)
    except OverflowError:
        return
    refuses_or_takes([header, header])
    named = [b"D" + bytes([settings.PROTOCOL]) + msgspec.msgpack.encode(["envelope", value, 1, 0])]
    refuses_or_takes([*named, header])


def example(kind):
    """Return the least value of a type, by its description."""
    match kind:
        case shape.StructType():
            return kind.cls(**{field.name: example(field.type) for field in kind.fields})
        case shape.IntType():
            return kind.ge or 0
        case shape.StrType():
            return ""
        case shape.FloatType():
            return 0.0
        case shape.BoolType():
            return False
        case shape.VarTupleType():
            return ()
        case shape.UnionType():
            return None
    raise AssertionError(f"no example of {kind}")


KINDS = {
    name: kind
    for module in (m, remote)
    for name, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, m.Message) and kind is not m.Message
}
CALLER = {
    "Beat", "Dial", "EndJob", "Forget", "Grant", "KillWorker", "Leave", "Part", "ReadOutput", "Recall", "Segment",
    "Service", "SpawnWorker", "WantSlots",
}  # fmt: skip
SERVER = {
    "Admitted", "Beat", "Granted", "OutputRead", "Recalled", "Refused", "Report", "Stale", "SupervisorReady",
    "WorkerGone", "WorkerHello",
}  # fmt: skip
TABLE = [(remote.FROM_ROLE["caller"], CALLER), (remote.FROM_ROLE["client"], CALLER | {"Function"})]
TABLE += [(remote.from_server, SERVER)]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_who_may_say_what(kind):
    message = example(shape.type_info(KINDS[kind]))
    frames = codec.encode(message, *[b""] * max(message.frames))
    for decode, may in TABLE:
        if kind in may:
            assert decode(frames)[0] == message
        else:
            with pytest.raises(ProtocolError):
                decode(frames)


def test_there_are_no_other_roles():
    assert set(remote.FROM_ROLE) == {"client", "caller"}
