"""Sessions over REST: what is told, what is done, and which status says what is wrong."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import msgspec
import psutil
import pytest

import jupyter_dsage as dsage
from jupyter_dsage import private_files
from jupyter_dsage.process_identity import own_start
from jupyter_dsage.store import sessions as stored
from tests.process import jobs
from tests.process.scripts import Client
from tests.server import work
from tests.until import until


def counts(server, session, number):
    return server.dsage(f"sessions/{session}/batches/{number}")[1]["batch"]["counts"]


@pytest.fixture
def dead():
    """Return the id of a session that left a journal only: its child and its client were killed."""
    lines = """
    session = dsage.spawn("local:?slots=1", name="dead", on_kernel_exit="stay")
    batch = session.map(jobs.square, range(5), name="squares")
    batch.wait(20)
    print(session.id, session.pid, batch.number)
    """
    with Client(lines) as client:
        session, pid, number = client.words
        os.kill(int(pid), signal.SIGSTOP)  # so that its client does not revive it
        client.kill()
        os.kill(int(pid), signal.SIGKILL)
    until(lambda: not any(info.alive for info in dsage.sessions()))
    return session, int(number)


# --- looking -------------------------------------------------------------------------------------------------


def test_a_session_is_listed_and_shown(server, session, tmp_path):
    gate = tmp_path / "gate"
    batch = session.map(jobs.wait_for, [str(gate)] * 5, name="held")
    until(lambda: (server.dsage("sessions")[1]["sessions"][0]["counts"] or {}).get("running") == 2)
    [row] = server.dsage("sessions")[1]["sessions"]
    assert (row["id"], row["name"], row["alive"], row["pid"]) == (session.id, "panel", True, session.pid)
    assert (row["slots"], row["workers"], row["batches"], row["revivable"]) == (2, 2, 1, False)
    assert (row["path"], row["kernels"]) == ("", [])  # it is a script's
    status, view = server.dsage(f"sessions/{session.id}")
    assert status == 200
    assert (view["name"], view["alive"], view["counts"]["queued"], view["slots"]) == ("panel", True, 3, 2)
    [shown] = view["batches"]
    assert (shown["number"], shown["name"], shown["total"]) == (batch.number, "held", 5)
    assert {worker["job"] for worker in view["workers"]} == {0, 1}
    assert all(worker["batch"] == batch.number and worker["memory"] > 1e6 for worker in view["workers"])
    assert "engine local: 2 slots" in server.dsage(f"sessions/{session.id}/log")[1]["text"]
    gate.touch()
    batch.wait(20)


def test_snapshot_and_jobs_in_words(server, session, tmp_path):
    batch = session.map(work.boom, [1, 2], name="bad", retries=1)
    held = session.map(work.print_and_wait, [str(tmp_path / "gate")], name="held")
    batch.wait(20)
    status, snapshot = server.dsage(f"sessions/{session.id}/batches/{batch.number}")
    assert status == 200
    assert (snapshot["session"]["name"], snapshot["batch"]["counts"]["failed"]) == ("panel", 2)
    assert snapshot["failures"]["rows"][0]["error"] == "ValueError: <script>1</script>"
    detail = server.dsage(f"sessions/{session.id}/batches/{batch.number}/jobs/1")[1]
    assert (detail["job"], detail["state"], detail["args"], detail["attempt"]) == (1, "failed", "2", 2)
    assert detail["error"] == "ValueError: <script>2</script>"
    assert 'raise ValueError(f"<script>{x}</script>")' in detail["traceback"]
    assert detail["output"].endswith("before 2\n")
    path = f"sessions/{session.id}/batches/{held.number}/jobs/0"
    until(lambda: server.dsage(path)[1]["output"] == "waiting\n")
    detail = server.dsage(path)[1]
    assert (detail["state"], detail["attempt"], detail["seconds"]) == ("running", 1, None)
    assert detail["worker"].startswith("local/")
    assert detail["args"].startswith("'/")
    (tmp_path / "gate").touch()


def test_a_session_without_a_journal_is_not_listed(server):
    with dsage.spawn("local:?slots=1", journal=False):
        assert server.dsage("sessions") == (200, {"sessions": []})


# --- acting --------------------------------------------------------------------------------------------------


def test_pause_resume_cancel_retry_and_add(server, session, tmp_path):
    gate = tmp_path / "gate"
    batch = session.map(jobs.wait_for, [str(gate)] * 10, name="held")
    number = batch.number
    until(lambda: counts(server, session.id, number)["running"] == 2)
    assert server.order(session.id, "pause") == (200, "pause: held.")
    assert server.order(session.id, "pause") == (200, "pause: there is nothing that it would concern.")
    assert server.order(session.id, "resume", batch=number) == (200, "resume: held.")
    assert server.order(session.id, "cancel", batch=number, job=9) == (200, "cancel: job 9 of held.")
    status, text = server.order(session.id, "cancel", batch=number, job=9)
    assert (status, text) == (409, "Job 9 of batch 'held' has ended already: it is cancelled.")
    assert server.order(session.id, "add", batch=number, text=f"[{str(gate)!r}] * 3") == (200, "3 jobs added")
    until(lambda: len(batch) == 13)
    gate.touch()
    assert batch.wait(20)
    assert counts(server, session.id, number)["finished"] == 12
    fails = session.map(work.fail_until, [str(tmp_path / "mended")] * 3, name="fails")
    fails.wait(20)
    held = fails[1]
    (tmp_path / "mended").touch()
    assert server.order(session.id, "retry", batch=fails.number, job=1) == (200, "retry: job 1 of fails.")
    until(lambda: counts(server, session.id, fails.number)["finished"] == 1)
    until(fails[1].done)
    assert (held.exception() is None, fails[1].exception(5)) == (False, None)
    assert server.order(session.id, "retry") == (200, "retry: fails.")
    until(lambda: counts(server, session.id, fails.number)["finished"] == 3)
    until(lambda: fails.counts["finished"] == 3)


def test_cancel_ends_the_drawing_of_a_batch_too(server, session):
    batch = session.map(work.slow_square, (n for n in range(10**9)), name="endless")
    until(lambda: counts(server, session.id, batch.number)["finished"] > 2)
    assert server.order(session.id, "cancel", batch=batch.number) == (200, "cancel: endless.")
    assert batch.wait(20)
    until(lambda: server.dsage(f"sessions/{session.id}/batches/{batch.number}")[1]["batch"]["ended"])


def test_engines_come_and_go(server, session):
    assert server.order(session.id, "engine-scale", engine="local", slots=3)[0] == 200
    until(lambda: server.dsage(f"sessions/{session.id}")[1]["slots"] == 3)
    assert server.order(session.id, "engine-scale", engine="far", slots=3) == (
        404,
        "There is no engine 'far'; there is local.",
    )
    assert server.order(session.id, "engine-add", url="local:?slots=1") == (409, "The engine 'local' is there already.")
    status, text = server.order(session.id, "engine-add", url="nonsense")
    assert (status, text) == (409, "'nonsense' is no engine URL: try 'local:?slots=2'.")
    assert server.order(session.id, "engine-scale", engine="local", slots=10**6)[0] == 400
    status, text = server.order(session.id, "engine-remove", engine="local")
    assert status == 409
    assert "'local' is the only engine" in text
    assert server.order(session.id, "refresh")[1].startswith("refresh: 3 workers are being replaced")


def test_die(server, session):
    status, text = server.order(session.id, "die")
    assert (status, text) == (200, "Session 'panel' is over, with its processes and its journal.")
    assert server.dsage("sessions")[1] == {"sessions": []}
    assert server.order(session.id, "refresh")[0] == 404
    until(lambda: session._over)


def test_what_left_a_journal_is_revived(server, dead):
    session, number = dead
    [row] = server.dsage("sessions")[1]["sessions"]
    assert (row["alive"], row["revivable"], row["name"], row["counts"]) == (False, True, "dead", None)
    status, answer = server.dsage(f"sessions/{session}")
    assert status == 409
    assert answer["message"].startswith("Session 'dead' does not run: revive it")
    assert "engine local: 1 slots" in server.dsage(f"sessions/{session}/log")[1]["text"]
    assert server.order(session, "revive")[0] == 200
    assert server.order(session, "revive") == (409, "Session 'dead' runs already.")
    status, text = server.order(session, "delete")
    assert status == 409
    assert "end it by die" in text
    assert counts(server, session, number)["finished"] == 5
    detail = server.dsage(f"sessions/{session}/batches/{number}/jobs/2")[1]
    assert (detail["state"], detail["attempt"]) == ("finished", 1)
    assert server.order(session, "add", batch=number, text="range(5, 8)") == (200, "3 jobs added")
    until(lambda: counts(server, session, number)["finished"] == 8)
    attached = dsage.attach("dead")
    assert attached.batches["squares"].results(timeout=20) == [x * x for x in range(8)]
    attached.die()


def test_what_left_a_journal_is_deleted(server, dead):
    session, _ = dead
    assert server.order(session, "delete") == (200, "The journal of session 'dead' is deleted.")
    assert server.dsage("sessions")[1] == {"sessions": []}
    assert server.order(session, "revive")[0] == 404


def test_a_session_of_another_version_is_listed_and_left_alone(server, dead):
    session, _ = dead
    record = Path(next(info.folder for info in dsage.sessions())) / "session.json"
    record.write_text(record.read_text().replace(f'"package":"{dsage.__version__}"', '"package":"0.0.1"'))
    [row] = server.dsage("sessions")[1]["sessions"]
    assert (row["alive"], row["revivable"]) == (False, False)
    for status, text in (server.order(session, "revive"), server.order(session, "refresh")):
        assert status == 409
        assert "was made by jupyter_dsage 0.0.1" in text
    assert server.order(session, "delete")[0] == 200


def test_the_connection_is_closed_when_nobody_needs_it(server, session):
    def connections():
        found = psutil.Process(session.pid).net_connections("unix")
        return sum("client.sock" in one.laddr for one in found)

    before = connections()
    with server.channel(session.id) as channel:
        channel.hear()
        assert server.dsage(f"sessions/{session.id}")[0] == 200
        assert connections() == before + 1
    until(lambda: connections() == before)


# --- what is wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["0badc0de", "..", "%2e%2e", "%2Fetc", "a" * 3000])
def test_only_sessions_of_the_registry_are_there(server, session, path):  # noqa: ARG001
    for request in (f"sessions/{path}/log", f"sessions/{path}/batches/1"):
        assert server.dsage(request)[0] == 404
    assert server.dsage(f"sessions/{path}/commands", {"op": "die"})[0] == 404
    assert len(dsage.sessions()) == 1


def test_what_is_not_there_is_404_in_one_sentence(server, session):
    batch = session.map(jobs.square, [1], name="one")
    batch.wait(20)
    for path in (f"batches/{batch.number + 1}", "batches/x", f"batches/{2**53 + 1}", f"batches/{'9' * 30}"):
        status, answer = server.dsage(f"sessions/{session.id}/{path}")
        assert (status, list(answer)) == (404, ["message"]), path
    assert server.dsage(f"sessions/{session.id}/batches/{batch.number}/jobs/1") == (
        404,
        {"message": "Batch 'one' has no job 1."},
    )
    assert server.order(session.id, "pause", batch=99) == (404, "There is no batch 99 in this session.")
    assert server.order(session.id, "retry", batch=batch.number, job=7) == (404, "Batch 'one' has no job 7.")
    assert server.order(session.id, "add", batch=99, text="[1]")[0] == 404


NO_COMMANDS = [
    *("", "{", "[]", "null", "\xff", "[" * 100_000, '{"op": "unknown"}', '{"op": "add"}', '{"op": "job"}'),
    *('{"op": "pause", "batch": "1"}', '{"op": "pause", "batch": -1}', '{"op": "pause", "extra": 1}'),
    *('{"op": "add", "batch": 1, "text": ""}', '{"op": "engine-scale", "engine": "local", "slots": 0}'),
]


@pytest.mark.parametrize("body", NO_COMMANDS, ids=lambda body: body[:30])
def test_malformed_commands_are_400_in_one_sentence(server, session, body):
    status, answer = server.dsage(f"sessions/{session.id}/commands", body.encode("latin-1"))
    assert status == 400
    assert answer["message"].startswith("This is no command: ")


def test_a_job_alone_and_an_expression_that_fails(server, session):
    batch = session.map(jobs.square, [1], name="one")
    assert server.order(session.id, "cancel", job=1) == (409, "A job is named without its batch.")
    assert server.order(session.id, "add", text="[1]")[0] == 400
    status, text = server.order(session.id, "add", batch=batch.number, text="undefined")
    assert (status, text) == (409, "NameError: name 'undefined' is not defined")
    job = session.submit(jobs.square, 2)
    assert job.result(20) == 4
    status, text = server.order(session.id, "add", batch=session.batches["submit"].number, text="[1]")
    assert (status, text) == (409, "Batch 'submit' grows by session.submit, not by an expression.")


def test_a_session_that_others_could_have_written_is_not_believed(server, session):
    folder = Path(next(info.folder for info in dsage.sessions()))
    assert len(server.dsage("sessions")[1]["sessions"]) == 1
    folder.chmod(0o755)
    assert server.dsage("sessions")[1] == {"sessions": []}
    assert server.dsage(f"sessions/{session.id}")[0] == 404
    folder.chmod(0o700)
    (folder / "session.json").chmod(0o644)
    assert server.dsage("sessions")[1] == {"sessions": []}
    (folder / "session.json").chmod(0o600)
    assert server.dsage(f"sessions/{session.id}")[0] == 200
    moved = folder.with_name("0badc0de")
    moved.mkdir(0o700)
    (moved / "session.json").write_bytes((folder / "session.json").read_bytes())
    (moved / "session.json").chmod(0o600)
    assert server.dsage("sessions/0badc0de")[0] == 404
    assert len(server.dsage("sessions")[1]["sessions"]) == 1
    (moved / "session.json").unlink()
    moved.rmdir()


def test_a_service_takes_literals_only(server, session):
    batch = session.scatter("/all_series", [([10], {})], name="series")
    batch.wait(20)
    status, text = server.order(session.id, "add", batch=batch.number, text="[([n], {}) for n in range(3)]")
    assert status == 409
    assert "only literals can be added" in text
    assert server.order(session.id, "add", batch=batch.number, text="[([20], {}), ([30], {})]") == (200, "2 jobs added")
    until(lambda: len(batch) == 3)
    assert batch.wait(20)


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"folder": "/run/\0nul"},
        {"folder": "/run/" + "x" * 900},
        {"folder": "FIFO"},
        {"folder": "CONNECTION", "pid": -1},
        {"folder": "CONNECTION", "pid": 2**63},
        {"folder": "CONNECTION", "alive": True},
        {"created": 1e300},
        {"created": -1.0},
    ],
    ids=str,
)
def test_a_damaged_record_hides_no_other_session(server, session, change):
    """One with NUL in a path, or of a process that cannot be, was answered with 500 for all."""
    [record] = stored.records()
    forged = record.store.with_name("0badc0de")
    folder = Path(tempfile.mkdtemp(prefix="dsage-"))
    try:
        forged.mkdir(0o700)
        if change.get("folder") == "FIFO":
            os.mkfifo(folder / "connection.json")
        elif change.get("folder") == "CONNECTION":
            alive = change.get("alive")
            pid = os.getpid() if alive else change["pid"]
            private_files.write(
                folder / "connection.json", msgspec.json.encode({"pid": pid, "started": own_start() if alive else 1.0})
            )
        named = change.get("folder", "CONNECTION")
        place = str(folder) if named.isupper() else named
        setup = msgspec.structs.replace(record.setup, folder=place, store=str(forged))
        row = {"id": "0badc0de", "name": "forged", "setup": setup, "created": change.get("created", 1.0)}
        row = msgspec.to_builtins(record) | msgspec.to_builtins(row)
        private_files.write(forged / "session.json", msgspec.json.encode(row))
        status, answer = server.dsage("sessions")
        assert status == 200
        assert ("panel", True) in [(each["name"], each["alive"]) for each in answer["sessions"]]
        assert server.dsage("sessions/0badc0de")[0] in (404, 409)
        assert server.dsage(f"sessions/{session.id}")[0] == 200
    finally:
        shutil.rmtree(forged)
        shutil.rmtree(folder)
