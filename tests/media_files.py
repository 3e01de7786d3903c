"""Short media for the decoding tests: one known stereo sound in every container, made with ffmpeg on the spot.

Left and right carry bursts of different tones at different times, so that a swapped, mixed or shifted channel shows.
"""

import struct
import wave
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dashscribe.decode import Decoder
from dashscribe.types import RATE_HZ, Span

SECONDS = 4.0
#: Per channel: tone in Hz, begins of its bursts in seconds; each burst lasts BURST_S.
TONES = ((440, (0.5, 3.0)), (1000, (1.0, 3.4)))
BURST_S = 0.3
VIDEO = ("-f", "lavfi", "-i", "testsrc=d=4:s=64x64", "-map", "0:a", "-map", "1:v")

#: name: (ffmpeg arguments, container, codec, greatest shift of the sound in seconds). Encoders put up to two frames
#: of silence in front, which only some containers tell how to take off again.
RECIPES: dict[str, tuple[tuple[str, ...], str, str, float]] = {
    "adts.aac": (("-c:a", "aac"), "aac", "aac", 0.03),
    "edit.m4a": (("-c:a", "aac"), "m4a", "aac", 0.002),
    "lossless.m4a": (("-c:a", "alac"), "m4a", "alac", 0.002),
    "low.m4a": (("-ar", "22050", "-c:a", "aac"), "m4a", "aac", 0.002),
    "video.mp4": ((*VIDEO, "-c:a", "aac", "-c:v", "mpeg4"), "mp4", "aac", 0.002),
    "opus.mp4": (("-c:a", "libopus", "-strict", "-2"), "mp4", "opus", 0.002),
    "fragments.mp4": (("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"), "mp4", "aac", 0.03),
    "pcm.mov": (("-c:a", "pcm_s16be"), "mov", "pcm_s16be", 0.002),
    "phone.3gp": (("-c:a", "aac"), "3gp", "aac", 0.002),
    "video.avi": ((*VIDEO, "-c:a", "mp3", "-c:v", "mpeg4"), "avi", "mp3", 0.03),
    "pcm.avi": (("-c:a", "pcm_s16le"), "avi", "pcm_s16le", 0.002),
    "dolby.avi": (("-c:a", "ac3"), "avi", "ac3", 0.01),
    "frames.flac": (("-c:a", "flac"), "flac", "flac", 0.002),
    "video.flv": ((*VIDEO, "-c:a", "aac", "-c:v", "flv1"), "flv", "aac", 0.03),
    "sound.flv": (("-c:a", "mp3"), "flv", "mp3", 0.03),
    "flac.mkv": (("-c:a", "flac"), "matroska", "flac", 0.002),
    "video.mkv": ((*VIDEO, "-c:a", "libvorbis", "-c:v", "mpeg4"), "matroska", "vorbis", 0.005),
    "mp3.mkv": (("-c:a", "mp3"), "matroska", "mp3", 0.03),
    "xing.mp3": (("-c:a", "mp3"), "mp3", "mp3", 0.002),
    "bare.mp3": (("-c:a", "mp3", "-write_xing", "0"), "mp3", "mp3", 0.03),
    "variable.mp3": (("-c:a", "mp3", "-q:a", "5"), "mp3", "mp3", 0.002),
    "layer2.mp2": (("-c:a", "mp2"), "mp3", "mp2", 0.02),
    "video.mpeg": ((*VIDEO, "-c:a", "mp2", "-c:v", "mpeg1video"), "mpeg", "mp2", 0.02),
    "video.ts": ((*VIDEO, "-c:a", "aac", "-c:v", "mpeg2video"), "mpegts", "aac", 0.03),
    "vorbis.ogg": (("-c:a", "libvorbis"), "ogg", "vorbis", 0.002),
    "flac.ogg": (("-c:a", "flac"), "ogg", "flac", 0.002),
    "speex.ogg": (("-ar", "16000", "-c:a", "libspeex"), "ogg", "speex", 0.02),
    "opus.opus": (("-c:a", "libopus"), "ogg", "opus", 0.002),
    "opus.webm": (("-c:a", "libopus"), "matroska", "opus", 0.002),
    "pcm.wav": (("-c:a", "pcm_s16le"), "wav", "pcm_s16le", 0.002),
    "mulaw.wav": (("-ar", "8000", "-c:a", "pcm_mulaw"), "wav", "pcm_mulaw", 0.002),
    "adpcm.wav": (("-c:a", "adpcm_ms"), "wav", "adpcm_ms", 0.002),
    "pcm.w64": (("-c:a", "pcm_s16le"), "w64", "pcm_s16le", 0.002),
    "sound.wma": (("-c:a", "wmav2"), "asf", "wmav2", 0.06),
    "low.wma": (("-ar", "16000", "-c:a", "wmav2"), "asf", "wmav2", 0.06),
    "video.wmv": ((*VIDEO, "-c:a", "wmav2", "-c:v", "wmv2"), "asf", "wmav2", 0.06),
    "pcm.aiff": (("-c:a", "pcm_s16be"), "aiff", "pcm_s16be", 0.002),
    "pcm.caf": (("-c:a", "pcm_s16be"), "caf", "pcm_s16be", 0.002),
    "pcm.au": (("-c:a", "pcm_s16be"), "au", "pcm_s16be", 0.002),
    "dolby.ac3": (("-c:a", "ac3"), "ac3", "ac3", 0.01),
}

