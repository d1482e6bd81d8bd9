"""Plain data as bytes, for calls of services: MessagePack with tuples, large integers and arrays; never a pickle.

Used where the other end is trusted with data, not with code: by the client for a service's arguments, by the worker
for its outcomes. Reading is of untrusted bytes: whatever comes in, only `ProtocolError` comes out, and memory stays
within a small multiple of the input (100 times, for empty containers). What is read is checked in full before
anything is built, since a head may announce more than follows. Calls and outcomes: see `wire.data_calls`.

Tuples are lists that begin with a mark, so that reading them nests no call in another.
"""

from __future__ import annotations

import struct
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import msgpack

from jupyter_dsage.errors import PayloadTooLargeError, ProtocolError
from jupyter_dsage.wire import arrays
from jupyter_dsage.wire.not_data import MOST_BYTES, refusal
from jupyter_dsage.wire.quantities import plain

if TYPE_CHECKING:
    from collections.abc import Callable

Frame = bytes | memoryview

_TUPLE, _INTEGER, _COMPLEX, _ARRAY, _SCALAR = range(1, 6)
"""The extension types."""
_COMPLEX_FORMAT = struct.Struct("<dd")
_ALIKE = 64
"""Keys of one hash in one dict: those of honest data are alike by twos (-1 and -2). Multiples of
2**61 - 1 all are: 28,000 of them, in 223 KB, took 1.6 s."""
_MARK = msgpack.ExtType(_TUPLE, b"")


# --- writing -------------------------------------------------------------------------------------------------


def dumps(value: Any, label: str) -> bytes:
    """Return a value as bytes.

    Raises NotDataError for what is no plain data, and PayloadTooLargeError; both name the culprit by its path from
    `label` (``job 3 → kwargs['loc'][2]``). A bytearray arrives as bytes, another library's number (Sage's) as Python's.
    """
    return writer()(value, label)


def writer() -> Callable[[Any, str], bytes]:
    """Return a `dumps` for many values, of one thread: its buffer is used again."""
    return partial(_dumps, msgpack.Packer(default=_extended, strict_types=True, buf_size=4096))


def _dumps(packer: msgpack.Packer, value: Any, label: str) -> bytes:
    try:
        data: bytes = packer.pack(value)
    except Exception as error:  # noqa: BLE001  (arrays and dicts of the user's may raise anything)
        packer.reset()
        raise refusal(value, label, _extended, error) from None
    return data


def _extended(value: Any) -> Any:
    """Return what stands for a value that MessagePack has no type for; raises TypeError for what is no data."""
    kind = type(value)
    if kind is tuple:
        return [_MARK, *value]
    if kind is int:
        return _extension(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    if kind is complex:
        return msgpack.ExtType(_COMPLEX, _COMPLEX_FORMAT.pack(value.real, value.imag))
    if arrays.is_array(value):
        return _extension(_ARRAY, arrays.pack(value))
    if arrays.is_scalar(value):
        return msgpack.ExtType(_SCALAR, arrays.pack(value))
    number = plain(value)
    fits = type(number) is float or (type(number) is int and -(2**63) <= number < 2**64)
    return number if fits else _extended(number)


def _extension(code: int, data: bytes) -> msgpack.ExtType:
    if len(data) > MOST_BYTES:
        raise PayloadTooLargeError
    return msgpack.ExtType(code, data)


# --- reading -------------------------------------------------------------------------------------------------


def loads(data: Frame) -> Any:
    """Return the value of some bytes; raises ProtocolError for anything that `dumps` did not make."""
    try:
        _check(data)
        return _Reader().read(data)
    except Exception as error:  # noqa: BLE001  (broken heads, unhashable keys, texts that are none, too deep, too much)
        raise ProtocolError(f"A peer sent bytes that are no plain data ({error or type(error).__name__}).") from None


def _check(data: Frame) -> None:
    """Raise unless the bytes are one whole value: then no head in them announces more than is there."""
    size = memoryview(data).nbytes
    scan = msgpack.Unpacker(max_buffer_size=max(size, 1), read_size=1)
    scan.feed(data)
    scan.skip()
    if scan.tell() != size:
        raise ValueError("bytes are left over")


def _table(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return a dict; ValueError where many keys have one hash: each would be compared with all the others."""
    if len(pairs) > _ALIKE:
        hashes = Counter(hash(key) for key, _ in pairs)
        if max(hashes.values()) > _ALIKE:
            raise ValueError("keys that are made to collide")
    return dict(pairs)


class _Reader:
    """Reads one value. `_marks`: those of tuples that came; each must begin a list."""

    def __init__(self) -> None:
        self._marks = 0

    def read(self, data: Frame) -> Any:
        """Return the value; raises whatever is wrong with it."""
        value = msgpack.unpackb(
            data,
            strict_map_key=False,
            timestamp=1,  # the one extension of MessagePack's own; never written by us, read as a plain float
            list_hook=self._list,
            object_pairs_hook=_table,
            ext_hook=self._extension,
        )
        if self._marks:
            raise ValueError("a tuple's mark in a wrong place")
        return value

    def _list(self, items: list[Any]) -> Any:
        if items and items[0] is _MARK:
            self._marks -= 1
            return tuple(items[1:])
        return items

    def _extension(self, code: int, data: bytes) -> Any:
        if code == _TUPLE and not data:
            self._marks += 1
            return _MARK
        if code == _INTEGER and data:
            return int.from_bytes(data, "big", signed=True)
        if code == _COMPLEX:
            return complex(*_COMPLEX_FORMAT.unpack(data))
        if code == _ARRAY:
            return arrays.unpack(data)
        if code == _SCALAR:
            array = arrays.unpack(data)
            if array.ndim == 0:
                return array[()]
        raise ValueError("an extension that is unknown or malformed")
