"""What became of every millisecond, and the promises every result keeps.

``admit`` is the gate behind every engine: times in bounds, ordered and positive, every word timed, words that rebuild
the text. ``book`` tiles a channel with fates; ``check`` proves a finished transcript before anyone stores or prints it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dashscribe.errors import InvariantError
from dashscribe.types import Entry, Fate, Outcome, Sentence, Span, Track, Transcript, Word

#: Engines count in frames (10 ms for Kaldi-style features, 60 ms for low frame rate models) and pad the last one: times
#: that overshoot by up to this much are rounding and are pulled back; anything more is a broken result.
ROUNDING_MS = 120
#: Why a stretch is booked as failed that the decoder could not read.
UNDECODED = "could not be decoded"


def admit(outcome: Outcome, span: Span) -> Outcome:
    """Check one engine outcome for the span it was given; frame rounding is pulled into bounds.

    Raises InvariantError when the outcome breaks a promise by more than rounding, so that the span is tried again.
    """
    if outcome.span != span:
        raise InvariantError(f"the engine answered for {outcome.span}, it was asked for {span}")
    if outcome.fate is not Fate.TRANSCRIBED:
        if outcome.sentences:
            raise InvariantError(f"{span} is booked as {outcome.fate} but carries sentences")
        return outcome
    if not any(sentence.text.strip() for sentence in outcome.sentences):
        raise InvariantError(f"{span} is booked as transcribed but carries no text")
    floor_ms = span.begin_ms
    sentences: list[Sentence] = []
    for sentence in outcome.sentences:
        settled = _settle_sentence(sentence, Span(floor_ms, span.end_ms))
        floor_ms = settled.end_ms
        sentences.append(settled)
    return replace(outcome, sentences=tuple(sentences))


def _settle_sentence(sentence: Sentence, bounds: Span) -> Sentence:
    """Pull a sentence and its words into ``bounds`` and prove the rest of the promises."""
    begin_ms, end_ms = _settle(sentence.begin_ms, sentence.end_ms, bounds, repr(sentence.text))
    floor_ms = begin_ms
    words: list[Word] = []
    for word in sentence.words:
        word_begin_ms, word_end_ms = _settle(word.begin_ms, word.end_ms, Span(floor_ms, end_ms), repr(word.text))
        words.append(replace(word, begin_ms=word_begin_ms, end_ms=word_end_ms))
        floor_ms = word_end_ms
    settled = replace(sentence, begin_ms=begin_ms, end_ms=end_ms, words=tuple(words))
    _check_sentence(settled)
    return settled


def _settle(begin_ms: int, end_ms: int, bounds: Span, what: str) -> tuple[int, int]:
    settled = min(max(begin_ms, bounds.begin_ms), bounds.end_ms), min(max(end_ms, bounds.begin_ms), bounds.end_ms)
    moved_ms = max(abs(settled[0] - begin_ms), abs(settled[1] - end_ms))
    if end_ms < begin_ms or moved_ms > ROUNDING_MS:
        raise InvariantError(f"{what} lies at {begin_ms}..{end_ms} ms, outside {bounds.begin_ms}..{bounds.end_ms} ms")
    return settled


def book(stretch: Span, outcomes: Iterable[Outcome], lost: Iterable[Span] = ()) -> tuple[Entry, ...]:
    """Tile ``stretch`` with the fate of every millisecond of one channel.

    ``outcomes`` are in order of time and disjoint; what lies between them held no speech. ``lost`` stretches could not
    be decoded and count as failed, whatever the engine heard in the zeros that stand for them.
    """
    entries: list[Entry] = []
    at_ms = stretch.begin_ms
    for outcome in outcomes:
        begin_ms, end_ms = outcome.span.begin_ms, outcome.span.end_ms
        if begin_ms < at_ms or end_ms > stretch.end_ms:
            raise InvariantError(f"{outcome.span} overlaps what was booked up to {at_ms} ms or ends outside {stretch}")
        entries.append(Entry(at_ms, begin_ms, Fate.NON_SPEECH))
        reason = outcome.reason if outcome.fate is Fate.FAILED else ""
        entries.append(Entry(begin_ms, end_ms, outcome.fate, reason))
        at_ms = end_ms
    entries.append(Entry(at_ms, stretch.end_ms, Fate.NON_SPEECH))
    for span in lost:
        entries = _overwrite(entries, span, UNDECODED)
    return tuple(_merged(entries))


def _overwrite(entries: list[Entry], span: Span, reason: str) -> list[Entry]:
    """Book ``span`` as failed in place of what the entries say of it."""
    result: list[Entry] = []
    for entry in entries:
        begin_ms, end_ms = max(entry.begin_ms, span.begin_ms), min(entry.end_ms, span.end_ms)
        if begin_ms >= end_ms:
            result.append(entry)
            continue
        result.append(replace(entry, end_ms=begin_ms))
        result.append(Entry(begin_ms, end_ms, Fate.FAILED, reason))
        result.append(replace(entry, begin_ms=end_ms))
    return result


def _merged(entries: Iterable[Entry]) -> list[Entry]:
    """Drop empty entries and join neighbors of one fate and reason."""
    result: list[Entry] = []
    for entry in entries:
        if entry.end_ms <= entry.begin_ms:
            continue
        if result and (result[-1].fate, result[-1].reason) == (entry.fate, entry.reason):
            result[-1] = replace(result[-1], end_ms=entry.end_ms)
        else:
            result.append(entry)
    return result


def check(transcript: Transcript, stretch: Span) -> None:
    """Prove every promise on a finished transcript; raises InvariantError naming the first one broken."""
    for track in transcript.tracks:
        _check_ledger(track, stretch)
        _check_sentences(track.sentences, stretch)


def _check_ledger(track: Track, stretch: Span) -> None:
    edges = [stretch.begin_ms, *(edge for e in track.ledger for edge in (e.begin_ms, e.end_ms)), stretch.end_ms]
    holes = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a != b]
    if holes:
        raise InvariantError(f"the ledger of channel {track.channel} has a hole or overlap at {holes[0]} ms")
    if any(entry.end_ms <= entry.begin_ms for entry in track.ledger):
        raise InvariantError(f"the ledger of channel {track.channel} has an empty entry")


def _check_sentences(sentences: Iterable[Sentence], stretch: Span) -> None:
    first_ms, end_ms = stretch.begin_ms, None
    for sentence in sentences:
        _check_sentence(sentence)
        if end_ms is None:
            first_ms = sentence.begin_ms
        elif sentence.begin_ms < end_ms:
            raise InvariantError(f"{sentence.text!r} begins at {sentence.begin_ms} ms, before {end_ms} ms")
        end_ms = sentence.end_ms
    if end_ms is not None and not (stretch.begin_ms <= first_ms and end_ms <= stretch.end_ms):
        raise InvariantError(f"sentences reach outside {stretch}")


def _check_sentence(sentence: Sentence) -> None:
    """One sentence by itself: positive length, words ordered inside it, each timed, rebuilding its text."""
    if not 0 <= sentence.begin_ms < sentence.end_ms:
        raise InvariantError(f"{sentence.text!r} lies at {sentence.begin_ms}..{sentence.end_ms} ms")
    at_ms = sentence.begin_ms
    for word in sentence.words:
        if not at_ms <= word.begin_ms <= word.end_ms <= sentence.end_ms:
            raise InvariantError(f"{word.text!r} lies at {word.begin_ms}..{word.end_ms} ms in {sentence.text!r}")
        at_ms = word.end_ms
    rebuilt = "".join(word.text + word.punctuation for word in sentence.words)
    if rebuilt != sentence.text:
        raise InvariantError(f"the words spell {rebuilt!r}, the sentence says {sentence.text!r}")
