"""A real sshd for tests: OpenSSH's server as a process of its own on loopback, with keys made for it, for this user."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE = 20.0
SSHD = shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


@dataclass
class Sshd:
    """One that listens. `ssh`: the command that reaches it, for the environment variable DSAGE_SSH."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    ssh: str
    host: str

    def url(self, slots: int | None = 2, python: str = sys.executable) -> str:
        many = f"slots={slots}&" if slots else ""
        return f"ssh://{getpass.getuser()}@{self.host}:{self.port}?{many}python={python}"

    def log(self) -> str:
        return (self.folder / "sshd.log").read_text(errors="replace")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _settings(folder: Path, host: str, port: int) -> str:
    """Write the server's configuration and the client's; return the client's command."""
    for name in ("host_key", "user_key"):
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    public = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[{host}]:{port} {public}")
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress {host}\nHostKey {folder}/host_key\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nAcceptEnv DSAGE_TEST_MARK XDG_RUNTIME_DIR JUPYTER_DATA_DIR\n"
    )
    (folder / "ssh_config").write_text(
        f"Host *\nUserKnownHostsFile {folder}/known_hosts\nIdentityFile {folder}/user_key\nIdentitiesOnly yes\n"
        "StrictHostKeyChecking yes\nSendEnv DSAGE_TEST_MARK XDG_RUNTIME_DIR JUPYTER_DATA_DIR\n"
    )
    return f"ssh -F {folder}/ssh_config"


@contextmanager
def sshd(
    folder: Path, host: str = "127.0.0.1", popen: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen
) -> Iterator[Sshd]:
    """Start one, wait until it answers, and end it with the block. `popen`: for one in a network namespace."""
    assert SSHD is not None
    port = free_port()
    ssh = _settings(folder, host, port)
    privilege = Path("/run/sshd")  # where sshd of root locks its helper in; the package's start-up script makes it
    made = os.geteuid() == 0 and not privilege.exists()
    if made:
        privilege.mkdir(mode=0o755)
    try:
        command = [SSHD, "-D", "-f", str(folder / "sshd_config"), "-E", str(folder / "sshd.log")]
        process = popen(command, stdin=subprocess.DEVNULL)
        server = Sshd(process, port, folder, ssh, host)
        try:
            if popen is subprocess.Popen:
                _await(server)
            yield server
        finally:
            process.terminate()
            process.wait(DEADLINE)
    finally:
        if made:
            privilege.rmdir()


def _await(server: Sshd) -> None:
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            socket.create_connection((server.host, server.port), 1).close()
        except OSError:
            assert server.process.poll() is None, server.log()
            assert time.monotonic() < deadline, server.log()
            time.sleep(0.05)
        else:
            return
