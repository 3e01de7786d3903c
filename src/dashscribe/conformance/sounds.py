"""The sounds that cases send: a clip that ships with the package, and what is made of it with the standard library.

``speech.wav`` holds the first words of the Gettysburg Address (Lincoln, 1863, public domain) in a synthetic voice. It
is a cut of ``examples/gettysburg.flac``, whose making ``examples/make_gettysburg.sh`` describes:
``ffmpeg -i examples/gettysburg.flac -t 3.05 -map_metadata -1 -fflags +bitexact -flags:a +bitexact speech.wav``.
"""

from __future__ import annotations

import io
import wave
from base64 import b64encode
from functools import cache
from importlib.resources import files

#: What the clip is, so that expectations can name it: mono, 16 bit, this rate and length.
RATE_HZ = 16_000
CLIP_MS = 3050
_PAUSE = bytes(2 * RATE_HZ)  # a second of silence


@cache
def clip() -> bytes:
    """The clip as a WAV file."""
    return files("dashscribe.conformance").joinpath("speech.wav").read_bytes()


@cache
def sounds() -> dict[str, bytes]:
    """Every file that a source may name, by name; all are of the clip or of silence.

    ``stereo`` has the clip on both channels, ``long`` three times in a row. ``lasting`` is longer than the 5 minutes of
    a synchronous call; ``heavy`` is not, but its data URI is larger than 10 MB.
    """
    with wave.open(io.BytesIO(clip())) as file:
        frames = file.readframes(file.getnframes())
    samples = memoryview(frames).cast("h")
    stereo = b"".join(sample.to_bytes(2, "little", signed=True) * 2 for sample in samples)
    return {
        "speech": clip(),
        "stereo": _wav(stereo, channels=2),
        "long": _wav(_PAUSE.join([frames] * 3)),
        "silence": _wav(_PAUSE * 2),
        "lasting": _wav(_PAUSE * 310),
        "heavy": _wav(_PAUSE * 250),
    }


def data_uri(sound: bytes) -> str:
    """A WAV file as the documented kind of data URI."""
    return f"data:audio/wav;base64,{b64encode(sound).decode()}"


def _wav(frames: bytes, channels: int = 1) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(frames)
    return buffer.getvalue()
