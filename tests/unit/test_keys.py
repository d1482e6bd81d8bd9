"""Keys lie where only their user can read them, are never shown, and say whom to trust."""

from __future__ import annotations

import copy
import multiprocessing
import os
import re
import stat
from typing import TYPE_CHECKING

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from jupyter_dsage.errors import KeyFileError, ServerKeyError, UsageError
from jupyter_dsage.net import key_file
from jupyter_dsage.net.keys import KeyPair, Keys, key_text, parse_key

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    return Keys(report=said.append)


said: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_said() -> None:
    said.clear()


def stranger() -> str:
    return key_text(zmq.curve_keypair()[0])


def is_key(text: str) -> bool:
    try:
        parse_key(text)
    except UsageError:
        return False
    return True


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- texts ---------------------------------------------------------------------------------------------------


@given(st.binary(min_size=32, max_size=32))
def test_a_key_is_43_characters_and_back(data: bytes) -> None:
    key = z85.encode(data)
    text = key_text(key)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", text)
    assert parse_key(text) == parse_key(f" {text}\n") == key


@given(st.text() | st.from_regex(r"[A-Za-z0-9_=-]{40,44}", fullmatch=True))
def test_what_is_no_key_is_refused_and_not_shown(text: str) -> None:
    if is_key(text):
        assert key_text(parse_key(text)) == text.strip()
        return
    with pytest.raises(UsageError, match="43 letters") as raised:
        parse_key(text)
    assert len(text) < 5 or text not in str(raised.value)


def test_two_texts_never_mean_one_key() -> None:
    text = stranger()
    others = [text[:-1] + last for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if last != text[-1]]
    keys = [other for other in others if is_key(other)]
    assert len(keys) < len(others)
    assert parse_key(text) not in map(parse_key, keys)


# --- own pairs -----------------------------------------------------------------------------------------------


def test_pairs_are_made_once_and_are_nobody_elses(keys: Keys, tmp_path: Path) -> None:
    server, client = keys.server(), keys.client()
    assert keys.folder == tmp_path / "dsage" / "keys"
    assert server != client
    assert (Keys().server(), Keys().client()) == (server, client)
    assert zmq.curve_public(server.secret) == server.public
    assert server.public_text == key_text(server.public)
    assert mode(keys.folder) == 0o700
    assert sorted(path.name for path in keys.folder.iterdir()) == ["client.key", "server.key"]
    assert {mode(path) for path in keys.folder.iterdir()} == {0o600}


def test_no_text_of_a_pair_shows_a_key(keys: Keys) -> None:
    pair = keys.server()
    for text in (repr(pair), str(pair), f"{pair}", repr([pair]), repr(copy.copy(pair))):
        for key in (pair.public, pair.secret):
            assert key.decode() not in text
            assert key_text(key) not in text


def _public(folder: Path, start: multiprocessing.synchronize.Barrier, out: multiprocessing.Queue[bytes]) -> None:
    start.wait(30)
    out.put(Keys(folder).server().public)


