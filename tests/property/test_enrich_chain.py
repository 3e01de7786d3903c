"""Any chain of enrichers over any words: the promises of a result hold, whatever of it is on, off or broken."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashscribe import enrich, pipeline
from dashscribe.enrich import Enrichment, speakers
from dashscribe.enrich.bias import Bias
from dashscribe.errors import HostError
from dashscribe.hosts.protocol import CutEnd
from dashscribe.types import (
    Censor,
    Fate,
    Hotword,
    Media,
    Options,
    Outcome,
    Sentence,
    Span,
    Transcript,
    Utterance,
    Voices,
)
from dashscribe.words import Heard, timed_sentence, written_words
from sizes import size

END_MS = 120_000
MEDIA = Media(url="a", container="wav", codec="pcm_s16le", rate_hz=16_000, channel_count=1, duration_ms=END_MS)
CUT = CutEnd(MEDIA, (0,), 0, END_MS, (), ())

#: What the stages look for, near enough to each other that they meet: terms and what sounds like them, fillers,
#: repetitions, numbers, sensitive words, in both scripts.
PIECES = st.sampled_from(
    (
        *("the", "um", "uh", "I", "don't", "kubernetes", "cooper", "netties", "harbor", "master", "you know", "C++"),
        *("twenty", "five", "three point", "hundred", "percent", "two thousand", "and", "half"),
        *(
            "张",
            "三",
            "丰",
            "张三封",
            "我",
            "我我",
            "嗯",
            "那个",
            "测试",
            "百分之",
            "五十",
            "二零",
            "年",
            "十",
            "点",
            "个",
        ),
    )
)
#: Bare words as some engines give them, and marks as others do.
MARKS = st.sampled_from([" ", " ", " ", "", ", ", "，", "。", ". ", "？", "! ", "…"])
SPACES = st.just(" ")
HOTWORDS = (Hotword("Kubernetes", 5), Hotword("张三丰"), Hotword("Harbor Master", 2), Hotword("测试", -6))
CENSOR = Censor(masked=("测试", "harbor"), removed=("the", "三"))


@st.composite
def sentences(draw: st.DrawFn, begin_ms: int, end_ms: int, marks: st.SearchStrategy[str]) -> Sentence:
    """Words with times between these bounds; some of the times are approximate."""
    pairs = draw(st.lists(st.tuples(PIECES, marks), min_size=1, max_size=10))
    text = "".join(piece + mark for piece, mark in pairs)
    step_ms = (end_ms - begin_ms) // (len(written_words(text)) + 1)
    heard = [
        Heard(word.begin, word.end, begin_ms + at * step_ms, begin_ms + at * step_ms + draw(st.integers(0, step_ms)))
        for at, word in enumerate(written_words(text))
        if draw(st.integers(0, 9))
    ]
    language = draw(st.sampled_from(["", "", "en", "zh", "de"]))
    sentence = timed_sentence(text, heard, Span(begin_ms, end_ms), language=language)
    return sentence if sentence.begin_ms < sentence.end_ms else replace(sentence, end_ms=end_ms)


@st.composite
def recordings(draw: st.DrawFn) -> list[Outcome]:
    """Outcomes of spans that touch or lie apart, most with one or two sentences."""
    outcomes: list[Outcome] = []
    at_ms = 0
    for _ in range(draw(st.integers(1, 4))):
        begin_ms = at_ms + draw(st.sampled_from([0, 0, 500, 3_000]))
        span = Span(begin_ms, begin_ms + draw(st.integers(2_000, 25_000)))
        at_ms = span.end_ms
        marks = draw(st.sampled_from([MARKS, SPACES]))
        middle_ms = (span.begin_ms + span.end_ms) // 2
        bounds = draw(st.sampled_from([[(span.begin_ms, middle_ms), (middle_ms, span.end_ms)], [(begin_ms, at_ms)]]))
        said = tuple(draw(sentences(*pair, marks)) for pair in bounds)
        fate = draw(st.sampled_from([Fate.TRANSCRIBED] * 4 + [Fate.NON_SPEECH]))
        outcomes.append(Outcome(span, fate, said if fate is Fate.TRANSCRIBED else ()))
    return outcomes


SWITCHES = st.fixed_dictionaries(
    {name: st.booleans() for name in ("hotwords", "context", "words", "marks", "fillers", "itn", "censor", "speakers")}
)


def marked(text: str) -> str:
    """A model that sets marks by the words alone."""
    marks = ("", "", "，", "。", "？")
    words = written_words(text)
    return "".join(word.text + marks[zlib.crc32(word.text.encode()) % 5] + word.tail for word in words)


def in_digits(texts: Sequence[str], language: str) -> list[str]:
    """A normalizer that counts by checksum."""
    return [str(zlib.crc32((language + text).encode()) % 1_000) for text in texts]


def finished(heard: Sequence[Outcome], on: dict[str, bool]) -> Transcript:
    """The transcript, whose promises are proven on the way: ``ledger.check`` is its last step."""
    options = Options(
        hotwords=HOTWORDS if on["hotwords"] else (),
        context="Kubernetes, 张三丰" if on["context"] else "",
        words=on["words"],
        drop_fillers=on["fillers"],
        itn=on["itn"],
        censor=CENSOR if on["censor"] else None,
        diarize=on["speakers"],
    )
    enrichment = Enrichment(options, marked if on["marks"] else None, None, in_digits if on["itn"] else None)
    return pipeline.finish(CUT, {0: heard}, enrichment, "standin", (), {0: [voices(heard)]})


def voices(heard: Sequence[Outcome]) -> Voices:
    """Three voices that take turns without regard to what is said."""
    prints = np.eye(3, dtype=np.float32)
    said = [
        Utterance(at_ms, min(at_ms + 1_300, outcome.span.end_ms), prints[zlib.crc32(b"%d" % at_ms) % 3].tobytes())
        for outcome in heard
        for at_ms in range(outcome.span.begin_ms, outcome.span.end_ms, 1_300)
    ]
    return Voices(tuple(said), measured=True)


def check(heard: Sequence[Outcome], found: Transcript) -> None:
    """The promises again, by other means than the program's own."""
    (track,) = found.tracks
    spans = [outcome.span for outcome in heard if outcome.fate is Fate.TRANSCRIBED]
    said = [word for outcome in heard for sentence in outcome.sentences for word in sentence.words]
    begins, ends = {word.begin_ms for word in said}, {word.end_ms for word in said}
    for sentence in track.sentences:
        assert "".join(word.text + word.punctuation for word in sentence.words) == sentence.text
        assert sentence.text == sentence.text.strip() != ""
        times = [ms for word in sentence.words for ms in (word.begin_ms, word.end_ms)]
        assert times == sorted(times)
        assert sentence.begin_ms <= times[0]
        assert times[-1] <= sentence.end_ms
        for word in sentence.words:
            assert any(span.begin_ms <= word.begin_ms and word.end_ms <= span.end_ms for span in spans)
            # No measured time is made up: it is one that some word had before.
            assert word.approximate or (word.begin_ms in begins and word.end_ms in ends)
    assert all(left.end_ms <= right.begin_ms for left, right in pairwise(track.sentences))


