"""A session's WebSocket: what it shows, what it takes, and how it ends."""

from __future__ import annotations

import os
import signal
import time

import pytest

import jupyter_dsage as dsage
from tests.process import jobs
from tests.process.scripts import Client
from tests.until import until


def counts_of(heard, number):
    """Return the counts of a batch, if this message is a snapshot of it."""
    return heard["snapshot"]["batch"]["counts"] if heard["kind"] == "batch" and heard["batch"] == number else {}


def test_two_channels_show_the_same_and_their_commands_act(server, session, tmp_path):
    gate = tmp_path / "gate"
    batch = session.map(jobs.wait_for, [str(gate)] * 20, name="held")
    number = batch.number
    with server.channel(session.id) as one, server.channel(session.id) as two:
        for channel in (one, two):
            heard = channel.hear()
            assert heard["kind"] == "session"
            assert (heard["session"]["id"], heard["session"]["name"]) == (session.id, "panel")
            channel.say(kind="watch", batch=number, on=True)
            heard = channel.until(lambda heard: counts_of(heard, number).get("running") == 2)
            assert heard["snapshot"]["session"]["name"] == "panel"
        one.command(number, "pause")
        for channel in (one, two):
            channel.until(lambda heard: heard["kind"] == "batch" and heard["snapshot"]["batch"]["paused"])
        two.say(kind="command", message={"op": "resume", "batch": number})
        one.until(lambda heard: heard["kind"] == "batch" and not heard["snapshot"]["batch"]["paused"])
        one.command(number, "cancel", job=19)
        two.until(lambda heard: counts_of(heard, number).get("cancelled") == 1)
        two.command(number, "cancel")
        one.until(lambda heard: counts_of(heard, number).get("cancelled") == 20)
        assert batch.wait(20)
        assert batch.counts["cancelled"] == 20


def test_questions_and_nonsense_are_answered_in_the_view(server, session):
    batch = session.map(jobs.square, range(4), name="squares")
    batch.wait(20)
    with server.channel(session.id) as channel:
        channel.command(batch.number, "job", job=3)
        reply = channel.reply("job")
        assert (reply["job"], reply["state"], reply["worker"].partition("/")[0]) == (3, "finished", "local")
        channel.command(None, "log")
        assert "engine local: 2 slots" in channel.reply("log")["text"]
        channel.command(batch.number, "add", text="range(4, 8)")
        assert channel.reply("add", status="adding")["text"] == "range(4, 8)"
        assert channel.reply("add", status="added")["text"] == "4 jobs added"
        channel.command(batch.number, "add", text="1/0")
        assert channel.reply("add", status="error")["text"] == "ZeroDivisionError: division by zero"
        channel.command(batch.number, "refresh")
        assert "are being replaced" in channel.reply("note")["text"]
        channel.command(batch.number, "job", job=99)
        assert channel.reply("note")["text"] == "Batch 'squares' has no job 99."
        channel.command(77, "pause")
        assert channel.reply("note")["text"] == "There is no batch 77 in this session."
        channel.say(kind="watch", batch=77, on=True)
        assert channel.reply("note")["text"] == "There is no batch 77 in this session."
        for nonsense in ({"kind": "watch"}, {"kind": "x"}, {"kind": "command", "message": {"op": "unknown"}}):
            channel.say(**nonsense)
            assert channel.reply("note")["text"].startswith("This is no command: ")
    assert batch.results(timeout=20) == [x * x for x in range(8)]


def test_the_end_of_the_session_is_told(server, session):
    with server.channel(session.id) as channel:
        channel.command(None, "die")
        gone = channel.until(lambda heard: heard["kind"] == "gone")
        assert "die: the session ends" in gone["text"]
        assert channel.hear() is None
        assert channel.code == 4001
    until(lambda: dsage.sessions() == [])  # the child tells before it is gone


def test_what_was_asked_for_is_done_though_the_browser_leaves(server, session):
    with server.channel(session.id) as channel:
        channel.command(None, "die")
    until(lambda: dsage.sessions() == [])


def test_there_is_no_such_session(server):
    with server.channel("0badc0de") as channel:
        assert channel.hear() is None
        assert channel.code == 4404


def test_a_batch_is_controlled_without_its_kernel(server, tmp_path):
    gate = tmp_path / "gate"
    lines = f"""
    session = dsage.spawn("local:?slots=2", name="left", on_kernel_exit="stay")
    batch = session.map(jobs.wait_for, [{str(gate)!r}] * 6, name="held")
    print(session.id, batch.number)
    """
    with Client(lines) as client:
        session, number = client.words[0], int(client.words[1])
        with server.channel(session) as channel:
            channel.say(kind="watch", batch=number, on=True)
            channel.until(lambda heard: counts_of(heard, number).get("running") == 2)
            client.kill()
            channel.command(number, "cancel", job=5)
            channel.until(lambda heard: counts_of(heard, number).get("cancelled") == 1)
            channel.command(number, "add", text=f"[{str(gate)!r}] * 4")
            assert channel.reply("add", status="added")["text"] == "4 jobs added"
            gate.touch()
            channel.until(lambda heard: counts_of(heard, number).get("finished") == 9)
            channel.command(None, "die")
            channel.until(lambda heard: heard["kind"] == "gone")


@pytest.mark.parametrize("lives", [True, False], ids=["its client lives", "its client is gone"])
def test_a_killed_child_is_followed_by_the_next_or_the_session_is_over(server, lives):
    lines = """
    session = dsage.spawn("local:?slots=1", name="again", on_kernel_exit="stay")
    print(session.id, session.pid)
    """
    with Client(lines) as client:
        session, child = client.words[0], int(client.words[1])
        with server.channel(session) as channel:
            assert channel.hear()["session"]["pid"] == child
            if not lives:
                client.kill()
            os.kill(child, signal.SIGKILL)
            if lives:
                channel.until(lambda heard: heard["kind"] == "session" and heard["session"]["pid"] != child)
                client.kill()
            else:
                assert channel.until(lambda heard: heard["kind"] == "gone")["text"]
                assert channel.hear() is None
                with server.channel(session) as later:
                    assert "does not run" in later.hear()["text"]
                    assert later.hear() is None
                    assert later.code == 4001


def test_a_stopped_child_holds_nobody_up(server, session):
    os.kill(session.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        [row] = server.dsage("sessions")[1]["sessions"]
        assert (row["alive"], row["slots"]) == (True, None)
        status, answer = server.dsage(f"sessions/{session.id}")
        assert status == 409
        assert "has not answered within 5 s" in answer["message"]
        assert time.monotonic() - began < 10
    finally:
        os.kill(session.pid, signal.SIGCONT)
    until(lambda: server.dsage(f"sessions/{session.id}")[0] == 200)
