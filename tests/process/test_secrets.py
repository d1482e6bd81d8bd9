"""No key shows: not in command lines, environments, logs, reprs, notebooks' outputs or widgets' state (P12)."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
from typing import TYPE_CHECKING

import psutil
import pytest
from zmq.utils import z85

import jupyter_dsage as dsage
from jupyter_dsage.net.keys import Keys
from tests.worker_server import worker_server

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 20.0


def spellings(key: bytes) -> list[str]:
    """Return a key (Z85) in each form in which it could show."""
    raw = z85.decode(key)
    return [
        key.decode(),
        raw.hex(),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        repr(raw)[2:-1],
    ]


@pytest.fixture
def keys(nothing_left: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:  # noqa: ARG001
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    return Keys()


def shown(session: dsage.Session, server_pid: int) -> dict[str, str]:
    """Return what others can see of a session and a server."""
    texts = {}
    for root in (psutil.Process(session.pid), psutil.Process(server_pid)):
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                texts[f"the command line of {process.pid}"] = "\0".join(process.cmdline())
                texts[f"the environment of {process.pid}"] = repr(process.environ())
    texts["the repr of the session"] = repr(session) + repr(session.engines) + repr(session.workers)
    texts["the repr of its URLs"] = repr(session.urls)
    return texts


def test_no_key_shows_anywhere(keys, tmp_path, caplog):
    from jupyter_dsage.notebook.display import text as line_of_text
    from jupyter_dsage.notebook.widget import BatchView

    caplog.set_level(logging.DEBUG)
    log_path = tmp_path / "child.log"
    with (
        worker_server(slots=2) as server,
        log_path.open("w") as log,
        dsage.spawn([server.url, "local:?slots=1"], log=log) as session,
    ):
        batch = session.map(abs, range(-100, 0))
        batch.wait(SECONDS)
        views: list[dict] = []
        off = batch.watch(views.append)
        widget = BatchView(batch)
        assert session.wait_for_workers(SECONDS)
        texts = shown(session, server.pid)
        session.refresh()
        while not views:
            batch.wait(0.01)
        texts["the widget's state"] = json.dumps(widget.get_state(), default=repr)
        texts["a view"] = json.dumps(views[-1])
        texts["the batch as text"] = line_of_text(batch) + repr(batch)
        said = refusal(server.port, keys)
        off()
        widget.close()
    texts |= {
        "the child's log": log_path.read_text(),
        "the server's log": server.log(),
        "the kernel's log": caplog.text,
    }
    commands = [name for name in texts if name.startswith("the command line")]
    assert len(commands) == 7, "child and server, a supervisor each, three workers"
    assert "is open" in texts["the child's log"]
    assert "was admitted" in texts["the server's log"]
    own = [form for pair in (keys.server(), keys.client()) for form in spellings(pair.secret)]
    public = [form for pair in (keys.server(), keys.client()) for form in spellings(pair.public)]
    assert [name for name, text in texts.items() if any(form in text for form in (*own, *public))] == []
    # The server prints its public key, and a key that has changed is named: both on purpose.
    assert keys.server().public_text in server.url
    assert keys.server().public_text in said
    assert not any(form in said for form in own)


def refusal(port: int, keys: Keys) -> str:
    """Return what is said of a server whose key has changed."""
    other = Keys(keys.folder.parent / "other").server().public_text
    keys.trust("localhost", port, other)
    with pytest.raises(dsage.ServerKeyError) as caught:
        dsage.spawn(f"dsage://localhost:{port}?key={keys.server().public_text}")
    return str(caught.value)


def test_a_key_pair_shows_neither_key(keys):
    pair = keys.client()
    for form in (*spellings(pair.secret), *spellings(pair.public)):
        assert form not in repr(pair)
        assert form not in str(pair)


@pytest.mark.parametrize("name", ["server.key", "client.key"])
def test_a_key_that_others_can_read_is_refused(keys, name):
    keys.server()
    keys.client()
    (keys.folder / name).chmod(0o644)
    with pytest.raises(dsage.DsageError, match="chmod 600"):
        Keys().server() if name == "server.key" else Keys().client()
