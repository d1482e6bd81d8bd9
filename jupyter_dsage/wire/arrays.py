"""numpy arrays and numpy scalars as bytes of plain data, for `wire.data`; no element is ever an object.

``[length of the dtype's name, dimensions, each of them, the dtype's name, the elements in C order]``. Reading is of
untrusted bytes: it takes memory for what is there, never for what is announced, and raises ValueError for anything
else. numpy is imported when the first array comes along.
"""

from __future__ import annotations

import math
import re
import struct
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_SAFE = re.compile(r"[<>|][biufcSU][0-9]{1,9}|[<>][Mm]8(\[[0-9]{0,9}[a-zA-Z]{1,2}\])?")
"""The names of dtypes whose elements are numbers, texts and times: numpy is asked about no other."""
_COUNTS = struct.Struct("<BB")
_LAST_CHARACTER = 0x10FFFF


def is_array(value: Any) -> bool:
    """Tell whether a value is an array that can travel: no subclass, but for a file that is mapped."""
    np = sys.modules.get("numpy")
    return np is not None and type(value) in {np.ndarray, np.memmap} and _travels(value.dtype)


def is_scalar(value: Any) -> bool:
    """Tell whether a value is a numpy scalar that can travel."""
    np = sys.modules.get("numpy")
    return np is not None and isinstance(value, np.generic) and _travels(np.asarray(value).dtype)


def _travels(dtype: np.dtype[Any]) -> bool:
    return dtype.itemsize > 0 and dtype.metadata is None and _SAFE.fullmatch(dtype.str) is not None


def pack(value: Any) -> bytes:
    """Return an array or scalar that can travel as bytes; of an array that is contiguous, one copy is made."""
    import numpy as np

    array = np.asarray(value)
    name = array.dtype.str.encode("ascii")
    head = _COUNTS.pack(len(name), array.ndim) + struct.pack(f"<{array.ndim}Q", *array.shape) + name
    flat = np.ascontiguousarray(array).reshape(-1)  # times have no buffer, their bytes have
    return b"".join([head, flat.view(np.uint8).data])


def unpack(data: bytes) -> np.ndarray[Any, Any]:
    """Return the array of some bytes, writable and with memory of its own; raises ValueError."""
    import numpy as np

    if len(data) < _COUNTS.size:
        raise ValueError("an array without a head")
    length, dimensions = _COUNTS.unpack_from(data)
    start = _COUNTS.size + 8 * dimensions + length
    if len(data) < start:
        raise ValueError("an array whose head is cut off")
    shape = struct.unpack_from(f"<{dimensions}Q", data, _COUNTS.size)
    name = data[start - length : start].decode("ascii")
    if not _SAFE.fullmatch(name):
        raise ValueError("an array of something that is no plain data")
    try:
        dtype = np.dtype(name)
    except TypeError:
        raise ValueError("an array of a type that numpy does not know") from None
    if dtype.itemsize == 0 or math.prod(shape) * dtype.itemsize != len(data) - start:
        raise ValueError("an array whose shape does not match its bytes")
    if 0 in shape:
        return np.empty(shape, dtype)
    flat = np.frombuffer(data, np.uint8, offset=start)
    if not _sound(flat, dtype):
        raise ValueError("an array with bytes that stand for no element")
    return flat.copy().view(dtype).reshape(shape)


def _sound(flat: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> bool:
    """Tell whether numpy may work with these elements: it takes their soundness for granted.

    Counting the true ones of an array of booleans sums their bytes, so other bytes than 0 and 1 lead it astray.
    """
    if dtype.kind == "b":
        return bool(flat.max() <= 1)
    if dtype.kind == "U":
        return bool(flat.view(f"{dtype.str[0]}u4").max() <= _LAST_CHARACTER)
    return True
