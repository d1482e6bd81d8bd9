"""Frames on their way through somebody else's scheduler: opaque bytes, which its own pickling carries beside."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_dsage.wire.codec import Frame

_BESIDE = 65_536
"""Frames above this leave the pickle, so that they are not copied into it."""


class Parcel:
    """Messages, each a list of frames. Dask and Ray carry its large frames out of band (pickle protocol 5).

    >>> [list(map(bytes, letter)) for letter in pickle.loads(pickle.dumps(Parcel([[b"a", b"b" * 3]], 7))).letters]
    [[b'a', b'bbb']]
    """

    def __init__(
        self, letters: Iterable[list[Frame]], number: int = 0, took: tuple[tuple[int, int, float], ...] = ()
    ) -> None:
        self.letters = list(letters)
        self.number = number
        """That of the first letter to an agent, of the last one from it."""
        self.took = took
        """From an agent: (worker, order, seconds) of each chunk that is over."""

    @property
    def size(self) -> int:
        """Bytes in all frames."""
        return sum(memoryview(frame).nbytes for letter in self.letters for frame in letter)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Return what pickle is to write: small frames in it, large ones beside it."""
        frames = [_packed(frame) for letter in self.letters for frame in letter]
        return _unpacked, (self.number, self.took, tuple(map(len, self.letters)), *frames)


def _packed(frame: Frame) -> Any:
    view = memoryview(frame)
    if view.nbytes <= _BESIDE or not view.contiguous:
        return bytes(view)
    return pickle.PickleBuffer(view)


def _unpacked(number: int, took: Any, lengths: tuple[int, ...], *frames: Any) -> Parcel:
    rest = iter(frame if isinstance(frame, bytes) else memoryview(frame).cast("B") for frame in frames)
    return Parcel([[next(rest) for _ in range(length)] for length in lengths], number, took)
