"""The guard refuses every way to spell an address inside, and lets through what an operator exempts."""

import socket
from ipaddress import ip_address

import httpcore
import pytest

from dashscribe.errors import ConfigError
from dashscribe.errors.sources import DownloadFailedError, SourceAddressError, SourceUrlError
from dashscribe.fetch import source_url
from dashscribe.fetch.address import Guard, GuardedBackend, refusal

PUBLIC_V4, PUBLIC_V6 = "93.184.215.14", "2606:2800:21f:cb07::1"

INSIDE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",  # metadata service of one cloud, in the carrier-grade range
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",  # IPv4-compatible 127.0.0.1
    "::5db8:d70e",  # IPv4-compatible, even of a public address: not routed
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",  # IPv4-translated
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
    "2001:db8::1",
    "2002:7f00:1::1",  # 6to4 of 127.0.0.1
    "2002:a00:1::1",  # 6to4 of 10.0.0.1
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%2",
    "fec0::1",
    "ff02::1",
]

OUTSIDE = [
    PUBLIC_V4,
    PUBLIC_V6,
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "223.255.255.255",
    "2400:3200::1",
    "::ffff:93.184.215.14",
    "64:ff9b::93.184.215.14",  # how a host without IPv4 reaches a public server
]


def answering(*addresses: str):
    return lambda host, port: list(addresses)


def never(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} was asked for")


@pytest.mark.parametrize("address", INSIDE)
def test_address_inside_is_refused(address: str) -> None:
    assert refusal(ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_public_address_is_allowed(address: str) -> None:
    assert refusal(ip_address(address)) == ""


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.wav",
        "http://127.0.0.1./a.wav",
        "http://2130706433/a.wav",
        "http://0x7f000001/a.wav",
        "http://0x7f.1/a.wav",
        "http://0X7F.0x0.0x0.0x1/a.wav",
        "http://017700000001/a.wav",
        "http://0177.0.0.1/a.wav",
        "http://0177.1/a.wav",
        "http://127.1/a.wav",
        "http://127.0.1/a.wav",
        "http://0/a.wav",
        "http://10.1/a.wav",
        "http://１２７.０.０.１/a.wav",
        "http://127。0。0。1/a.wav",
        "http://①②⑦.⓪.⓪.①/a.wav",
        "http://%31%32%37.0.0.1/a.wav",
        "http://[::1]/a.wav",
        "http://[::ffff:127.0.0.1]/a.wav",
        "http://[::ffff:7f00:1]/a.wav",
        "http://[0:0:0:0:0:0:0:1]/a.wav",
        "http://[64:ff9b::7f00:1]/a.wav",
        "http://[2002:7f00:1::]/a.wav",
        "http://[fe80::1%25eth0]/a.wav",
        "http://public.example@127.0.0.1/a.wav",
        "http://public.example:80@127.0.0.1:80/a.wav",
        "http://public.example%40x@127.0.0.1/a.wav",
        "HTTP://127.0.0.1:8080/a.wav",
        "https://169.254.169.254/latest/meta-data/",
    ],
)
def test_odd_spelling_of_an_inside_address_is_refused_without_asking_the_resolver(url: str) -> None:
    with pytest.raises((SourceAddressError, SourceUrlError)):
        parsed = source_url(url)
        Guard(resolver=never).addresses(parsed.raw_host.decode(), parsed.port or 80)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1#@public.example/a.wav", "127.0.0.1"),
        ("http://127.0.0.1\\@public.example/a.wav", "public.example"),
        ("http://public.example/@127.0.0.1/a.wav", "public.example"),
        ("http://public.example?@127.0.0.1/", "public.example"),
    ],
)
def test_host_that_is_judged_is_the_host_that_is_connected(url: str, host: str) -> None:
    parsed = source_url(url)
    assert parsed.raw_host.decode() == host
    asked: list[str] = []
    backend = GuardedBackend(Guard(resolver=lambda name, port: asked.append(name) or ["127.0.0.1"]), lambda: None)
    with pytest.raises(SourceAddressError, match=host):
        backend.connect_tcp(parsed.raw_host.decode(), 80)
    assert asked in ([host], [])


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "localhost.", "a.localhost", "ip6-localhost", "intranet"])
def test_name_of_this_machine_or_network_is_refused_by_what_it_resolves_to(name: str) -> None:
    with pytest.raises(SourceAddressError) as caught:
        Guard(resolver=answering("127.0.0.1")).addresses(name, 80)
    assert name.lower().rstrip(".") in caught.value.detail
    assert "127.0.0.1" in caught.value.detail
    assert "DASHSCRIBE_FETCH_ALLOW" in caught.value.detail


