"""Signatures of callbacks: vectors made by openssl, our own ones checked by openssl, and what the verifier refuses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import callback_vectors as vectors
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import Engine, insert, select, update

from dashscribe import callbacks
from dashscribe.callbacks import CERTIFICATES_PATH, SignatureError, string_to_sign, verify
from dashscribe.db import now_ms, open_database, reading, tables, writing
from dashscribe.notify import signing
from dashscribe.notify.signing import SigningKeys, signed_headers
from dashscribe.notify.targets import Scheme
from laid_database import lay

BASE = "https://asr.example.org"
CURRENT = {
    "X-Eventbridge-Signature-Timestamp": str(vectors.MILLISECONDS),
    "X-Eventbridge-Hash-Method": "SHA256",
    "X-Eventbridge-Signature-Version": "1.0",
    "X-Eventbridge-Signature-Url": vectors.CERTIFICATE_URL,
    "X-Eventbridge-Signature-Token": vectors.TOKEN,
    "X-Eventbridge-Signature-V2": vectors.SIGNATURE,
}
LEGACY = {
    **{name: value for name, value in CURRENT.items() if name.endswith(("Timestamp", "Version", "Url", "Token"))},
    "x-eventbridge-signature-method": "HMAC-SHA1",
    "x-eventbridge-signature-secret": vectors.LEGACY_SECRET,
    "x-eventbridge-signature": vectors.LEGACY_SIGNATURE,
}


def check(headers: dict[str, str] | None = None, url: str = vectors.URL, body: bytes = vectors.BODY, **how: object):
    how = {"certificate": vectors.CERTIFICATE, **how}
    return verify(url, headers or CURRENT, body, now=lambda: vectors.MILLISECONDS / 1000 + 59, **how)  # type: ignore[arg-type]


@pytest.fixture
def keys(tmp_path: Path) -> SigningKeys:
    return SigningKeys(open_database(lay(f"sqlite:///{tmp_path}/a.db")))


def test_string_to_sign_is_the_one_that_the_document_describes() -> None:
    lower = {name.lower(): value for name, value in CURRENT.items()}
    assert string_to_sign(vectors.URL, lower, vectors.BODY) == vectors.SIGNED
    without_token = {name: value for name, value in lower.items() if not name.endswith("token")}
    token = b"x-eventbridge-signature-token: s3cret token\n"
    assert string_to_sign(vectors.URL, without_token, vectors.BODY) == vectors.SIGNED.replace(token, b"")


def test_event_signed_by_openssl_is_proved() -> None:
    event = check(token=vectors.TOKEN)
    assert (event.id, event.task_id, event.status) == (
        "3f2b1c0d-9e8f-4a7b-8c6d-5e4f3a2b1c0d",
        "7c3a1f52",
        "SUCCEEDED",
    )
    assert event.body["data"]["note"] == "转写"


def test_signature_over_one_more_line_feed_is_proved_too() -> None:
    check(CURRENT | {"X-Eventbridge-Signature-V2": vectors.SIGNATURE_WITH_LINE_FEED})


def test_legacy_signature_by_openssl_is_proved_where_it_is_wanted() -> None:
    assert check(LEGACY, legacy=True).task_id == "7c3a1f52"
    with pytest.raises(SignatureError, match="signature-v2"):
        check(LEGACY)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"X-Eventbridge-Signature-Timestamp": str(vectors.MILLISECONDS + 1)}, "not made for"),
        ({"X-Eventbridge-Signature-Timestamp": str(vectors.MILLISECONDS - 2000)}, "61 s away"),
        ({"X-Eventbridge-Signature-Timestamp": str(vectors.MILLISECONDS + 120_000)}, "61 s away"),
        ({"X-Eventbridge-Signature-Timestamp": "now"}, "no number"),
        ({"X-Eventbridge-Signature-Timestamp": ""}, "no number"),
        ({"X-Eventbridge-Signature-Timestamp": "9" * 5000}, "away"),
        ({"X-Eventbridge-Signature-Version": "1.1"}, "not made for"),
        ({"X-Eventbridge-Signature-Token": "another"}, "not made for"),
        ({"X-Eventbridge-Hash-Method": "MD5"}, "SHA256"),
        ({"X-Eventbridge-Signature-V2": "!"}, "base64"),
        ({"X-Eventbridge-Signature-V2": vectors.LEGACY_SECRET}, "not made for"),
    ],
)
def test_changed_header_is_refused(change: dict[str, str], reason: str) -> None:
    with pytest.raises(SignatureError, match=reason):
        check(CURRENT | change)


def test_other_url_body_token_or_certificate_is_refused(keys: SigningKeys) -> None:
    other = keys.certificate(keys.current().fingerprint)
    for how in (
        {"url": vectors.URL.replace("tenant=7", "tenant=8")},
        {"body": vectors.BODY + b" "},
        {"token": "another"},
        {"certificate": other},
        {"certificate": "no certificate"},
    ):
        with pytest.raises(SignatureError):
            check(**how)  # type: ignore[arg-type]


def test_signed_bytes_that_are_no_event_are_refused(keys: SigningKeys) -> None:
    for body in (b"[]", b"{}", b'{"id": "x", "type": "y", "data": 7}', b"\xff"):
        headers = signed_headers(keys.current(), BASE, vectors.URL, body)
        with pytest.raises(SignatureError, match="no event"):
            verify(vectors.URL, headers, body, certificate=keys.certificate(keys.current().fingerprint) or "")


def test_verify_wants_a_pin() -> None:
    with pytest.raises(TypeError, match="whose certificates"):
        verify(vectors.URL, CURRENT, vectors.BODY, now=lambda: vectors.MILLISECONDS / 1000)


# --- what everybody can make of the legacy scheme ---------------------------------------------------------------------

#: What the digest follows in a signature: RFC 8017, section 9.2, note 1.
DIGEST_INFOS = {
    "md5": "3020300c06082a864886f70d020505000410",
    "sha1": "3021300906052b0e03021a05000414",
    "sha224": "302d300d06096086480165030402040500041c",
    "sha256": "3031300d060960864801650304020105000420",
    "sha384": "3041300d060960864801650304020205000430",
    "sha512": "3051300d060960864801650304020305000440",
    "sha512_224": "302d300d06096086480165030402050500041c",
    "sha512_256": "3031300d060960864801650304020605000420",
    "sha3_256": "3031300d060960864801650304020805000420",
}
FORGED = b'{"id": "forged", "type": "t", "data": {"task_id": "t", "task_status": "SUCCEEDED"}}'


@pytest.fixture(scope="module")
def private() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def self_signed(private: RSAPrivateKey) -> x509.Certificate:
    """As earlier versions made them."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dashscribe callbacks")])
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, private.public_key(), 7, begin, end)
    return builder.sign(private, SHA256())


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def with_secret(closed: bytes, secret: bytes) -> dict[str, str]:
    """What somebody sends who has a secret, open and closed, over a body and URL of their own."""
    headers = {
        "x-eventbridge-signature-timestamp": str(vectors.MILLISECONDS),
        "x-eventbridge-signature-method": "HMAC-SHA1",
        "x-eventbridge-signature-version": "1.0",
        "x-eventbridge-signature-url": vectors.CERTIFICATE_URL,
    }
    signed = string_to_sign(vectors.URL, headers, FORGED, callbacks.LEGACY_SIGNED)
    headers["x-eventbridge-signature-secret"] = base64.b64encode(closed).decode()
    return headers | {
        "x-eventbridge-signature": base64.b64encode(hmac.digest(secret, signed, "sha1")).decode(),
    }


