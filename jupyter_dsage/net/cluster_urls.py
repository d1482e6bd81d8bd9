"""URLs of engines beyond this machine that are no worker servers: ``ssh://``. One parser each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dsage.errors import EngineError
from jupyter_dsage.net.url_parts import MOST_SLOTS, EngineURL, linger_of, options_of, slots_of

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


PARSERS: dict[str, Callable[[str, SplitResult, int | None], EngineURL]] = {"ssh": _ssh}
"""Scheme -> what reads its URL (the text, its parts, its port); raises EngineError for what cannot be used."""
