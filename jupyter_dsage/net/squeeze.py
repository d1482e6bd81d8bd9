"""Parts of large frames made smaller by zstd, where that library is at both ends (extra ``[remote]``).

Whether a link is slow enough for it is `net.packet_link`'s to know.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from jupyter_dsage import settings
from jupyter_dsage.errors import ProtocolError


def present() -> bool:
    """Tell whether this end can squeeze, and read what is."""
    return find_spec("zstandard") is not None


class Squeezer:
    """For one stream; parts that do not shrink make it pause."""

    def __init__(self) -> None:
        self._compressor: Any = None
        self._pause = 0

    def squeeze(self, part: memoryview) -> memoryview | None:
        """Return a part made smaller, or None where it would not be by much, or where the last one was not."""
        if self._pause:
            self._pause -= 1
            return None
        if self._compressor is None:
            import zstandard

            self._compressor = zstandard.ZstdCompressor(level=1, write_content_size=True)
        squeezed = self._compressor.compress(part)
        if len(squeezed) > settings.SQUEEZE_GAIN * part.nbytes:
            self._pause = settings.SQUEEZE_PAUSE
            return None
        return memoryview(squeezed)


def unsqueezed(packet: bytes, most: int) -> bytes:
    """Return a part as it was; raises ProtocolError for nonsense and for what would be longer than `most`."""
    if not present():
        raise ProtocolError("A squeezed packet came, and zstandard is not installed here.")
    import zstandard

    try:
        if not 0 < zstandard.frame_content_size(packet) <= most:
            raise ProtocolError("A squeezed packet is longer than what it is part of.")
        part: bytes = zstandard.ZstdDecompressor().decompress(packet)
    except zstandard.ZstdError as error:
        raise ProtocolError(f"A squeezed packet is none: {error}") from None
    return part
