"""A transcript as a notebook shows it: a player where the source can be heard, and the sentences with their times.

The page is bounded, holds no script, and everything that came from a recording or its name is escaped. A local file is
put into the page itself, since a browser opens no paths; a notebook that is passed on takes it along.
"""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Iterator
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

from dashscribe.redact import redact
from dashscribe.types import Sentence, Transcript

#: Largest file that goes into the page, in bytes: about four minutes of MP3; the page holds four bytes for three of it.
MAX_FILE_BYTES = 4 * 1024**2
#: Most sentences that are shown, and most characters of them.
MAX_SENTENCES, MAX_CHARS = 200, 40_000
#: Most characters of a name or a note, and of the address of a player.
MAX_NAME_CHARS, MAX_ADDRESS_CHARS = 300, 4_000

_CELL = 'style="text-align:left;vertical-align:top"'


def render(transcript: Transcript) -> str:
    """The HTML; it holds one element and no script."""
    media = transcript.media
    seconds = f", {media.duration_ms / 1000:.1f} s" if media.duration_ms else ""
    engine = f" by {transcript.engine}" if transcript.engine else ""
    head = f"<strong>{_short(media.url)}</strong><br>{_short(transcript.model)}{_short(engine)}{seconds}"
    notes = "".join(f"<li>{_short(note)}</li>" for note in transcript.notes[:20])
    return (
        f'<div class="dashscribe">{head}{_player(media.url)}{_table(transcript)}'
        f"{f'<ul>{notes}</ul>' if notes else ''}</div>"
    )


def _player(source: str) -> str:
    """Something to hear the source with; empty where there is none, a word about a file that is too large."""
    address = _address(source) or _data_uri(source)
    if address is None:
        return f"<br><em>no player: the file is larger than {MAX_FILE_BYTES // 1024**2} MB</em>"
    return f'<br><audio controls preload="none" src="{escape(address)}"></audio>' if address else ""


def _address(source: str) -> str:
    """A web address that a browser can be sent to; empty for anything else."""
    try:
        fetched = urlsplit(source).scheme.lower() in ("http", "https")
    except ValueError:  # brackets that are no IPv6 address
        return ""
    return source if fetched and len(source) <= MAX_ADDRESS_CHARS else ""


def _data_uri(source: str) -> str | None:
    """A local recording as a data URI; empty for what is none, None for one that is too large."""
    kind = mimetypes.guess_type(Path(source).name)[0] or ""
    try:
        if not (kind.startswith(("audio/", "video/")) and Path(source).is_file()):
            return ""
        with Path(source).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError):  # gone, not readable, or a name that no file can have
        return ""
    return None if len(data) > MAX_FILE_BYTES else f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _table(transcript: Transcript) -> str:
    """The first sentences in order of time, and how many there are beyond."""
    spoken = [(sentence, track.channel) for track in transcript.tracks for sentence in track.sentences]
    spoken.sort(key=lambda pair: (pair[0].begin_ms, pair[0].end_ms, pair[1]))
    if not spoken:
        return "<p><em>no speech</em></p>"
    several = len(transcript.tracks) > 1
    rows, room = list[str](), MAX_CHARS
    for sentence, channel in spoken[:MAX_SENTENCES]:
        if room <= 0:
            break
        cells = (_clock(sentence.begin_ms), *_who(sentence, channel, several), sentence.text[:room])
        rows.append("<tr>" + "".join(f"<td {_CELL}>{escape(cell)}</td>" for cell in cells) + "</tr>")
        room -= len(sentence.text)
    left = len(spoken) - len(rows)
    more = f"<p><em>{left} more sentences</em></p>" if left else ""
    return f"<table>{''.join(rows)}</table>{more}"


def _who(sentence: Sentence, channel: int, several: bool) -> Iterator[str]:
    """Who speaks, as captions say it: people count from 1."""
    parts = [f"Channel {channel}"] if several else []
    if sentence.speaker is not None:
        parts.append(f"Speaker {sentence.speaker + 1}")
    if parts:
        yield ", ".join(parts)


def _clock(time_ms: int) -> str:
    minutes, seconds = divmod(time_ms // 1000, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _short(text: str) -> str:
    shown = redact(text)
    return escape(shown if len(shown) <= MAX_NAME_CHARS else f"{shown[:MAX_NAME_CHARS]}…")
