"""Synthesized speech with the true times of its words and phones: eSpeak NG through its C library, Flite as a program.

Needs numpy alone (and the synthesizers' Debian packages: libespeak-ng1, flite). All sound is mono at 16 kHz.
The Mandarin voice is `cmn-latn-pinyin`: version 1.51 reads many characters of its voice `cmn` as English letters.
"""

from __future__ import annotations

import ctypes
import functools
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
MANDARIN = "cmn-latn-pinyin"

# Names and numbers of speak_lib.h, API revision 12.
_SYNCHRONOUS, _PHONEME_EVENTS = 2, 1
_CHARS_UTF8, _POSITION_CHARACTER = 1, 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_LIST_TERMINATED, _WORD, _PHONEME = 0, 1, 7


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # 1-based, in characters
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, slots=True)
class Timed:
    """A word (or a Mandarin character) with its extent in the sound and the beginnings of its phones."""

    text: str
    begin_ms: float
    end_ms: float
    phones_ms: tuple[float, ...]


class _Espeak:
    """The C library, which keeps global state: one instance a process, one utterance at a time."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL("libespeak-ng.so.1")
        self.rate_hz = self.library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS)
        self.chunks: list[NDArray[np.int16]] = []
        self.events: list[tuple[int, int, float, bytes]] = []
        self.callback = _Callback(self._collect)  # kept here, else it is collected while the library holds it
        self.library.espeak_SetSynthCallback(self.callback)

    def _collect(self, samples: ctypes._Pointer, count: int, events: ctypes._Pointer) -> int:
        if samples and count:
            self.chunks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        place = 0
        while events[place].type != _LIST_TERMINATED:
            event = events[place]
            name = event.id.string if event.type == _PHONEME else b""
            self.events.append((event.type, event.text_position, event.sample * 1000 / self.rate_hz, name))
            place += 1
        return 0

    def render(self, text: str, voice: str, parameters: dict[int, int]) -> NDArray[np.int16]:
        """Speak one text; samples are at `self.rate_hz`, events stay in `self.events`."""
        base, *variant = voice.split("+")
        # The library looks for a file of that name, and British English lies in the one named "en".
        name = "+".join(["en" if base == "en-gb" else base, *variant])
        if self.library.espeak_SetVoiceByName(name.encode()) != 0:
            message = f"eSpeak NG has no voice named {voice!r}"
            raise ValueError(message)
        for parameter, value in parameters.items():
            self.library.espeak_SetParameter(parameter, value, 0)
        self.chunks, self.events = [], []
        data = text.encode()
        self.library.espeak_Synth(data, len(data) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None)
        return np.concatenate(self.chunks) if self.chunks else np.zeros(0, np.int16)


@functools.cache
def _espeak() -> _Espeak:
    return _Espeak()


def speak(
    text: str, voice: str = "en-us", speed: int = 160, pitch: int = 50, pitch_range: int = 50, volume: int = 100
) -> tuple[NDArray[np.int16], list[Timed]]:
    """Speak a text with eSpeak NG, as `espeak-ng -v voice -s speed -p pitch` does.

    Args:
        text: Words apart by spaces, or Mandarin characters, without punctuation.
        voice: A voice with or without a variant: "en-us", "en-us+m3", "cmn-latn-pinyin+f2".
        speed: Words a minute.
        pitch: 0 to 99.
        pitch_range: 0 (flat) to 99.
        volume: 0 to 200.

    Returns:
        Samples (n,) at 16 kHz, and one entry for each word of English and each character of Mandarin.
    """
    engine = _espeak()
    parameters = {_RATE: speed, _VOLUME: volume, _PITCH: pitch, _RANGE: pitch_range}
    samples = engine.render(text, voice, parameters)
    return resample(samples, engine.rate_hz), _timed(text, engine.events)


def _timed(text: str, events: list[tuple[int, int, float, bytes]]) -> list[Timed]:
    """Gather events to words: one lasts until the next begins or a pause (a phone named "_", "_:") does."""
    words: list[tuple[int, float, list[float]]] = []
    ends: list[float] = []
    for kind, position, at_ms, name in events:
        if kind == _WORD:
            if not _begins_word(text, position - 1) or (words and words[-1][0] == position - 1):
                continue
            if words and len(ends) < len(words):
                ends.append(at_ms)
            words.append((position - 1, at_ms, []))
        elif kind == _PHONEME and words and len(ends) < len(words):
            if name.startswith(b"_") and name != b"_|":
                ends.append(at_ms)
            elif not name.startswith((b"(", b"_")):
                words[-1][2].append(at_ms)
    if words and len(ends) < len(words):
        ends.append(events[-1][2])
    places = [place for place, _, _ in words] + [len(text)]
    timed = []
    for (place, begin_ms, phones), after, end_ms in zip(words, places[1:], ends, strict=True):
        spoken = text[place:after].split() if text[place].isascii() else list(text[place:after])
        timed += _shared(spoken, begin_ms, end_ms, phones)
    return timed


def _begins_word(text: str, place: int) -> bool:
    """Tell a word's event from those that now and then come at its end, for no word."""
    return 0 <= place < len(text) and (place == 0 or not text[place].isascii() or text[place - 1] == " ")


