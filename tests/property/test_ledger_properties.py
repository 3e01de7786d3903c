"""For any outcomes: the ledger tiles the stretch, and nothing that breaks a promise gets through the gate."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashscribe import ledger
from dashscribe.errors import InvariantError
from dashscribe.types import Fate, Media, Outcome, Sentence, Span, Track, Transcript, Word

STRETCH = Span(1_000, 61_000)


@st.composite
def outcomes(draw: st.DrawFn) -> list[Outcome]:
    edges = sorted(draw(st.sets(st.integers(STRETCH.begin_ms, STRETCH.end_ms), max_size=20)))
    result = []
    for begin_ms, end_ms in list(pairwise(edges))[:: draw(st.integers(1, 2))]:
        fate = draw(st.sampled_from(list(Fate)))
        span = Span(begin_ms, end_ms)
        if fate is Fate.TRANSCRIBED:
            word = Word(begin_ms, end_ms, "word")
            said = (Sentence(begin_ms=begin_ms, end_ms=end_ms, text="word", words=(word,)),)
            result.append(Outcome(span, fate, said))
        else:
            result.append(Outcome(span, fate, reason="engine died" if fate is Fate.FAILED else ""))
    return result


@st.composite
def spans(draw: st.DrawFn) -> list[Span]:
    edges = sorted(draw(st.sets(st.integers(0, 70_000), max_size=8)))
    return [Span(a, b) for a, b in list(pairwise(edges))[::2]]


@given(outcomes(), spans())
def test_the_ledger_tiles_the_stretch_and_books_every_outcome(heard: list[Outcome], lost: list[Span]) -> None:
    entries = ledger.book(STRETCH, heard, lost)

    at_ms = STRETCH.begin_ms
    for entry in entries:
        assert entry.begin_ms == at_ms < entry.end_ms
        at_ms = entry.end_ms
    assert at_ms == STRETCH.end_ms

    def fate_at(time_ms: int) -> tuple[Fate, str]:
        return next((e.fate, e.reason) for e in entries if e.begin_ms <= time_ms < e.end_ms)

    for time_ms in (outcome.span.begin_ms for outcome in heard):
        if any(span.begin_ms <= time_ms < span.end_ms for span in lost):
            assert fate_at(time_ms) == (Fate.FAILED, "could not be decoded")
        else:
            outcome = next(o for o in heard if o.span.begin_ms == time_ms)
            assert fate_at(time_ms)[0] is outcome.fate


@given(outcomes(), spans())
def test_a_booked_transcript_passes_the_check(heard: list[Outcome], lost: list[Span]) -> None:
    said = tuple(s for outcome in heard for s in outcome.sentences)
    ledger.check(transcript(Track(channel=0, sentences=said, ledger=ledger.book(STRETCH, heard, lost))), STRETCH)


def transcript(track: Track) -> Transcript:
    media = Media(url="a.wav", container="wav", codec="pcm_s16le", rate_hz=16_000, channel_count=1, duration_ms=61_000)
    return Transcript(media=media, tracks=(track,), model="fun-asr", engine="standin")


@given(st.lists(st.integers(-200, 11_200), min_size=2, max_size=12), st.booleans())
def test_the_gate_lets_only_kept_promises_through(times: list[int], in_order: bool) -> None:
    span = Span(0, 11_000)
    times = sorted(times) if in_order else times
    words = tuple(Word(a, b, "w ") for a, b in zip(times[::2], times[1::2], strict=False))
    text = "".join(w.text for w in words)
    sentence = Sentence(begin_ms=words[0].begin_ms, end_ms=words[-1].end_ms, text=text, words=words)
    try:
        admitted = ledger.admit(Outcome(span, Fate.TRANSCRIBED, (sentence,)), span)
    except InvariantError:
        return
    settled = admitted.sentences[0]
    edges = [
        span.begin_ms,
        settled.begin_ms,
        *(edge for w in settled.words for edge in (w.begin_ms, w.end_ms)),
        settled.end_ms,
        span.end_ms,
    ]
    assert edges == sorted(edges)
    assert settled.begin_ms < settled.end_ms
    for before, after in zip(words, settled.words, strict=True):
        assert abs(before.begin_ms - after.begin_ms) <= ledger.ROUNDING_MS
        assert abs(before.end_ms - after.end_ms) <= ledger.ROUNDING_MS


def one(text: str, *words: Word, begin_ms: int = 0, end_ms: int = 1_000) -> Outcome:
    return Outcome(
        Span(0, 1_000), Fate.TRANSCRIBED, (Sentence(begin_ms=begin_ms, end_ms=end_ms, text=text, words=words),)
    )


@pytest.mark.parametrize(
    ("outcome", "complaint"),
    [
        (one("hello", Word(0, 500, "hell")), "the words spell"),
        (one("hello"), "the words spell"),
        (one("  ", Word(0, 500, "  ")), "carries no text"),
        (one("hello", Word(0, 1_500, "hello")), "outside"),
        (one("hello", Word(-500, 500, "hello")), "outside"),
        (one("hello", Word(500, 400, "hello")), "outside"),
        (one("hello", Word(0, 500, "hello"), begin_ms=700, end_ms=300), "outside"),
        (one("ab", Word(500, 900, "a"), Word(100, 300, "b")), "outside"),
        (Outcome(Span(0, 999), Fate.NON_SPEECH), "it was asked for"),
        (Outcome(Span(0, 1_000), Fate.NON_SPEECH, one("a", Word(0, 9, "a")).sentences), "carries sentences"),
    ],
)
def test_the_gate_refuses_each_broken_promise(outcome: Outcome, complaint: str) -> None:
    with pytest.raises(InvariantError, match=complaint):
        ledger.admit(outcome, Span(0, 1_000))


def test_overlapping_outcomes_are_refused() -> None:
    heard = [Outcome(Span(0, 600), Fate.NON_SPEECH), Outcome(Span(500, 900), Fate.NON_SPEECH)]
    with pytest.raises(InvariantError, match="overlaps"):
        ledger.book(Span(0, 1_000), heard)