def test_signature_that_somebody_has_seen_is_no_secret() -> None:
    secret = bytes.fromhex(DIGEST_INFOS["sha256"]) + hashlib.sha256(vectors.SIGNED).digest()
    headers = with_secret(base64.b64decode(vectors.SIGNATURE), secret)
    with pytest.raises(SignatureError, match="not made for"):
        check(headers, body=FORGED, legacy=True)


def test_signature_of_a_certificate_by_its_own_key_is_no_secret(private: RSAPrivateKey) -> None:
    certificate = self_signed(private)
    secret = private.public_key().recover_data_from_signature(certificate.signature, PKCS1v15(), None)
    headers = with_secret(certificate.signature, secret)
    with pytest.raises(SignatureError, match="not made for"):
        check(headers, body=FORGED, legacy=True, certificate=pem(certificate))


@pytest.mark.parametrize("name", DIGEST_INFOS)
@pytest.mark.parametrize("null", ["0500", ""])
def test_signature_of_no_hash_is_a_secret(private: RSAPrivateKey, name: str, null: str) -> None:
    prefix = bytes.fromhex(DIGEST_INFOS[name])
    if not null:  # RFC 8017: to be taken without it, too
        before, behind = prefix.split(b"\x05\x00")
        prefix = bytes([0x30, before[1] - 2, 0x30, before[3] - 2]) + before[4:] + behind
    secret = prefix + bytes(prefix[-1])
    headers = with_secret(private.sign(secret, PKCS1v15(), NoDigestInfo()), secret)
    with pytest.raises(SignatureError, match="not made for"):
        check(headers, body=FORGED, legacy=True, certificate=pem(self_signed(private)))


