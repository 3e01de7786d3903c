"""From sentences to caption cues, the part that SRT and WebVTT share: where to cut, where to break lines, who speaks.

A sentence is one cue as long as it fits ``LINES`` x ``COLUMNS`` and ``MAX_CUE_MS``; a longer one is cut between words
by a least-cost search (the idea of Knuth and Plass for paragraphs): even cues that end at a comma if they can.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from unicodedata import category

from rich.cells import cell_len

from dashscribe.types import Sentence, Transcript, Word, is_unspaced

#: 2 lines of 42 columns, 7 s: the usual limits of broadcast and streaming captions. A Han character counts 2 columns.
LINES = 2
COLUMNS = 42
MAX_CUE_MS = 7_000
#: What a cue that ends in mid-clause costs, beside 1 for every cue and up to 1 for the room that it leaves unused.
MID_CLAUSE = 0.3
CLAUSE_ENDS = tuple(",.;:!?)，。；：！？、）…")
#: Unicode categories of the marks that no line begins with, and of those that no line ends with.
CLOSING, OPENING = {"Po", "Pe", "Pf"}, {"Ps", "Pi"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Cue:
    """What stands on the screen from ``begin_ms`` to ``end_ms``; ``voice`` says who speaks, empty where that is plain.

    No line is empty or contains a line break or control character.
    """

    begin_ms: int
    end_ms: int
    lines: tuple[str, ...]
    voice: str = ""


@dataclass(frozen=True, slots=True)
class _Piece:
    """What no break may part: a word with its mark, or several words without a place to break between them."""

    begin_ms: int
    end_ms: int
    text: str


def cues(transcript: Transcript, *, name_voices: bool = False) -> list[Cue]:
    """The cues of all channels in order of their begin; ``name_voices`` puts the voice in front of each sentence."""
    several = len(transcript.tracks) > 1
    result: list[Cue] = []
    for track in transcript.tracks:
        for sentence in track.sentences:
            voice = _voice(sentence, track.channel if several else None)
            pieces = _pieces(sentence, f"{voice}: " if voice and name_voices else "")
            result.extend(_Layout(pieces).cues(voice))
    return sorted(result, key=lambda cue: (cue.begin_ms, cue.end_ms))


def clock(time_ms: int, decimal_mark: str) -> str:
    """``HH:MM:SS,mmm`` by integer arithmetic; the hours take more digits from 100 h on."""
    seconds, ms = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{decimal_mark}{ms:03}"


def _voice(sentence: Sentence, channel: int | None) -> str:
    parts = [] if channel is None else [f"Channel {channel}"]
    if sentence.speaker is not None:
        parts.append(f"Speaker {sentence.speaker}")
    return ", ".join(parts)


def _pieces(sentence: Sentence, prefix: str) -> list[_Piece]:
    """The pieces of a sentence, none of them blank, spanning exactly its time; white space only at their ends."""
    words = sentence.words or (Word(sentence.begin_ms, sentence.end_ms, sentence.text),)
    pieces: list[_Piece] = []
    for word in words:
        piece = _Piece(word.begin_ms, word.end_ms, _CONTROL.sub("", re.sub(r"\s+", " ", word.text + word.punctuation)))
        if pieces and not _may_part(pieces[-1].text, piece.text):
            last = pieces.pop()
            piece = _Piece(last.begin_ms, piece.end_ms, last.text + piece.text)
        pieces.append(piece)
    pieces = [piece for piece in pieces if piece.text.strip()]
    if pieces:
        pieces[0] = replace(pieces[0], begin_ms=sentence.begin_ms, text=prefix + pieces[0].text.lstrip())
        # A word without length cannot be shown, for cues end after they begin: the last piece reaches back,
        last = pieces[-1]
        pieces[-1] = replace(last, begin_ms=min(last.begin_ms, sentence.end_ms - 1), end_ms=sentence.end_ms)
    return pieces


def _may_part(left: str, right: str) -> bool:
    """Whether a cue or line may end between two words: at a space, else beside Han or kana unless marks forbid."""
    if not left.strip() or not right.strip():
        return False
    if left[-1] == " " or right[0] == " ":
        return True
    if category(right[0]) in CLOSING or category(left[-1]) in OPENING:
        return False
    return is_unspaced(left[-1]) or is_unspaced(right[0])


class _Layout:
    """The best cues for the pieces of one sentence. Numbers of pieces are half-open ranges: ``begin <= i < end``."""

    def __init__(self, pieces: list[_Piece]) -> None:
        self._pieces = pieces
        self._edges = [0, *accumulate(cell_len(piece.text) for piece in pieces)]

    def cues(self, voice: str) -> Iterator[Cue]:
        begin = 0
        for end in self._cuts():
            begin_ms, end_ms = self._pieces[begin].begin_ms, self._pieces[end - 1].end_ms
            # and any other reaches on.
            yield Cue(begin_ms, max(end_ms, begin_ms + 1), self._lines(begin, end), voice)
            begin = end

    def _cuts(self) -> list[int]:
        """Where the cues end, at least cost over all of them: solved from the last piece to the first."""
        count = len(self._pieces)
        costs = [0.0] * (count + 1)
        ends = [0] * count
        for begin in reversed(range(count)):
            choices = range(begin + 1, self._reach(begin) + 1)
            costs[begin], ends[begin] = min((self._cost(begin, end) + costs[end], end) for end in choices)
        cuts: list[int] = []
        while (begin := cuts[-1] if cuts else 0) < count:
            cuts.append(ends[begin])
        return cuts

    def _reach(self, begin: int) -> int:
        """The last place where a cue may end: ``LINES`` full lines, ``MAX_CUE_MS``, but always one piece."""
        end = begin
        for _ in range(LINES):
            line_begin = end
            while end < len(self._pieces) and (end == line_begin or self._columns(line_begin, end + 1) <= COLUMNS):
                end += 1
        while end > begin + 1 and self._pieces[end - 1].end_ms - self._pieces[begin].begin_ms > MAX_CUE_MS:
            end -= 1
        return end

    def _cost(self, begin: int, end: int) -> float:
        unused = max(0.0, 1 - self._columns(begin, end) / (LINES * COLUMNS))
        return 1 + unused**2 + (0 if self._ends_clause(end) else MID_CLAUSE)

    def _ends_clause(self, end: int) -> bool:
        return end == len(self._pieces) or self._pieces[end - 1].text.rstrip().endswith(CLAUSE_ENDS)

    def _columns(self, begin: int, end: int) -> int:
        """Width of a line, without the space at either end."""
        spaces = self._pieces[begin].text.startswith(" ") + self._pieces[end - 1].text.endswith(" ")
        return self._edges[end] - self._edges[begin] - spaces

    def _lines(self, begin: int, end: int) -> tuple[str, ...]:
        """One line if the pieces fit, else two: within ``COLUMNS`` before all, even, and broken at a comma if close."""
        if self._columns(begin, end) <= COLUMNS or end - begin == 1:
            return (self._text(begin, end),)

        def cost(at: int) -> tuple[int, float]:
            wider = max(self._columns(begin, at), self._columns(at, end))
            return max(wider - COLUMNS, 0), wider + (0 if self._ends_clause(at) else MID_CLAUSE * COLUMNS)

        at = min(range(begin + 1, end), key=cost)
        return self._text(begin, at), self._text(at, end)

    def _text(self, begin: int, end: int) -> str:
        return " ".join("".join(piece.text for piece in self._pieces[begin:end]).split())
