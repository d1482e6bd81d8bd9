"""Engine URLs: ``local:?slots=2``, ``dsage://host:port/service?slots=2``, and the tuples of 2008.

Parsed in the client, so that a bad one is refused before anything starts, and so is a worker server whose key is not
known.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from jupyter_dsage.errors import EngineError
from jupyter_dsage.net import cluster_urls
from jupyter_dsage.net.cluster_objects import is_cluster, url_of
from jupyter_dsage.net.url_parts import (
    MOST_SLOTS,
    EngineURL,
    default_slots,
    linger_of,
    options_of,
    shared_options,
    slots_of,
)
from jupyter_dsage.wire.quantities import whole

if TYPE_CHECKING:
    from urllib.parse import SplitResult

_OLD_SPELLINGS = ("pbu", "pb")
_BARE = ("local:", "dask:", "ray:", "slurm:")
"""What may stand without a host."""
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def engine_name(url: str) -> str:
    """Return the name of the engine that a URL means, or the text itself if it is no URL of a worker server."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return url
    if parts.scheme in ("dsage", *_OLD_SPELLINGS) and host and port:
        return _server_name(host, port)
    if parts.scheme in cluster_urls.PARSERS and host:
        return cluster_urls.name_of(parts.scheme, parts.username, host, port)
    if parts.scheme == "slurm":
        return cluster_urls.slurm_name(dict(parse_qsl(parts.query)))
    return parts.scheme or url


def _server_name(host: str, port: int) -> str:
    return f"dsage://[{host}]:{port}" if ":" in host else f"dsage://{host}:{port}"


def parse_urls(urls: Any) -> list[EngineURL]:
    """Return the engines that `spawn(urls)` names; None is one local engine with a worker per core.

    `urls`: a URL, a tuple of 2008, one of Dask's clients or clusters, the module ``ray``, or several of these.

    Raises EngineError for a URL that is malformed, unknown, given twice, or that this version cannot run.
    """
    if urls is None:
        return [EngineURL("local", default_slots())]
    if isinstance(urls, str) or is_cluster(urls):
        urls = [urls]
    engines = [_parse_any(url) for url in urls]
    if not engines:
        raise EngineError("The list of engine URLs is empty: leave it out for one local worker per core.")
    named: dict[str, EngineURL] = {}
    for engine in engines:
        if engine.name in named:
            raise EngineError(f"The engine {engine.name!r} is named twice: give it once, with the sum of the slots.")
        named[engine.name] = engine
    return engines


def _parse_any(url: object) -> EngineURL:
    if isinstance(url, str):
        return _parse(url)
    if is_cluster(url):
        said, note = url_of(url)
        return replace(_parse(said), note=note)
    return _parse_tuple(url)


def _parse_tuple(url: object) -> EngineURL:
    """Read the spelling of 2008: (url, port, service, slots)."""
    form = 'an engine is a URL or a tuple such as ("dsage://localhost:", 12345, "/all_series", 2)'
    if not isinstance(url, Sequence) or len(url) != 4:  # noqa: PLR2004  (the four fields of 2008)
        raise EngineError(f"{url!r} is no engine: {form}.")
    base, service, port, slots = url[0], url[2], whole(url[1]), whole(url[3])
    if not (isinstance(base, str) and isinstance(service, str)) or port is None or slots is None:
        raise EngineError(f"{url!r} is no engine: {form}.")
    return _parse(f"{base.rstrip(':/') if '://' in base else base}:{port}/{service.lstrip('/')}?slots={slots}")


def _parse(url: str) -> EngineURL:
    if "://" not in url and not url.startswith(_BARE):
        raise EngineError(f"{url!r} is no engine URL: try 'local:?slots=2'.")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise EngineError(f"{url!r} is no engine URL ({error}): try 'local:?slots=2'.") from None
    if parts.scheme not in ("local", "dsage", *_OLD_SPELLINGS, *cluster_urls.PARSERS):
        raise EngineError(f"{url!r} has the unknown scheme {parts.scheme!r}: try 'local:?slots=2'.")
    try:
        port = parts.port
    except ValueError:
        raise EngineError(f"{url!r} names no valid port: a port is a number from 1 to 65535.") from None
    query, shared = shared_options(url, parts.query)
    engine = _of_kind(url, parts._replace(query=query), port)
    return replace(engine, options=(*engine.options, *shared))


def _of_kind(url: str, parts: SplitResult, port: int | None) -> EngineURL:
    if parts.scheme == "local":
        if parts.netloc or parts.path:
            raise EngineError(f"{url!r} names more than local workers: try 'local:?slots=2'.")
        return EngineURL(
            "local", slots_of(url, options_of(url, parts.query, ("slots",)).get("slots")) or default_slots()
        )
    if parts.scheme in cluster_urls.PARSERS:
        return cluster_urls.PARSERS[parts.scheme](url, parts, port)
    options = options_of(url, parts.query, ("slots", "key", "linger"))
    return _dsage(url, parts, port, options)


def _dsage(url: str, parts: SplitResult, port: int | None, options: dict[str, str]) -> EngineURL:
    host = parts.hostname
    if not host or not port:
        raise EngineError(f"{url!r} needs a host and a port, as in 'dsage://localhost:12345/all_series?slots=2'.")
    if parts.username is not None or parts.password is not None:
        raise EngineError(f"{url!r} names a user, and a worker server has none: its keys tell who may do what.")
    slots = slots_of(url, options.get("slots"))
    linger = linger_of(url, options)
    service = parts.path if parts.path.strip("/") else None
    name = _server_name(host, port)
    old = f"{parts.scheme}:// was Foolscap's; it means {name} here" if parts.scheme in _OLD_SPELLINGS else ""
    if host in _LOCAL_HOSTS and not _somebody_listens(host, port):
        slots = slots or default_slots()
        note = f"nobody listens on {host}:{port}, so {slots} local workers were started for it"
        return EngineURL(name, slots, service, "; ".join(filter(None, (old, note))))
    if find_spec("cryptography") is None:
        raise EngineError(f"{url!r} needs TLS certificates: pip install 'jupyter_dsage[remote]'.")
    from jupyter_dsage.net.keys import Keys, key_text

    keys = Keys()
    key = key_text(keys.check(host, port, options.get("key")))
    keys.client()  # what is wrong with our own is raised here
    return EngineURL(name, slots or MOST_SLOTS, service, old, host, port, key, linger, "dsage")


def _somebody_listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False
