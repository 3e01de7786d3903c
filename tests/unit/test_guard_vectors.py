"""Every way that is known to lead a fetch inside, by table: through the real client, with servers inside that count.

A vector passes if the fetch is refused and nothing inside was connected to. What the address guard alone makes of odd
spellings is in ``test_address_guard``; here URLs go the whole way: parsing, redirects, resolving, connecting, decoding.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dashscribe.config import Settings
from dashscribe.decode import probe
from dashscribe.errors.sources import DecodeError, NoAudioError, SourceAddressError, SourceError, SourceUrlError
from dashscribe.fetch import fetch, head

PUBLIC = "93.184.215.14"


class Inside:
    """A server that nobody is to reach, and one that is allowed and redirects wherever it is told to."""

    def __init__(self) -> None:
        self.touched: list[str] = []
        self.location, self.status = "", 302
        self.body, self.headers = b"", {}
        outer = self

        class Secret(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.touched.append(self.path)
                self.send_response(200)
                self.send_header("content-length", "6")
                self.end_headers()
                self.wfile.write(b"secret")

            do_HEAD = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Allowed(Secret):
            def do_GET(self) -> None:
                self.send_response(outer.status if outer.location else 200)
                if outer.location:
                    self.send_header("location", outer.location)
                self.send_header("content-length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            do_HEAD = do_GET

        # Two loopback addresses: an exemption of one is none of the other.
        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), Secret), ThreadingHTTPServer(("127.0.0.9", 0), Allowed)]
        self.port, self.allowed_port = (server.server_port for server in self.servers)

    def __enter__(self) -> Inside:
        for server in self.servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()


@pytest.fixture(scope="module")
def running() -> Iterator[Inside]:
    with Inside() as inside:
        yield inside


@pytest.fixture
def inside(running: Inside) -> Inside:
    running.touched.clear()
    running.location, running.status, running.body = "", 302, b""
    return running


#: Hosts as they stand in a URL, all of them this machine or its network, or spelled to look like something else.
HOSTS = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0x0.0x0.0x1",
    "0X7F.1",
    "017700000001",
    "0177.0.0.01",
    "0",
    "0.0.0.0",
    "000000177.0.0.1",
    "[::1]",
    "[::]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::127.0.0.1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::]",
    "[2001:0:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fe80::5efe:127.0.0.1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "１２７.0.0.1",
    "127。0。0。1",
    "127．0．0．1",
    "①②⑦.⓪.⓪.①",
    "%31%32%37.0.0.1",
    "127.0.0.1%00.public.example",
    "public.example@127.0.0.1",
    "public.example:80@127.0.0.1",
    "127.0.0.1%20",
    "localhost",
    "LOCALHOST.",
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "2852039166",
    "0xA9FEA9FE",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
]
#: Other schemes and shapes; none is fetched at all.
URLS = [
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "FILE:///etc/passwd",
    "gopher://127.0.0.1:{port}/_GET%20/",
    "ftp://127.0.0.1:{port}/a.wav",
    "dict://127.0.0.1:{port}/info",
    "ldap://127.0.0.1:{port}/",
    "tftp://127.0.0.1:{port}/a",
    "jar:http://127.0.0.1:{port}!/a.wav",
    "ws://127.0.0.1:{port}/",
    "unix:///var/run/docker.sock",
    "concat:/etc/passwd|/etc/hosts",
    "crypto:/etc/passwd",
    "subfile,,start,0,end,9,,:/etc/passwd",
    "//127.0.0.1:{port}/a.wav",
    "/etc/passwd",
    "../../etc/passwd",
    "http:///a.wav",
    "http:127.0.0.1:{port}/a.wav",
    "http://127.0.0.1:99999/a.wav",
    "http://127.0.0.1:0/a.wav",
    "http://127.0.0.1:-1/a.wav",
    "http://[::1/a.wav",
    "http://127.0.0.1:{port}\\@public.example/a.wav",
    "http://127.0.0.1:{port}#@public.example/a.wav",
    "http://127.0.0.1:{port}\t/a.wav",
    "http://127.0.0.1:{port}/\r\nHost: public.example",
    "https://127.0.0.1:{port}/a.wav",
    "http://127.0.0.1:22/a.wav",
    "http://127.0.0.1:6379/a.wav",
    "http://127.0.0.1:11211/%0d%0aset%20x%200%200%201%0d%0a",
]


def refused(url: str, folder: Path, inside: Inside, **how: object) -> str:
    """The name of the error that a fetch ends with; nothing inside was reached, and nothing is left on disk."""
    settings = Settings(fetch_allow="127.0.0.9/32", fetch_timeout_s=60)
    with pytest.raises(SourceError) as caught:
        fetch(url, folder, settings=settings, sleep=lambda s: None, **how)  # type: ignore[arg-type]
    assert inside.touched == []
    assert list(folder.iterdir()) == []
    return type(caught.value).__name__


@pytest.mark.parametrize("host", HOSTS)
def test_no_spelling_of_a_host_leads_inside(inside: Inside, tmp_path: Path, host: str) -> None:
    assert refused(f"http://{host}:{inside.port}/a.wav", tmp_path, inside) in ("SourceAddressError", "SourceUrlError")


@pytest.mark.parametrize("url", URLS)
def test_no_other_scheme_and_no_odd_url_leads_anywhere(inside: Inside, tmp_path: Path, url: str) -> None:
    how = {"resolver": lambda host, port: ["127.0.0.1"]}
    assert refused(url.format(port=inside.port), tmp_path, inside, **how) in ("SourceAddressError", "SourceUrlError")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{port}/a.wav",
        "//127.0.0.1:{port}/a.wav",
        "http://2130706433:{port}/a.wav",
        "http://[::ffff:127.0.0.1]:{port}/a.wav",
        "http://localhost:{port}/a.wav",
        "http://me:you@127.0.0.1:{port}/a.wav",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
        "ftp://127.0.0.1:{port}/",
        "data:audio/wav;base64,UklGRg==",
        "http://169.254.169.254/latest/meta-data/",
        "http://rebound.example:{port}/a.wav",
    ],
)
def test_no_redirect_leads_inside(inside: Inside, tmp_path: Path, location: str, status: int) -> None:
    inside.location, inside.status = location.format(port=inside.port), status
    how = {"resolver": lambda host, port: ["127.0.0.1"]}
    assert refused(f"http://127.0.0.9:{inside.allowed_port}/a.wav", tmp_path, inside, **how) in (
        "SourceAddressError",
        "SourceUrlError",
    )


def test_a_redirect_among_what_is_allowed_works_and_an_endless_one_ends(inside: Inside, tmp_path: Path) -> None:
    inside.body = b"sound"
    settings = Settings(fetch_allow="127.0.0.9/32")
    assert fetch(f"http://127.0.0.9:{inside.allowed_port}/a", tmp_path, settings=settings).path.read_bytes() == b"sound"
    (tmp_path / "room").mkdir()
    inside.location = f"http://127.0.0.9:{inside.allowed_port}/again"
    assert refused(f"http://127.0.0.9:{inside.allowed_port}/a", tmp_path / "room", inside) == "DownloadFailedError"


def test_a_head_is_guarded_too(inside: Inside) -> None:
    with pytest.raises(SourceAddressError):
        head(f"http://127.0.0.1:{inside.port}/a.wav", Settings())
    inside.location = f"http://127.0.0.1:{inside.port}/a.wav"
    with pytest.raises(SourceAddressError):
        head(f"http://127.0.0.9:{inside.allowed_port}/a.wav", Settings(fetch_allow="127.0.0.9/32"))
    assert inside.touched == []


# --- names ------------------------------------------------------------------------------------------------------------


class Rebinding:
    """A resolver whose answers change: each call gives the next one."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.calls = list(answers), 0

    def __call__(self, host: str, port: int) -> list[str]:
        self.calls += 1
        return self.answers[min(self.calls, len(self.answers)) - 1]


