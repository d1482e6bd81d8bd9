"""Text from users' objects made safe: an exact `str` without lone surrogates; what asks for it never raises.

A user's ``__str__`` may raise, exit, or return a subclass of `str` whose methods do; a file's name may hold bytes that
are no UTF-8, which no message can carry.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}
"""What moves a terminal's cursor, rings its bell or changes its colours, each as it is written in a string."""


def exact(text: str) -> str:
    """Return a text of any subclass of `str` as an exact one that can be encoded."""
    return str.encode(text, "utf-8", "backslashreplace").decode()


def safely(make: Callable[[], Any], instead: str) -> str:
    """Return the text that `make` returns, as `exact` does; `instead` where it raises or returns something else."""
    try:
        return exact(make())
    except BaseException:  # noqa: BLE001  (a user's code may raise anything, and even exit)
        return instead


def type_name(value: object, *, whole: bool = False) -> str:
    """Return the name of a value's type, `whole` with its module; as the type was made, whatever its metaclass says."""
    kind = type(value)
    name = safely(lambda: type.__dict__["__qualname__"].__get__(kind), "?")
    module = safely(lambda: type.__dict__["__module__"].__get__(kind), "?") if whole else "builtins"
    return name if module == "builtins" else f"{module}.{name}"


def visible(text: str) -> str:
    """Return a text with control characters but tabs and line ends written out."""
    return exact(text).translate(_CONTROLS)


def set_up_logging(form: str, level: int, **where: Any) -> None:
    """Call ``logging.basicConfig`` so that no record brings control characters into the log; `where`: its keywords."""
    logging.basicConfig(level=level, **where)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(Formatter(form))


class Formatter(logging.Formatter):
    """Formats log records for a terminal, or for a file that is looked at in one."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        return visible(super().format(record))
