"""How an exception travels that a job raised."""

from __future__ import annotations

from typing import Any


class Raised:
    """An exception as it travels: itself if it can be pickled and read again, and its texts in any case."""

    __slots__ = ("arguments", "data", "kind", "said", "text", "traceback", "type_name")

    def __init__(
        self,
        data: bytes | None,
        type_name: str,
        text: str,
        traceback: str,
        kind: str = "",
        said: str = "",
        shown: str = "",
    ) -> None:
        self.data = data
        self.type_name = type_name
        self.text = text
        self.traceback = traceback
        self.kind = kind
        """``"exit"`` for SystemExit and the like, which must not be raised in the kernel."""
        self.said = said
        """Its ``str``: what comes behind the type's name."""
        self.arguments = shown
        """The job's arguments, as a short text."""

    def __reduce__(self) -> tuple[type[Raised], tuple[Any, ...]]:
        return Raised, (self.data, self.type_name, self.text, self.traceback, self.kind, self.said, self.arguments)
