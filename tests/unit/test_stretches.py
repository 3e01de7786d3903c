"""Long texts are compared stretch by stretch: bounded in what is looked at in one go, and as good as at once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Indel, Levenshtein, Opcode

from dashscribe.edits import stretches
from dashscribe.edits.aligning import reworded
from dashscribe.edits.comparing import compare
from dashscribe.types import Entry, Fate, Media, Sentence, Track, Transcript, Word

#: The limit of these tests, and how long a text is that is far beyond it: as 12 hours are beyond an hour.
MOST_PAIRS, WORDS = 10_000, 3_000


class Watched:
    """rapidfuzz, and how many pairs of words each call was given."""

    def __init__(self, compare: Callable[[Sequence[int], Sequence[int]], Iterable[Opcode]]) -> None:
        self.compare, self.pairs = compare, list[int]()

    def opcodes(self, left: Sequence[int], right: Sequence[int]) -> Iterable[Opcode]:
        self.pairs.append(len(left) * len(right))
        return self.compare(left, right)

    def assert_bounded(self) -> None:
        assert max(self.pairs) <= MOST_PAIRS
        assert sum(self.pairs) <= 3 * WORDS * MOST_PAIRS**0.5


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches, "MOST_PAIRS", MOST_PAIRS)


def spoken(words: Sequence[str]) -> list[Sentence]:
    """Sentences of ten words, a word every 100 ms."""
    found: list[Sentence] = []
    for at in range(0, len(words), 10):
        some = [word + " " for word in words[at : at + 10]]
        some[-1] = some[-1].strip()
        timed = tuple(Word(100 * n, 100 * n + 90, word) for n, word in enumerate(some, start=at))
        text = "".join(some)
        found.append(Sentence(begin_ms=timed[0].begin_ms, end_ms=timed[-1].end_ms, text=text, words=timed))
    return found


def transcript(words: Sequence[str]) -> Transcript:
    end_ms = 100 * len(words) + 100
    media = Media(url="u", container="wav", codec="pcm_s16le", rate_hz=16_000, channel_count=1, duration_ms=end_ms)
    track = Track(channel=0, sentences=tuple(spoken(words)), ledger=(Entry(0, end_ms, Fate.TRANSCRIBED),))
    return Transcript(media=media, tracks=(track,), model="fun-asr", engine="standin")


def said(count: int = WORDS, seed: int = 1) -> list[str]:
    chance = random.Random(seed)
    return [f"w{int(2000 * chance.random() ** 3)}" for _ in range(count)]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "kind", ["a few other words", "an hour is missing", "the same again and again", "nothing alike"]
)
def test_long_transcripts_are_compared_in_bounded_steps_as_well_as_at_once(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = said() if kind != "the same again and again" else said(60) * (WORDS // 60)
    right = list(left)
    changed = WORDS // 3
    if kind == "an hour is missing":
        del right[1000 : 1000 + changed]
    elif kind == "nothing alike":
        right, changed = [f"other{word}" for word in left], WORDS
    else:
        changed = len(range(50, WORDS, 97))
        right[50::97] = [f"new{number}" for number in range(changed)]
    watched = Watched(Levenshtein.opcodes)
    monkeypatch.setattr("rapidfuzz.distance.Levenshtein", watched)
    pairs, figures = compare(transcript(left), transcript(right))
    watched.assert_bounded()
    assert figures.changed == changed
    assert [word.text.strip() for pair in pairs for word in pair.left] == left
    assert [word.text.strip() for pair in pairs for word in pair.right] == right
    assert all(one.kind != other.kind for one, other in pairwise(pairs))


@pytest.mark.usefixtures("short")
def test_a_long_text_keeps_the_times_of_its_words_in_bounded_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(Indel.opcodes)
    monkeypatch.setattr("rapidfuzz.distance.Indel", watched)
    old = spoken(said())
    words = said()
    words[5::50] = ["new"] * len(range(5, WORDS, 50))
    (whole,) = reworded(old, [" ".join(words)])
    watched.assert_bounded()
    kept = [word for word in whole.words if not word.approximate]
    assert len(kept) == WORDS - len(range(5, WORDS, 50))
    assert all(word.begin_ms == 100 * int(at) for at, word in enumerate(whole.words) if not word.approximate)


@settings(max_examples=200)
@given(
    left=st.lists(st.integers(0, 4), max_size=60),
    right=st.lists(st.integers(0, 4), max_size=60),
    most=st.integers(1, 200),
    distance=st.sampled_from([Levenshtein, Indel]),
)
def test_steps_make_one_text_of_the_other_whatever_they_are(
    left: list[int], right: list[int], most: int, distance: SimpleNamespace
) -> None:
    with patch.object(stretches, "MOST_PAIRS", most):
        steps = stretches.opcodes(left, right, distance.opcodes)
    made: list[int] = []
    at = (0, 0)
    for step in steps:
        assert (step.src_start, step.dest_start) == at
        mine, others = left[step.src_start : step.src_end], right[step.dest_start : step.dest_end]
        assert {"equal": mine == others, "insert": not mine, "delete": not others}.get(step.tag, bool(mine and others))
        assert mine or others
        made += others
        at = (step.src_end, step.dest_end)
    assert (made, at) == (right, (len(left), len(right)))
    assert all(one.tag != other.tag for one, other in pairwise(steps))
