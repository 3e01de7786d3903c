"""Peaks of a recording's waveform, as its cut left them in the store: for people who look for a place in it."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from dashscribe.hosts.protocol import PEAKS_HZ
from dashscribe.store import Store


class Peaks(Struct, frozen=True):
    """``rate_hz`` bytes a second for each channel, by number, 0 to 127; the first is at ``begin_ms``.

    The channels are those that were recognized, over the stretch that was.
    """

    rate_hz: int
    begin_ms: int
    channels: dict[int, bytes]


def peaks_key(file_prefix: str) -> str:
    """Where the peaks of a file lie. Every cut of it makes the same."""
    return f"{file_prefix}/peaks.msgpack"


def encode_peaks(begin_ms: int, channels: dict[int, bytes]) -> bytes:
    """The blob of what ``Hosts.cut`` has told."""
    return msgspec.msgpack.encode(Peaks(PEAKS_HZ, begin_ms, channels))


def read_peaks(store: Store, file_prefix: str) -> Peaks | None:
    """The peaks of a file; None for one that was cut before there were any."""
    try:
        return msgspec.msgpack.decode(store.read(peaks_key(file_prefix)), type=Peaks)
    except FileNotFoundError:
        return None
