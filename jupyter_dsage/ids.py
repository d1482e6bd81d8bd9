"""Names that need randomness or a hash: session ids and function ids."""

from __future__ import annotations

import hashlib
import secrets


def new_session_id() -> str:
    """Return 8 random hexadecimal digits: short enough for a socket path, enough for one user's sessions."""
    return secrets.token_hex(4)


def function_id(payload: bytes) -> str:
    """Return the content hash (BLAKE2b, 16 bytes, hexadecimal) by which a function payload is named."""
    return hashlib.blake2b(payload, digest_size=16).hexdigest()