@settings(max_examples=size(30, 300))
@given(recordings(), SWITCHES)
def test_every_promise_holds_and_the_same_input_gives_the_same_result(
    heard: list[Outcome], on: dict[str, bool]
) -> None:
    found = finished(heard, on)
    check(heard, found)
    assert finished(heard, on) == found


@settings(max_examples=size(15, 200))
@given(recordings(), SWITCHES)
def test_without_words_a_sentence_ends_only_where_it_did_or_where_the_voice_pauses(
    heard: list[Outcome], on: dict[str, bool]
) -> None:
    plain, marked_ = (
        finished(heard, on | {"words": False, "fillers": False, "censor": False, "marks": m}) for m in (False, True)
    )
    cuts = [[(s.begin_ms, s.end_ms) for s in found.tracks[0].sentences] for found in (plain, marked_)]
    assert cuts[0] == cuts[1]


def breaking(count: int) -> Callable[..., Iterator[Sentence]]:
    """A stage that fails with every sentence; ``count`` tells its failures apart."""

    def broken(sentences: Iterable[Sentence], *arguments: Any, **how: Any) -> Iterator[Sentence]:
        next(iter(sentences))
        raise ZeroDivisionError(f"broken {count}")
        yield

    return broken


STAGES = {
    "speakers": (speakers.Assignment, "parted", "speakers are not told"),
    "hotwords": (Bias, "correct", "hotwords are not corrected in places"),
    "fillers": (enrich, "drop_fillers", "filler words stay in places"),
    "itn": (enrich, "write_numbers", "numbers stay as they were said"),
    "censor": (enrich, "censor", "sensitive words may be left"),
}


@pytest.mark.parametrize("stage", list(STAGES))
@settings(max_examples=size(15, 200))
@given(recordings(), SWITCHES)
def test_a_broken_stage_is_as_good_as_one_that_is_off_and_breaks_no_other(
    stage: str, heard: list[Outcome], on: dict[str, bool]
) -> None:
    place, name, loss = STAGES[stage]
    off = {stage: False, "context": False} if stage == "hotwords" else {stage: False}
    without = finished(heard, on | off)
    broken = breaking(1) if place is enrich else lambda self, sentences: breaking(2)(sentences)
    with patch.object(place, name, broken):
        found = finished(heard, on | off | {stage: True})
    check(heard, found)
    assert [replace(track, turns=()) for track in found.tracks] == [
        replace(track, turns=()) for track in without.tracks
    ]
    told = [note for note in found.notes if note.startswith(loss)]
    # One note, however many sentences it failed at: none where nothing was said.
    assert len(told) == bool(any(outcome.sentences for outcome in heard)) or not found.tracks[0].sentences


@settings(max_examples=size(15, 200))
@given(recordings(), SWITCHES)
def test_broken_marks_leave_the_promises_and_the_other_stages(heard: list[Outcome], on: dict[str, bool]) -> None:
    with patch.object(enrich, "punctuate", breaking(3)):
        found = finished(heard, on)
    check(heard, found)
    if on["censor"] and not on["itn"]:
        # Two speakers may have half of a word each: a listed word does not reach from one sentence into the next.
        assert not any("测试" in sentence.text for sentence in found.sentences)


@settings(max_examples=size(15, 200))
@given(recordings(), SWITCHES, st.integers(0, 3))
def test_a_model_that_dies_midway_leaves_what_it_would_have_changed(
    heard: list[Outcome], on: dict[str, bool], calls: int
) -> None:
    left = calls

    def dying(texts: Sequence[str], language: str) -> list[str]:
        nonlocal left
        left -= 1
        if left < 0:
            raise HostError("gone")
        return in_digits(texts, language)

    options = Options(words=on["words"], drop_fillers=on["fillers"], itn=True, censor=CENSOR)
    enrichment = Enrichment(options, marked if on["marks"] else None, None, dying)
    found = pipeline.finish(CUT, {0: heard}, enrichment, "standin")
    check(heard, found)
    assert (left < 0) == any("writing numbers as digits failed" in note for note in found.notes)