def test_processes_that_make_it_at_once_have_one_pair(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    out, start = context.Queue(), context.Barrier(4)
    processes = [context.Process(target=_public, args=(tmp_path / "k", start, out)) for _ in range(4)]
    for process in processes:
        process.start()
    assert len({out.get(timeout=60) for _ in processes}) == 1
    for process in processes:
        process.join(10)
    assert [path.name for path in (tmp_path / "k").iterdir()] == ["server.key"]
    out.close()
    out.join_thread()


def test_a_file_that_others_can_read_is_refused_with_the_command(keys: Keys) -> None:
    keys.server()
    path = keys.folder / "server.key"
    path.chmod(0o640)
    with pytest.raises(KeyFileError) as raised:
        keys.server()
    assert str(raised.value) == f"{path} is open to other users: run chmod 600 {path}"
    path.chmod(0o600)
    keys.folder.chmod(0o755)
    with pytest.raises(KeyFileError, match=r"keys is open to other users: run chmod 700 "):
        keys.server()


def test_a_file_of_another_user_is_refused(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    keys.server()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(KeyFileError, match="belongs to another user"):
        keys.server()


def test_links_pipes_and_long_files_are_refused(keys: Keys, tmp_path: Path) -> None:
    keys.client()
    (keys.folder / "server.key").symlink_to(tmp_path)
    with pytest.raises(KeyFileError, match="a plain file of yours is needed"):
        keys.server()
    os.mkfifo(keys.known_file)
    with pytest.raises(KeyFileError, match="is no plain file"):
        keys.known_servers()
    key_file.write(keys.authorized_file, "#" * 1_000_001)
    with pytest.raises(KeyFileError, match="it is no file of keys"):
        keys.authorized()


@pytest.mark.parametrize(
    "spoil", [lambda _: "", lambda text: text[:-5], lambda text: text + text, lambda text: "\0" + text]
)
def test_a_spoilt_pair_is_refused_and_not_shown(keys: Keys, spoil: object) -> None:
    pair = keys.server()
    path = keys.folder / "server.key"
    path.write_text(spoil(path.read_text()))  # type: ignore[operator]
    with pytest.raises(KeyFileError, match=r"server.key holds no key pair: move it away") as raised:
        keys.server()
    assert key_text(pair.secret) not in str(raised.value)


def test_a_pair_whose_halves_do_not_fit_is_refused(keys: Keys) -> None:
    keys.server()
    path = keys.folder / "server.key"
    head, _, secret = path.read_text().splitlines()
    path.write_text(f"{head}\n{stranger()}\n{secret}\n")
    with pytest.raises(KeyFileError, match="holds no key pair"):
        keys.server()


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyFileError, match="cannot be made"):
        Keys(tmp_path / "file" / "keys").server()


# --- whom servers admit --------------------------------------------------------------------------------------


def test_without_a_file_this_user_is_admitted(keys: Keys) -> None:
    assert keys.authorized() == {keys.client().public: ("client", "this user")}
    assert not keys.authorized_file.exists()


def test_who_is_authorized_comes_beside_this_user(keys: Keys) -> None:
    one, two = stranger(), stranger()
    keys.authorize(one, "caller", "Ann's\nlaptop \x1b[0m")
    keys.authorize(two, "client")
    own = keys.client().public
    assert keys.authorized() == {
        own: ("client", "this user"),
        parse_key(one): ("caller", "Ann's laptop [0m"),
        parse_key(two): ("client", ""),
    }
    assert mode(keys.authorized_file) == 0o600
    keys.authorize(one, "client", "again")
    assert keys.authorized()[parse_key(one)] == ("client", "again")
    assert keys.revoke(one)
    assert not keys.revoke(one)
    assert keys.authorized().keys() == {own, parse_key(two)}


def test_the_first_revoke_holds(keys: Keys) -> None:
    assert keys.revoke(keys.client().public_text)
    assert keys.authorized() == {}
    assert keys.authorized_file.read_text().startswith("# Whom this user's")


def test_bad_lines_are_told_once_and_ignored(keys: Keys) -> None:
    good = stranger()
    keys.client()
    lines = [
        "# a comment",
        "",
        "client",
        f"root {good}",
        f"caller {good} Ann B.",
        "client short",
        f"client {good}",
        "\udcff",
    ]
    keys.authorized_file.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    keys.authorized_file.chmod(0o600)
    for _ in range(2):
        assert keys.authorized() == {parse_key(good): ("caller", "Ann B.")}
    shape = "is ignored: it must be ROLE KEY COMMENT."
    where = keys.authorized_file
    assert said == [
        *(f"Line {number} of {where} {shape}" for number in (3, 4, 6)),
        f"Line 7 of {where} is ignored: that key stands in an earlier one.",
        f"Line 8 of {where} {shape}",
    ]


def test_what_cannot_be_authorized_is_refused(keys: Keys) -> None:
    with pytest.raises(UsageError, match="'root' is no role"):
        keys.authorize(stranger(), "root")
    with pytest.raises(UsageError, match="is none: a key is 43"):
        keys.authorize("x", "client")
    assert not keys.authorized_file.exists()


def test_a_list_that_others_can_write_is_refused(keys: Keys) -> None:
    keys.authorize(stranger(), "client")
    keys.authorized_file.chmod(0o666)
    with pytest.raises(KeyFileError, match="run chmod 600 "):
        keys.authorized()


# --- which servers are known ---------------------------------------------------------------------------------


def test_servers_are_known_by_name_and_port(keys: Keys) -> None:
    one, two = stranger(), stranger()
    keys.trust("Host.example", 12345, one)
    keys.trust("::2", 1, two)
    assert keys.known("host.EXAMPLE", 12345) == parse_key(one)
    assert keys.known("[::2]", 1) == parse_key(two)
    assert keys.known("host.example", 1) is None
    assert keys.known_file.read_text().splitlines() == [f"host.example:12345 {one}", f"[::2]:1 {two}"]
    assert mode(keys.known_file) == 0o600
    keys.trust("host.example", 12345, two)
    assert keys.known("host.example", 12345) == parse_key(two)
    assert keys.forget("HOST.example", 12345)
    assert not keys.forget("host.example", 12345)
    assert keys.known("host.example", 12345) is None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "[::1]"])
def test_at_this_host_the_own_server_is_known(keys: Keys, host: str) -> None:
    assert keys.known(host, 1) is None
    own = keys.server().public
    assert keys.known(host, 1) == own
    other = stranger()
    keys.trust(host, 1, other)
    assert keys.known(host, 1) == parse_key(other)
    assert keys.known("elsewhere", 1) is None


def test_what_to_expect_of_a_server(keys: Keys) -> None:
    one, two = stranger(), stranger()
    with pytest.raises(ServerKeyError) as raised:
        keys.check("h", 1, None)
    assert str(raised.value) == (
        "The key of dsage://h:1 is not known: give its URL as the server printed it (with ?key=...), or run: "
        "jupyter dsage keys trust h:1 KEY"
    )
    assert keys.check("h", 1, one) == parse_key(one)
    keys.trust("h", 1, one)
    assert keys.check("h", 1, one) == keys.check("h", 1, None) == parse_key(one)
    with pytest.raises(ServerKeyError) as raised:
        keys.check("h", 1, two)
    assert str(raised.value) == (
        "The key of dsage://h:1 has changed: another machine may answer there. If the server was set up anew, run: "
        f"jupyter dsage keys trust h:1 {two}"
    )
    keys.server()
    assert keys.check("localhost", 9, two) == parse_key(two)  # what the URL says, over what is only likely


def test_bad_lines_of_servers_are_told_once(keys: Keys) -> None:
    keys.trust("h", 1, stranger())
    with keys.known_file.open("a") as file:
        file.write("h:2\nh:3 x\n# h:4\n")
    for _ in range(2):
        assert keys.known_servers().keys() == {"h:1"}
    assert len(said) == 2


@pytest.mark.parametrize(("host", "port"), [("", 1), ("a b", 1), ("h", 0), ("h", 65536), ("h\n", 1), ("-x y", 2)])
def test_what_names_no_server_is_refused(keys: Keys, host: str, port: int) -> None:
    with pytest.raises(UsageError, match="names no server"):
        keys.trust(host, port, stranger())


def test_a_key_pair_made_by_hand() -> None:
    assert KeyPair(*zmq.curve_keypair()).public_text
