"""Messages to frames and back. Whatever bytes come in, only `ProtocolError` comes out.

A message is ``[header, *payload]``: the header is two bytes (``D`` and the protocol version) and a MessagePack
array that msgspec checks against the closed set of kinds of that direction. Payload frames stay opaque.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from jupyter_dsage import settings
from jupyter_dsage.errors import PayloadTooLargeError, ProtocolError, VersionMismatchError
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire.segments import LOST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Frame = bytes | memoryview
T = TypeVar("T", bound=m.Message)

_MAGIC = b"D" + bytes([settings.PROTOCOL])
_encode = msgspec.msgpack.Encoder().encode


def encode(message: m.Message, *payload: Frame) -> list[Frame]:
    """Return the frames of a message.

    Raises PayloadTooLargeError for what the other end would not take, ProtocolError for a wrong number of
    payload frames and for text with lone surrogates.
    """
    if len(payload) not in message.frames:
        raise ProtocolError(f"A {type(message).__name__} message cannot carry {len(payload)} payload frames.")
    for frame in payload:
        if (size := memoryview(frame).nbytes) > settings.MAX_FRAME_BYTES:
            raise too_large("a payload", size)
    try:
        header = _MAGIC + _encode(message)
    except UnicodeEncodeError as error:
        raise ProtocolError(f"A {type(message).__name__} message cannot carry this text: {error}.") from None
    if len(header) > settings.MAX_HEADER_BYTES:
        raise PayloadTooLargeError(f"A message header of {len(header):,} bytes is too large to send.")
    return [header, *payload]


def too_large(what: str, size: int) -> PayloadTooLargeError:
    """Return the error for a payload of `size` bytes that exceeds what one message may carry."""
    limit = settings.MAX_FRAME_BYTES
    text = f"{what[0].upper()}{what[1:]}: {size:,} bytes exceed the {limit:,} that one message may carry"
    return PayloadTooLargeError(f"{text}; pass the name of a file instead, or split it.")


class Decoder(Generic[T]):
    """Decodes the messages of one direction, and no others. `lacking`: they may come without a payload frame."""

    def __init__(self, kinds: Any, *, lacking: bool = False) -> None:
        self._kinds = kinds
        self._lacking = lacking
        self._decode: Callable[[memoryview], T] = self._first

    def _first(self, header: memoryview) -> T:
        """Decode the first message: msgspec takes 1 ms for each direction, and no process hears all eight."""
        self._decode = msgspec.msgpack.Decoder(self._kinds).decode
        return self._decode(header)

    def __call__(self, frames: Sequence[Frame]) -> tuple[T, list[Frame]]:
        """Return the message and its payload frames.

        Raises VersionMismatchError for another protocol version, ProtocolError for anything else that is not
        a message of this direction.
        """
        if not 1 <= len(frames) <= settings.MAX_FRAMES:
            raise ProtocolError(f"A message has 1 to {settings.MAX_FRAMES} frames, not {len(frames)}.")
        message = self.header(frames[0])
        payload = list(frames[1:])
        if any(frame is LOST for frame in payload):
            if not self._lacking:
                raise ProtocolError(f"The payload of a {type(message).__name__} message had no descriptor left here.")
            payload = [frame for frame in payload if frame is not LOST]
        if len(payload) not in message.frames:
            raise ProtocolError(f"A {type(message).__name__} message came with {len(payload)} payload frames.")
        return message, payload

    def header(self, frame: Frame) -> T:
        """Return the message of a first frame alone; raises as the decoder does."""
        header = bytes(frame[: settings.MAX_HEADER_BYTES + 1])
        if len(header) > settings.MAX_HEADER_BYTES:
            raise ProtocolError("A message's header is too long.")
        if header[:2] != _MAGIC:
            raise _stranger(header)
        try:
            message: T = self._decode(memoryview(header)[2:])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
            raise ProtocolError(f"A message's header cannot be read: {error}") from None
        return message


def _stranger(header: bytes) -> ProtocolError:
    if header[:1] == b"D" and len(header) > 1:
        return VersionMismatchError(
            f"The peer speaks protocol {header[1]}, this is protocol {settings.PROTOCOL}: "
            "install the same version of jupyter_dsage on both sides."
        )
    return ProtocolError("A peer sent bytes that are no message of jupyter_dsage.")


from_client = Decoder[m.Message](m.FROM_CLIENT)
from_operator = Decoder[m.Message](m.FROM_OPERATOR)
to_client = Decoder[m.Message](m.TO_CLIENT, lacking=True)
in_journal = Decoder[m.Message](m.IN_JOURNAL)
from_worker = Decoder[m.Message](m.FROM_WORKER)
to_worker = Decoder[m.Message](m.TO_WORKER)
to_supervisor = Decoder[m.Message](m.TO_SUPERVISOR)
from_supervisor = Decoder[m.Message](m.FROM_SUPERVISOR)
