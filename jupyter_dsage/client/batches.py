"""The batches of a session by name: ``o`` is the newest of that name, ``o#1`` the first of several.

So none is out of reach when its cell runs again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from jupyter_dsage.core.names import labels, parsed

if TYPE_CHECKING:
    from jupyter_dsage.client.batch import Batch


class Batches(Mapping[str, "Batch"]):
    """What `Session.batches` is. Only the I/O thread adds to it; iterating goes over those that were there."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[Batch]] = {}
        self._all: list[Batch] = []

    def add(self, batch: Batch) -> None:
        """Take in a new batch; its name stands for it from now on."""
        self._all.append(batch)
        self._by_name[batch.name] = [*self._by_name.get(batch.name, ()), batch]

    def __getitem__(self, name: str) -> Batch:
        if found := self._by_name.get(name):
            return found[-1]
        there, place = parsed(name) or (name, 0)
        found = self._by_name.get(there, [])
        if not 0 < place <= len(found):
            raise KeyError(name)
        return found[place - 1]

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels().values())

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        return f"<batches: {', '.join(self) or 'none'}>"

    def labels(self) -> dict[int, str]:
        """Return what each batch is called now, by its number."""
        return labels((batch.number, batch.name) for batch in list(self._all))

    def label(self, batch: Batch) -> str:
        """Return what a batch is called now: its name, or with its number if a newer one has the name."""
        same = self._by_name.get(batch.name, [batch])
        return batch.name if same[-1] is batch else f"{batch.name}#{same.index(batch) + 1}"

    def former(self, name: str) -> list[Batch]:
        """Return the batches of a name that have not ended, oldest first."""
        return [batch for batch in self._by_name.get(name, ()) if not batch.ready()]

    def current(self) -> dict[str, Batch]:
        """Return the newest batch of each name, and those before that have not ended, by what they are called."""
        called = self.labels()
        return {
            called[batch.number]: batch
            for batch in list(self._all)
            if batch.number in called and (called[batch.number] == batch.name or not batch.ready())
        }
