"""For programs that receive callbacks: proves that an event comes from the server it should come from.

``verify`` follows the documented signature, so that it takes events of a dashscribe server and, given the prefix of its
certificates, of the cloud's EventBridge. What it cannot know is whether an event came before: deliveries are repeated
until one is answered with 2xx, so that a consumer remembers ``Event.id``.
"""

from __future__ import annotations

import base64
import hmac
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from dashscribe.errors import DashscribeError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

__all__ = ["CERTIFICATES_PATH", "Event", "SignatureError", "string_to_sign", "verify"]

#: Where a dashscribe server serves its certificates, behind its public base URL.
CERTIFICATES_PATH = "/dashscribe/v1/callbacks/certificates/"
PREFIX = "x-eventbridge-signature-"
TIMESTAMP, VERSION, URL, TOKEN = f"{PREFIX}timestamp", f"{PREFIX}version", f"{PREFIX}url", f"{PREFIX}token"
SIGNATURE = f"{PREFIX}v2"
HASH_METHOD = "x-eventbridge-hash-method"
LEGACY_METHOD, LEGACY_SECRET = f"{PREFIX}method", f"{PREFIX}secret"
LEGACY_SIGNATURE = "x-eventbridge-signature"

#: Headers that are signed, in this order (api-async sections 8.2 and 8.3); the token only where it is sent.
SIGNED = (TIMESTAMP, HASH_METHOD, VERSION, URL, TOKEN)
LEGACY_SIGNED = (TIMESTAMP, LEGACY_METHOD, VERSION, URL, TOKEN)

#: How far the clocks of sender and receiver may be apart, in seconds (section 8.2).
MAX_SKEW_S = 60.0
#: Longest wait for a certificate in seconds, its greatest size, and how many are remembered.
FETCH_S, MAX_CERTIFICATE_BYTES, MAX_CERTIFICATES = 5.0, 64 * 1024, 16


class SignatureError(DashscribeError):
    """A request that does not prove where it comes from: answer it with 401 and do not look into it any further."""

    code = "InvalidSignature"
    status = 401
    text = "The signature does not prove where this request comes from."


@dataclass(frozen=True, slots=True)
class Event:
    """An event that was proved. ``id`` is the same in every repetition; ``body`` is all of it, as it was sent."""

    id: str
    type: str
    task_id: str
    status: str
    body: Mapping[str, Any]


def string_to_sign(url: str, headers: Mapping[str, str], body: bytes, signed: tuple[str, ...] = SIGNED) -> bytes:
    """What a signature covers: the whole callback URL, the headers in order, the body as it is.

    ``headers`` have lower-case names; one that is not sent is left out.
    """
    lines = [url, *(f"{name}: {headers[name]}" for name in signed if name in headers), ""]
    return "\n".join(lines).encode() + body


def verify(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    server: str = "",
    certificates: str = "",
    certificate: str = "",
    token: str = "",
    legacy: bool = False,
    now: Callable[[], float] = time.time,
) -> Event:
    """Prove a request and read its event; SignatureError says what is wrong with it.

    ``url`` is the callback URL as it was configured, query included. Say whose certificates count, by one of:
    ``server``, the base URL of a dashscribe server; ``certificates``, what the URLs of another issuer's begin with, as
    the cloud's do; ``certificate``, one or more of them as PEM. By URL they are fetched once and remembered. ``token``
    is the one configured with the target. ``legacy`` takes the older HMAC-SHA1 signature, too: give a ``token`` with
    it, since its secret, once seen, can be used over another URL and body.
    """
    told = {name.lower(): value for name, value in headers.items()}
    _check_clock(told.get(TIMESTAMP, ""), now())
    if token and not hmac.compare_digest(token.encode(), told.get(TOKEN, "").encode()):
        raise SignatureError(f"the header {TOKEN} is not the token of this target")
    is_current = SIGNATURE in told
    if not is_current and not (legacy and LEGACY_SIGNATURE in told):
        raise SignatureError(f"there is no header {SIGNATURE}")
    check = _is_signed if is_current else _is_legacy
    prefix = server.rstrip("/") + CERTIFICATES_PATH if server else certificates
    if not any(check(key, url, told, body) for key in _keys(told.get(URL, ""), prefix, certificate)):
        raise SignatureError("it was not made for this URL, these headers and this body, or not by that certificate")
    return _event(body)


def _check_clock(timestamp: str, now_s: float) -> None:
    if not (timestamp.isascii() and timestamp.isdigit()):
        raise SignatureError(f"the header {TIMESTAMP} is no number of milliseconds")
    skew_s = abs(now_s - int(timestamp[:20]) / 1000)
    if skew_s > MAX_SKEW_S:
        raise SignatureError(f"it was signed {skew_s:.0f} s away from this machine's clock; {MAX_SKEW_S:g} s may be")


def _event(body: bytes) -> Event:
    try:
        event = msgspec.json.decode(body, type=dict[str, Any])
        data = msgspec.convert(event.get("data") or {}, dict[str, Any])
        told = (event["id"], event["type"], data.get("task_id", ""), data.get("task_status", ""))
        return Event(*map(str, told), body=event)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError) as error:
        raise SignatureError(f"it is signed, but no event: {error}") from error


# --- signatures -----------------------------------------------------------------------------------------------------


