"""Whatever engines hear, sentences that leave one by one are those of the whole, and none waits behind a pause."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dashscribe import config, pipeline
from dashscribe.engines import find_engine
from dashscribe.enrich import Enrichment
from dashscribe.enrich.punctuate import PAUSE_MS, punctuate
from dashscribe.hosts.protocol import CutEnd
from dashscribe.types import Fate, Media, Options, Outcome, Sentence, Span, Window, Word

MEDIA = Media(url="a.wav", container="wav", codec="pcm_s16le", rate_hz=8_000, channel_count=2, duration_ms=0)
GAPS_MS = st.sampled_from([0, 0, 0, 80, 300, PAUSE_MS, 2_000, 20_000])


@st.composite
def spoken(draw: st.DrawFn, span: Span) -> tuple[Sentence, ...]:
    """One to three sentences inside a span: bare words as the embedded engine gives them, or complete ones."""
    edges = sorted(draw(st.lists(st.integers(span.begin_ms, span.end_ms), min_size=2, max_size=9, unique=True)))
    edges = edges[: len(edges) // 2 * 2]
    words = [Word(begin_ms, end_ms, "word ") for begin_ms, end_ms in zip(edges[::2], edges[1::2], strict=True)]
    size = draw(st.integers(1, 3))
    made: list[Sentence] = []
    for part in (words[i : i + size] for i in range(0, len(words), size)):
        last = replace(part[-1], text="word", punctuation="!" if draw(st.integers(0, 5)) == 0 else "")
        timed = (*part[:-1], last)
        made.append(
            Sentence(
                begin_ms=timed[0].begin_ms,
                end_ms=timed[-1].end_ms,
                text="".join(word.text + word.punctuation for word in timed),
                words=timed,
                language=draw(st.sampled_from(["en", "en", "en", "it"])),
            )
        )
    return tuple(made)


@st.composite
def outcomes(draw: st.DrawFn) -> list[Outcome]:
    """What was heard of a channel, from nothing up to a dozen spans."""
    at_ms, heard = 0, list[Outcome]()
    for _ in range(draw(st.integers(0, 12))):
        begin_ms = at_ms + draw(GAPS_MS)
        span = Span(begin_ms, begin_ms + draw(st.sampled_from([500, 2_000, 29_000])))
        fate = draw(st.sampled_from([Fate.TRANSCRIBED, Fate.TRANSCRIBED, Fate.NON_SPEECH, Fate.FAILED]))
        heard.append(Outcome(span, fate, draw(spoken(span)) if fate is Fate.TRANSCRIBED else ()))
        at_ms = span.end_ms
    return heard


@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(outcomes())
def test_passages_change_nothing_where_spans_lie_a_pause_apart_or_touch(heard: list[Outcome]) -> None:
    gaps_ms = [right.span.begin_ms - left.span.end_ms for left, right in pairwise(heard)]
    assume(all(gap_ms == 0 or gap_ms >= PAUSE_MS for gap_ms in gaps_ms))
    by_span = {outcome.span: outcome for outcome in heard}
    at_once = list(punctuate(said for outcome in heard for said in outcome.sentences))
    assert list(Enrichment(Options()).sentences(by_span, by_span.__getitem__)) == at_once


@given(outcomes())
def test_no_sentence_waits_for_a_span_that_does_not_touch_its_own(heard: list[Outcome]) -> None:
    by_span = {outcome.span: outcome for outcome in heard}
    left: list[Sentence] = []

    def hear(span: Span) -> Outcome:
        before = [outcome for outcome in heard if outcome.span < span]
        if before and span.begin_ms > before[-1].span.end_ms:
            said = [word for outcome in before for one in outcome.sentences for word in one.words]
            assert sum(len(sentence.words) for sentence in left) == len(said)
        return by_span[span]

    for sentence in Enrichment(Options()).sentences(by_span, hear):
        left.append(sentence)


class HeardBefore:
    """Hosts that give what was heard, in windows of any size."""

    slots = 1

    def __init__(self, heard: dict[int, list[Outcome]], sizes: list[int]) -> None:
        self._heard = {(channel, o.span): o for channel, outcomes in heard.items() for o in outcomes}
        self._windows: list[Window] = []
        for channel, outcomes in heard.items():
            spans, number = [outcome.span for outcome in outcomes], 0
            while spans:
                size = sizes[number % len(sizes)]
                self._windows.append(Window(channel, number, tuple(spans[:size]), b""))
                spans, number = spans[size:], number + 1
        self._windows.sort(key=lambda window: window.spans)
        ends_ms = [outcome.span.end_ms for outcomes in heard.values() for outcome in outcomes]
        self.end = CutEnd(MEDIA, tuple(heard), 0, max(ends_ms, default=0) + 1_000, (), ())

    def cut(self, path: Path, **more: object) -> Iterator[object]:
        yield MEDIA
        yield from self._windows
        yield self.end

    def down(self) -> dict[str, str]:
        return {}

    def punctuator(self) -> None:
        return None

    def normalizer(self) -> None:
        return None

    def recognize(
        self,
        engine: str,
        window: Window,
        options: Options,
        *,
        express: bool,
        first: int,
        stop: threading.Event,
        on_ready: None,
    ) -> Iterator[Outcome]:
        for span in window.spans[first:]:
            yield self._heard[window.channel, span]


@settings(max_examples=60)
@given(left=outcomes(), right=outcomes(), sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_streamed_source_gives_the_transcript_of_the_whole(
    left: list[Outcome], right: list[Outcome], sizes: list[int]
) -> None:
    heard = {0: left, 1: right}
    hosts = HeardBefore(heard, sizes)
    options, engine = Options(channels=(0, 1)), find_engine("standin", config.load())
    said: list[tuple[int, Sentence]] = []
    call = partial(pipeline.transcribe, __file__, options, settings=config.load(), engine=engine)
    streamed = call(hosts=hosts, on_sentence=lambda channel, sentence: said.append((channel, sentence)))  # type: ignore[arg-type]
    assert streamed == pipeline.finish(hosts.end, heard, Enrichment(options), engine.name)
    assert said == [(track.channel, sentence) for track in streamed.tracks for sentence in track.sentences]
