"""A real Jupyter server in folders of its own, asked as a browser asks it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import websocket

from tests.ports import free_port
from tests.until import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN = "a-token-of-the-test"  # noqa: S105
BASE = "/a%40b/"
SECONDS = 30


class Server:
    """A server that runs; `ask` sends one request."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self.log = log

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str = "",
        token: str = TOKEN,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Return the status and the JSON of an answer; a body makes it a POST (bytes and str go as they are)."""
        sent = {"Authorization": f"token {token}"} if token else {}
        raw = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            url = BASE + path
            connection.request(method or ("GET" if body is None else "POST"), url, raw, sent | (headers or {}))
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        try:
            return response.status, json.loads(text)
        except json.JSONDecodeError:
            return response.status, text

    def dsage(self, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """Ask the extension."""
        return self.ask(f"jupyter-dsage/{path}", body, **options)

    def order(self, session: str, op: str, **command: Any) -> tuple[int, str]:
        """Send a command; return the status and the sentence."""
        status, answer = self.dsage(f"sessions/{session}/commands", {"op": op, **command})
        return status, answer["text"] if status == 200 else answer["message"]

    def channel(self, session: str, **headers: str) -> Channel:
        """Open a session's WebSocket; headers take the place of the token."""
        return Channel(self, session, **headers)

    def log_in(self) -> str:
        """Return the cookies of a browser that was opened with the token."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", f"{BASE}api?token={TOKEN}")
            response = connection.getresponse()
            response.read()
            return "; ".join(line.partition(";")[0] for line in response.headers.get_all("Set-Cookie") or ())
        finally:
            connection.close()


class Channel:
    """A session's WebSocket, as a browser has it."""

    def __init__(self, server: Server, session: str, **headers: str) -> None:
        url = f"ws://127.0.0.1:{server.port}{BASE}jupyter-dsage/sessions/{session}/channel"
        self._socket = websocket.create_connection(
            url, SECONDS, header=headers or {"Authorization": f"token {TOKEN}"}, suppress_origin=True
        )
        self.code: int | None = None
        """The code with which the server has closed it."""

    def say(self, **message: Any) -> None:
        self._socket.send(json.dumps(message))

    def command(self, batch: int | None, op: str, **more: Any) -> None:
        self.say(kind="command", batch=batch, message={"op": op, **more})

    def hear(self) -> dict[str, Any] | None:
        """Return the next message, None at the end."""
        code, data = self._socket.recv_data()
        if code == websocket.ABNF.OPCODE_CLOSE:
            self.code = int.from_bytes(data[:2], "big")
            return None
        heard: dict[str, Any] = json.loads(data)
        return heard

    def until(self, fact: Callable[[dict[str, Any]], Any], seconds: float = SECONDS) -> dict[str, Any]:
        """Return the first message of which a fact holds."""
        deadline = time.monotonic() + seconds
        while (heard := self.hear()) is not None:
            if fact(heard):
                return heard
            assert time.monotonic() < deadline, "the fact did not come"
        raise AssertionError(f"the channel was closed with {self.code}")

    def reply(self, re: str, **wanted: Any) -> dict[str, Any]:
        """Return the next reply of a kind."""

        def fits(heard: dict[str, Any]) -> bool:
            reply = heard.get("reply", {})
            return reply.get("re") == re and all(reply.get(key) == value for key, value in wanted.items())

        reply: dict[str, Any] = self.until(fits)["reply"]
        return reply

    def close(self) -> None:
        self._socket.close(timeout=1)
        self._socket.shutdown()  # the one above leaves a socket open that the server has closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def serve(folder: Path, *options: str) -> Iterator[Server]:
    """Run a server until the block ends; its data are those of this process, so that it finds the test's sessions."""
    port = free_port()
    root = folder / "root"
    root.mkdir()
    env = os.environ | {
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}", f"--ServerApp.base_url={BASE}"]
    command += ["--ServerApp.allow_unauthenticated_access=False", f"--ServerApp.root_dir={root}", "--ip=127.0.0.1"]
    server = Server(port, folder / "server.log")
    with server.log.open("w") as log:
        process = subprocess.Popen([*command, *options], env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        _await(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(20)
    said = server.log.read_text()
    assert "Traceback" not in said, said


def _await(server: Server, process: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        try:
            assert server.ask("api")[0] == 200
        except OSError:
            assert process.poll() is None, server.log.read_text()
            return False
        return True

    until(answers, 60, server.log.read_text)
