"""One source through the pipeline, with hosts that fail on command: order, bookkeeping, giving up, silence."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dashscribe import config, pipeline
from dashscribe.errors import (
    HostDiedError,
    ModelNotFoundError,
    NoSpeechError,
    RecognitionError,
    SourceNotFoundError,
)
from dashscribe.hosts.protocol import CutEnd, Position
from dashscribe.types import Fate, Limits, Media, Options, Outcome, Sentence, Span, Transcript, Window, Word

MEDIA = Media(url="a.wav", container="wav", codec="pcm_s16le", rate_hz=8_000, channel_count=2, duration_ms=0)


def window(channel: int, index: int) -> Window:
    begin_ms = index * 10_000
    return Window(channel, index, (Span(begin_ms, begin_ms + 4_000), Span(begin_ms + 5_000, begin_ms + 9_000)), b"")


def say(span: Span, text: str) -> Outcome:
    words = (Word(span.begin_ms, span.end_ms, text),)
    return Outcome(
        span, Fate.TRANSCRIBED, (Sentence(begin_ms=span.begin_ms, end_ms=span.end_ms, text=text, words=words),)
    )


class ScriptedHosts:
    """Cuts two channels into windows; ``hear`` decides what recognition gives, by window and attempt."""

    slots = 2

    def __init__(self, windows: list[Window], hear: Callable[[Window, int], list[Outcome]]) -> None:
        self._windows, self._hear = windows, hear
        self.attempts: Counter[tuple[int, int]] = Counter()
        self.closed = False

    def cut(self, path: Path, *, url: str, options: Options, limits: Limits) -> Iterator[object]:
        try:
            yield MEDIA
            for item in self._windows:
                yield Position(item.spans[-1].end_ms)
                yield item
            media = Media(**{name: getattr(MEDIA, name) for name in MEDIA.__slots__} | {"duration_ms": 100_000})
            yield CutEnd(media, tuple(c for c in dict.fromkeys(options.channels) if c < 2), 0, 100_000, (), ("a note",))
        finally:
            self.closed = True

    def recognize(self, engine: str, item: Window, options: Options, *, express: bool = False) -> Iterator[Outcome]:
        self.attempts[item.channel, item.index] += 1
        yield from self._hear(item, self.attempts[item.channel, item.index])


def run(hosts: ScriptedHosts, tmp_path: Path, **more: object) -> Transcript:
    source = tmp_path / "a.wav"
    source.touch()
    options = Options(channels=more.pop("channels", (0,)))
    return pipeline.transcribe(source, options, settings=config.load(engine="standin"), hosts=hosts, **more)  # type: ignore[arg-type]


def words_of(item: Window, _: int) -> list[Outcome]:
    return [say(span, f"c{item.channel}w{item.index}p{i}") for i, span in enumerate(item.spans)]


def test_windows_that_finish_out_of_order_are_joined_in_order(tmp_path: Path) -> None:
    second_is_done = threading.Event()

    def hear(item: Window, attempt: int) -> list[Outcome]:
        if item.index == 0:
            assert second_is_done.wait(10)
        if item.index == 1:
            second_is_done.set()
        return words_of(item, attempt)

    spoken: list[str] = []
    hosts = ScriptedHosts([window(0, i) for i in range(5)], hear)
    transcript = run(hosts, tmp_path, on_sentence=lambda _, sentence: spoken.append(sentence.text))
    said = [word.text.strip().lower() for s in transcript.sentences for word in s.words]
    assert said == [f"c0w{i}p{j}" for i in range(5) for j in range(2)]
    assert spoken == [sentence.text for sentence in transcript.sentences]
    assert hosts.closed


def test_each_channel_is_a_track_of_its_own(tmp_path: Path) -> None:
    hosts = ScriptedHosts([window(c, i) for i in range(3) for c in (1, 0)], words_of)
    transcript = run(hosts, tmp_path, channels=(1, 0, 1, 7))
    assert [track.channel for track in transcript.tracks] == [1, 0]
    for track in transcript.tracks:
        assert f"c{track.channel}w2p1" in track.text.lower()
        assert f"c{1 - track.channel}w" not in track.text.lower()


def test_a_window_is_tried_again_after_its_host_died(tmp_path: Path) -> None:
    def hear(item: Window, attempt: int) -> list[Outcome]:
        if item.index == 1 and attempt < pipeline.MAX_FAILURES:
            raise HostDiedError("signal 11")
        return words_of(item, attempt)

    hosts = ScriptedHosts([window(0, i) for i in range(3)], hear)
    transcript = run(hosts, tmp_path)
    assert hosts.attempts[0, 1] == pipeline.MAX_FAILURES
    assert all(entry.fate is not Fate.FAILED for entry in transcript.tracks[0].ledger)


def test_a_window_that_always_fails_is_booked_with_its_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    def hear(item: Window, attempt: int) -> list[Outcome]:
        if item.index == 1:
            raise HostDiedError("signal 11")
        return words_of(item, attempt)

    transcript = run(ScriptedHosts([window(0, i) for i in range(3)], hear), tmp_path)
    failed = [entry for entry in transcript.tracks[0].ledger if entry.fate is Fate.FAILED]
    assert [(e.begin_ms, e.end_ms, e.reason) for e in failed] == [
        (10_000, 14_000, "signal 11"),
        (15_000, 19_000, "signal 11"),
    ]
    assert "w0" in transcript.text.lower() and "w2" in transcript.text.lower()
    pipeline.refuse_empty(transcript)


def test_an_answer_that_breaks_a_promise_counts_as_a_failure(tmp_path: Path) -> None:
    def hear(item: Window, attempt: int) -> list[Outcome]:
        return [say(Span(span.begin_ms, span.end_ms + 5_000), "late") for span in item.spans]

    transcript = run(ScriptedHosts([window(0, 0)], hear), tmp_path)
    assert transcript.tracks[0].sentences == ()
    with pytest.raises(RecognitionError, match="was asked for"):
        pipeline.refuse_empty(transcript)


def test_silence_is_a_transcript_without_text_and_refused_only_where_that_is_asked(tmp_path: Path) -> None:
    transcript = run(ScriptedHosts([], words_of), tmp_path)
    assert transcript.text == "" and transcript.notes == ("a note",)
    assert [(e.begin_ms, e.end_ms, e.fate) for e in transcript.tracks[0].ledger] == [(0, 100_000, Fate.NON_SPEECH)]
    with pytest.raises(NoSpeechError):
        pipeline.refuse_empty(transcript)


def test_progress_never_runs_backwards_and_ends_at_the_end(tmp_path: Path) -> None:
    seen: list[pipeline.Progress] = []
    run(ScriptedHosts([window(0, i) for i in range(9)], words_of), tmp_path, on_progress=seen.append)
    assert [p.recognized_ms for p in seen] == sorted(p.recognized_ms for p in seen)
    assert seen[-1].decoded_ms == seen[-1].duration_ms == 100_000
    assert seen[-1].recognized_ms == 89_000


def test_an_error_in_a_callback_ends_the_work(tmp_path: Path) -> None:
    def stop(channel: int, sentence: Sentence) -> None:
        raise KeyboardInterrupt

    hosts = ScriptedHosts([window(0, i) for i in range(50)], words_of)
    with pytest.raises(KeyboardInterrupt):
        run(hosts, tmp_path, on_sentence=stop)
    assert hosts.closed
    assert sum(hosts.attempts.values()) < 10


def test_a_missing_file_and_an_unknown_model_are_named(tmp_path: Path) -> None:
    hosts = ScriptedHosts([], words_of)
    with pytest.raises(SourceNotFoundError, match=r"nowhere\.wav"):
        pipeline.transcribe(tmp_path / "nowhere.wav", Options(), settings=config.load(), hosts=hosts)  # type: ignore[arg-type]
    with pytest.raises(ModelNotFoundError, match="fun-asr-9000"):
        pipeline.transcribe(tmp_path, Options(model="fun-asr-9000"), settings=config.load(), hosts=hosts)  # type: ignore[arg-type]
