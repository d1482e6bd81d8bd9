"""Engine URLs are read, also in the spellings of 2008; each that cannot be used is refused in one sentence."""

from __future__ import annotations

import dataclasses
import os
import re
import socket
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from jupyter_dsage import settings
from jupyter_dsage.errors import DsageError, EngineError, ServerKeyError, UsageError
from jupyter_dsage.net import cores, url_parts
from jupyter_dsage.net.engine_url import engine_name, parse_urls
from jupyter_dsage.net.keys import Keys
from jupyter_dsage.net.url_parts import MOST_SLOTS, EngineURL, default_slots
from jupyter_dsage.wire.setup import EngineSetup

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "k" * 42 + "A"
"""A public key as people write it: which one is of no interest here."""


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """Give each test a user who has no keys and knows no server."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    return Keys()


@pytest.fixture
def free_port() -> Iterator[int]:
    """Give a port where nobody listens: it is taken, so that nobody can begin to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def note(port: int, slots: int, scheme: str = "dsage") -> str:
    old = "" if scheme == "dsage" else f"{scheme}:// was Foolscap's; it means dsage://localhost:{port} here; "
    return f"{old}nobody listens on localhost:{port}, so {slots} local workers were started for it"


# --- what is taken -------------------------------------------------------------------------------------------


def test_nothing_is_one_local_engine_with_a_worker_for_each_core() -> None:
    assert parse_urls(None) == [EngineURL("local", default_slots())]
    assert 1 <= default_slots() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("urls", "slots"),
    [
        ("local:?slots=2", 2),
        ("local://?slots=3", 3),
        (["local:?slots=1"], 1),
        (("local:?slots=2",), 2),
        (iter(["local:?slots=2"]), 2),
        (f"local:?slots={MOST_SLOTS}", MOST_SLOTS),
        ("local:", default_slots()),
    ],
)
def test_local_urls(urls: Any, slots: int) -> None:
    assert parse_urls(urls) == [EngineURL("local", slots)]


@pytest.mark.parametrize("scheme", ["dsage", "pbu", "pb"])
def test_a_worker_server_that_is_not_there_becomes_local_workers(scheme: str, free_port: int) -> None:
    for host in ("localhost", "LOCALHOST"):
        [engine] = parse_urls(f"{scheme}://{host}:{free_port}/all_series?slots=2")
        assert engine == EngineURL(f"dsage://localhost:{free_port}", 2, "/all_series", note(free_port, 2, scheme))


def test_a_url_without_a_service_names_none(free_port: int) -> None:
    for path in ("", "/"):
        [engine] = parse_urls(f"dsage://127.0.0.1:{free_port}{path}?slots=1")
        assert engine.service is None


@pytest.mark.parametrize("base", ["dsage://localhost:", "dsage://localhost", "dsage://localhost/", "pbu://localhost:"])
@pytest.mark.parametrize("service", ["/all_series", "all_series"])
def test_the_tuples_of_2008(base: str, service: str, free_port: int) -> None:
    told = note(free_port, 2, base.partition(":")[0])
    expected = EngineURL(f"dsage://localhost:{free_port}", 2, "/all_series", told)
    assert parse_urls([(base, free_port, service, 2)]) == [expected]
    assert parse_urls([[base, free_port, service, 2]]) == [expected]
    assert parse_urls([(base, np.int64(free_port), service, np.uint8(2))]) == [expected], (
        "Sage's numbers are none of Python's"
    )


def test_several_engines(free_port: int) -> None:
    engines = parse_urls(["local:?slots=2", ("dsage://localhost:", free_port, "/all_series", 3)])
    assert [(engine.name, engine.slots) for engine in engines] == [("local", 2), (f"dsage://localhost:{free_port}", 3)]


