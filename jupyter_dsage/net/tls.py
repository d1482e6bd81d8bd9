"""Certificates and TLS contexts for bulk connections: TLS 1.3, both ends pinned, no authority in between.

Each end makes an identity for as long as its process lives and tells the certificate over a connection that is
trusted already; `net.bulk` and `net.bulk_door` connect. Opens no connection. The private key never lies in a folder:
the library wants a file, so it gets one in memory, or one that is gone at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from jupyter_dsage.errors import ProtocolError, StartError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BEFORE, _AFTER = timedelta(days=1), timedelta(days=3650)
"""Valid around now: hosts' clocks differ, and the pin is what counts."""


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """A certificate, which is told to the other end, and its private key, which stays here."""

    cert_pem: str
    key_pem: bytes

    def __repr__(self) -> str:
        return "Identity(...)"


def make_identity() -> Identity:
    """Return a new identity; raises StartError if the extra that makes certificates is not installed."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise StartError(
            "Large arguments and values to and from other hosts need one more package: "
            "run pip install 'jupyter_dsage[remote]' on both sides."
        ) from None
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, os.urandom(16).hex())])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _AFTER)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Identity(certificate.public_bytes(pem).decode("ascii"), private)


def fingerprint(cert_pem: str) -> bytes:
    """Return what a certificate is known by (SHA-256 of its DER); raises ProtocolError for what is none."""
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(cert_pem)).digest()
    except (ValueError, TypeError, AttributeError):
        raise ProtocolError("A peer sent a certificate that is none.") from None


def peer_fingerprint(sock: ssl.SSLSocket) -> bytes:
    """Return what the certificate of the other end of a finished handshake is known by."""
    return hashlib.sha256(sock.getpeercert(binary_form=True) or b"").digest()


def server_context(identity: Identity, certificates: Iterable[str]) -> ssl.SSLContext:
    """Return a context that accepts whoever has one of these certificates."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, identity, certificates)
    # A ticket would wait unread at an end that only writes, and its close would then cut off what it wrote.
    context.num_tickets = 0
    return context


def client_context(identity: Identity, server_cert_pem: str) -> ssl.SSLContext:
    """Return a context that connects to the one server that has a certificate."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, identity, [server_cert_pem])


def _context(protocol: int, identity: Identity, certificates: Iterable[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the certificate itself is compared, and hosts have many names
    context.verify_mode = ssl.CERT_REQUIRED
    for certificate in certificates:
        try:
            context.load_verify_locations(cadata=certificate)
        except (ssl.SSLError, ValueError, TypeError):
            raise ProtocolError("A peer sent a certificate that is none.") from None
    with _as_file(identity.cert_pem.encode("ascii") + identity.key_pem) as path:
        context.load_cert_chain(path)
    return context


@contextlib.contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """Give data as a file for as long as the block runs: in memory where the system can."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):  # noqa: PTH112  (a path of the kernel's)
        descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
        return
    with tempfile.NamedTemporaryFile(prefix="dsage-") as named:  # of mode 0600
        named.write(data)
        named.flush()
        yield named.name