@pytest.mark.parametrize(
    "secret",
    [
        b"0",
        b"00" + b"0" * 48,
        b"0123456789abcdef",
        bytes(range(16)),
        b"\x30\x06\x30\x02\x06\x00\x04\x00",
        bytes.fromhex(DIGEST_INFOS["sha256"]) + bytes(31),
        bytes.fromhex(DIGEST_INFOS["sha256"]) + bytes(33),
    ],
)
def test_secret_of_any_other_form_is_taken(private: RSAPrivateKey, secret: bytes) -> None:
    headers = with_secret(private.sign(secret, PKCS1v15(), NoDigestInfo()), secret)
    assert check(headers, body=FORGED, legacy=True, certificate=pem(self_signed(private))).id == "forged"


def test_certificate_is_not_signed_by_its_own_key(keys: SigningKeys) -> None:
    for fingerprint in (keys.current().fingerprint, keys.rotate()):
        certificate = x509.load_pem_x509_certificate((keys.certificate(fingerprint) or "").encode())
        assert certificate.issuer != certificate.subject
        assert certificate.fingerprint(SHA256()).hex() == fingerprint
        public = certificate.public_key()
        assert isinstance(public, RSAPublicKey)
        with pytest.raises(InvalidSignature):
            public.recover_data_from_signature(certificate.signature, PKCS1v15(), None)


def test_key_that_an_earlier_version_made_goes_on_signing(tmp_path: Path, private: RSAPrivateKey) -> None:
    engine, certificate = open_database(lay(f"sqlite:///{tmp_path}/a.db")), self_signed(private)
    fingerprint = certificate.fingerprint(SHA256()).hex()
    closed = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    row = {"fingerprint": fingerprint, "certificate": pem(certificate), "private_key": closed, "created_ms": now_ms()}
    with writing(engine) as connection:
        connection.execute(insert(tables.callback_keys).values(row))
    keys = SigningKeys(engine)
    assert keys.current().fingerprint == fingerprint
    served = keys.certificate(fingerprint) or ""
    assert served == pem(certificate)
    for scheme in Scheme:
        headers = signed_headers(keys.current(), BASE, vectors.URL, vectors.BODY, scheme=scheme)
        verify(vectors.URL, headers, vectors.BODY, certificate=served, legacy=True)
    assert keys.rotate() != fingerprint


