"""How often something is told of one address: a stranger that knocks all day must not fill the log.

Pure, with `now` passed in; used by `net.doorman` and `net.bulk`, which write the lines.
"""

from __future__ import annotations

OTHERS = "other addresses"


class Throttle:
    """One line for each address in `seconds`; beyond `most` addresses at a time, the new ones share one line."""

    def __init__(self, seconds: float = 60.0, most: int = 1000) -> None:
        self._seconds = seconds
        self._most = most
        self._told: dict[str, float] = {}
        """When the last line was told of each address; oldest first."""
        self._held: dict[str, int] = {}
        """How many were held back since."""

    def note(self, address: str, now: float) -> int | None:
        """Note one event. Return None if it is to be held back, else how many were since the last line."""
        if address not in self._told and len(self._told) >= self._most and not self._make_room(now):
            address = OTHERS
        if address in self._told and now - self._told[address] < self._seconds:
            self._held[address] = self._held.get(address, 0) + 1
            return None
        self._told.pop(address, None)  # so that it becomes the newest
        self._told[address] = now
        return self._held.pop(address, 0)

    def _make_room(self, now: float) -> bool:
        """Forget the addresses whose time is over; return whether there were any."""
        before = len(self._told)
        while self._told and now - self._told[oldest := next(iter(self._told))] >= self._seconds:
            del self._told[oldest]
            self._held.pop(oldest, None)
        return len(self._told) < before
