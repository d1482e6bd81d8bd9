"""The line of a `%%scatter` cell, taken apart: options, the batch's name, and the loop or the jobs as text.

Called by `magics`. Python is not parsed here (see `loop`), and nothing is looked up.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from typing import Any

from jupyter_dsage.errors import UsageError
from jupyter_dsage.notebook.options import Option, Word, amounts, is_option, names, seconds, size, take, whole, words

USAGE = (
    "Usage: %%scatter [OPTIONS] NAME for VARS in EXPR [if COND]   or   %%scatter [OPTIONS] NAME using JOBS   "
    "(%%scatter? tells more)"
)

OPTIONS = {
    "into": Option("a batch"),
    "session": Option("a session's name"),
    "limit": Option("a number", 1),
    "retries": Option("a number", 0),
    "timeout": Option("a time, such as 30s,", read=seconds),
    "memory": Option("an amount, such as 500MB,", read=size),
    "at-most-once": Option(),
    "priority": Option("a whole number", read=whole),
    "engine": Option("an engine's name", read=names),
    "resources": Option("amounts, such as gpu=1,", read=amounts),
    "wait": Option(),
    "quiet": Option(),
    "replace": Option(),
}

_KEYWORD = re.compile(r"(for|using)\b")


@dataclass(frozen=True, slots=True)
class Line:
    """What a line says. `text`: the loop from its ``for`` on, or the expression behind ``using``."""

    name: str | None
    """None only with `into`."""
    loops: bool
    """Whether it says ``for`` rather than ``using``."""
    text: str
    start: int
    """Where `text` begins in the line."""
    into: str | None = None
    session: str | None = None
    limit: int | None = None
    retries: int | None = None
    timeout: float | None = None
    memory: int | None = None
    at_most_once: bool = False
    priority: int | None = None
    engine: tuple[str, ...] | None = None
    resources: dict[str, int] | None = None
    wait: bool = False
    quiet: bool = False
    replace: bool = False

    @property
    def fixed(self) -> dict[str, Any]:
        """What belongs to the cell that makes a batch, and cannot be changed later."""
        said = {
            "retries": self.retries,
            "timeout": self.timeout,
            "memory": self.memory,
            "at_most_once": self.at_most_once or None,
            "priority": self.priority,
            "engine": self.engine,
            "resources": self.resources,
        }
        return {name: value for name, value in said.items() if value is not None}


def parse(line: str) -> Line:
    """Take a line apart; raises UsageError with one sentence.

    >>> parse("hist for x in range(100) --limit 2")
    Line(name='hist', loops=True, text='for x in range(100)', start=5, into=None, session=None, limit=2, retries=None,
    timeout=None, memory=None, at_most_once=False, priority=None, engine=None, resources=None, wait=False, quiet=False,
    replace=False)
    """
    given = words(line)
    options: dict[str, Any] = {}
    at, name = _head(given, options)
    keyword_at = at
    while at < len(given) and not is_option(given[at]):
        at += 1
    stop = given[at - 1].start + len(given[at - 1].text)
    while at < len(given):
        if not is_option(given[at]):
            raise UsageError(
                f"{given[at].text!r} stands behind the options at the end: "
                "options come before the name, right after it, or at the very end."
            )
        at = take(given, at, OPTIONS, options)
    start = given[keyword_at].start
    loops = given[keyword_at].text.startswith("for")
    if loops and line[start:stop].endswith(":"):  # as Python writes it
        stop -= 1
    if not loops:
        start += len("using")
        start += len(line[start:stop]) - len(line[start:stop].lstrip())
        if start >= stop:
            raise UsageError("'using' wants (args, kwargs) pairs after it, as in: hist using inList.")
    if name is None and "into" not in options:
        example = "hist for x in range(100)" if loops else "hist using inList"
        raise UsageError(f"A name is missing before {'for' if loops else 'using'!r}, as in: {example}.")
    return Line(
        name, loops, line[start:stop], start, **{key.replace("-", "_"): value for key, value in options.items()}
    )


def _head(given: list[Word], options: dict[str, Any]) -> tuple[int, str | None]:
    """Read options and the name; return the place of ``for`` or ``using``, and the name."""
    name: str | None = None
    at = 0
    while at < len(given):
        word = given[at]
        if is_option(word):
            at = take(given, at, OPTIONS, options)
        elif _KEYWORD.match(word.text):
            return at, name
        elif word.text == "async":
            raise UsageError("'async for' has no place here: jobs run in other processes; write 'for'.")
        elif name is not None:
            raise UsageError(f"After the name {name!r} comes 'for' or 'using', not {word.text!r}.")
        else:
            name = _checked(word.text)
            at += 1
    if name is None:
        raise UsageError("Nothing says what to scatter, as in: hist for x in range(100).")
    raise UsageError(f"After the name {name!r} comes what to scatter, as in: {name} for x in range(100).")


def _checked(name: str) -> str:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"{name!r} is no name for a batch: it must be a Python name, such as hist.")
    return name
