"""Recordings for the tests of the review routes, made without a worker."""

from __future__ import annotations

import io
import wave
from dataclasses import asdict

import av
import msgspec
import numpy as np
from sqlalchemy import update
from wire_servers import Desk

from dashscribe.db import tables, writing
from dashscribe.peaks import encode_peaks, peaks_key
from dashscribe.types import Entry, Fate, Media, Sentence, Track, Transcript, Turn, Word

RATE_HZ = 16_000
SPOKEN = ["Good morning, all.", "We begin with the budget.", "好的，我们开始吧。"]


def sentence(text: str, begin_ms: int, speaker: int | None) -> Sentence:
    parts = [part + " " for part in text.split()] if " " in text else list(text)
    parts[-1] = parts[-1].rstrip()
    words = tuple(Word(begin_ms + 100 * at, begin_ms + 100 * at + 90, part) for at, part in enumerate(parts))
    language = "en" if " " in text else "zh"
    return Sentence(
        begin_ms=begin_ms, end_ms=words[-1].end_ms, text=text, words=words, speaker=speaker, language=language
    )


def transcript(media: Media, *texts: str, channels: int = 1, speakers: bool = True) -> Transcript:
    """The texts one after another in each channel, by two speakers in turns."""
    tracks: list[Track] = []
    for channel in range(channels):
        found = [sentence(text, 1000 * at, at % 2 if speakers else None) for at, text in enumerate(texts)]
        turns = [Turn(one.begin_ms, one.end_ms, one.speaker) for one in found if one.speaker is not None]
        ledger = (Entry(0, media.duration_ms, Fate.TRANSCRIBED),)
        tracks.append(Track(channel=channel, sentences=tuple(found), ledger=ledger, turns=tuple(turns)))
    return Transcript(media=media, tracks=tuple(tracks), model="fun-asr", engine="standin", notes=("a note",))


def tone(seconds: float, channels: int = 1) -> np.ndarray:
    """Silence with a burst of noise in every second's middle, shape (channels, n)."""
    at = np.arange(int(seconds * RATE_HZ))
    loud = np.random.default_rng(7).normal(0, 6000, len(at)) * ((at // (RATE_HZ // 4)) % 4 == 1)
    return np.tile(loud.astype(np.int16), (channels, 1))


def wav(samples: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.ascontiguousarray(samples.T).tobytes())
    return buffer.getvalue()


def encoded(samples: np.ndarray, container: str, codec: str, **options: str) -> bytes:
    """The samples in another format."""
    buffer = io.BytesIO()
    layout = {1: "mono", 2: "stereo", 3: "2.1"}[len(samples)]
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE_HZ, layout=layout, options=options)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T.reshape(1, -1)), format="s16", layout=layout)
        frame.sample_rate = RATE_HZ
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def recording(
    desk: Desk,
    *texts: str,
    source: bytes | None = None,
    url: str = "https://media.example.net/Budget%20%E4%BC%9A.wav",
    **about: object,
) -> str:
    """A recording that has ended, with a source, a transcript and peaks: its id."""
    task_id = desk.submit(input={"file_urls": [url]}).json()["output"]["task_id"]
    furnish(desk, task_id, *texts, source=source, url=url, **about)
    return f"{task_id}.0"


def furnish(
    desk: Desk,
    task_id: str,
    *texts: str,
    source: bytes | None = None,
    url: str = "https://a.example/a.wav",
    **about: object,
) -> None:
    """End a task with a source, a transcript and peaks for its one file."""
    prefix, source = f"tasks/{task_id}/0", wav(tone(4)) if source is None else source
    media = Media(
        **{
            "url": url,
            "container": "wav",
            "codec": "pcm_s16le",
            "rate_hz": RATE_HZ,
            "channel_count": 1,
            "duration_ms": 4000,
        }
        | {name: value for name, value in about.items() if name in Media.__slots__}
    )
    made = transcript(media, *(texts or SPOKEN), channels=about.get("tracks", 1), speakers=about.get("speakers", True))
    store = desk.parts.store
    store.put(f"{prefix}/source-1", source)
    store.put(f"{prefix}/transcript-1.json", msgspec.json.encode(made))
    store.put(peaks_key(prefix), encode_peaks(0, {0: bytes([0, 64, 127])}))
    values = {"state": "succeeded", "source_key": f"{prefix}/source-1", "source_bytes": len(source)}
    values |= {"transcript_key": f"{prefix}/transcript-1.json", "media": msgspec.json.encode(asdict(media)).decode()}
    with writing(desk.engine) as connection:
        mine = tables.files.c.task_id == task_id
        connection.execute(update(tables.files).where(mine).values(**values))
        ended = {"status": "SUCCEEDED", "ended_ms": tables.tasks.c.submitted_ms, "open_files": 0}
        connection.execute(update(tables.tasks).where(tables.tasks.c.id == task_id).values(ended))