def test_one_inside_address_among_public_ones_refuses_the_host() -> None:
    with pytest.raises(SourceAddressError, match=r"10\.0\.0\.5"):
        Guard(resolver=answering(PUBLIC_V4, "10.0.0.5", PUBLIC_V6)).addresses("mixed.example", 443)


def test_addresses_keep_the_order_of_the_resolver() -> None:
    assert Guard(resolver=answering(PUBLIC_V6, PUBLIC_V4)).addresses("a.example", 443) == [PUBLIC_V6, PUBLIC_V4]


@pytest.mark.parametrize(
    "allow", ["media.local", "MEDIA.local.", "x, media.local ,y", "10.0.0.0/8", "10.0.0.5", "10.1.1.1/8"]
)
def test_exempt_host_or_network_is_allowed(allow: str) -> None:
    assert Guard(allow, answering("10.0.0.5")).addresses("media.local", 80) == ["10.0.0.5"]


@pytest.mark.parametrize(
    "allow", ["", " , ", "local", "other.media.local", "dia.local", "10.0.0.6", "11.0.0.0/8", "fd00::/8"]
)
def test_exemption_of_something_else_does_not_help(allow: str) -> None:
    with pytest.raises(SourceAddressError):
        Guard(allow, answering("10.0.0.5")).addresses("media.local", 80)


def test_exempt_international_host_matches_its_ascii_form() -> None:
    assert Guard("bücher.example", answering("10.0.0.5")).addresses("xn--bcher-kva.example", 80) == ["10.0.0.5"]


def test_exempt_ipv4_network_covers_its_ipv6_spellings() -> None:
    assert len(Guard("127.0.0.0/8", never).addresses("::ffff:127.0.0.1", 80)) == 1


def test_exempt_network_does_not_cover_the_other_addresses_of_a_host() -> None:
    with pytest.raises(SourceAddressError, match=r"192\.168\.0\.1"):
        Guard("10.0.0.0/8", answering("10.0.0.5", "192.168.0.1")).addresses("media.local", 80)


@pytest.mark.parametrize("entry", ["http://a.example", "a.example:80", "*.example", "10.0.0.0/33", "a b"])
def test_unusable_exemption_is_named(entry: str) -> None:
    with pytest.raises(ConfigError, match="DASHSCRIBE_FETCH_ALLOW") as caught:
        Guard(f"good.example,{entry}")
    assert entry in caught.value.detail


def test_name_that_does_not_exist_is_a_download_failure() -> None:
    def resolver(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(DownloadFailedError, match=r"gone\.example does not resolve"):
        Guard(resolver=resolver).addresses("gone.example", 80)


def test_label_that_is_too_long_is_a_download_failure() -> None:
    with pytest.raises(DownloadFailedError, match="does not resolve"):
        Guard().addresses("a" * 64 + ".example", 80)


def test_resolver_that_cannot_tell_at_present_is_a_network_failure() -> None:
    def resolver(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    with pytest.raises(httpcore.ConnectError, match=r"slow\.example"):
        Guard(resolver=resolver).addresses("slow.example", 80)


def test_connection_falls_back_to_the_next_address() -> None:
    with socket.create_server(("127.0.0.2", 0)) as server:
        port = server.getsockname()[1]
        backend = GuardedBackend(Guard("127.0.0.0/8", answering("127.0.0.3", "127.0.0.2")), lambda: None)
        stream = backend.connect_tcp("twice.example", port, timeout=5.0)
        assert stream.get_extra_info("server_addr")[0] == "127.0.0.2"
        stream.close()
