"""`jupyter dsage worker` as one types it: what is wrong is one sentence and exit code 2, and nothing is left."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.worker_server import worker_server

SECONDS = 30.0


def refused(*options: str) -> str:
    """Return what the command says when it does not start."""
    command = [sys.executable, "-m", "jupyter_dsage", "worker", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, "one sentence, no traceback"
    return done.stderr


def test_a_port_that_is_taken():
    with worker_server() as server:
        assert "Nobody can listen at 127.0.0.1" in refused("--listen", f"127.0.0.1:{server.port}")
        said = refused("--listen", "127.0.0.1:0", "--bulk-port", str(server.port))
        assert f"The bulk port {server.port}" in said


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--listen", "192.0.2.1:23480"), "name an address of this host"),
        (("--listen", "no-such-host.invalid:23480"), "name an address of this host"),
        (("--listen", "12345"), "12345"),
        (("--listen", "127.0.0.1:99999"), "port"),
        (("--slots", "0"), "a number from 1"),
        (("--slots", "many"), "a number from 1"),
        (("--service", "mean"), "is no service"),
        (("--service", "mean=statistics:nope"), "is no function"),
        (("--service", "mean=no_such_module:mean"), "No module named"),
        (("--linger-max", "soon"), "soon"),
    ],
)
def test_what_cannot_be_used(options, sentence):
    assert sentence in refused(*options)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_ends_in_order(number):
    with worker_server() as server:
        server.process.send_signal(number)
        assert server.process.wait(SECONDS) == 0
        assert "the server is gone" in server.log()


def test_a_name_is_as_good_as_an_address():
    with worker_server(host="localhost") as server:
        assert "localhost" in server.url
