"""One try to deliver an event: signed, posted to a judged address, answered or not; it never raises for the network.

The address guard is that of fetching, and connections go to the address that was judged. Redirects are not followed:
they would lead to an address that nobody has configured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator

import httpcore
import httpx

from dashscribe.config import Settings
from dashscribe.errors import DashscribeError
from dashscribe.fetch.address import Guard, GuardedBackend
from dashscribe.fetch.origin import trusted_authorities
from dashscribe.notify import rocketmq, signing
from dashscribe.notify.deliveries import ClaimedDelivery, Outcome
from dashscribe.notify.signing import SigningKeys
from dashscribe.notify.targets import Kind

#: What is read of an answer's body, in bytes: enough to see what a consumer complains about.
KEPT_BYTES = 500
PIECE_BYTES = 4096


class Sender:
    """Sends events with the settings of one process."""

    def __init__(self, settings: Settings, keys: SigningKeys) -> None:
        self._settings = settings
        self._keys = keys
        self._guard = Guard(settings.fetch_allow)

    def send(self, delivery: ClaimedDelivery) -> Outcome:
        """One try. Whatever goes wrong between here and the target is in the outcome."""
        try:
            if delivery.target.kind is Kind.ROCKETMQ:
                rocketmq.send(delivery, self._guard, self._settings.callback_timeout_s)
                return Outcome()
            return self._post(delivery)
        except DashscribeError as error:  # the guard, or a package that is missing
            return Outcome(error=str(error))
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            reason = str(error)
            if isinstance(error, httpcore.TimeoutException):
                reason = reason or f"no answer within {self._settings.callback_timeout_s:g} s"
            return Outcome(error=f"{type(error).__name__}: {reason}" if reason else type(error).__name__)

    def _post(self, delivery: ClaimedDelivery) -> Outcome:
        target, body = delivery.target, delivery.body.encode()
        base_url = (self._settings.public_url or delivery.base_url).rstrip("/")
        proof = signing.signed_headers(
            self._keys.current(), base_url, target.url, body, token=target.token, scheme=target.signature
        )
        url = httpx.URL(target.url)
        headers = {"Host": url.netloc.decode("ascii"), "User-Agent": "dashscribe", "Accept": "*/*", **proof}
        headers |= {"Content-Type": "application/json;charset=utf-8", "Content-Length": str(len(body))}
        headers["Connection"] = "close"
        limit_s = self._settings.callback_timeout_s
        end_s = time.monotonic() + limit_s

        def pulse() -> None:
            if time.monotonic() > end_s:
                raise httpcore.ReadTimeout(f"no whole answer within {limit_s:g} s")

        trust = trusted_authorities(os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", ""))
        with (
            httpcore.ConnectionPool(ssl_context=trust, network_backend=GuardedBackend(self._guard, pulse)) as pool,
            pool.stream(
                "POST",
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=list(headers.items()),
                content=_pieces(body, pulse),
                extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), limit_s)},
            ) as response,
        ):
            return _outcome(response.status, _beginning(response.iter_stream()))


def _pieces(body: bytes, pulse: Callable[[], None]) -> Iterator[bytes]:
    """The body in pieces, so that a target that hardly reads is noticed in time, too."""
    for begin in range(0, len(body), PIECE_BYTES):
        pulse()
        yield body[begin : begin + PIECE_BYTES]


def _beginning(pieces: Iterable[bytes]) -> str:
    """The first bytes of a body as text; one that breaks off is no failure, since the status has been told."""
    data = b""
    try:
        for piece in pieces:
            data += piece
            if len(data) >= KEPT_BYTES:
                break
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError):
        pass
    return data[:KEPT_BYTES].decode(errors="replace").replace("\0", "\ufffd")


def _outcome(status: int, response: str) -> Outcome:
    if 200 <= status < 300:
        return Outcome(http_status=status, response=response)
    reason = f"HTTP {status} {httpx.codes.get_reason_phrase(status)}".rstrip()
    if 300 <= status < 400:
        reason += "; redirects are not followed: give the URL that they lead to"
    return Outcome(http_status=status, response=response, error=reason)
