"""Engine URLs are read, also in the spelling of 2008; each that cannot be used is refused in one sentence."""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_dsage.errors import EngineError
from jupyter_dsage.net.engine_url import MOST_SLOTS, EngineURL, default_slots, parse_urls

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def free_port() -> Iterator[int]:
    """Give a port where nobody listens: it is taken, so that nobody can begin to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def note(port: int, slots: int) -> str:
    return f"nobody listens on localhost:{port}, so {slots} local workers were started for it"


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
        assert engine == EngineURL(f"dsage://localhost:{free_port}", 2, "/all_series", note(free_port, 2))


def test_a_url_without_a_service_names_none(free_port: int) -> None:
    for path in ("", "/"):
        [engine] = parse_urls(f"dsage://127.0.0.1:{free_port}{path}?slots=1")
        assert engine.service is None


@pytest.mark.parametrize("base", ["dsage://localhost:", "dsage://localhost", "dsage://localhost/", "pbu://localhost:"])
@pytest.mark.parametrize("service", ["/all_series", "all_series"])
def test_the_tuples_of_2008(base: str, service: str, free_port: int) -> None:
    expected = EngineURL(f"dsage://localhost:{free_port}", 2, "/all_series", note(free_port, 2))
    assert parse_urls([(base, free_port, service, 2)]) == [expected]
    assert parse_urls([[base, free_port, service, 2]]) == [expected]


def test_several_engines(free_port: int) -> None:
    engines = parse_urls(["local:?slots=2", ("dsage://localhost:", free_port, "/all_series", 3)])
    assert [(engine.name, engine.slots) for engine in engines] == [("local", 2), (f"dsage://localhost:{free_port}", 3)]


# --- what is refused -----------------------------------------------------------------------------------------

ONLY_LOCAL = "this version runs local workers only"


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
        ("dsage://example.org:12345/x", f"'dsage://example.org:12345/x': {ONLY_LOCAL}; worker servers come with"),
        ("ssh://user@host?slots=8", f"'ssh://user@host?slots=8': {ONLY_LOCAL}; ssh engines come later."),
        ("dask://host:8786", f"{ONLY_LOCAL}; dask engines come later."),
        ("ray://host:10001", f"{ONLY_LOCAL}; ray engines come later."),
        ("slurm:?partition=x", f"'slurm:?partition=x': {ONLY_LOCAL}; slurm engines come later."),
        ("local:?slot=2", "'local:?slot=2' has the unknown option 'slot': 'slots' is the one there is."),
        ("local:?slots=2&slots=3", "'local:?slots=2&slots=3' gives 'slots' twice: give it once."),
        (["local:?slots=2", "local:?slots=3"], "The engine 'local' is named twice: give it once, with the sum of"),
    ],
)  # fmt: skip
def test_each_url_that_cannot_be_used_has_its_sentence(urls: Any, sentence: str) -> None:
    with pytest.raises(EngineError, match=re.escape(sentence)):
        parse_urls(urls)


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


def test_a_tuple_of_2008_for_another_host_is_refused() -> None:
    with pytest.raises(EngineError, match=rf"^'pbu://ghtmyth:12345/all_series\?slots=2': {ONLY_LOCAL}"):
        parse_urls([("pbu://ghtmyth:", 12345, "/all_series", 2)])


def test_a_tuple_of_2008_with_bad_numbers_is_refused() -> None:
    with pytest.raises(EngineError, match="names no valid port"):
        parse_urls([("dsage://localhost:", 123456, "/all_series", 2)])
    with pytest.raises(EngineError, match="asks for '0' slots"):
        parse_urls([("dsage://localhost:", 12345, "/all_series", 0)])


def test_somebody_who_listens_is_not_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"dsage://127.0.0.1:{server.getsockname()[1]}/all_series?slots=2"
        with pytest.raises(
            EngineError, match=re.escape(f"{url!r}: {ONLY_LOCAL}; worker servers come with the next one.")
        ):
            parse_urls(url)


def test_the_same_worker_server_twice_is_refused(free_port: int) -> None:
    with pytest.raises(EngineError, match="is named twice"):
        parse_urls([f"dsage://localhost:{free_port}", ("pbu://localhost:", free_port, "/all_series", 2)])
