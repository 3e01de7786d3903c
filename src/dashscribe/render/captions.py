"""From sentences to caption cues, the part that SRT and WebVTT share: where to cut, where to break lines, who speaks.

The pieces of a channel are cut into cues by a least-cost search over all of it (the idea of Knuth and Plass for
paragraphs): even cues that end with a sentence, else at a comma, else between words. A cue that is too short to be read
is lengthened into the silence behind it, then into that before it; where there is too little of both, it joins its
neighbor of the same voice if they fit together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from rich.cells import cell_len

from dashscribe.render.breaks import Piece, pieces_of, plain
from dashscribe.render.caption_style import PRESETS, CaptionStyle
from dashscribe.types import Sentence, Track, Transcript, joint

#: What a cue costs beside 1 for itself, up to 1 for the room that it leaves unused and what the break behind it costs:
#: for each sentence that ends inside it, and for being too short. Sentences share a cue only where one would be short.
CROSSING, SHORT = 3.0, 6.0
#: A pause that ends a clause where no mark does.
PAUSE_MS = 300


@dataclass(frozen=True, slots=True)
class Cue:
    """What stands on the screen from ``begin_ms`` to ``end_ms``; ``voice`` says who speaks, empty where that is plain.

    No line is empty or contains a line break or control character.
    """

    begin_ms: int
    end_ms: int
    lines: tuple[str, ...]
    voice: str = ""


def cues(transcript: Transcript, style: CaptionStyle = PRESETS["default"], *, labels: bool = False) -> list[Cue]:
    """The cues of all channels in order of their begin; those of one channel never overlap.

    ``labels`` puts the voice into the text: where it changes or, with several channels, whose cues overlap, always.
    """
    spoken = sorted(
        ((sentence, track) for track in transcript.tracks for sentence in track.sentences),
        key=lambda pair: (pair[0].begin_ms, pair[0].end_ms),
    )
    several = len(transcript.tracks) > 1
    voices = _voices(spoken, style, name_channels=several and not transcript.is_call)
    shown = len(set(voices)) > 1 if style.speakers is None else style.speakers is not False
    pieces: dict[int, list[Piece]] = {track.channel: [] for track in transcript.tracks}
    for (sentence, track), voice in zip(spoken, voices, strict=True):
        _append(pieces[track.channel], pieces_of(sentence, style, voice))
    result: list[Cue] = []
    for channel in pieces.values():
        starts = [at for at, piece in enumerate(channel) if several or at == 0 or channel[at - 1].voice != piece.voice]
        labels_at = {at: f"{channel[at].voice}: " for at in starts if labels and shown and channel[at].voice}
        found = _Layout(channel, labels_at, style, transcript.media.duration_ms).cues()
        result.extend(found if shown else (replace(cue, voice="") for cue in found))
    return sorted(result, key=lambda cue: (cue.begin_ms, cue.end_ms))


def clock(time_ms: int, decimal_mark: str) -> str:
    """``HH:MM:SS,mmm`` by integer arithmetic; the hours take more digits from 100 h on."""
    seconds, ms = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{decimal_mark}{ms:03}"


def _voices(spoken: list[tuple[Sentence, Track]], style: CaptionStyle, *, name_channels: bool) -> list[str]:
    """Who speaks each sentence, for people: speakers counted from 1 unless named; empty where nobody was told apart."""
    known: Mapping[int, str] = {} if isinstance(style.speakers, bool | None) else style.speakers
    voices: list[str] = []
    for sentence, track in spoken:
        parts = [f"Channel {track.channel}"] if name_channels else []
        if sentence.speaker is not None:
            parts.append(plain(known.get(sentence.speaker, "")).strip() or f"Speaker {sentence.speaker + 1}")
        voices.append(", ".join(parts))
    return voices


def _append(pieces: list[Piece], more: list[Piece]) -> None:
    if pieces and more:
        pieces[-1] = replace(pieces[-1], text=pieces[-1].text + joint(pieces[-1].text, more[0].text))
    pieces.extend(more)


def _begun_by(piece: Piece, latest_ms: int) -> Piece:
    """The piece, begun in time for a cue of its own and of each one behind it: words at the very end have no length."""
    return piece if piece.begin_ms <= latest_ms else replace(piece, begin_ms=max(latest_ms, 0))


@dataclass(frozen=True, slots=True)
class _Way:
    """The cheapest cues up to some piece: their cost, and the last of them."""

    cost: float
    begin: int
    begin_ms: int
    end_ms: int


class _Layout:
    """The best cues for the pieces of one channel. Numbers of pieces are half-open ranges: ``begin <= i < end``.

    ``labels`` are what a cue that begins with a piece has in front of it.
    """

    def __init__(self, pieces: list[Piece], labels: dict[int, str], style: CaptionStyle, media_end_ms: int) -> None:
        self._labels = labels
        self._style = style
        self._end_ms = max([media_end_ms, *(piece.end_ms for piece in pieces)])
        pieces = self._pieces = [
            _begun_by(piece, self._end_ms - left) for piece, left in zip(pieces, range(len(pieces), 0, -1), strict=True)
        ]
        self._edges = [0, *accumulate(cell_len(piece.text) for piece in pieces)]
        self._sentences = [0, *accumulate(piece.ends_sentence for piece in pieces)]
        self._breaks = [0.0, *(piece.break_cost for piece in pieces)]
        for at, (left, right) in enumerate(pairwise(pieces), start=1):
            if right.begin_ms - left.end_ms >= PAUSE_MS:
                self._breaks[at] = 0.0

    def cues(self) -> Iterator[Cue]:
        """Cues in order, each on the screen for as long as it takes to read if there is room."""
        ways = self._ways()
        ranges: list[tuple[int, int]] = []
        end = len(self._pieces)
        while end:
            ranges.append((ways[end].begin, end))
            end = ways[end].begin
        ranges.reverse()
        limits = [*(ways[end].begin_ms for _, end in ranges[1:]), self._end_ms]
        for (begin, end), limit_ms in zip(ranges, limits, strict=False):
            begin_ms, end_ms = ways[end].begin_ms, ways[end].end_ms
            reading_ms = -(-self._columns(begin, end, begin) * 1000 // self._style.columns_per_second)
            until_ms = min(begin_ms + min(reading_ms, self._style.max_ms), limit_ms)
            yield Cue(begin_ms, max(end_ms, until_ms), self._lines(begin, end), self._pieces[begin].voice)

    def _ways(self) -> list[_Way]:
        """For every number of pieces the cheapest cues that show them, solved from the first piece to the last."""
        unreached = _Way(float("inf"), 0, 0, 0)
        ways = [_Way(0.0, 0, 0, 0)] + [unreached] * len(self._pieces)
        for begin in range(len(self._pieces)):
            before = ways[begin]
            for end in self._ends(begin, before.end_ms):
                begin_ms, end_ms = self._times(begin, end, before.end_ms)
                cost = before.cost + self._cost(begin, end, end_ms - begin_ms)
                if cost < ways[end].cost:
                    ways[end] = _Way(cost, begin, begin_ms, end_ms)
        return ways

    def _ends(self, begin: int, free_ms: int) -> range:
        """Where a cue may end: within all lines, the longest time and one voice, but always behind one piece.

        It is shown from ``free_ms`` on at the earliest.
        """
        line_begin, line = begin, 1
        begin_ms = max(self._pieces[begin].begin_ms, free_ms)
        for end in range(begin + 1, len(self._pieces)):
            if self._columns(line_begin, end + 1, begin) > self._style.columns:
                line, line_begin = line + 1, end
            too_long = self._pieces[end].end_ms - begin_ms > self._style.max_ms
            if line > self._style.lines or too_long or self._pieces[end].voice != self._pieces[begin].voice:
                return range(begin + 1, end + 1)
        return range(begin + 1, len(self._pieces) + 1)

    def _times(self, begin: int, end: int, free_ms: int) -> tuple[int, int]:
        """When a cue is shown, if the one before it ends at ``free_ms``: never over another, and not too short."""
        limit_ms = self._pieces[end].begin_ms if end < len(self._pieces) else self._end_ms
        # A word without length cannot be shown, for cues end after they begin: it reaches back, or else on.
        begin_ms = max(min(self._pieces[begin].begin_ms, limit_ms - 1), free_ms)
        end_ms = min(self._pieces[end - 1].end_ms, limit_ms, begin_ms + self._style.max_ms)
        end_ms = max(end_ms, min(begin_ms + self._style.min_ms, limit_ms), begin_ms + 1)
        return min(begin_ms, max(free_ms, end_ms - self._style.min_ms)), end_ms

    def _cost(self, begin: int, end: int, length_ms: int) -> float:
        unused = max(0.0, 1 - self._columns(begin, end, begin) / (self._style.lines * self._style.columns))
        crossings = self._sentences[end - 1] - self._sentences[begin]
        short = max(0, self._style.min_ms - length_ms) / self._style.min_ms
        return 1 + unused**2 + self._breaks[end] + CROSSING * crossings + (SHORT + short if short else 0)

    def _columns(self, begin: int, end: int, cue: int) -> int:
        """Width of a line of the cue that begins with piece ``cue``, without the space at either end."""
        spaces = self._pieces[begin].text.startswith(" ") + self._pieces[end - 1].text.endswith(" ")
        return self._edges[end] - self._edges[begin] - spaces + cell_len(self._label(begin, cue))

    def _label(self, begin: int, cue: int) -> str:
        return self._labels.get(begin, "") if begin == cue else ""

    def _lines(self, begin: int, end: int) -> tuple[str, ...]:
        """As few lines as hold the pieces: within the width before all, then even and broken where a clause ends."""
        count, line_begin = 1, begin
        for at in range(begin + 1, end):
            if self._columns(line_begin, at + 1, begin) > self._style.columns:
                count, line_begin = count + 1, at
        edges = self._line_edges(begin, end, min(count, self._style.lines))
        return tuple(self._label(left, begin) + self._text(left, right) for left, right in pairwise(edges))

    def _line_edges(self, cue: int, end: int, count: int) -> tuple[int, ...]:
        """Where each of ``count`` lines begins, then ``end``: the cheapest way, found line by line."""
        ways: dict[int, tuple[float, tuple[int, ...]]] = {cue: (0.0, (cue,))}
        for number in range(1, count + 1):
            longer: dict[int, tuple[float, tuple[int, ...]]] = {}
            for begin, (cost, edges) in ways.items():
                for stop in range(begin + 1, end) if number < count else [end]:
                    way = (cost + self._line_cost(begin, stop, cue), (*edges, stop))
                    longer[stop] = min(way, longer.get(stop, way))
            ways = longer
        return ways[end][1]

    def _line_cost(self, begin: int, end: int, cue: int) -> float:
        """Squares make even lines the cheapest; a column too many costs more than anything else can."""
        width = self._columns(begin, end, cue)
        return (width / self._style.columns) ** 2 + self._breaks[end] + 100 * max(0, width - self._style.columns)

    def _text(self, begin: int, end: int) -> str:
        return " ".join("".join(piece.text for piece in self._pieces[begin:end]).split())