def _shared(spoken: list[str], begin_ms: float, end_ms: float, phones: list[float]) -> list[Timed]:
    """Share out one event's phones to the words it stands for: "in the" and the like come as one."""
    bounds = [begin_ms, *(phones[cut] for cut in cuts(len(phones), [len(word) for word in spoken])), end_ms]
    return [
        Timed(word, begin, end, tuple(phone for phone in phones if begin <= phone < end))
        for word, begin, end in zip(spoken, bounds[:-1], bounds[1:], strict=True)
    ]


def cuts(phone_count: int, letter_counts: list[int]) -> list[int]:
    """Cut a row of phones in proportion to letters: the first phone of each part but the first."""
    shares = np.cumsum(letter_counts)[:-1] / sum(letter_counts)
    return [min(phone_count - 1, max(1, round(share * phone_count))) for share in shares]


def flite(
    text: str, voice: str = "slt", stretch: float = 1.0, pitch_hz: int = 0
) -> tuple[NDArray[np.int16], list[Timed]]:
    """Speak English with Flite (voices rms, slt, awb, kal16), in the shape that `speak` returns.

    Args:
        text: English words apart by spaces.
        voice: Flite's name of it.
        stretch: Durations are multiplied by this.
        pitch_hz: Mean of the pitch; 0 leaves the voice's own.

    Raises:
        ValueError: If the phones spoken do not add up to those of the single words.
    """
    options = ["--setf", f"duration_stretch={stretch:.3f}"]
    if pitch_hz:
        options += ["--setf", f"int_f0_target_mean={pitch_hz}"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out.wav")
        printed = _run_flite(["-voice", voice, *options, "-psdur", "-t", text, "-o", str(path)])
        samples, rate_hz = read_wav(path)
    phones: list[tuple[float, float]] = []
    begin_s = 0.0
    for entry in printed.split():
        name, end_s = entry.rsplit(":", 1)
        if name != "pau":
            phones.append((begin_s * 1000, float(end_s) * 1000))
        begin_s = float(end_s)
    counts = [_flite_phone_count(word) for word in text.split()]
    if sum(counts) != len(phones):
        message = f"phones of {text!r} do not add up"
        raise ValueError(message)
    timed, taken = [], 0
    for word, count in zip(text.split(), counts, strict=True):
        own = phones[taken : taken + count]
        timed.append(Timed(word, own[0][0], own[-1][1], tuple(begin for begin, _ in own)))
        taken += count
    return resample(samples, rate_hz), timed


@functools.cache
def _flite_phone_count(word: str) -> int:
    phones = _run_flite(["-voice", "kal16", "-ps", "-t", word, "-o", "none"]).split()
    return len([phone for phone in phones if phone != "pau"])


def _run_flite(arguments: list[str]) -> str:
    done = subprocess.run(["flite", *arguments], capture_output=True, text=True, check=True)  # noqa: S603, S607
    return done.stdout


def read_wav(path: Path) -> tuple[NDArray[np.int16], int]:
    """Read a mono 16-bit WAV: samples (n,) and their rate in Hz."""
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16), file.getframerate()


def write_wav(path: Path, samples: NDArray[np.int16], rate_hz: int = RATE_HZ) -> None:
    """Write a mono 16-bit WAV."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.tobytes())


@functools.cache
def _kernel(up: int, down: int) -> tuple[NDArray[np.float32], int]:
    """Windowed sinc for all phases at once: (up, down + 2 * margin), which one matrix product applies."""
    cutoff = 0.95 * min(1.0, up / down)  # of the source's Nyquist; 0.95 leaves room for the skirt
    margin = int(np.ceil(24 / cutoff))
    places = np.arange(up)[:, None] * down / up - (np.arange(down + 2 * margin)[None, :] - margin)
    window = np.where(np.abs(places) < margin, 0.5 + 0.5 * np.cos(np.pi * places / margin), 0.0)
    return (cutoff * np.sinc(cutoff * places) * window).astype(np.float32), margin


def resample(samples: NDArray[np.int16], rate_hz: int, to_hz: int = RATE_HZ) -> NDArray[np.int16]:
    """Change the rate of whole recordings with a windowed sinc."""
    if rate_hz == to_hz:
        return samples
    divisor = int(np.gcd(rate_hz, to_hz))
    up, down = to_hz // divisor, rate_hz // divisor
    kernel, margin = _kernel(up, down)
    blocks = -(-len(samples) // down)
    padded = np.zeros(blocks * down + 2 * margin, np.float32)
    padded[margin : margin + len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, down + 2 * margin)[::down]
    sound = (windows @ kernel.T).reshape(-1)[: len(samples) * up // down]
    return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
