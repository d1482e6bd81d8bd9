"""Words and options of a magic's line. Called by `line` and `verbs`; knows neither IPython nor sessions."""

from __future__ import annotations

import ast
import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_dsage.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPENING, _CLOSING = "([{", ")]}"


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of a line between spaces, from `start` on; what brackets and quotes enclose holds together."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Option:
    """What follows an option: nothing, a word, or a number of at least `least`."""

    value: str | None = None
    """What its value is called in a sentence; None if it takes none."""
    least: int | None = None
    """The smallest number; None if its value is no number."""


def words(line: str) -> list[Word]:
    """Return the words of a line, up to a comment.

    >>> [word.text for word in words("hist for x in range(1, 9)  # nine")]
    ['hist', 'for', 'x', 'in', 'range(1, 9)']
    """
    out: list[Word] = []
    start: int | None = None
    depth = at = 0
    while at < len(line):
        char = line[at]
        if char == "#":
            break
        if char.isspace() and depth <= 0:
            if start is not None:
                out.append(Word(line[start:at], start))
            start = None
        elif start is None:
            start = at
        if char in _OPENING:
            depth += 1
        elif char in _CLOSING:
            depth -= 1
        at = _behind_quotes(line, at) if char in "'\"" else at + 1
    if start is not None:
        out.append(Word(line[start:at].rstrip(), start))
    return out


def _behind_quotes(line: str, at: int) -> int:
    """Return the place behind the string that begins at `at`; the line's end if it does not end."""
    quote = line[at] * 3 if line.startswith(line[at] * 3, at) else line[at]
    at += len(quote)
    while at < len(line):
        if line.startswith(quote, at):
            return at + len(quote)
        at += 2 if line[at] == "\\" else 1
    return len(line)


def is_option(word: Word) -> bool:
    """Tell whether a word has the looks of an option."""
    return word.text.startswith("--")


def take(given: list[Word], at: int, known: Mapping[str, Option], out: dict[str, Any]) -> int:
    """Read the option at `at` into `out`; return the place behind it and its value. Raises UsageError."""
    name, equals, value = given[at].text.removeprefix("--").partition("=")
    option = known.get(name)
    if option is None:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean --{near[0]}?" if near else f"there is {', '.join(f'--{key}' for key in known)}."
        raise UsageError(f"There is no option --{name}; {hint}")
    if name in out:
        raise UsageError(f"--{name} is given twice.")
    if option.value is None:
        if equals:
            raise UsageError(f"--{name} takes no value, so {value!r} is too much.")
        out[name] = True
        return at + 1
    if not equals:
        at += 1
        if at == len(given) or is_option(given[at]):
            raise UsageError(f"--{name} wants {option.value} after it.")
        value = given[at].text
    out[name] = _unquoted(value) if option.least is None else _number(name, value, option.least)
    return at + 1


def _number(name: str, value: str, least: int) -> int:
    number = int(value) if value.isdecimal() else -1
    if number < least:
        raise UsageError(f"--{name} takes a number of at least {least}, not {value!r}.")
    return number


def _unquoted(value: str) -> str:
    if value[:1] in {"'", '"'}:
        try:
            return str(ast.literal_eval(value))
        except (ValueError, SyntaxError):
            return value
    return value
