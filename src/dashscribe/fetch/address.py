"""Which addresses a fetch may connect to, and the network backend that connects to nothing else.

A server that fetches URLs of strangers is a door into its own network (server-side request forgery). The check sits
where the socket is opened: a host is resolved once per connection, every address is judged, and the connection goes to
exactly the address that was judged, so a name that answers differently the second time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from time import monotonic

import httpcore
import idna

from dashscribe.errors import ConfigError
from dashscribe.errors.sources import DownloadFailedError, SourceAddressError

Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], list[str]]
"""Host and port to textual addresses, in the order in which they should be tried; raises OSError."""

# IANA's special-purpose registries for IPv4 (RFC 6890 and successors), less what is anycast infrastructure only.
_REFUSED_V4 = {
    ip_network(network): kind
    for network, kind in (
        ("0.0.0.0/8", "an unspecified"),
        ("10.0.0.0/8", "a private"),
        ("100.64.0.0/10", "a carrier-grade NAT"),
        ("127.0.0.0/8", "a loopback"),
        ("168.63.129.16/32", "a cloud platform"),  # public on paper, Azure's metadata and agent service in fact
        ("169.254.0.0/16", "a link-local"),
        ("172.16.0.0/12", "a private"),
        ("192.0.0.0/24", "a reserved"),
        ("192.0.2.0/24", "a documentation"),
        ("192.88.99.0/24", "a reserved"),
        ("192.168.0.0/16", "a private"),
        ("198.18.0.0/15", "a benchmarking"),
        ("198.51.100.0/24", "a documentation"),
        ("203.0.113.0/24", "a documentation"),
        ("224.0.0.0/4", "a multicast"),
        ("240.0.0.0/4", "a reserved"),
    )
}
# IPv6 is the other way round: only global unicast is allowed, less its special blocks.
_GLOBAL_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = {
    ip_network(network): kind
    for network, kind in (
        ("2001::/23", "a reserved"),  # protocol assignments, Teredo among them
        ("2001:db8::/32", "a documentation"),
        ("3fff::/20", "a documentation"),
    )
}
_NAT64 = IPv6Network("64:ff9b::/96")
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")


def resolve(host: str, port: int) -> list[str]:
    """Ask the system's resolver. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def refusal(address: Address) -> str:
    """Why the guard refuses an address ("a loopback", "a private", ...); empty when it is public."""
    address = _behind(address)
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _REFUSED_V4.items() if address in network), "")
    if address not in _GLOBAL_V6:
        return "a loopback" if address.is_loopback else "a non-global"
    return next((kind for network, kind in _REFUSED_V6.items() if address in network), "")


def _behind(address: Address) -> Address:
    """The IPv4 address that packets to an IPv4-mapped, NAT64 or 6to4 address end up at; others unchanged."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _literal(host: str) -> Address | None:
    """The address that a host spells out, odd IPv4 forms included (2130706433, 0x7f.1, 127.1); None for a name."""
    with suppress(ValueError):
        return ip_address(host)
    with suppress(OSError):
        return IPv4Address(socket.inet_aton(host))  # what the resolver's own parser would make of it
    return None


class Guard:
    """Judges where a fetch may go.

    ``allow`` is the setting ``fetch_allow``: host names and CIDRs that are exempt; ``trusted`` is one more exempt host.
    """

    def __init__(self, allow: str = "", resolver: Resolver = resolve, *, trusted: str = "") -> None:
        self._resolver = resolver
        self._hosts = {trusted.lower().rstrip(".")} - {""}
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in filter(None, (part.strip().lower().rstrip(".") for part in allow.split(","))):
            try:
                self._networks.append(ip_network(entry.strip("[]"), strict=False))
            except ValueError:
                with suppress(idna.IDNAError):
                    entry = entry if entry.isascii() else idna.encode(entry).decode("ascii")
                if not _HOST_NAME.fullmatch(entry):
                    raise ConfigError(
                        f"DASHSCRIBE_FETCH_ALLOW: {entry!r} is no host name, address or CIDR such as 10.0.0.0/8"
                    ) from None
                self._hosts.add(entry)

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of ``host``, all judged; one refused address among them refuses the host.

        Raises SourceAddressError; DownloadFailedError when the name does not exist, httpcore's ConnectError when the
        resolver cannot tell at present.
        """
        host = host.lower().rstrip(".")
        literal = _literal(host)
        try:
            found = [literal] if literal is not None else [ip_address(text) for text in self._resolver(host, port)]
        except (OSError, UnicodeError) as error:  # UnicodeError: a label of more than 63 characters
            detail = f"the host name {host} does not resolve ({error})"
            if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
                raise httpcore.ConnectError(detail) from error
            raise DownloadFailedError(detail) from error
        for address in found:
            self._judge(host, address)
        return [str(address) for address in found]

    def _judge(self, host: str, address: Address) -> None:
        kind = refusal(address)
        if not kind or host in self._hosts:
            return
        if any(candidate in network for network in self._networks for candidate in (address, _behind(address))):
            return
        raise SourceAddressError(
            f"the host {host} leads to {address}, {kind} address, which is not fetched from; "
            f"if that is meant, add {host} to DASHSCRIBE_FETCH_ALLOW"
        )


class GuardedBackend(httpcore.NetworkBackend):
    """Opens TCP connections to judged addresses only; ``pulse`` is called about once a second while data is awaited."""

    def __init__(self, guard: Guard, pulse: Callable[[], None]) -> None:
        self._guard = guard
        self._pulse = pulse
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of ``host`` that answers. SourceAddressError comes before any packet is sent."""
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in self._guard.addresses(host, port):
            self._pulse()
            try:
                stream = self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _PulsedStream(stream, self._pulse)
        raise failure


class _PulsedStream(httpcore.NetworkStream):
    """A connection whose reads call ``pulse`` about once a second, so that whoever waits can give up by raising."""

    def __init__(self, inner: httpcore.NetworkStream, pulse: Callable[[], None]) -> None:
        self._inner = inner
        self._pulse = pulse

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        quiet_until = monotonic() + (timeout if timeout is not None else float("inf"))
        while True:
            self._pulse()
            try:
                return self._inner.read(max_bytes, min(1.0, max(0.01, quiet_until - monotonic())))
            except httpcore.ReadTimeout:
                if monotonic() >= quiet_until:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _PulsedStream(self._inner.start_tls(ssl_context, server_hostname, timeout), self._pulse)

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)