@pytest.mark.parametrize(
    ("own", "files", "most"),
    [
        ("0::/\n", {"cpu.max": "150000 100000"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),
        ("0::/\n", {"cpu.max": "max 100000"}, 64),
        ("0::/\n", {"cpu.max": "nonsense"}, 64),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/of/the/host\n", {"cpu.max": "200000 100000"}, 2),
        ("0::/../outside\n", {"cpu.max": "200000 100000"}, 2),
        ("4:memory:/\n3:cpu,cpuacct:/a\n", {"cpu,cpuacct/a/cpu.cfs_quota_us": "250000"}, 3),
        ("1:cpu:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "-1"}, 64),
        ("1:cpu:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "100000"}, 1),
        ("", {"cpu.max": "100000 100000"}, 64),
    ],
)
def test_slots_are_as_many_as_cores_and_quotas_allow(
    own: str, files: dict[str, str], most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
        if name.endswith("quota_us"):
            (tmp_path / name.replace("quota", "period")).write_text("100000\n")
    assert cores.cores(tmp_path, tmp_path / "own") == most
    monkeypatch.setattr(cores, "cores", lambda: most)
    monkeypatch.setattr(url_parts, "cores", cores.cores)
    assert [engine.slots for url in (None, "local:") for engine in parse_urls(url)] == [most, most]


# --- worker servers ------------------------------------------------------------------------------------------


def server(name: str, **what: Any) -> EngineURL:
    host, _, port = name.rpartition(":")
    known = {"slots": MOST_SLOTS, "key": KEY} | what
    return EngineURL(f"dsage://{name}", host=host.strip("[]"), port=int(port), kind="dsage", **known)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"dsage://example.org:12345?key={KEY}", server("example.org:12345")),
        (f"dsage://Example.ORG:12345/?key={KEY}", server("example.org:12345")),
        (
            f"dsage://example.org:1/all_series?slots=2&key={KEY}",
            server("example.org:1", slots=2, service="/all_series"),
        ),
        (f"dsage://192.0.2.7:65535?key={KEY}&slots=3", server("192.0.2.7:65535", slots=3)),
        (f"dsage://[2001:db8::7]:12345?key={KEY}", server("[2001:db8::7]:12345")),
        (f"dsage://example.org:1?linger=90s&key={KEY}", server("example.org:1", linger=90.0)),
        (f"dsage://example.org:1?linger=2h&key={KEY}", server("example.org:1", linger=7200.0)),
    ],
)
def test_a_worker_server_on_another_host_is_named_by_host_port_and_key(url: str, expected: EngineURL) -> None:
    assert parse_urls(url) == [expected]


@pytest.mark.parametrize("scheme", ["pbu", "pb"])
def test_an_old_scheme_for_another_host_says_what_it_means(scheme: str) -> None:
    [engine] = parse_urls(f"{scheme}://ghtmyth:12345/all_series?slots=2&key={KEY}")
    told = f"{scheme}:// was Foolscap's; it means dsage://ghtmyth:12345 here"
    assert engine == server("ghtmyth:12345", slots=2, service="/all_series", note=told)


def test_a_tuple_of_2008_for_another_host_that_is_known(keys: Keys) -> None:
    keys.trust("ghtmyth", 12345, KEY)
    [engine] = parse_urls([("pbu://ghtmyth:", 12345, "/all_series", 2)])
    assert (engine.name, engine.slots, engine.key) == ("dsage://ghtmyth:12345", 2, KEY)


def test_a_server_whose_key_is_not_known_is_refused_with_the_command_to_run() -> None:
    for url in ("dsage://example.org:12345/x", ("pbu://example.org:", 12345, "/x", 2)):
        with pytest.raises(ServerKeyError, match=r"run: jupyter dsage keys trust example\.org:12345 KEY$"):
            parse_urls([url])


def test_a_server_whose_key_has_changed_is_refused_with_the_command_to_run(keys: Keys) -> None:
    keys.trust("example.org", 12345, "o" * 42 + "A")
    with pytest.raises(ServerKeyError, match=f"has changed.*run: jupyter dsage keys trust example.org:12345 {KEY}$"):
        parse_urls(f"dsage://example.org:12345?key={KEY}")


def test_what_is_no_key_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError) as caught:
        parse_urls("dsage://example.org:12345?key=secret")
    assert isinstance(caught.value, DsageError)
    assert "secret" not in str(caught.value)


