"""Who gets in: nobody without the token, no foreign page, and who may only look cannot act."""

from __future__ import annotations

import pytest
import websocket

from jupyter_dsage.server.handlers import PATH, routes
from tests.process import jobs
from tests.server.server import serve

READER = """
from jupyter_server.auth import Authorizer

class Reader(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        return resource != "dsage" or action == "read"
"""


def every_path(session):
    """Return each path of the extension, below the base URL, with its methods."""
    for route, handler, _ in routes("", None):
        path = route.removeprefix(f"/{PATH}/")
        for part in (session, "1", "0"):
            path = path.replace("([^/]+)", part, 1)
        methods = [method for method in ("get", "post", "put", "delete", "patch") if method in vars(handler)]
        yield path, methods, path.endswith("channel")


@pytest.mark.parametrize("token", ["", "wrong"])
def test_no_handler_answers_without_the_token(server, session, token):
    walked = list(every_path(session.id))
    assert len(walked) == 8
    for path, methods, channel in walked:
        assert methods in (["get"], ["post"])
        if channel:
            with pytest.raises(websocket.WebSocketBadStatusException) as refused:
                server.channel(session.id, Authorization=f"token {token}")
            assert refused.value.status_code == 403
            continue
        for method in methods:
            body = {"op": "die"} if method == "post" else None
            assert server.dsage(path, body, method=method.upper(), token=token)[0] in (401, 403), path
    assert session.map(jobs.square, [3]).results(timeout=20) == [9]


def test_no_other_method_does_anything(server, session):
    for path, methods, channel in every_path(session.id):
        for method in {"get", "post", "put", "delete", "patch"} - {*methods, *(("get",) if channel else ())}:
            assert server.dsage(path, b"{}", method=method.upper())[0] == 405, (path, method)


def test_a_foreign_page_is_refused(server, session):
    cookies = {"Cookie": server.log_in()}
    own, foreign = f"http://127.0.0.1:{server.port}", "https://elsewhere.example"
    assert server.dsage("sessions", token="", headers=cookies | {"Origin": own})[0] == 200
    assert server.dsage("sessions", token="", headers=cookies | {"Origin": foreign})[0] == 404
    command = f"sessions/{session.id}/commands"
    assert server.dsage(command, {"op": "die"}, token="", headers=cookies | {"Origin": foreign})[0] in (403, 404)
    status, answer = server.dsage(command, {"op": "die"}, token="", headers=cookies | {"Origin": own})
    assert (status, "XSRF" in answer["message"] or "_xsrf" in answer["message"]) == (403, True)
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        server.channel(session.id, Origin=foreign, **cookies)
    assert refused.value.status_code == 403
    with server.channel(session.id, Origin=own, **cookies) as channel:
        assert channel.hear()["kind"] == "session"


def test_who_may_only_look_cannot_act(session, tmp_path, monkeypatch):
    (tmp_path / "reader.py").write_text(READER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    batch = session.map(jobs.square, [1], name="one")
    batch.wait(20)
    with serve(tmp_path, "--ServerApp.authorizer_class=reader.Reader") as server:
        assert server.dsage(f"sessions/{session.id}/batches/{batch.number}")[0] == 200
        assert server.dsage(f"sessions/{session.id}/batches/{batch.number}/jobs/0")[0] == 200
        status, answer = server.dsage(f"sessions/{session.id}/commands", {"op": "die"})
        assert (status, answer["message"]) == (403, "User is not authorized to execute on resource: dsage.")
        with server.channel(session.id) as channel:
            channel.command(batch.number, "die")
            assert channel.reply("note")["text"] == "You are not allowed to execute here."
            channel.command(batch.number, "add", text="[2]")
            assert channel.reply("add")["status"] == "error"
            channel.command(batch.number, "job", job=0)
            assert channel.reply("job")["state"] == "finished"
    assert session.map(jobs.square, [3]).results(timeout=20) == [9]
