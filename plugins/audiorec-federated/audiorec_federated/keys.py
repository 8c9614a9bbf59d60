"""A party's key and certificate, and the certificates of the others.

    make_keys(folder) ──▶ ``key.pem`` (readable by its owner only), ``certificate.pem``
    read_keys(folder), read_certificate(path) ──▶ keys of a connection, fingerprints

A certificate is self-signed and pinned: the other party trusts this one and no other. To verify it,
two people compare its fingerprint by telephone.
"""

import hashlib
import hmac
import os
import ssl
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from audiorec.errors import InputError, MissingFileError
from audiorec.files.own_files import sync, write_errors, write_own

KEY_FILE, CERTIFICATE_FILE = "key.pem", "certificate.pem"
HOST = "audiorec-federated"  # certificates are pinned, so all have one name
VALID_DAYS = 730
MAX_BYTES = 64 << 10
OWNER_ALONE = 0o600


@dataclass(frozen=True, slots=True)
class Keys:
    """Certificate and private key of a party."""

    certificate: bytes  # PEM
    key: bytes  # PEM

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, 64 hex digits."""
        return fingerprint_of(self.certificate)

    def seed(self, *purpose: str) -> bytes:
        """Derive a secret seed of 32 bytes; a purpose holds all that the seed must not outlive."""
        own = hashlib.sha256(self.key).digest()
        return hmac.digest(own, "\0".join(purpose).encode(), "sha256")


def has_keys(folder: Path) -> bool:
    """Whether a folder has a key or a certificate, whatever their state."""
    return any(os.path.lexists(folder / name) for name in (KEY_FILE, CERTIFICATE_FILE))


def make_keys(folder: Path) -> Keys:
    """Write a new key and certificate into a folder, which is created if missing.

    Raises
    ------
    InputError
        If the folder contains a key already.
    """
    if has_keys(folder):
        raise InputError(
            f"{folder}: has a key already and other parties may trust it; remove {KEY_FILE} and "
            f"{CERTIFICATE_FILE} to make new ones, and send the new certificate to everybody"
        )
    keys = _made()
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(folder / KEY_FILE, flags, OWNER_ALONE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(keys.key)
        sync(folder / KEY_FILE)
        write_own(folder / CERTIFICATE_FILE, keys.certificate)
    return keys


def read_keys(folder: Path) -> Keys:
    """Read what `make_keys` wrote; `InputError` if it is missing, invalid or readable by others."""
    key_path = folder / KEY_FILE
    certificate = read_certificate(folder / CERTIFICATE_FILE)
    key = _read_key_file(key_path)
    if b"PRIVATE KEY-----" not in key:
        raise InputError(f"{key_path}: not a private key in PEM format")
    if os.name == "posix" and stat.S_IMODE(key_path.stat().st_mode) & 0o077:
        raise InputError(f"{key_path}: readable by others; run: chmod 600 {key_path}")
    return Keys(certificate, key)


def read_certificate(path: Path) -> bytes:
    """Read a certificate in PEM format; `InputError` if it is not exactly one, valid today."""
    pem = _read_key_file(path)
    if pem.count(b"-----BEGIN CERTIFICATE-----") != 1 or b"PRIVATE KEY" in pem:
        raise InputError(f"{path}: must contain one certificate in PEM format and no key")
    from cryptography import x509

    try:
        result = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise InputError(f"{path}: not a certificate: {error}") from error
    now = datetime.now(UTC)
    if not result.not_valid_before_utc <= now <= result.not_valid_after_utc:
        raise InputError(
            f"{path}: valid from {result.not_valid_before_utc:%Y-%m-%d} to "
            f"{result.not_valid_after_utc:%Y-%m-%d}; make a new one: remove it and the "
            "key, then run audiorec federated align"
        )
    return pem


def fingerprint_of(pem: bytes) -> str:
    """Return the SHA-256 of a certificate, 64 hex digits."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).hexdigest()


def readable_fingerprint(fingerprint: str) -> str:
    """Return a fingerprint in groups that two people can read to each other.

    Examples
    --------
    >>> readable_fingerprint("00ff" * 16)[:24]
    '00ff 00ff 00ff 00ff 00ff'
    """
    return " ".join(fingerprint[i : i + 4] for i in range(0, len(fingerprint), 4))


def _made() -> Keys:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks differ
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        # It must not sign other certificates.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    return Keys(certificate.public_bytes(pem), private)


def _read_key_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise MissingFileError(
            f"{path}: no such file; audiorec federated align, without --yes, makes a key and a "
            "certificate, and the other party sends its certificate"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: too large for a key or a certificate")
    return content
