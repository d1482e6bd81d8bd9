"""How many bytes of large frames may be under way on a stream, so that a message behind them waits a second at most.

By Little's law: what was under way when a part was sent, over the time until it was acknowledged, is the rate of the
link; a second's worth of that, and what the way there and back holds, is what may be under way next. Pure: it is told
the time.
"""

from __future__ import annotations

import collections

from jupyter_dsage import settings


class Pacer:
    """One direction of one stream; bytes are counted from its beginning."""

    def __init__(self) -> None:
        self._sent = 0
        self._got = 0
        self._window: float = settings.PACE_FIRST_BYTES
        self._marks: collections.deque[tuple[int, float, int]] = collections.deque()
        """(bytes sent up to here, when, bytes then under way)."""
        self._shortest = float("inf")
        self.rate = 0.0
        """Bytes a second, as last seen; 0 while nothing was."""

    def may(self) -> bool:
        """Tell whether more may be sent now."""
        return self._sent - self._got < self._window

    def sent(self, count: int, now: float) -> None:
        """Note that bytes were handed to the stream."""
        self._sent += count
        self._marks.append((self._sent, now, self._sent - self._got))

    def got(self, total: int, now: float) -> None:
        """Note that the other end has read so many bytes since the beginning."""
        self._got = max(self._got, min(total, self._sent))
        seen = None
        while self._marks and self._marks[0][0] <= self._got:
            seen = self._marks.popleft()
        if seen is None:
            return
        took = max(now - seen[1], 1e-6)
        self._shortest = min(self._shortest, took)
        self.rate = seen[2] / took
        wanted = self.rate * (self._shortest + settings.PACE_SECONDS)
        self._window = min(max(wanted, settings.PACE_LEAST_BYTES), settings.PACE_MOST_BYTES)
