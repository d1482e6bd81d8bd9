"""URLs of engines beyond this machine that are no worker servers: one parser for each scheme."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from jupyter_dsage.errors import EngineError
from jupyter_dsage.net import slurm
from jupyter_dsage.net.url_parts import MOST_SLOTS, EngineURL, default_slots, linger_of, options_of, slots_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from urllib.parse import SplitResult


def name_of(scheme: str, user: str | None, host: str, port: int | None) -> str:
    """Return the name of an engine for people: its URL without options."""
    place = f"[{host}]" if ":" in host else host
    return f"{scheme}://{f'{user}@' if user else ''}{place}{f':{port}' if port else ''}"


def _ssh(url: str, parts: SplitResult, port: int | None) -> EngineURL:
    """``ssh://user@host[:port]?slots=N&python=…&bootstrap=1&linger=10min``."""
    options = options_of(url, parts.query, ("slots", "python", "bootstrap", "linger"))
    host = parts.hostname
    if not host:
        raise EngineError(f"{url!r} needs a host, as in 'ssh://me@lab7?slots=8'.")
    if host.startswith("-") or (parts.username or "").startswith("-"):
        raise EngineError(f"{url!r}: a host or a user begins with no '-', which ssh would take for an option.")
    if parts.password is not None:
        raise EngineError(f"{url!r} holds a password: leave it out, and use an ssh key or agent.")
    if parts.path.strip("/"):
        raise EngineError(f"{url!r} has a path: services are named in the call; try 'ssh://{host}?slots=8'.")
    if options.get("bootstrap", "0") not in ("0", "1"):
        raise EngineError(f"{url!r}: bootstrap={options['bootstrap']!r} is neither 0 nor 1.")
    if "python" in options and not options["python"].strip():
        raise EngineError(f"{url!r}: python= is empty: leave it out, or name an interpreter of the host.")
    note = "runs in an environment that was made there" if options.get("bootstrap") == "1" else ""
    name = name_of("ssh", parts.username, host, port)
    said: list[tuple[str, str]] = [(key, options[key]) for key in ("python", "bootstrap") if key in options]
    if parts.username:
        said.append(("user", parts.username))
    slots = slots_of(url, options.get("slots")) or MOST_SLOTS
    return EngineURL(name, slots, None, note, host, port or 0, "", linger_of(url, options), "ssh", tuple(said))


def slurm_name(options: dict[str, str]) -> str:
    """Return the name of a Slurm engine for people: by its partition, where one is named."""
    return f"slurm:{options['partition']}" if options.get("partition") else "slurm"


def _slurm(url: str, parts: SplitResult, port: int | None) -> EngineURL:  # noqa: ARG001  (all of them are called alike)
    """``slurm:?partition=…&nodes=2&slots=16&address=login1:0&time=2:00:00``."""
    own = ("slots", "nodes", "address", "folder", "python", "linger")
    options = options_of(url, parts.query, (*own, *slurm.OPTIONS))
    if parts.netloc or parts.path.strip("/"):
        raise EngineError(f"{url!r} names a host: Slurm's own commands are used; try 'slurm:?partition=debug&slots=8'.")
    if not options.get("address"):
        raise EngineError(
            f"{url!r} needs an address: the nodes call back to this machine, so name it as they know it, as in "
            "'slurm:?slots=8&address=login1' (and a port after a colon, if a firewall lets in but some)."
        )
    host, _, listen = options["address"].rpartition(":") if ":" in options["address"] else (options["address"], "", "0")
    if not host or not listen.isdecimal() or int(listen) > _MOST_PORT:
        raise EngineError(f"{url!r}: address={options['address']!r} is no host, and no host:port.")
    nodes = slots_of(url, options.get("nodes", "1")) or 1
    slots = slots_of(url, options.get("slots")) or nodes
    if slots % nodes:
        raise EngineError(f"{url!r}: {slots} slots cannot be shared evenly by {nodes} nodes: make slots a multiple.")
    if not all(value.isprintable() and value.strip() for value in options.values()):
        raise EngineError(f"{url!r} has an option without a value: leave it out.")
    if find_spec("cryptography") is None:
        raise EngineError(f"{url!r} needs TLS certificates: pip install 'jupyter_dsage[remote]'.")
    said = [(key, options[key]) for key in ("folder", "python", *slurm.OPTIONS) if key in options]
    said += [("nodes", str(nodes)), ("each", str(slots // nodes))]
    name = slurm_name(options)
    linger = linger_of(url, options)
    return EngineURL(name, slots, None, "", host, int(listen), "", linger, "slurm", tuple(said))


_MOST_PORT = 65_535


_CLUSTERS = {"dask": (("distributed",), 8786), "ray": (("ray", "grpc"), 10001)}
"""Scheme -> the packages that its adapter needs, and the port that its schedulers usually have."""
_KNOWN = {"dask": ("slots", "ca", "cert", "key", "tls"), "ray": ("slots", "address")}


def _cluster(url: str, parts: SplitResult, port: int | None) -> EngineURL:
    """``dask:``, ``dask://host:8786?slots=N&ca=…&cert=…&key=…``; ``ray:``, ``ray:?address=…``, ``ray://host:10001``."""
    scheme, host = parts.scheme, parts.hostname or ""
    packages, usual = _CLUSTERS[scheme]
    options = options_of(url, parts.query, _KNOWN[scheme])
    if "://" in url and not host:
        raise EngineError(f"{url!r} needs a host, as in '{scheme}://head:{usual}'.")
    if parts.username is not None or parts.password is not None or parts.path.strip("/"):
        raise EngineError(f"{url!r} has more than host, port and options: try '{scheme}://{host or 'head'}:{usual}'.")
    files: list[str] = [name for name in ("ca", "cert", "key") if name in options]
    for name in files:
        if not Path(options[name]).expanduser().is_file():
            raise EngineError(f"{url!r}: {name}={options[name]!r} is no file.")
        options[name] = str(Path(options[name]).expanduser().resolve())
    if files and not host:
        raise EngineError(f"{url!r}: a cluster that is started here needs no {', '.join(files)}.")
    if options.get("tls", "1") != "1":
        raise EngineError(f"{url!r}: tls={options['tls']!r} is not 1: leave it out for a scheduler without TLS.")
    if "address" in options and (host or not options["address"].strip()):
        raise EngineError(f"{url!r} names no address beside a host: try 'ray:?address=127.0.0.1:6379', of a head here.")
    for package in packages:
        if find_spec(package) is None:
            raise EngineError(f"{url!r} needs the package {package}: pip install 'jupyter_dsage[{scheme}]'.")
    there = host or "address" in options
    slots = slots_of(url, options.pop("slots", None)) or (MOST_SLOTS if there else default_slots())
    if files:
        options["tls"] = "1"
    place = (host, port or usual) if host else ("", 0)
    name = name_of(scheme, None, host, port) if host else scheme
    linger = settings.ADAPTER_LINGER_SECONDS
    return EngineURL(name, slots, None, "", *place, "", linger, scheme, tuple(sorted(options.items())))


PARSERS: dict[str, Callable[[str, SplitResult, int | None], EngineURL]] = {
    "ssh": _ssh,
    "slurm": _slurm,
    "dask": _cluster,
    "ray": _cluster,
}
"""Scheme -> what reads its URL (the text, its parts, its port); raises EngineError for what cannot be used."""