def test_a_key_is_not_shown_by_an_engine(keys: Keys) -> None:
    [engine] = parse_urls(f"dsage://example.org:12345?key={KEY}")
    assert KEY not in repr(engine)
    assert keys.client().public_text not in repr(engine)


def test_who_listens_on_this_host_is_not_passed_over(keys: Keys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        url = f"dsage://127.0.0.1:{port}/all_series?slots=2"
        with pytest.raises(ServerKeyError, match=f"The key of dsage://127.0.0.1:{port} is not known"):
            parse_urls(url)
        own = keys.server().public_text  # from now on a server of this user's is known without more
        assert parse_urls(url) == [server(f"127.0.0.1:{port}", slots=2, service="/all_series", key=own)]


def test_a_setup_says_all_that_the_child_needs() -> None:
    [engine] = parse_urls(f"dsage://example.org:12345/x?key={KEY}&slots=2&linger=5min")
    setup = engine.setup()
    told = (setup.name, setup.slots, setup.host, setup.port, setup.key, setup.linger)
    assert told == ("dsage://example.org:12345", 2, "example.org", 12345, KEY, 300.0)
    assert parse_urls(f"dsage://example.org:12345/x?key={KEY}")[0].linger == settings.LINGER_SECONDS


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("local", "local"),
        ("local:", "local"),
        ("local:?slots=2", "local"),
        ("dsage://example.org:12345", "dsage://example.org:12345"),
        (f"dsage://example.org:12345/x?key={KEY}", "dsage://example.org:12345"),
        ("dsage://EXAMPLE.org:12345?slots=2", "dsage://example.org:12345"),
        ("pbu://example.org:12345/all_series", "dsage://example.org:12345"),
        ("dsage://[2001:db8::7]:1?slots=2", "dsage://[2001:db8::7]:1"),
        ("local://?slots=2", "local"),
        ("nonsense", "nonsense"),
    ],
)
def test_an_engine_is_found_by_any_url_that_means_it(url: str, name: str) -> None:
    assert engine_name(url) == name


