"""Small files that claim, or become, something enormous: bounded in time, memory and disk, with the right error."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from dashscribe.config import Settings
from dashscribe.errors import HostDiedError
from dashscribe.errors.sources import DecodeError, DurationTooLongError, NoAudioError, SourceError
from dashscribe.hosts import Hosts
from dashscribe.hosts.protocol import CutEnd
from dashscribe.types import Limits, Options
from media_files import tone_bursts, wav_bytes, write_wav

#: What a bomb may make a child hold at most, in bytes; a healthy one holds some 100 MB.
CHILD_BYTES = 1024**3


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with Hosts(Settings(max_duration_s=900), slots=1) as hosts:
        yield hosts


def cut(hosts: Hosts, path: Path, **options: object) -> CutEnd:
    """Cut a file; what the child held at its most is checked, whatever the end."""
    try:
        last = list(hosts.cut(path, url=path.name, options=Options(**options), limits=Limits()))[-1]  # type: ignore[arg-type]
    finally:
        for child in psutil.Process().children():
            status = Path(f"/proc/{child.pid}/status").read_text()
            peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024 if "VmHWM:" in status else 0
            assert peak < CHILD_BYTES, f"{peak >> 20} MiB"
    assert isinstance(last, CutEnd)
    return last


def silent_flac(seconds: int, rate_hz: int = 8000) -> bytes:
    """A FLAC of constant frames, 14 bytes for 65,535 samples: hours in a few kilobytes. RFC 9639."""
    size, total = 65_535, seconds * rate_hz
    info = struct.pack(">HH", size, size) + bytes(6)
    info += ((rate_hz << 44) | (0 << 41) | (15 << 36) | min(total, 2**36 - 1)).to_bytes(8, "big") + bytes(16)
    frames = bytearray()
    for number in range(-(-total // size)):
        head = b"\xff\xf8" + bytes([0x7 << 4 | 0x4, 0 << 4 | 0x4 << 1]) + utf8(number) + struct.pack(">H", size - 1)
        frame = head + bytes([crc8(head)]) + b"\0" + struct.pack(">h", 0)
        frames += frame + struct.pack(">H", crc16(frame))
    return b"fLaC" + b"\x80" + len(info).to_bytes(3, "big") + info + bytes(frames)


def utf8(number: int) -> bytes:
    return (
        chr(number).encode()
        if number < 0xD800
        else bytes([0xF0, 0x80 | number >> 12, 0x80 | number >> 6 & 63, 0x80 | number & 63])
    )


def crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ (0x07 if value & 0x80 else 0)) & 0xFF
    return value


def crc16(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x8005 if value & 0x8000 else 0)) & 0xFFFF
    return value


def test_hours_of_nothing_in_some_kilobytes_are_read_to_the_limit_and_no_further(hosts: Hosts, tmp_path: Path) -> None:
    fair, long, liar = tmp_path / "fair.flac", tmp_path / "days.flac", tmp_path / "liar.flac"
    fair.write_bytes(silent_flac(300))
    assert cut(hosts, fair).end_ms == pytest.approx(300_000, abs=9000)
    long.write_bytes(silent_flac(5 * 3600, 4000))
    assert long.stat().st_size < 64 * 1024
    with pytest.raises(DurationTooLongError):
        cut(hosts, long)
    content = bytearray(long.read_bytes())
    content[21:26] = bytes([content[21] & 0xF0]) + struct.pack(">I", 4000)  # claims one second
    liar.write_bytes(content)
    with pytest.raises(DurationTooLongError):
        cut(hosts, liar)


@pytest.mark.parametrize(
    ("claims", "kinds"),
    [
        ({"data_bytes": 0xFFFF_FF00}, ()),  # a recorder that could not fill it in: what is there counts
        ({"data_bytes": 0x7FFF_0000, "rate_hz": 2000}, (DurationTooLongError,)),
        ({"channels": 64, "rate_hz": 384_000}, ()),
        ({"channels": 64, "rate_hz": 768_000, "bits": 32, "tag": 3}, ()),
        ({"channels": 65}, (DecodeError,)),
        ({"channels": 4000}, (DecodeError, NoAudioError)),
        ({"rate_hz": 0xFFFF_FFFF}, (DecodeError, NoAudioError)),
        ({"bits": 64, "tag": 3}, ()),
    ],
)
def test_wav_with_enormous_claims(
    hosts: Hosts, tmp_path: Path, claims: dict[str, int], kinds: tuple[type[Exception], ...]
) -> None:
    path = tmp_path / "claims.wav"
    path.write_bytes(wav_bytes(bytes(4 * 1024**2), **claims))
    try:
        cut(hosts, path, channels=tuple(range(2)))
    except SourceError as error:
        assert kinds == () or isinstance(error, kinds), error
    else:
        assert DecodeError not in kinds


def test_sixty_four_channels_of_384_khz_are_cut_within_bounds(hosts: Hosts, tmp_path: Path) -> None:
    path = tmp_path / "wide.wav"
    path.write_bytes(wav_bytes(bytes(64 * 2 * 38_400), channels=64, rate_hz=384_000))  # a tenth of a second
    end = cut(hosts, path, channels=tuple(range(64)))
    assert (end.end_ms, len(end.channels)) == (100, 64)


def id3(frame: bytes, claimed: int | None = None) -> bytes:
    size = len(frame) if claimed is None else claimed
    return b"ID3\x03\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + frame


@pytest.fixture
def mp3(ffmpeg: Callable[..., None], tmp_path: Path) -> bytes:
    source = write_wav(tmp_path / "source.wav", tone_bursts(44_100), 44_100)
    ffmpeg("-i", source, "-c:a", "mp3", "-id3v2_version", "0", tmp_path / "plain.mp3")
    return (tmp_path / "plain.mp3").read_bytes()


@pytest.mark.parametrize("kind", ["cover", "text", "many", "lies"])
def test_enormous_tags_are_passed_over(hosts: Hosts, tmp_path: Path, mp3: bytes, kind: str) -> None:
    size = 60 * 1024**2
    tags = {
        "cover": id3(b"APIC" + struct.pack(">I", size) + b"\0\0\0image/png\0\x03\0" + bytes(size - 13)),
        "text": id3(b"TXXX" + struct.pack(">I", size) + b"\0\0\0a\0" + b"x" * (size - 3)),
        "many": id3((b"TXXX" + struct.pack(">I", 8) + b"\0\0\0a\0bbbbb") * 200_000),
        "lies": id3(bytes(100), claimed=0x0FFF_FFFF),
    }
    path = tmp_path / "tagged.mp3"
    path.write_bytes(tags[kind] + mp3)
    try:
        assert cut(hosts, path).end_ms == pytest.approx(4000, abs=200)
    except SourceError:
        assert kind == "lies"


def test_streams_by_the_thousand(hosts: Hosts, ffmpeg: Callable[..., None], tmp_path: Path) -> None:
    source = write_wav(tmp_path / "source.wav", tone_bursts(16_000))
    ffmpeg("-i", source, "-c:a", "flac", tmp_path / "one.mka")
    content = (tmp_path / "one.mka").read_bytes()
    at = content.index(b"\x16\x54\xae\x6b")  # Tracks
    end = content.index(b"\x1f\x43\xb6\x75")  # Cluster
    path = tmp_path / "many.mka"
    path.write_bytes(content[:end] + content[at:end] * 2000 + content[end:])
    try:
        cut(hosts, path)
    except (SourceError, HostDiedError) as error:
        assert "bound" not in str(error)


def test_nested_and_repeated_boxes(hosts: Hosts, tmp_path: Path) -> None:
    for depth in (100, 50_000):
        path = tmp_path / f"{depth}.mp4"
        boxes = b"".join((8 * (depth - n)).to_bytes(4, "big") + b"moov" for n in range(depth))
        path.write_bytes(b"\0\0\0\x14ftypM4A \0\0\0\0M4A " + boxes)
        with pytest.raises((DecodeError, NoAudioError, HostDiedError)):
            cut(hosts, path)


def test_table_of_samples_that_claims_billions(hosts: Hosts, ffmpeg: Callable[..., None], tmp_path: Path) -> None:
    source = write_wav(tmp_path / "source.wav", tone_bursts(44_100), 44_100)
    ffmpeg("-i", source, "-c:a", "aac", tmp_path / "fair.m4a")
    for name in (b"stsz", b"stts", b"stsc", b"stco", b"elst"):
        content = bytearray((tmp_path / "fair.m4a").read_bytes())
        at = content.index(name)
        content[at + 8 : at + 16] = b"\xff" * 8
        path = tmp_path / "claims.m4a"
        path.write_bytes(content)
        try:
            cut(hosts, path)
        except (SourceError, HostDiedError) as error:
            assert str(error)


def test_one_bomb_does_not_starve_others(tmp_path: Path) -> None:
    """While bombs are being looked at, a healthy file is cut, in a child of its own."""
    bomb, fair = tmp_path / "bomb.flac", tmp_path / "fair.wav"
    bomb.write_bytes(silent_flac(1200))
    noise = np.random.default_rng(1).normal(0, 3000, 160_000).astype(np.int16)
    write_wav(fair, noise[None])
    with Hosts(Settings(max_duration_s=3600), slots=1) as hosts, ThreadPoolExecutor(3) as pool:
        running = [pool.submit(cut, hosts, bomb) for _ in range(2)]
        time.sleep(0.5)
        assert cut(hosts, fair).end_ms == 10_000
        for job in running:
            assert job.result().end_ms == pytest.approx(1_200_000, abs=9000)
