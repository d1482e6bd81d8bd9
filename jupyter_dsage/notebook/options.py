"""Words and options of a magic's line. Called by `line` and `verbs`; knows neither IPython nor sessions."""

from __future__ import annotations

import ast
import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_dsage.errors import UsageError
from jupyter_dsage.net.durations import seconds_of
from jupyter_dsage.wire.setup import amounts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    read: Callable[[str], Any] | None = None
    """Reads its value; raises UsageError. None if it is a word or a number."""


def words(line: str, *, numbered: bool = False) -> list[Word]:
    """Return the words of a line, up to a comment. `numbered`: a word may be a batch's label, such as ``o#1``.

    >>> [word.text for word in words("hist for x in range(1, 9)  # nine")]
    ['hist', 'for', 'x', 'in', 'range(1, 9)']
    """
    out: list[Word] = []
    start: int | None = None
    depth = at = 0
    while at < len(line):
        char = line[at]
        if char == "#" and not _in_label(line, start, at, numbered=numbered):
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


def _in_label(line: str, start: int | None, at: int, *, numbered: bool) -> bool:
    """Tell whether the ``#`` at `at` stands in a batch's label, rather than before a comment."""
    if start is None or not re.match(r"#\d+(\s|$)", line[at:]):
        return False
    return numbered or line[:start].endswith("--into ") or line[start:at].startswith("--into=")


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
    if option.read is not None:
        out[name] = option.read(value)
        return at + 1
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


_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def seconds(text: str) -> float:
    """Return a time limit in seconds; raises UsageError.

    >>> seconds("90"), seconds("1.5s"), seconds("10min")
    (90.0, 1.5, 600.0)
    """
    value = seconds_of(text) or 0.0
    if not value > 0:
        raise UsageError(f"{text!r} is no time: give a number above 0 with s, min or h behind it, such as 30s.")
    return value


def size(text: str) -> int:
    """Return an amount of memory in bytes; raises UsageError.

    >>> size("500MB"), size("2GiB")
    (500000000, 2147483648)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", text)
    unit = _UNITS.get(found[2].upper()) if found else None
    value = int(float(found[1]) * unit) if found and unit else 0
    if value < 1:
        raise UsageError(f"{text!r} is no amount of memory: give a number with MB or GB behind it, such as 500MB.")
    return value


def names(text: str) -> tuple[str, ...]:
    """Return the names in a list of them; raises UsageError.

    >>> names("local,ssh://me@lab7")
    ('local', 'ssh://me@lab7')
    """
    found = tuple(name.strip() for name in text.split(","))
    if not all(found):
        raise UsageError(f"{text!r} is no list of names: write them with commas between, as in local,far.")
    return found


def amounts(text: str) -> dict[str, int]:
    """Return resources and their amounts; raises UsageError.

    >>> amounts("gpu=1,licence=2")
    {'gpu': 1, 'licence': 2}
    """
    try:
        return dict(amounts_of(text, "="))
    except ValueError as error:
        raise UsageError(f"{text!r} names no resources: {error}; try gpu=1.") from None


def whole(text: str) -> int:
    """Return a whole number, which may be below 0; raises UsageError."""
    if not re.fullmatch(r"[+-]?\d{1,9}", text):
        raise UsageError(f"{text!r} is no whole number.")
    return int(text)
