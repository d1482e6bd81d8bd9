"""How a worker server keeps a child's room over silence and new greetings, each step made by hand; and its folder."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jupyter_dsage.errors import StartError
from jupyter_dsage.net.runtime import runtime_folder
from jupyter_dsage.wire import codec, remote
from jupyter_dsage.wire import messages as m
from jupyter_dsage.worker import bridge
from tests.process.attacker import caller
from tests.worker_server import worker_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.worker_server import WorkerServer


@pytest.fixture
def server(nothing_left: None) -> Iterator[WorkerServer]:  # noqa: ARG001
    with worker_server(slots=1) as made:
        yield made


def beat(got: int = 0):
    return remote.seal(remote.Envelope(0, 0, got), codec.encode(remote.Beat(1.0)))


def test_a_child_whose_clock_stood_still_is_ignored_and_not_refused(server):
    """A laptop that slept beats on its old connection: to refuse it would cost it its workers."""
    with caller(server.port) as before, caller(server.port) as after:
        before.dial()
        assert not before.hear(remote.Admitted).resumed
        before.raw(beat())
        before.hear(remote.Beat)
        server.wait_for_log("silent for")
        before.raw(beat())
        before.say(0, m.SpawnWorker(7))
        after.dial(token=before.token, certificate=before.certificate)
        assert after.hear(remote.Admitted).resumed
        before.raw(beat())
        after.raw(beat())
        after.hear(remote.Beat)
        assert before.silent(0)
    assert "refused" not in server.log()


def test_a_child_that_gave_its_room_up_gets_another_and_the_slots_with_it(server):
    with caller(server.port) as before, caller(server.port) as after:
        before.dial()
        assert before.hear(remote.Admitted).slots == 1
        before.say(0, m.SpawnWorker(7))
        before.hear(m.WorkerHello)
        after.dial(certificate=before.certificate)
        admitted = after.hear(remote.Admitted)
        assert (admitted.resumed, admitted.slots) == (False, 1)
        server.wait_for_log("its child has given it up")
        after.say(0, m.SpawnWorker(7))
        after.hear(m.WorkerHello)


def test_the_folder_of_a_server_that_was_killed_goes_when_the_next_one_starts(nothing_left):  # noqa: ARG001
    base = Path(runtime_folder())
    with worker_server(slots=1) as first:
        [folder] = base.glob("dsage-*")
        first.kill()
    assert folder.exists()
    with worker_server(slots=1):
        assert not folder.exists()


def test_who_asks_for_a_room_server_that_has_gone_leaves_no_folder_behind(nothing_left):  # noqa: ARG001
    with pytest.raises(StartError, match="has gone"):
        bridge.reach(secrets.token_hex(6), start=False)
    assert list(Path(runtime_folder()).glob("dsage-*")) == []
