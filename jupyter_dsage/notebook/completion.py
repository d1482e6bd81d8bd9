"""Tab completion in the lines of the magics: options, verbs, batches, engines, sessions; Python's where it is due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from jupyter_dsage.client.batch import Batch
from jupyter_dsage.notebook import line as scatter_line
from jupyter_dsage.notebook import sessions, verbs
from jupyter_dsage.notebook.options import Option, words

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = "__dsage_matcher__"


def candidates(text: str, names: Mapping[str, Any]) -> list[str]:
    """Return what may stand where `text`, a line up to the cursor, ends; empty where Python's completion is due."""
    magic, _, rest = text.lstrip().partition(" ")
    given = [word.text for word in words(rest)]
    begun = given.pop() if given and not rest[-1:].isspace() else ""
    if magic == "%%scatter":
        found = _scatter(given, begun, names)
    elif magic == "%dsage" and rest is not None:
        found = _dsage(given, begun, names)
    else:
        found = []
    return [each for each in found if each.startswith(begun)]


def _scatter(given: list[str], begun: str, names: Mapping[str, Any]) -> list[str]:
    if begun.startswith("-"):
        return _options(scatter_line.OPTIONS, given)
    if given and (values := _values(given[-1], scatter_line.OPTIONS, names)) is not None:
        return values
    if {"for", "using"} & set(given):
        return []
    plain = _plain(given, scatter_line.OPTIONS)
    return ["for", "using"] if plain or "--into" in given else []


def _dsage(given: list[str], begun: str, names: Mapping[str, Any]) -> list[str]:
    if not given:
        return list(verbs.VERBS)
    verb = verbs.VERBS.get(given[0])
    if verb is None:
        return []
    if begun.startswith("-"):
        return _options(verb.options, given)
    values = _values(given[-1], verb.options, names)
    if values is not None:
        return values
    if given[0] == "engine":
        return _engines(_plain(given[1:], verb.options))
    return _batches(names) if verb.words == "BATCH" else []


def _engines(given: list[str]) -> list[str]:
    """Return what may follow ``engine``: what to do, then the name of an engine that is there."""
    if not given:
        return list(verbs.ENGINE_WORDS)
    if len(given) > 1 or given[0] not in verbs.ENGINE_WORDS or given[0] == "add":
        return []
    return _known_engines()


def _known_engines() -> list[str]:
    return sorted({engine.name for session in sessions.by_name().values() for engine in session.engines})


def _options(known: Mapping[str, Option], given: list[str]) -> list[str]:
    return [f"--{name}" for name in known if f"--{name}" not in given]


def _values(before: str, known: Mapping[str, Option], names: Mapping[str, Any]) -> list[str] | None:
    """Return what may follow an option; None if the word before is none that wants a value."""
    option = known.get(before.removeprefix("--")) if before.startswith("--") else None
    if option is None or option.value is None:
        return None
    if before == "--session":
        return list(sessions.by_name())
    if before == "--engine":
        return _known_engines()
    return _batches(names) if before == "--into" else []


def _plain(given: list[str], known: Mapping[str, Option]) -> list[str]:
    """Return the words that are neither options nor their values."""
    taken = {at + 1 for at, word in enumerate(given) if _values(word, known, {}) is not None}
    return [word for at, word in enumerate(given) if at not in taken and not word.startswith("--")]


def _batches(names: Mapping[str, Any]) -> list[str]:
    held = [name for name, value in list(names.items()) if isinstance(value, Batch) and not name.startswith("_")]
    known = [name for session in sessions.by_name().values() for name in session.batches.current()]
    return sorted({*held, *known})


def register(ip: Any) -> None:
    """Ask `candidates` first when Tab is pressed."""
    unregister(ip)

    @context_matcher()  # type: ignore[untyped-decorator]
    def dsage_matcher(context: Any) -> dict[str, Any]:
        found = candidates(context.text_until_cursor, ip.user_ns)
        begun = context.text_until_cursor.split()[-1:] or [""]
        fragment = "" if context.text_until_cursor[-1:].isspace() else begun[0]
        return {
            "completions": [SimpleCompletion(text=each, type="magic") for each in found],
            "matched_fragment": fragment,
            "suppress": bool(found),
            "ordered": True,
        }

    setattr(dsage_matcher, _NAME, True)
    ip.Completer.custom_matchers.append(dsage_matcher)


def unregister(ip: Any) -> None:
    """Ask it no more."""
    matchers = ip.Completer.custom_matchers
    matchers[:] = [matcher for matcher in matchers if not hasattr(matcher, _NAME)]
