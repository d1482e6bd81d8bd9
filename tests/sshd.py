"""A real sshd for tests: OpenSSH's server as a process of its own on loopback, with keys made for it, for this user."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.ports import free_port
from tests.until import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE = 20.0
SSHD = shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


@dataclass
class Sshd:
    """One that listens. `python`, `slots`: of its URL."""

    process: subprocess.Popen[bytes]
    host: str
    port: int
    folder: Path
    slots: int
    python: str = sys.executable

    @property
    def ssh(self) -> str:
        return ssh_command(self.folder)

    @property
    def url(self) -> str:
        return f"{self.name}?slots={self.slots}&python={self.python}"

    @property
    def name(self) -> str:
        return f"ssh://{getpass.getuser()}@{self.host}:{self.port}"

    @contextmanager
    def with_env(self, name: str, value: str) -> Iterator[None]:
        """Have what it starts see an environment variable."""
        path = self.folder / "ssh_config"
        before = path.read_text()
        path.write_text(f"{before}SetEnv {name}={value}\n")
        yield
        path.write_text(before)

    def log(self) -> str:
        return (self.folder / "sshd.log").read_text(errors="replace")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def ssh_command(folder: Path) -> str:
    """Return the command that reaches the sshd whose files are here, for the environment variable DSAGE_SSH."""
    return f"ssh -F {folder}/ssh_config"


def _settings(folder: Path, host: str, port: int, runtime: str) -> None:
    """Write the server's configuration and the client's, with the keys of before if there are any."""
    for name in ("host_key", "user_key"):
        if not (folder / name).exists():
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    public = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[{host}]:{port} {public}")
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress {host}\nHostKey {folder}/host_key\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nAcceptEnv DSAGE_TEST_MARK XDG_RUNTIME_DIR JUPYTER_DATA_DIR XDG_DATA_HOME\n"
    )
    (folder / "ssh_config").write_text(
        f"Host *\nUserKnownHostsFile {folder}/known_hosts\nIdentityFile {folder}/user_key\nIdentitiesOnly yes\n"
        f"StrictHostKeyChecking yes\nSendEnv DSAGE_TEST_MARK JUPYTER_DATA_DIR{'' if runtime else ' XDG_RUNTIME_DIR'}\n"
    )
    if runtime:
        with (folder / "ssh_config").open("a") as file:
            file.write(f"SetEnv XDG_RUNTIME_DIR={runtime}\n")


@contextmanager
def sshd(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    slots: int = 2,
    runtime: str = "",
    popen: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen,
) -> Iterator[Sshd]:
    """Start one, wait until it listens, and end it with the block.

    `popen`: for one in a network namespace; `runtime`: the folder for sockets of what it runs.
    """
    assert SSHD is not None
    port = port or free_port()
    _settings(folder, host, port, runtime)
    if os.geteuid() == 0:  # where sshd of root locks its helper in; a start-up script of the package's makes it else
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    (folder / "sshd.log").unlink(missing_ok=True)
    command = [SSHD, "-D", "-f", str(folder / "sshd_config"), "-E", str(folder / "sshd.log")]
    process = popen(command, stdin=subprocess.DEVNULL)
    server = Sshd(process, host, port, folder, slots)
    try:
        _await(server)
        yield server
    finally:
        process.terminate()
        process.wait(DEADLINE)


def _await(server: Sshd) -> None:
    def listens() -> bool:
        assert server.process.poll() is None, server.log()
        return (server.folder / "sshd.log").exists() and "Server listening" in server.log()

    until(listens, DEADLINE, server.log)
