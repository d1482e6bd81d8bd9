"""The command line: what it prints, what it refuses in one line, and how it goes to other hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from jupyter_dsage import cli
from jupyter_dsage.errors import UsageError
from jupyter_dsage.net import fetch, url_parts
from jupyter_dsage.net.keys import Keys, key_text, parse_key
from jupyter_dsage.net.worker_options import WorkerOptions, parse_address
from jupyter_dsage.worker import server

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    return Keys()


def stranger() -> str:
    while True:
        text = key_text(zmq.curve_keypair()[0])
        if not text.startswith("-"):
            return text


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that works; return what it prints."""
    code = cli.main(words)
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    return out


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that is refused; return its one line."""
    code = cli.main(words)
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err.rstrip("\n")


# --- keys ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("show",), ("make",)])
def test_keys_are_shown_and_no_secret_is(
    capsys: pytest.CaptureFixture[str], keys: Keys, words: tuple[str, ...]
) -> None:
    out = said(capsys, "keys", *words)
    server_, client = keys.server(), keys.client()
    assert out.splitlines() == [
        f"server  {server_.public_text}   what this user's servers show",
        f"client  {client.public_text}   what this user shows to servers",
        f"in {keys.folder}",
        "This user's servers admit:",
        f"  client  {client.public_text}  this user",
        "This user knows no servers but its own at this host.",
    ]
    for pair in (server_, client):
        assert key_text(pair.secret) not in out
        assert pair.secret.decode() not in out


def test_keys_for_programs(capsys: pytest.CaptureFixture[str], keys: Keys) -> None:
    keys.trust("h", 1, other := stranger())
    out = said(capsys, "keys", "show", "--json")
    assert out.count("\n") == 1
    assert json.loads(out) == {
        "server": keys.server().public_text,
        "client": keys.client().public_text,
        "authorized": [{"role": "client", "key": keys.client().public_text, "comment": "this user"}],
        "known_servers": {"h:1": other},
        "folder": str(keys.folder),
    }


def test_who_is_admitted(capsys: pytest.CaptureFixture[str], keys: Keys) -> None:
    key = stranger()
    assert "as caller from now on" in said(capsys, "keys", "authorize", key, "--role", "caller", "--comment", "Ann B.")
    assert keys.authorized()[parse_key(key)] == ("caller", "Ann B.")
    assert f"  caller  {key}  Ann B.\n" in said(capsys, "keys")
    assert "not admitted any more" in said(capsys, "keys", "revoke", key)
    assert said(capsys, "keys", "revoke", key) == "That key was not admitted.\n"
    said(capsys, "keys", "revoke", keys.client().public_text)
    assert "This user's servers admit nobody.\n" in said(capsys, "keys")


def test_which_servers_are_known(capsys: pytest.CaptureFixture[str], keys: Keys) -> None:
    key = stranger()
    assert said(capsys, "keys", "trust", "[::2]:1", key) == "dsage://[::2]:1 is known by that key from now on.\n"
    assert keys.known("::2", 1) == parse_key(key)
    assert f"  [::2]:1  {key}\n" in said(capsys, "keys")
    assert said(capsys, "keys", "forget", "[::2]:1") == "dsage://[::2]:1 is not known any more.\n"
    assert said(capsys, "keys", "forget", "[::2]:1") == "dsage://[::2]:1 was not known.\n"


def test_own_keys_can_stand_on_a_command_line(monkeypatch: pytest.MonkeyPatch, keys: Keys) -> None:
    pairs = [zmq.curve_keypair() for _ in range(1000)]
    dashed = [pair for pair in pairs if key_text(pair[0]).startswith("-")]
    plain = next(pair for pair in pairs if pair not in dashed)
    made = iter([*dashed, plain])
    monkeypatch.setattr(zmq, "curve_keypair", lambda: next(made))
    assert keys.server().public == plain[0]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "jupyter dsage: the following arguments are required: COMMAND (see jupyter dsage --help)"),
        (("nonsense",), "jupyter dsage: argument COMMAND: invalid choice: 'nonsense'"),
        (
            ("keys", "show", "--nonsense"),
            "jupyter dsage: unrecognized arguments: --nonsense (see jupyter dsage --help)",
        ),
        (("keys", "authorize", "x"), "jupyter dsage keys authorize: the following arguments are required: --role"),
        (("keys", "authorize", "x", "--role", "client"), "What was given as a key (1 characters) is none"),
        (("keys", "authorize", "A" * 43, "--role", "root"), "'root' is no role"),
        (("keys", "trust", "h", "A" * 43), "'h' is no ADDRESS:PORT: try 127.0.0.1:12345, or [::1]:12345."),
        (("keys", "trust", "h:0", "A" * 43), "'h:0' names no server"),
        (("keys", "fetch", "-oProxyCommand=x"), "jupyter dsage keys fetch: the following arguments are required"),
        (("keys", "fetch", "ssh://-oProxyCommand=x"), "'ssh://-oProxyCommand=x' cannot be used: an address such as"),
        (("keys", "fetch", "ssh://h", "--server-port", "x"), "'x' is no port"),
        (("worker", "--listen", ":1"), "':1' is no ADDRESS:PORT"),
        (("worker", "--slots", "0"), "'0' slots cannot be offered: a number from 1 to 4096 is needed."),
        (("worker", "--service", "x=y"), "'x=y' is no service: try /mean=statistics:fmean."),
        (("worker", "--service", "x=a:b", "--service", "/x=a:c"), "The service '/x' is given twice: give it once."),
        (("worker", "--linger-max", "soon"), "'soon' is no duration: try 10min or 24h."),
        (("worker", "--bulk-port", "70000"), "'70000' is no port: a number from 0 (any) to 65535 is needed."),
        (
            ("worker", "--listen", "h:65535"),
            "There is no port after 65535 for large frames: name one with --bulk-port.",
        ),
    ],
)
def test_what_is_wrong_is_one_line(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str) -> None:
    assert refused(capsys, *words).startswith(sentence)


def test_a_folder_open_to_others_is_one_line(capsys: pytest.CaptureFixture[str], keys: Keys) -> None:
    keys.server()
    keys.folder.chmod(0o755)
    assert refused(capsys, "keys").endswith(f"is open to other users: run chmod 700 {keys.folder}")


def test_it_runs_as_a_module() -> None:
    for module in ("jupyter_dsage", "jupyter_dsage.cli"):
        done = subprocess.run([sys.executable, "-m", module, "keys", "--json"], capture_output=True, check=False)
        assert done.returncode == 2
        assert done.stderr.count(b"\n") == 1
        assert b"unrecognized arguments: --json" in done.stderr


# --- worker --------------------------------------------------------------------------------------------------


def served(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> WorkerOptions:
    made: list[WorkerOptions] = []
    monkeypatch.setattr(server, "serve", made.append)
    said(capsys, "worker", *words)
    return made[0]


def test_a_worker_server_by_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert served(monkeypatch, capsys) == WorkerOptions(
        host="127.0.0.1",
        port=12345,
        slots=url_parts.default_slots(),
        services=(),
        services_only=False,
        bulk_port=12346,
        linger_max=86400,
        log="",
    )


def test_a_worker_server_with_everything(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    services = ["--service", "mean=statistics:fmean", "--service", "/a/b=pkg.mod:Class.method"]
    more = ["--services-only", "--bulk-port", "0", "--linger-max", "10min", "--log", "x.log"]
    options = served(monkeypatch, capsys, "--listen", "[::1]:0", "--slots", "3", *services, *more)
    assert options == WorkerOptions(
        host="::1",
        port=0,
        slots=3,
        services=(("/mean", "statistics:fmean"), ("/a/b", "pkg.mod:Class.method")),
        services_only=True,
        bulk_port=0,
        linger_max=600,
        log="x.log",
    )


@given(st.text() | st.from_regex(r"\[?[a-z0-9:.]*\]?:[0-9]{0,6}", fullmatch=True))
def test_addresses_are_taken_or_refused(text: str) -> None:
    try:
        host, port = parse_address(text)
    except UsageError:
        return
    assert host
    assert 0 <= port <= 65535
    assert text in {f"{host}:{port}", f"[{host}]:{port}"} or text.rpartition(":")[2].startswith("0")


# --- fetch ---------------------------------------------------------------------------------------------------

SSH = """#!{python}
import json, os, sys
with open({log!r}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
answer = json.loads({answer!r})
sys.stdout.write(answer[0])
sys.stderr.write(answer[1])
sys.exit(answer[2])
"""


class Ssh:
    """A program `ssh` on the path that notes what it is called with, and answers as it is told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.log = folder / "log"
        folder.mkdir()
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        self.key = stranger()
        self.answers(json.dumps({"server": self.key}) + "\n")

    def answers(self, out: str = "", err: str = "", code: int = 0) -> None:
        program = self.folder / "ssh"
        answer = json.dumps([out, err, code])
        program.write_text(SSH.format(python=sys.executable, log=str(self.log), answer=answer))
        program.chmod(0o755)

    def calls(self) -> list[Any]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ssh:
    return Ssh(tmp_path / "bin", monkeypatch)


def test_a_server_key_is_fetched(capsys: pytest.CaptureFixture[str], keys: Keys, ssh: Ssh) -> None:
    out = said(capsys, "keys", "fetch", "ssh://ann@host.example:2222", "--server-port", "7")
    assert out == f"dsage://host.example:7 is known by the key {ssh.key} from now on.\n"
    assert keys.known("host.example", 7) == parse_key(ssh.key)
    assert ssh.calls() == [["-T", "-p", "2222", "--", "ann@host.example", "jupyter dsage keys show --json"]]


def test_what_a_login_prints_is_passed_over(capsys: pytest.CaptureFixture[str], keys: Keys, ssh: Ssh) -> None:
    ssh.answers(f'Welcome!\n{{"server": 3}}\n[1]\n{json.dumps({"server": ssh.key})}\nBye {{\n')
    said(capsys, "keys", "fetch", "ssh://[fe80::1]/")
    assert keys.known("fe80::1", 12345) == parse_key(ssh.key)
    assert ssh.calls()[0][2] == "fe80::1"


def test_our_key_is_authorized_there(capsys: pytest.CaptureFixture[str], keys: Keys, ssh: Ssh) -> None:
    out = said(capsys, "keys", "fetch", "ssh://host", "--authorize", "--python", "/opt/my python/bin/python")
    assert "admit this user's key as client from now on.\n" in out
    show, authorize = (call[-1] for call in ssh.calls())
    assert show == "'/opt/my python/bin/python' -m jupyter_dsage.cli keys show --json"
    start = (
        f"'/opt/my python/bin/python' -m jupyter_dsage.cli keys authorize {keys.client().public_text} --role client "
    )
    assert authorize.startswith(start + "--comment ")
    assert key_text(keys.client().secret) not in authorize


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            ("", "Permission denied\n (publickey).\n", 255),
            "ssh does not get to host (Permission denied; (publickey).): try",
        ),
        (("", "jupyter: not found\n", 127), "'jupyter dsage keys' cannot be run on host (jupyter: not found): install"),
        (("", "", 1), "'jupyter dsage keys' cannot be run on host (exit code 1): install jupyter_dsage there, or name"),
        (("hello\n", "", 0), "host answered, but with no key: install this version of jupyter_dsage there."),
        (('{"server": "x"}\n', "", 0), "host answered, but with no key"),
        (("[" * 100_000 + "\n", "", 0), "host answered, but with no key"),
        (("", "\x1b[2J" + "x" * 1000, 3), f"'jupyter dsage keys' cannot be run on host (...{'x' * 300}): "),
    ],
)
def test_a_host_that_fails_is_one_line(
    capsys: pytest.CaptureFixture[str], keys: Keys, ssh: Ssh, answer: tuple[str, str, int], sentence: str
) -> None:
    ssh.answers(*answer)
    assert refused(capsys, "keys", "fetch", "ssh://host").startswith(sentence)
    assert keys.known_servers() == {}


def test_without_ssh_the_sentence_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert refused(capsys, "keys", "fetch", "ssh://host").startswith("ssh cannot be run here (No such file")


@given(st.text() | st.from_regex(r"ssh://([^/ ]*@)?[^/ ]*(:[0-9]*)?", fullmatch=True))
def test_no_address_is_read_as_an_option(url: str) -> None:
    try:
        host = fetch.parse_host(url)
    except UsageError:
        return
    words = host.command("keys")
    assert words[:2] == ["ssh", "-T"]
    assert words[-3] == "--"
    assert not words[-2].startswith("-")
    assert not host.host.startswith("-")


def test_a_python_is_no_option_either(capsys: pytest.CaptureFixture[str]) -> None:
    for python in ("-x", "a\nb"):
        assert "the path of a Python is needed" in refused(capsys, "keys", "fetch", "ssh://host", f"--python={python}")
