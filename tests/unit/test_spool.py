"""Lists on disk: the same values as often as they are asked for, and a step whose memory does not grow with a file."""

import os
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from durable import Home, speech, take, to_joining

from dashscribe.db.tables import FileState
from dashscribe.steps import finish
from dashscribe.steps.spool import BLOCK, Spool
from dashscribe.types import Fate, Options, Outcome, Sentence, Span, Utterance, Voices, Word
from dashscribe.windows import ClosedWindow

A = "http://x/a"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("count", [0, 1, BLOCK, 3 * BLOCK + 1])
def test_list_is_read_as_often_as_it_is_wanted(spool: Spool, count: int) -> None:
    spans = tuple(Span(at, at + 1) for at in range(count))
    kept = spool.keep(Span, iter(spans))
    assert len(kept) == count
    assert (tuple(kept), tuple(kept)) == (spans, spans)
    assert [kept[at] for at in range(-count, count)] == [spans[at] for at in range(-count, count)]
    assert tuple(kept[1::2]) == spans[1::2]
    with pytest.raises(IndexError):
        kept[count]


def test_one_list_may_be_read_while_another_is_written(spool: Spool) -> None:
    first = spool.keep(Span, (Span(at, at + 1) for at in range(1000)))
    second = spool.keep(Outcome, (Outcome(span, Fate.FAILED, reason="半") for span in first))
    assert [outcome.span for outcome in second] == list(first)
    assert {outcome.reason for outcome in second} == {"半"}


def test_values_come_back_as_they_were(spool: Spool) -> None:
    word = Word(0, 1, "w", punctuation="。", confidence=0.1 + 0.2)
    sentence = Sentence(begin_ms=0, end_ms=1, text="w。", words=(word,), speaker=0, events=("Speech",))
    outcomes = [Outcome(Span(0, 1), Fate.TRANSCRIBED, (sentence,)), Outcome(Span(1, 2), Fate.NON_SPEECH)]
    voices = [Voices((Utterance(0, 1, b"\0\xff"),), measured=True), Voices(reason="nobody")]
    assert list(spool.keep(Outcome, outcomes)) == outcomes
    assert list(spool.keep(Voices, voices)) == voices


def test_no_file_is_left(tmp_path: Path) -> None:
    with Spool(tmp_path) as opened:
        opened.keep(Span, [Span(0, 1)])
        assert list(tmp_path.iterdir()) == []


def test_list_of_a_step_that_has_ended_is_read_from_no_other_file(tmp_path: Path) -> None:
    """The next one gets the number that the system knew the last one by."""
    with Spool(tmp_path) as first:
        kept = first.keep(Span, [Span(0, 1)])
    with Spool(tmp_path) as second:
        second.keep(Span, [Span(2, 3)])
        with pytest.raises(ValueError, match="closed"):
            list(kept)


def test_list_that_lost_its_end_costs_a_step_no_try(spool: Spool) -> None:
    """OSError is what the machine is at fault for; what is decoded of half a block would be the file's."""
    kept = spool.keep(Span, [Span(at, at + 1) for at in range(BLOCK + 1)])
    assert kept[BLOCK] == Span(BLOCK, BLOCK + 1)
    spool._file.truncate(spool._end - 1)
    assert kept[0] == Span(0, 1)
    with pytest.raises(OSError, match="what a step kept ends"):
        kept[BLOCK]


def test_list_that_the_system_reads_in_parts_is_whole(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spans = [Span(at, at + 1) for at in range(BLOCK)]
    kept = spool.keep(Span, spans)
    whole = os.pread
    monkeypatch.setattr(os, "pread", lambda file, size, begin: whole(file, min(size, 50), begin))
    assert list(kept) == spans


@pytest.mark.parametrize("diarize", [False, True])
def test_end_of_a_file_takes_as_much_memory_whatever_its_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, diarize: bool
) -> None:
    """Three spans of 25 words in half a minute; two hours of them were 3 MB more as objects."""
    home = Home(tmp_path, {A: speech(1)})
    words = [f"w{number} " for number in range(25)]

    def outcomes(store: object, key: str, spans: tuple[Span, ...], size_bytes: int) -> Iterator[Outcome]:
        for span in spans:
            step = (span.end_ms - span.begin_ms) // 25
            said = tuple(
                Word(span.begin_ms + at * step, span.begin_ms + (at + 1) * step, text) for at, text in enumerate(words)
            )
            text = "".join(words)
            sentence = Sentence(begin_ms=span.begin_ms, end_ms=span.end_ms, text=text, words=said)
            yield Outcome(span, Fate.TRANSCRIBED, (sentence,))

    def voices(store: object, key: str) -> Voices:
        begin_ms = int(key.split("/")[1])
        return Voices(
            tuple(Utterance(begin_ms + at, begin_ms + at + 10_000, bytes(384)) for at in (0, 10_000, 20_000)), True
        )

    monkeypatch.setattr(finish, "read_outcomes", outcomes)
    monkeypatch.setattr(finish, "read_voices", voices)
    peaks: list[int] = []
    for count in (20, 240):
        spans = [
            tuple(Span(at, at + 10_000) for at in range(30_000 * n, 30_000 * (n + 1), 10_000)) for n in range(count)
        ]
        closed = [
            ClosedWindow(
                id=n, channel=0, number=n, spans=some, speech_ms=30_000, audio_key=f"tasks/{some[0].begin_ms}/x",
                result_key="r", result_bytes=1, reason="",
            )
            for n, some in enumerate(spans)
        ]  # fmt: skip
        monkeypatch.setattr(finish.windows, "of_file", lambda engine, file, closed=closed: closed)
        to_joining(home, A)
        file = take(home, FileState.JOINING)
        assert file.cut is not None
        cut = msgspec.structs.replace(file.cut, end_ms=30_000 * count)
        long = replace(file, cut=cut, options=Options(diarize=diarize, speaker_count=2))
        bench = home.bench
        tracemalloc.start()
        finish.finish(bench, long)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 2 * 1024**2
