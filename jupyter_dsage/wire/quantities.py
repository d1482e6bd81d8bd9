"""Numbers as people give them: Python's, numpy's, Sage's, whatever has ``__index__`` or ``__float__``."""

from __future__ import annotations

import numbers
import operator

from jupyter_dsage.errors import UsageError


def whole(value: object) -> int | None:
    """Return a whole number as an `int`; None for what is none, and for truth values."""
    if type(value) is int:
        return value
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001  (a fraction refuses, and a user's class may raise anything)
        return None


def real(value: object) -> float | None:
    """Return a number as a `float`; None for what is none, and for truth values and text."""
    if type(value) is float:
        return value
    kind = type(value)
    if isinstance(value, (bool, str, bytes)) or kind.__name__ in {"bool", "bool_"}:  # the latter two are numpy's
        return None
    try:
        return float(value) if hasattr(kind, "__float__") or hasattr(kind, "__index__") else None  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001  (too large for a float, or whatever a user's class raises)
        return None


def seconds(timeout: object) -> float | None:
    """Return how long a call may wait, None for ever; raises UsageError for what is no time."""
    if timeout is None or type(timeout) is float:
        return timeout
    found = real(timeout)
    if found is None:
        raise UsageError(f"timeout={timeout!r} is no time: give seconds, or None for no limit.")
    return found


def plain(value: object) -> int | float | complex:
    """Return another library's number as one of Python's; raises TypeError for what is none.

    Subclasses of Python's own are more than a number (an enumeration), and so is what has a length (a tensor). A
    `Decimal` is no `numbers.Real`, since a float would not be the same number.
    """
    if isinstance(value, (int, float, complex)) or hasattr(type(value), "__len__"):
        raise TypeError
    if (index := whole(value)) is not None:
        return index
    if isinstance(value, numbers.Number) and not isinstance(value, numbers.Real):
        if isinstance(value, numbers.Complex):
            return complex(value)
        raise TypeError
    if (found := real(value)) is None:
        raise TypeError
    return found
