"""Notes below exceptions, also below those that refuse to be changed."""

from __future__ import annotations


def add_note(error: BaseException, note: str) -> None:
    """Do what ``add_note`` does, also with an exception that refuses to be changed, as a frozen dataclass does."""
    BaseException.__setattr__(error, "__notes__", [*_notes(error), note])


def note_once(error: BaseException, note: str) -> None:
    """Add a note, unless it stands there already."""
    if note not in _notes(error):
        add_note(error, note)


def _notes(error: BaseException) -> list[str]:
    notes = vars(error).get("__notes__")
    return notes if isinstance(notes, list) else []
