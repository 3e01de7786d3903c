"""The signature of callbacks: our own RSA key, a certificate of it for everybody to read, both documented schemes.

A certificate says whose key it is by where it is served, not by who signed it: its issuer's key is thrown away at once.
Were it signed by the key itself, everybody could send that signature as a secret of the legacy scheme.

The newest key signs. Rotation makes another one and deletes the private part of the old; its certificate goes on being
served, for requests that are under way. The private key lies in the database like the other secrets of an installation.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, delete, insert, select, update

from dashscribe import callbacks
from dashscribe.db import now_ms, reading, serialize, tables, writing
from dashscribe.notify.targets import Scheme

if TYPE_CHECKING:  # loaded by what signs: most processes never do
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

KEY_BITS = 2048
CERTIFICATE_LIVES = timedelta(days=3650)
#: How long the certificate of a key that no longer signs is served, in milliseconds.
RETIRED_LIVES_MS = 7 * 24 * 3600 * 1000

_key = tables.callback_keys
#: Who makes a key is alone, so that there is one that signs.
_LOCK = "callback keys"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, and the fingerprint of its certificate: SHA-256 of the DER form, hexadecimal."""

    fingerprint: str
    private: RSAPrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateInfo:
    """A certificate as it is listed. Instants are epoch milliseconds; ``retired_ms`` is None for the one that signs."""

    fingerprint: str
    created_ms: int
    retired_ms: int | None


class SigningKeys:
    """The keys of one installation; the parsed one is remembered, the table says which it is."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._parsed: SigningKey | None = None
        self._guard = threading.Lock()

    def current(self) -> SigningKey:
        """The key that signs, made the first time it is asked for."""
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        with self._guard:
            with reading(self._engine) as connection:
                row = _newest(connection)
            if row is None:
                with writing(self._engine) as connection:
                    serialize(connection, _LOCK)
                    row = _newest(connection) or _make(connection)
            if self._parsed is None or self._parsed.fingerprint != row[0]:
                private = load_pem_private_key(row[1].encode(), None)
                assert isinstance(private, RSAPrivateKey), "keys of this table are made here"
                self._parsed = SigningKey(row[0], private)
            return self._parsed

    def rotate(self) -> str:
        """Sign with a new key from now on: the fingerprint of its certificate."""
        now = now_ms()
        retired = {"private_key": "", "retired_ms": now}
        with writing(self._engine, urgent=True) as connection:
            serialize(connection, _LOCK)
            connection.execute(update(_key).where(_key.c.retired_ms.is_(None)).values(retired))
            connection.execute(delete(_key).where(_key.c.retired_ms <= now - RETIRED_LIVES_MS))
            return _make(connection)[0]

    def certificate(self, fingerprint: str) -> str | None:
        """The certificate of that fingerprint as PEM, while it is served."""
        query = select(_key.c.certificate, _key.c.retired_ms).where(_key.c.fingerprint == fingerprint)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        if row is None or (row.retired_ms is not None and row.retired_ms <= now_ms() - RETIRED_LIVES_MS):
            return None
        return row.certificate

    def list(self) -> list[CertificateInfo]:
        """All certificates that are served, the newest first."""
        query = select(_key.c.fingerprint, _key.c.created_ms, _key.c.retired_ms).order_by(_key.c.created_ms.desc())
        with reading(self._engine) as connection:
            rows = connection.execute(query).mappings().all()
        return [CertificateInfo(**row) for row in rows]


def _newest(connection: Connection) -> tuple[str, str] | None:
    query = select(_key.c.fingerprint, _key.c.private_key).where(_key.c.retired_ms.is_(None))
    row = connection.execute(query.order_by(_key.c.created_ms.desc(), _key.c.fingerprint).limit(1)).one_or_none()
    return (row.fingerprint, row.private_key) if row else None


def _make(connection: Connection) -> tuple[str, str]:
    """A new key and its certificate, kept: the fingerprint and the private key as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    private = generate_private_key(65537, KEY_BITS)
    name, issuer = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
        for text in ("dashscribe callbacks", "dashscribe callbacks, an issuer for this once")
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks differ
        .not_valid_after(now + CERTIFICATE_LIVES)
        .sign(ec.generate_private_key(ec.SECP256R1()), SHA256())
    )
    fingerprint = certificate.fingerprint(SHA256()).hex()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = certificate.public_bytes(Encoding.PEM).decode()
    connection.execute(
        insert(_key).values(fingerprint=fingerprint, certificate=public, private_key=pem, created_ms=now_ms())
    )
    return fingerprint, pem


def certificate_url(base_url: str, fingerprint: str) -> str:
    """Where a certificate is served."""
    return f"{base_url}{callbacks.CERTIFICATES_PATH}{fingerprint}.pem"


def signed_headers(
    key: SigningKey, base_url: str, url: str, body: bytes, *, token: str = "", scheme: Scheme = Scheme.CURRENT
) -> dict[str, str]:
    """The headers that prove a request to ``url`` with this body, as of now."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    headers = {
        callbacks.TIMESTAMP: str(now_ms()),
        callbacks.VERSION: "1.0",
        callbacks.URL: certificate_url(base_url, key.fingerprint),
    }
    if token:
        headers[callbacks.TOKEN] = token
    if scheme is Scheme.LEGACY:
        headers[callbacks.LEGACY_METHOD] = "HMAC-SHA1"
        return headers | _legacy(key, callbacks.string_to_sign(url, headers, body, callbacks.LEGACY_SIGNED))
    headers[callbacks.HASH_METHOD] = "SHA256"
    signature = key.private.sign(callbacks.string_to_sign(url, headers, body), PKCS1v15(), SHA256())
    return headers | {callbacks.SIGNATURE: base64.b64encode(signature).decode()}


def _legacy(key: SigningKey, signed: bytes) -> dict[str, str]:
    """A secret for this once, closed with the private key so that the public one opens it, and the HMAC by it."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo

    secret = secrets.token_urlsafe(24).encode()
    closed = key.private.sign(secret, PKCS1v15(), NoDigestInfo())
    return {
        callbacks.LEGACY_SECRET: base64.b64encode(closed).decode(),
        callbacks.LEGACY_SIGNATURE: base64.b64encode(hmac.digest(secret, signed, "sha1")).decode(),
    }
