"""Signatures of callbacks: vectors made by openssl, our own ones checked by openssl, and what the verifier refuses."""

from __future__ import annotations

import base64
import hmac
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import callback_vectors as vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from sqlalchemy import Engine, select, update

from dashscribe import callbacks
from dashscribe.callbacks import CERTIFICATES_PATH, SignatureError, string_to_sign, verify
from dashscribe.db import open_database, reading, tables, writing
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
