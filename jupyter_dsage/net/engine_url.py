"""Engine URLs: ``local:?slots=2``, and the tuples of 2008, ``("dsage://localhost:", 12345, "/all_series", 2)``.

Parsed in the client, so that a bad one is refused before anything starts. This version runs local workers; the
other schemes are recognised and refused in one sentence.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from jupyter_dsage.errors import EngineError

MOST_SLOTS = 4096
_OLD_SPELLINGS = ("pbu", "pb")
_LATER = ("ssh", "dask", "ray", "slurm")
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class EngineURL:
    """One engine: its name for people, how many jobs it runs at once, the service its URL names (or None)."""

    name: str
    slots: int
    service: str | None = None
    note: str = ""
    """What the greeting says about it: for example that local workers stand in for a worker server."""


def default_slots() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def parse_urls(urls: Iterable[str | Sequence[object]] | str | None) -> list[EngineURL]:
    """Return the engines that `spawn(urls)` names; None is one local engine with a worker per core.

    Raises EngineError for a URL that is malformed, unknown, given twice, or that this version cannot run.
    """
    if urls is None:
        return [EngineURL("local", default_slots())]
    if isinstance(urls, str):
        urls = [urls]
    engines = [_parse_tuple(url) if not isinstance(url, str) else _parse(url) for url in urls]
    if not engines:
        raise EngineError("The list of engine URLs is empty: leave it out for one local worker per core.")
    named: dict[str, EngineURL] = {}
    for engine in engines:
        if engine.name in named:
            raise EngineError(f"The engine {engine.name!r} is named twice: give it once, with the sum of the slots.")
        named[engine.name] = engine
    return engines


def _parse_tuple(url: Sequence[object]) -> EngineURL:
    """Read the spelling of 2008: (url, port, service, slots)."""
    form = 'an engine is a URL or a tuple such as ("dsage://localhost:", 12345, "/all_series", 2)'
    if not isinstance(url, Sequence) or len(url) != 4:  # noqa: PLR2004  (the four fields of 2008)
        raise EngineError(f"{url!r} is no engine: {form}.")
    base, port, service, slots = url
    if not (isinstance(base, str) and isinstance(port, int) and isinstance(service, str) and isinstance(slots, int)):
        raise EngineError(f"{url!r} is no engine: {form}.")
    return _parse(f"{base.rstrip(':/') if '://' in base else base}:{port}/{service.lstrip('/')}?slots={slots}")


def _parse(url: str) -> EngineURL:
    if "://" not in url and not url.startswith(("local:", "slurm:")):
        raise EngineError(f"{url!r} is no engine URL: try 'local:?slots=2'.")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise EngineError(f"{url!r} is no engine URL ({error}): try 'local:?slots=2'.") from None
    if parts.scheme in _LATER:
        raise EngineError(f"{url!r}: this version runs local workers only; {parts.scheme} engines come later.")
    if parts.scheme not in ("local", "dsage", *_OLD_SPELLINGS):
        raise EngineError(f"{url!r} has the unknown scheme {parts.scheme!r}: try 'local:?slots=2'.")
    try:
        port = parts.port
    except ValueError:
        raise EngineError(f"{url!r} names no valid port: a port is a number from 1 to 65535.") from None
    slots = _slots(url, _options(url, parts.query).get("slots"))
    if parts.scheme == "local":
        if parts.netloc or parts.path:
            raise EngineError(f"{url!r} names more than local workers: try 'local:?slots=2'.")
        return EngineURL("local", slots)
    return _dsage(url, parts.hostname, port, parts.path, slots)


def _options(url: str, query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name != "slots":
            raise EngineError(f"{url!r} has the unknown option {name!r}: 'slots' is the one there is.")
        if name in options:
            raise EngineError(f"{url!r} gives {name!r} twice: give it once.")
        options[name] = value
    return options


def _slots(url: str, text: str | None) -> int:
    if text is None:
        return default_slots()
    if not text.isdecimal() or len(text) > len(str(MOST_SLOTS)) or not 1 <= int(text) <= MOST_SLOTS:
        raise EngineError(f"{url!r} asks for {text!r} slots: a number from 1 to {MOST_SLOTS} is needed.")
    return int(text)


def _dsage(url: str, host: str | None, port: int | None, path: str, slots: int) -> EngineURL:
    if not host or not port:
        raise EngineError(f"{url!r} needs a host and a port, as in 'dsage://localhost:12345/all_series?slots=2'.")
    if host not in _LOCAL_HOSTS or _somebody_listens(host, port):
        raise EngineError(f"{url!r}: this version runs local workers only; worker servers come with the next one.")
    service = path if path.strip("/") else None
    note = f"nobody listens on {host}:{port}, so {slots} local workers were started for it"
    return EngineURL(f"dsage://{host}:{port}", slots, service, note)


def _somebody_listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False
