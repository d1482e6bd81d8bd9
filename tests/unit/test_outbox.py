"""What a client has posted is kept until it is stored, whatever becomes of the connection while it is sent."""

from __future__ import annotations

import collections

import pytest

from jupyter_dsage.client.outbox import Outbox, encoded
from jupyter_dsage.errors import PeerGoneError
from jupyter_dsage.wire import codec
from jupyter_dsage.wire import messages as m


class Several:
    """Gathered calls that become several messages."""

    size = 0
    room = 10

    def due(self) -> bool:
        return True

    def __call__(self) -> list[tuple[m.Message, tuple[bytes, ...]]]:
        return [(m.AddJobs(1, "f", number), (b"jobs",)) for number in (1, 2, 3)]


def counts(frames: list[list[bytes | memoryview]]) -> list[int]:
    return [codec.from_client(message)[0].count for message in frames]  # type: ignore[attr-defined]


def test_what_was_made_together_is_kept_though_sending_fails_at_the_first() -> None:
    outbox = Outbox()
    outbox.put(Several())

    def send(_: object) -> None:
        raise PeerGoneError("gone")

    with pytest.raises(PeerGoneError):
        collections.deque(map(send, outbox.due(closing=False)))
    assert counts(outbox.again()) == [1, 2, 3]
    outbox.stored(2)
    assert counts(outbox.again()) == [3]


def test_what_is_posted_behind_a_group_closes_it() -> None:
    outbox, group = Outbox(), Several()
    outbox.put(group)
    assert group.room == 10
    outbox.put(encoded(m.Pause(1)))
    assert group.room == 0