def test_a_name_is_asked_for_once_and_what_was_judged_is_connected(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], *given: object, **named: object) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    resolver = Rebinding([PUBLIC], ["127.0.0.1"])
    with pytest.raises(SourceError):
        fetch(
            f"http://rebound.example:{inside.port}/a",
            tmp_path,
            settings=Settings(),
            resolver=resolver,
            sleep=lambda s: None,
        )
    # The first try connected to what was judged; the second, whose answer was another one, to nothing.
    assert connected == [(PUBLIC, inside.port)]
    assert resolver.calls == 2


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        [PUBLIC, "127.0.0.1"],
        ["127.0.0.1", PUBLIC],
        ["2606:2800:21f:cb07::1", "::1"],
        [PUBLIC, "::ffff:10.0.0.1"],
        [PUBLIC, "169.254.169.254"],
        ["fe80::1%lo"],
        ["64:ff9b::7f00:1"],
        ["0.0.0.0"],
    ],
)
def test_one_address_inside_among_those_of_a_name_refuses_it(inside: Inside, tmp_path: Path, answer: list[str]) -> None:
    url = f"http://mixed.example:{inside.port}/a.wav"
    assert refused(url, tmp_path, inside, resolver=lambda host, port: answer) == "SourceAddressError"


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_no_proxy_of_the_environment_leads_around(
    inside: Inside, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"http://127.0.0.1:{inside.port}")
    monkeypatch.setenv("no_proxy", "")
    assert refused(f"http://127.0.0.1:{inside.port}/a.wav", tmp_path, inside) == "SourceAddressError"
    inside.body = b"sound"
    settings = Settings(fetch_allow="127.0.0.9/32")
    assert fetch(f"http://127.0.0.9:{inside.allowed_port}/a", tmp_path, settings=settings).size_bytes == 5
    assert inside.touched == []


