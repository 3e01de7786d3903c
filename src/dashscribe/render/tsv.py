"""Tab-separated values for spreadsheets and scripts: a header line, then one line per sentence in order of time.

Times are whole milliseconds, so that sums and differences stay exact. Tabs, line breaks of any kind, other control
characters and backslashes inside a text are written as in a Python string, so that every record is one line of five
fields.
"""

from __future__ import annotations

from collections.abc import Mapping

from dashscribe.render.breaks import plain
from dashscribe.render.paragraphs import Page
from dashscribe.types import Transcript

COLUMNS = ("begin_ms", "end_ms", "channel", "speaker", "text")
_ESCAPED = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, ord("\\"))
_ESCAPES = {code: chr(code).encode("unicode_escape").decode() for code in _ESCAPED}


def render(transcript: Transcript, page: Page | None = None) -> str:
    """All channels together; ``speaker`` is the number, or the name where there is one; empty for nobody known."""
    page = page or Page()
    names: Mapping[int, str] = {} if isinstance(page.speakers, bool | None) else page.speakers

    def who(speaker: int | None) -> str:
        if speaker is None or page.speakers is False:
            return ""
        return plain(names.get(speaker, "")).strip().translate(_ESCAPES) or str(speaker)

    spoken = [(sentence, track.channel) for track in transcript.tracks for sentence in track.sentences]
    spoken.sort(key=lambda pair: (pair[0].begin_ms, pair[0].end_ms, pair[1]))
    rows = [(s.begin_ms, s.end_ms, channel, who(s.speaker), s.text.translate(_ESCAPES)) for s, channel in spoken]
    return "".join("\t".join(map(str, row)) + "\n" for row in (COLUMNS, *rows))