# --- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("urls", "sentence"),
    [
        ([], "The list of engine URLs is empty: leave it out for one local worker per core."),
        ("", "'' is no engine URL: try 'local:?slots=2'."),
        ("local", "'local' is no engine URL: try 'local:?slots=2'."),
        ("localhost:12345", "'localhost:12345' is no engine URL: try 'local:?slots=2'."),
        ("ftp://host:1/x", "'ftp://host:1/x' has the unknown scheme 'ftp': try 'local:?slots=2'."),
        ("://x", "'://x' has the unknown scheme '': try 'local:?slots=2'."),
        ("local:4", "'local:4' names more than local workers: try 'local:?slots=2'."),
        ("local://host?slots=4", "'local://host?slots=4' names more than local workers: try 'local:?slots=2'."),
        ("dsage://[::1", "'dsage://[::1' is no engine URL (Invalid IPv6 URL): try 'local:?slots=2'."),
        ("dsage://localhost", "'dsage://localhost' needs a host and a port, as in "),
        ("dsage://localhost:", "'dsage://localhost:' needs a host and a port, as in "),
        ("dsage://:12345/all_series", "'dsage://:12345/all_series' needs a host and a port, as in "),
        ("dsage://localhost:0/x", "'dsage://localhost:0/x' needs a host and a port, as in "),
        ("dsage://localhost:http/x", "names no valid port: a port is a number from 1 to 65535."),
        ("dsage://localhost:65536/x", "names no valid port: a port is a number from 1 to 65535."),
        ("dsage://localhost:-1/x", "names no valid port: a port is a number from 1 to 65535."),
        ("dsage://me@host:1", "'dsage://me@host:1' names a user, and a worker server has none: its keys tell who"),
        ("dsage://me:word@host:1", "names a user, and a worker server has none: its keys tell who may do what."),
        ("dsage://host:1?linger=long", "'dsage://host:1?linger=long': linger='long' is no duration: try linger=10min."),
        ("dsage://host:1?timeout=5", "has the unknown option 'timeout': there is slots, key, linger, resources, idle."),
        ("dsage://host:1?slots=0", "asks for '0' slots: a number from 1 to "),
        ("local:?key=x", "'local:?key=x' has the unknown option 'key': there is slots, resources, idle."),
        ("slurm:?partition=x", "'slurm:?partition=x' needs an address: the nodes call back to this machine"),
        ("slurm://host?address=x", "names a host: Slurm's own commands are used"),
        ("slurm:?address=x:99999", "address='x:99999' is no host, and no host:port."),
        ("slurm:?address=:1", "address=':1' is no host, and no host:port."),
        ("slurm:?address=x&nodes=2&slots=3", "3 slots cannot be shared evenly by 2 nodes: make slots a multiple."),
        ("slurm:?address=x&time=", "has an option without a value: leave it out."),
        ("slurm:?address=x&nice=1", "has the unknown option 'nice': there is slots, nodes, address, "),
        ("ssh://?slots=2", "needs a host, as in 'ssh://me@lab7?slots=8'."),
        ("ssh://-oProxyCommand=x@host", "a host or a user begins with no '-', which ssh would take for an option."),
        ("ssh://me:word@host", "holds a password: leave it out, and use an ssh key or agent."),
        ("ssh://host/all_series", "has a path: services are named in the call; try 'ssh://host?slots=8'."),
        ("ssh://host?bootstrap=yes", "bootstrap='yes' is neither 0 nor 1."),
        ("ssh://host?python=", "python= is empty: leave it out, or name an interpreter of the host."),
        ("ssh://host?key=x", "unknown option 'key': there is slots, python, bootstrap, linger, resources, idle."),
        ("ssh://host?linger=x", "linger='x' is no duration: try linger=10min."),
        ("dask://", "'dask://' needs a host, as in 'dask://head:8786'."),
        ("ray://", "'ray://' needs a host, as in 'ray://head:10001'."),
        ("ray://head?ca=x", "has the unknown option 'ca': there is slots, address, resources, idle."),
        ("ray://head?address=x", "names no address beside a host: try 'ray:?address=127.0.0.1:6379', of a head here."),
        ("local:?slot=2", "'local:?slot=2' has the unknown option 'slot': there is slots, resources, idle."),
        ("local:?resources=gpu", "'local:?resources=gpu': 'gpu' has no amount; try resources=gpu:2."),
        ("local:?resources=gpu:", "'local:?resources=gpu:': '' is no amount of gpu: it is a whole number from 1 to"),
        ("local:?resources=gpu:0", "0 is no amount of gpu: it is a whole number from 1 to 1000000; try"),
        ("local:?resources=gpu:1,gpu:2", "'gpu' is named twice; try resources=gpu:2."),
        ("local:?resources=2:gpu", "'2' is no name of a resource: it is one word that begins with a letter;"),
        ("ssh://host?idle=soon", "'ssh://host?idle=soon': idle='soon' is no duration above 0: try idle=5min."),
        ("local:?idle=0", "idle='0' is no duration above 0: try idle=5min."),
        ("local:?idle=1min&idle=2min", "gives 'idle' twice: give it once."),
        ("local:?slots=2&slots=3", "'local:?slots=2&slots=3' gives 'slots' twice: give it once."),
        (["local:?slots=2", "local:?slots=3"], "The engine 'local' is named twice: give it once, with the sum of"),
    ],
)  # fmt: skip
def test_each_url_that_cannot_be_used_has_its_sentence(urls: Any, sentence: str) -> None:
    with pytest.raises(EngineError, match=re.escape(sentence)):
        parse_urls(urls)


@pytest.mark.parametrize(
    "url", ["local:", "ssh://lab7", f"dsage://example.org:1?key={KEY}", "slurm:?address=login1", "dask:?slots=2"]
)
def test_what_an_engine_has_and_when_its_workers_leave_is_said_alike_for_all_kinds(url: str) -> None:
    plain, plain_setup = parse_urls(url)[0], parse_urls(url)[0].setup()
    sign = "&" if "?" in url else "?"
    [engine] = parse_urls(f"{url}{sign}resources=licence:1,gpu:2&idle=5min")
    setup = engine.setup()
    assert (setup.resources, setup.idle) == ((("gpu", 2), ("licence", 1)), 300.0)
    assert (plain_setup.resources, plain_setup.idle) == ((), 0.0)
    assert dataclasses.replace(engine, options=plain.options) == plain


