"""Durations as people write them, in URLs and on command lines: ``10min``, ``90s``, ``1.5h``."""

from __future__ import annotations

import re

_UNITS = {"": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_FORM = re.compile(r"(\d{1,9}(?:\.\d{1,3})?) ?(s|min|h|d|)")


def seconds_of(text: str) -> float | None:
    """Return the seconds of a duration, or None for what is none.

    >>> seconds_of("10min"), seconds_of("90"), seconds_of("soon")
    (600.0, 90.0, None)
    """
    found = _FORM.fullmatch(text.strip())
    return float(found[1]) * _UNITS[found[2]] if found else None