# --- what was fetched leads nowhere -----------------------------------------------------------------------------------

PLAYLISTS: dict[str, Callable[[str], str]] = {
    "list.m3u8": lambda url: f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n",
    "list.m3u": lambda url: f"#EXTM3U\n#EXTINF:9,x\n{url}\n",
    "list.pls": lambda url: f"[playlist]\nFile1={url}\nNumberOfEntries=1\n",
    "list.asx": lambda url: f"<asx version='3.0'><entry><ref href='{url}'/></entry></asx>",
    "list.xspf": lambda url: f"<playlist><trackList><track><location>{url}</location></track></trackList></playlist>",
    "list.mpd": lambda url: (
        f"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'><BaseURL>{url}</BaseURL></MPD>"
    ),
    "list.ffconcat": lambda url: f"ffconcat version 1.0\nfile '{url}'\n",
    "list.sdp": lambda url: "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "list.smil": lambda url: f"<smil><body><audio src='{url}'/></body></smil>",
    "list.svg": lambda url: f"<svg xmlns='http://www.w3.org/2000/svg'><image href='{url}'/></svg>",
    "list.imf": lambda url: f"<?xml version='1.0'?><CompositionPlaylist><Id>{url}</Id></CompositionPlaylist>",
}


@pytest.mark.parametrize("name", PLAYLISTS)
@pytest.mark.parametrize("target", ["http://127.0.0.1:{port}/a.wav", "file://{secret}", "{secret}"])
@pytest.mark.parametrize("suffix", ["", ".wav", ".mp3"])
def test_no_playlist_is_followed_whatever_it_is_called(
    inside: Inside, tmp_path: Path, name: str, target: str, suffix: str
) -> None:
    from media_files import tone_bursts, write_wav

    secret = write_wav(tmp_path / "secret.wav", tone_bursts(16_000))
    path = tmp_path / f"{name}{suffix}"
    path.write_text(PLAYLISTS[name](target.format(port=inside.port, secret=secret)))
    with pytest.raises((DecodeError, NoAudioError)):
        probe(path, "")
    assert inside.touched == []


def test_there_are_enough_vectors() -> None:
    assert len(HOSTS) + len(URLS) + 60 + 9 + 5 + 9 * len(PLAYLISTS) > 240
    assert issubclass(SourceUrlError, SourceError)