@pytest.mark.parametrize("options", [(("idle", "nan"),), (("idle", "-1"),), (("idle", "x"),), (("resources", "gpu"),)])
def test_a_child_is_told_of_no_engine_that_no_parser_has_made(options: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(ValueError, match=r"."):
        EngineSetup("local", 1, options=options)
    bad = msgspec.json.encode(["local", 1, "", "", 0, "", 0.0, "", "local", options])
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(bad, type=EngineSetup)


def test_a_host_by_ssh_has_its_name_its_user_and_its_options() -> None:
    [engine] = parse_urls("ssh://me@lab7:2222?slots=8&python=~/bin/python&bootstrap=1&linger=1min")
    assert (engine.kind, engine.name, engine.host, engine.port) == ("ssh", "ssh://me@lab7:2222", "lab7", 2222)
    assert (engine.slots, engine.linger) == (8, 60.0)
    assert dict(engine.options) == {"python": "~/bin/python", "bootstrap": "1", "user": "me"}
    [engine] = parse_urls("ssh://[2001:db8::7]")
    assert (engine.name, engine.host, engine.slots) == ("ssh://[2001:db8::7]", "2001:db8::7", MOST_SLOTS)
    assert engine_name("ssh://me@lab7:2222?slots=8") == "ssh://me@lab7:2222"


def test_a_slurm_job_has_its_partition_for_a_name_and_its_slots_shared_by_its_nodes() -> None:
    [engine] = parse_urls("slurm:?partition=short&nodes=2&slots=16&address=login1:7000&time=2:00:00")
    assert (engine.kind, engine.name, engine.host, engine.port) == ("slurm", "slurm:short", "login1", 7000)
    assert engine.slots == 16
    assert dict(engine.options) == {"partition": "short", "time": "2:00:00", "nodes": "2", "each": "8"}
    assert engine_name("slurm:?partition=short") == "slurm:short"


@pytest.mark.parametrize("slots", ["0", "-1", "two", "", "1.5", str(MOST_SLOTS + 1), "9" * 10_000, " 2", "²"])
def test_slots_are_a_number_within_bounds(slots: str) -> None:
    with pytest.raises(EngineError, match=rf"slots: a number from 1 to {MOST_SLOTS} is needed\.$"):
        parse_urls(f"local:?slots={slots}")


@pytest.mark.parametrize(
    "url",
    [
        (),
        ("dsage://localhost:", 12345, "/all_series"),
        ("dsage://localhost:", 12345, "/all_series", 2, 3),
        ("dsage://localhost:", "12345", "/all_series", 2),
        ("dsage://localhost:", 12345, None, 2),
        ("dsage://localhost:", 12345, "/all_series", "2"),
        (None, 12345, "/all_series", 2),
        3,
        None,
        {"dsage://localhost:": 12345},
    ],
)
def test_what_is_neither_a_url_nor_a_tuple_is_refused(url: Any) -> None:
    sentence = 'is no engine: an engine is a URL or a tuple such as ("dsage://localhost:", 12345, "/all_series", 2).'
    with pytest.raises(EngineError, match=re.escape(f"{url!r} {sentence}")):
        parse_urls([url])


def test_a_tuple_of_2008_with_bad_numbers_is_refused() -> None:
    with pytest.raises(EngineError, match="names no valid port"):
        parse_urls([("dsage://localhost:", 123456, "/all_series", 2)])
    with pytest.raises(EngineError, match="asks for '0' slots"):
        parse_urls([("dsage://localhost:", 12345, "/all_series", 0)])


def test_the_same_worker_server_twice_is_refused(free_port: int) -> None:
    with pytest.raises(EngineError, match="is named twice"):
        parse_urls([f"dsage://localhost:{free_port}", ("pbu://localhost:", free_port, "/all_series", 2)])