def _is_signed(key: RSAPublicKey, url: str, headers: Mapping[str, str], body: bytes) -> bool:
    """RSA PKCS#1 v1.5 with SHA-256, over the string as documented or with one more line feed at its end."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    if headers.get(HASH_METHOD, "").upper() != "SHA256":
        raise SignatureError(f"the header {HASH_METHOD} is not SHA256")
    signature = _decode(headers[SIGNATURE])
    signed = string_to_sign(url, headers, body)
    for text in (signed, signed + b"\n"):
        try:
            key.verify(signature, text, PKCS1v15(), SHA256())
        except InvalidSignature:
            continue
        return True
    return False


def _is_legacy(key: RSAPublicKey, url: str, headers: Mapping[str, str], body: bytes) -> bool:
    """HMAC-SHA1 with a secret for this once, which the certificate's key opens."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    if headers.get(LEGACY_METHOD, "").upper() != "HMAC-SHA1":
        raise SignatureError(f"the header {LEGACY_METHOD} is not HMAC-SHA1")
    try:
        secret = key.recover_data_from_signature(_decode(headers.get(LEGACY_SECRET, "")), PKCS1v15(), None)
    except InvalidSignature:
        return False
    if _is_digest_info(secret):
        return False
    signature = _decode(headers[LEGACY_SIGNATURE])
    signed = string_to_sign(url, headers, body, LEGACY_SIGNED)
    return any(hmac.compare_digest(hmac.digest(secret, text, "sha1"), signature) for text in (signed, signed + b"\n"))


def _is_digest_info(secret: bytes) -> bool:
    """Whether it is what signatures hold, of whatever hash: SEQUENCE { SEQUENCE { OID, NULL }, OCTET STRING }.

    Everybody can make a "secret" of a signature that they have seen, such as that of a certificate by its own key.
    """
    whole, behind = _element(0x30, secret)
    algorithm, rest = _element(0x30, whole)
    oid, _ = _element(0x06, algorithm)  # NULL may be left out (RFC 8017 section 9.2)
    digest, left = _element(0x04, rest)
    return bool(oid and digest) and not behind and not left


def _element(tag: int, data: bytes) -> tuple[bytes, bytes]:
    """What is in the DER element of that tag, at most 127 bytes, that data begins with, and what follows it."""
    if len(data) < 2 or data[0] != tag or data[1] > min(127, len(data) - 2):
        return b"", data
    end = 2 + data[1]
    return data[2:end], data[end:]


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise SignatureError("it is not base64") from error


# --- certificates ---------------------------------------------------------------------------------------------------


def _keys(certificate_url: str, prefix: str, pem: str) -> list[RSAPublicKey]:
    """The keys that may have signed: those of ``pem``, or that of the URL if it lies where it has to."""
    if pem:
        return _public_keys(pem.encode())
    if not prefix:
        raise TypeError("verify() wants to know whose certificates count: server, certificates or certificate")
    _check_place(certificate_url, prefix)
    return _CACHE.get(certificate_url)


def _check_place(url: str, prefix: str) -> None:
    """A certificate counts only if it lies below ``prefix``, as written, on the very same host."""
    there, pinned = urlsplit(url), urlsplit(prefix)
    same = (there.scheme, there.netloc) == (pinned.scheme, pinned.netloc) and there.scheme in ("https", "http")
    is_plain = not there.query and not there.fragment and "@" not in there.netloc
    # What a server might read as another path than it seems is no path below the prefix.
    is_straight = not any(mark in there.path for mark in ("..", "//", "\\", "%"))
    if not (same and is_plain and is_straight and there.path.startswith(pinned.path)):
        raise SignatureError(f"its certificate {url[:200]!r} does not lie below {prefix}")


def _public_keys(pem: bytes) -> list[RSAPublicKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    try:
        keys = [certificate.public_key() for certificate in x509.load_pem_x509_certificates(pem)]
    except ValueError as error:
        raise SignatureError(f"the certificate cannot be read: {error}") from error
    return [key for key in keys if isinstance(key, RSAPublicKey)]


class _Certificates:
    """Certificates by URL, fetched once: a URL names its certificate by fingerprint, so that it never changes."""

    def __init__(self) -> None:
        self._kept: dict[str, list[RSAPublicKey]] = {}
        self._guard = threading.Lock()

    def get(self, url: str) -> list[RSAPublicKey]:
        """The keys of the certificate there. Raises SignatureError where it cannot be had."""
        with self._guard:
            if url in self._kept:
                return self._kept[url]
        keys = _public_keys(_fetch(url))
        with self._guard:
            if len(self._kept) >= MAX_CERTIFICATES:
                self._kept.pop(next(iter(self._kept)))
            self._kept[url] = keys
        return keys


_CACHE = _Certificates()


def _fetch(url: str) -> bytes:
    import httpx

    try:
        with httpx.stream("GET", url, timeout=FETCH_S, follow_redirects=False) as response:
            if response.status_code != 200:
                raise SignatureError(f"its certificate {url} cannot be had: HTTP {response.status_code}")
            pem = b""
            for piece in response.iter_bytes():
                pem += piece
                if len(pem) > MAX_CERTIFICATE_BYTES:
                    raise SignatureError(f"its certificate {url} is larger than {MAX_CERTIFICATE_BYTES} bytes")
            return pem
    except httpx.HTTPError as error:
        raise SignatureError(f"its certificate {url} cannot be had: {error or type(error).__name__}") from error