# --- what the server signs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "s3cret"])
def test_our_signature_holds_for_openssl(keys: SigningKeys, tmp_path: Path, token: str) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key = keys.current()
    headers = signed_headers(key, BASE, vectors.URL, vectors.BODY, token=token)
    lines = [vectors.URL]
    lines += [f"x-eventbridge-signature-timestamp: {headers['x-eventbridge-signature-timestamp']}"]
    lines += ["x-eventbridge-hash-method: SHA256", "x-eventbridge-signature-version: 1.0"]
    lines += [f"x-eventbridge-signature-url: {BASE}{CERTIFICATES_PATH}{key.fingerprint}.pem"]
    lines += [f"x-eventbridge-signature-token: {token}"] if token else []
    (tmp_path / "signed").write_bytes("\n".join([*lines, ""]).encode() + vectors.BODY)
    (tmp_path / "signature").write_bytes(base64.b64decode(headers["x-eventbridge-signature-v2"]))
    (tmp_path / "certificate").write_text(keys.certificate(key.fingerprint) or "")

    def run(*arguments: str) -> str:
        done = subprocess.run([str(openssl), *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout

    (tmp_path / "public").write_text(run("x509", "-in", "certificate", "-pubkey", "-noout"))
    assert "OK" in run("dgst", "-sha256", "-verify", "public", "-signature", "signature", "signed")
    assert key.fingerprint in run("x509", "-in", "certificate", "-noout", "-fingerprint", "-sha256").replace(
        ":", ""
    ).lower().replace("sha256 fingerprint=", "")


def test_our_legacy_signature_holds_for_a_verifier_written_from_the_document(keys: SigningKeys) -> None:
    key = keys.current()
    headers = signed_headers(key, BASE, vectors.URL, vectors.BODY, token="t", scheme=Scheme.LEGACY)
    public = x509.load_pem_x509_certificate((keys.certificate(key.fingerprint) or "").encode()).public_key()
    assert isinstance(public, RSAPublicKey)
    secret = public.recover_data_from_signature(
        base64.b64decode(headers["x-eventbridge-signature-secret"]), PKCS1v15(), None
    )
    text = f"{vectors.URL}\n" + "".join(
        f"x-eventbridge-signature-{name}: {headers[f'x-eventbridge-signature-{name}']}\n"
        for name in ("timestamp", "method", "version", "url", "token")
    )
    wanted = base64.b64encode(hmac.digest(secret, text.encode() + vectors.BODY, "sha1")).decode()
    assert headers["x-eventbridge-signature"] == wanted
    again = signed_headers(key, BASE, vectors.URL, vectors.BODY, token="t", scheme=Scheme.LEGACY)
    assert again["x-eventbridge-signature-secret"] != headers["x-eventbridge-signature-secret"]
    assert "x-eventbridge-signature-v2" not in headers


def test_key_is_made_once_and_outlives_the_process(tmp_path: Path) -> None:
    engine = open_database(lay(f"sqlite:///{tmp_path}/a.db"))
    first = SigningKeys(engine).current().fingerprint
    assert SigningKeys(engine).current().fingerprint == first
    assert len(SigningKeys(engine).list()) == 1


def test_rotation_signs_with_a_new_key_and_serves_the_old_certificate_for_a_week(tmp_path: Path) -> None:
    engine = open_database(lay(f"sqlite:///{tmp_path}/a.db"))
    keys = SigningKeys(engine)
    old = keys.current()
    under_way = signed_headers(old, BASE, vectors.URL, vectors.BODY)
    new = keys.rotate()
    assert keys.current().fingerprint == new != old.fingerprint
    verify(vectors.URL, under_way, vectors.BODY, certificate=keys.certificate(old.fingerprint) or "")
    assert _private(engine, old.fingerprint) == ""
    assert "PRIVATE KEY" in _private(engine, new)
    table = tables.callback_keys
    with writing(engine) as connection:
        aged = table.c.retired_ms - signing.RETIRED_LIVES_MS
        connection.execute(update(table).where(table.c.fingerprint == old.fingerprint).values(retired_ms=aged))
    assert keys.certificate(old.fingerprint) is None
    keys.rotate()
    assert old.fingerprint not in {one.fingerprint for one in keys.list()}


def _private(engine: Engine, fingerprint: str) -> str:
    table = tables.callback_keys
    with reading(engine) as connection:
        query = select(table.c.private_key).where(table.c.fingerprint == fingerprint)
        return connection.execute(query).scalar_one()


# --- where certificates come from -------------------------------------------------------------------------------------


@pytest.fixture
def certificates(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    """A server with the vectors' certificate under every path, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302 if "moved" in self.path else 404 if "gone" in self.path else 200)
            self.send_header("Location", "/dashscribe/v1/callbacks/certificates/00.pem")
            self.end_headers()
            self.wfile.write(b"x" * 100_000 if "huge" in self.path else vectors.CERTIFICATE.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(callbacks, "_CACHE", callbacks._Certificates())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


def test_certificate_is_fetched_from_below_the_base_once(
    certificates: tuple[str, list[str]], keys: SigningKeys
) -> None:
    base, asked = certificates
    headers = signed_headers(keys.current(), base, vectors.URL, vectors.BODY)
    for _ in range(3):
        with pytest.raises(SignatureError, match="not made for"):  # it is another key's certificate
            verify(vectors.URL, headers, vectors.BODY, server=base)
    assert asked == [f"{CERTIFICATES_PATH}{keys.current().fingerprint}.pem"]


@pytest.mark.parametrize(
    "url",
    [
        "{base}/certificates/00.pem",
        "{base}/dashscribe/v1/callbacks/certificates/../../../00.pem",
        "{base}/dashscribe/v1/callbacks/certificates/%2e%2e/00.pem",
        "{base}/dashscribe/v1/callbacks/certificates//00.pem",
        "{base}/dashscribe/v1/callbacks/certificates/00.pem?x=1",
        "{base}.evil.example/dashscribe/v1/callbacks/certificates/00.pem",
        "http://127.0.0.1@evil.example/dashscribe/v1/callbacks/certificates/00.pem",
        "https://127.0.0.1/dashscribe/v1/callbacks/certificates/00.pem",
        "file:///dashscribe/v1/callbacks/certificates/00.pem",
        "",
    ],
)
def test_certificate_from_anywhere_else_is_refused_unfetched(certificates: tuple[str, list[str]], url: str) -> None:
    base, asked = certificates
    headers = CURRENT | {"X-Eventbridge-Signature-Url": url.format(base=base)}
    with pytest.raises(SignatureError, match="does not lie below"):
        check(headers, certificate="", server=base)
    assert asked == []


@pytest.mark.parametrize(("name", "reason"), [("gone", "404"), ("moved", "302"), ("huge", "larger than")])
def test_certificate_that_cannot_be_had_is_said_so(certificates: tuple[str, list[str]], name: str, reason: str) -> None:
    base, _ = certificates
    headers = CURRENT | {"X-Eventbridge-Signature-Url": f"{base}{CERTIFICATES_PATH}{name}.pem"}
    with pytest.raises(SignatureError, match=reason):
        check(headers, certificate="", server=base)


def test_prefix_of_another_service_can_be_pinned(certificates: tuple[str, list[str]]) -> None:
    base, asked = certificates
    headers = CURRENT | {"X-Eventbridge-Signature-Url": f"{base}/some-bucket/00.pem"}
    with pytest.raises(SignatureError, match="not made for"):
        check(headers, certificate="", certificates=f"{base}/some-bucket/")
    assert asked == ["/some-bucket/00.pem"]
