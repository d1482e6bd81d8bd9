"""What batches are called: a name stands for the newest batch that has it, those before are NAME#1, NAME#2 and so on.

The numbers count from the oldest on, so that a batch keeps its number when the cell that made it runs again. Used by
the child for its views, and by clients for looking batches up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


_DIGITS = 9
"""Of a number in a label: more batches than any session has."""


def labels(batches: Iterable[tuple[int, str]]) -> dict[int, str]:
    """Return what each batch is called, of all (number, name) of a session, oldest first.

    >>> labels([(1, "o"), (2, "p"), (3, "o"), (4, "o")])
    {1: 'o#1', 2: 'p', 3: 'o#2', 4: 'o'}
    """
    out: dict[int, str] = {}
    seen: dict[str, int] = {}
    newest: dict[str, int] = {}
    for number, name in batches:
        seen[name] = seen.get(name, 0) + 1
        out[number] = f"{name}#{seen[name]}"
        newest[name] = number
    return out | {number: name for name, number in newest.items()}


def parsed(label: str) -> tuple[str, int] | None:
    """Return name and place of a label such as ``o#1``; None for one without a number.

    >>> parsed("o#1"), parsed("o"), parsed("#1")
    (('o', 1), None, None)
    """
    name, sign, number = label.rpartition("#")
    place = int(number) if name and sign and number.isascii() and number.isdecimal() and len(number) <= _DIGITS else 0
    return (name, place) if place else None