MediaMaker = Callable[[str], Path]


def tone_bursts(rate_hz: int, seconds: float = SECONDS) -> NDArray[np.int16]:
    """The known sound, shape (2, n)."""
    at_s = np.arange(int(rate_hz * seconds)) / rate_hz
    rows: list[NDArray[np.float64]] = []
    for tone_hz, begins in TONES:
        loud = sum(((at_s >= begin) & (at_s < begin + BURST_S)).astype(float) for begin in begins)
        rows.append(loud * 0.3 * np.sin(2 * np.pi * tone_hz * at_s))
    return np.rint(np.array(rows) * 32767).astype(np.int16)


def write_wav(path: Path, samples: NDArray[np.int16], rate_hz: int = RATE_HZ) -> Path:
    """Write int16 samples, shape (channels, n)."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.T.astype("<i2").tobytes())
    return path


def wav_bytes(
    data: bytes,
    *,
    tag: int = 1,
    channels: int = 1,
    rate_hz: int = RATE_HZ,
    bits: int = 16,
    data_bytes: int | None = None,
) -> bytes:
    """A WAV file with any claim in its header; ``tag`` 1 is PCM, 3 is floating point."""
    claimed = len(data) if data_bytes is None else data_bytes
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate_hz, (rate_hz * block) & 0xFFFFFFFF, block & 0xFFFF, bits)
    sizes = struct.pack("<I", min(claimed + 36, 0xFFFFFFFF)), struct.pack("<I", claimed)
    return b"RIFF" + sizes[0] + b"WAVEfmt \x10\0\0\0" + form + b"data" + sizes[1] + data


def decode(
    path: Path, channels: Sequence[int] = (0,), stretch: Span | None = None, *, mix: bool = False
) -> tuple[Decoder, NDArray[np.int16]]:
    """The decoder after its end, and all samples, shape (channels, n)."""
    decoder = Decoder(path, url=path.name, channels=channels, mix=mix, stretch=stretch)
    return decoder, np.concatenate(list(decoder), axis=1)


def onsets(samples: NDArray[np.int16]) -> list[float]:
    """Where bursts begin in one channel, in seconds: the first loud sample after 100 ms without one."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 5000)
    first = np.concatenate([[True], np.diff(loud) > RATE_HZ // 10])
    return [float(at) / RATE_HZ for at in loud[first]]


def pitch_hz(samples: NDArray[np.int16]) -> float:
    """The strongest frequency."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * RATE_HZ / len(samples)


@pytest.fixture(scope="session")
def media(ffmpeg: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> MediaMaker:
    """Path of the named recipe's file, made on first use."""
    folder = tmp_path_factory.mktemp("media")
    source = write_wav(folder / "source.wav", tone_bursts(44_100), 44_100)

    def make(name: str) -> Path:
        path = folder / name
        if not path.exists():
            ffmpeg("-i", source, *RECIPES[name][0], path)
        return path

    return make
