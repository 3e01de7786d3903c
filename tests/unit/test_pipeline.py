"""One source through the pipeline, with hosts that fail or wait on command: order, bookkeeping, giving up, silence."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import pytest

from dashscribe import config, pipeline
from dashscribe.engines import find_engine
from dashscribe.errors import HostDiedError, ModelNotFoundError
from dashscribe.errors.sources import NoSpeechError, RecognitionError, SourceNotFoundError
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

    def __init__(self, windows: list[Window], hear: Callable[[Window, int], Iterable[Outcome]]) -> None:
        self._windows, self._hear = windows, hear
        self.attempts: Counter[tuple[int, int]] = Counter()
        self.asked: dict[str, object] = {}
        self.windows_given = 0
        self.closed = False
        self.stop = threading.Event()

    def down(self) -> dict[str, str]:
        return {}

    def punctuator(self) -> None:
        """No punctuation model is installed."""

    def normalizer(self) -> None:
        """Numbers stay as they were said."""

    def cut(
        self,
        path: Path,
        *,
        url: str,
        options: Options,
        limits: Limits,
        max_duration_ms: int | None,
        packed: bool,
        stop: threading.Event,
    ) -> Iterator[object]:
        self.asked |= {"url": url, "max_duration_ms": max_duration_ms}
        self.stop = stop
        try:
            yield MEDIA
            for item in self._windows:
                yield Position(item.spans[-1].end_ms)
                self.windows_given += 1
                yield item
            media = Media(**{name: getattr(MEDIA, name) for name in MEDIA.__slots__} | {"duration_ms": 100_000})
            channels = (0,) if options.mix else tuple(c for c in dict.fromkeys(options.channels) if c < 2)
            yield CutEnd(media, channels, 0, 100_000, (), ("a note",))
        finally:
            self.closed = True

    def recognize(
        self,
        engine: str,
        item: Window,
        options: Options,
        *,
        express: bool,
        first: int,
        stop: threading.Event,
        on_ready: None = None,
    ) -> Iterator[Outcome]:
        self.asked |= {"engine": engine, "express": express}
        self.attempts[item.channel, item.index] += 1
        heard = self._hear(item, self.attempts[item.channel, item.index])
        yield from islice(heard, first, None)


def run(hosts: ScriptedHosts, tmp_path: Path, **more: object) -> Transcript:
    source = tmp_path / "a.wav"
    source.touch()
    options = Options(channels=more.pop("channels", (0,)), mix=more.pop("mix", False))  # type: ignore[arg-type]
    return pipeline.transcribe(source, options, settings=config.load(engine="standin"), hosts=hosts, **more)  # type: ignore[arg-type]


def words_of(item: Window, _: int) -> list[Outcome]:
    return [say(span, f"c{item.channel}w{item.index}p{i}") for i, span in enumerate(item.spans)]


def test_windows_that_finish_out_of_order_are_joined_in_order(tmp_path: Path) -> None:
    second_is_done = threading.Event()

    def hear(item: Window, attempt: int) -> list[Outcome]:
        if item.index == 0:
            assert second_is_done.wait(60)
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


class MortalHosts(ScriptedHosts):
    """Their first cuts die after the given numbers of messages; the positions of each cut differ."""

    def __init__(self, windows: list[Window], *dies_after: int) -> None:
        super().__init__(windows, words_of)
        self.dies_after = list(dies_after)

    def cut(self, *args: object, **more: object) -> Iterator[object]:  # type: ignore[override]
        messages = super().cut(*args, **more)  # type: ignore[arg-type]
        if not self.dies_after:
            yield from (message for message in messages if not isinstance(message, Position))
            return
        yield from islice(messages, self.dies_after.pop(0))
        raise HostDiedError("signal 9")


@pytest.mark.parametrize("dies_after", [(0,), (1,), (2,), (3,), (7,), (5, 3), (3, 5)])
def test_a_source_is_cut_again_when_the_child_that_cuts_it_died(dies_after: tuple[int, ...], tmp_path: Path) -> None:
    windows = [window(0, i) for i in range(4)]
    spoken: list[str] = []
    hosts = MortalHosts(windows, *dies_after)
    transcript = run(hosts, tmp_path, on_sentence=lambda _, sentence: spoken.append(sentence.text))
    assert transcript == run(ScriptedHosts(windows, words_of), tmp_path)
    assert spoken == [sentence.text for sentence in transcript.sentences]
    assert set(hosts.attempts.values()) == {1}, "what was told before is not recognized again"


def test_a_source_that_always_kills_its_child_is_given_up(tmp_path: Path) -> None:
    hosts = MortalHosts([window(0, 0)], *[2] * pipeline.MAX_FAILURES)
    with pytest.raises(HostDiedError, match="signal 9"):
        run(hosts, tmp_path)
    assert not hosts.dies_after


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


# --- what leaves before the end ---------------------------------------------------------------------------------------


class StoppedError(Exception):
    """What a caller raises who has had enough."""


def far_apart(channel: int = 0, *, count: int = 2) -> Window:
    """Spans of four seconds with a pause of two between them."""
    return Window(channel, 0, tuple(Span(i * 6_000, i * 6_000 + 4_000) for i in range(count)), b"")


def test_a_sentence_leaves_while_the_next_span_is_still_being_recognized(tmp_path: Path) -> None:
    left = threading.Event()

    def hear(item: Window, attempt: int) -> Iterator[Outcome]:
        yield say(item.spans[0], "first")
        assert left.wait(20), "the first sentence waits for the second span"
        yield say(item.spans[1], "second")

    transcript = run(ScriptedHosts([far_apart()], hear), tmp_path, on_sentence=lambda *_: left.set())
    assert [sentence.text for sentence in transcript.sentences] == ["First.", "Second."]


def test_the_last_sentence_before_a_pause_at_the_border_of_two_windows_does_not_wait_for_the_second(
    tmp_path: Path,
) -> None:
    left = threading.Event()

    def hear(item: Window, attempt: int) -> Iterator[Outcome]:
        if item.index:
            assert left.wait(20), "the first window's sentence waits for the second window"
        yield say(item.spans[0], f"window {item.index}")

    windows = [Window(0, i, (Span(i * 6_000, i * 6_000 + 4_000),), b"") for i in range(2)]
    transcript = run(ScriptedHosts(windows, hear), tmp_path, on_sentence=lambda *_: left.set())
    assert len(transcript.sentences) == 2


def test_a_window_that_fails_midway_goes_on_behind_what_has_left(tmp_path: Path) -> None:
    def hear(item: Window, attempt: int) -> Iterator[Outcome]:
        for i, span in enumerate(item.spans):
            if i == attempt:
                raise HostDiedError("signal 11")
            yield say(span, f"span {i}")

    said: list[str] = []
    hosts = ScriptedHosts([far_apart(count=3)], hear)
    transcript = run(hosts, tmp_path, on_sentence=lambda _, sentence: said.append(sentence.text))
    assert said == [sentence.text for sentence in transcript.sentences] == ["Span 0.", "Span 1.", "Span 2."]
    undisturbed = ScriptedHosts(
        [far_apart(count=3)], lambda item, _: [say(s, f"span {s.begin_ms // 6_000}") for s in item.spans]
    )
    assert transcript == run(undisturbed, tmp_path)
    assert hosts.attempts[0, 0] == 3


def test_what_was_heard_of_a_window_that_is_given_up_stays(tmp_path: Path) -> None:
    def hear(item: Window, attempt: int) -> Iterator[Outcome]:
        yield say(item.spans[0], "first")
        raise HostDiedError("signal 11")

    transcript = run(ScriptedHosts([far_apart(count=3)], hear), tmp_path)
    assert [sentence.text for sentence in transcript.sentences] == ["First."]
    failed = [entry for entry in transcript.tracks[0].ledger if entry.fate is Fate.FAILED]
    assert [(entry.begin_ms, entry.end_ms) for entry in failed] == [(6_000, 10_000), (12_000, 16_000)]


def test_progress_moves_with_every_outcome_and_is_told_while_nothing_comes(tmp_path: Path) -> None:
    seen: list[int] = []
    told = threading.Semaphore(0)

    def hear(item: Window, attempt: int) -> Iterator[Outcome]:
        yield say(item.spans[0], "first")
        for _ in range(3):
            assert told.acquire(timeout=20), "nobody is told that time passes"
        yield say(item.spans[1], "second")

    def on_progress(progress: pipeline.Progress) -> None:
        seen.append(progress.recognized_ms)
        if progress.recognized_ms == 4_000:
            told.release()

    run(ScriptedHosts([far_apart()], hear), tmp_path, on_progress=on_progress)
    assert list(dict.fromkeys(seen)) == [0, 4_000, 10_000]


def test_progress_is_told_while_the_cut_finds_nothing(tmp_path: Path) -> None:
    told = threading.Event()

    class SlowCut(ScriptedHosts):
        def cut(self, *args: object, **more: object) -> Iterator[object]:
            assert told.wait(20), "nobody is told that time passes"
            yield from super().cut(*args, **more)  # type: ignore[arg-type]

    run(SlowCut([], words_of), tmp_path, on_progress=lambda _: told.set())


def test_what_progress_raises_stops_the_work_that_is_going_on(tmp_path: Path) -> None:
    def hear(item: Window, attempt: int) -> Iterator[Outcome]:
        yield say(item.spans[0], "first")
        assert hosts.stop.wait(20), "the work goes on"
        raise HostDiedError("stopped")

    def on_progress(progress: pipeline.Progress) -> None:
        if progress.recognized_ms:
            raise StoppedError

    hosts = ScriptedHosts([far_apart()], hear)
    with pytest.raises(StoppedError):
        run(hosts, tmp_path, on_progress=on_progress)
    assert hosts.closed
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("child")]


def test_a_source_that_ends_well_is_not_stopped(tmp_path: Path) -> None:
    hosts = ScriptedHosts([far_apart()], words_of)
    run(hosts, tmp_path)
    assert not hosts.stop.is_set(), "a child that is about to say that it is through would be killed"


def test_the_cut_waits_while_the_oldest_window_is_being_recognized(tmp_path: Path) -> None:
    told = threading.Semaphore(0)
    given: list[int] = []

    def hear(item: Window, attempt: int) -> list[Outcome]:
        if item.index == 0:
            while hosts.windows_given <= hosts.slots:
                assert told.acquire(timeout=20)
            for _ in range(2 * hosts.slots + 6):  # more often than messages could come
                assert told.acquire(timeout=20)
            given.append(hosts.windows_given)
        return words_of(item, attempt)

    hosts = ScriptedHosts([window(0, i) for i in range(9)], hear)
    run(hosts, tmp_path, on_progress=lambda _: told.release())
    assert given == [hosts.slots + 1]


# --- how a call is described ------------------------------------------------------------------------------------------


def test_name_engine_slot_and_limit_of_a_call_reach_the_children(tmp_path: Path) -> None:
    hosts = ScriptedHosts([window(0, 0)], words_of)
    engine = find_engine("pocketsphinx", config.load())
    transcript = run(hosts, tmp_path, url="oss://a/b.wav", engine=engine, express=True, max_duration_ms=300_000)
    expected = {"url": "oss://a/b.wav", "engine": "pocketsphinx", "express": True, "max_duration_ms": 300_000}
    assert hosts.asked == expected
    assert transcript.engine == "pocketsphinx"


def test_notes_of_the_caller_come_before_those_of_the_source(tmp_path: Path) -> None:
    assert run(ScriptedHosts([], words_of), tmp_path, notes=("seed had no effect",)).notes == (
        "seed had no effect",
        "a note",
    )


def test_a_mix_is_one_track_whatever_channels_were_asked_for(tmp_path: Path) -> None:
    transcript = run(ScriptedHosts([window(0, 0)], words_of), tmp_path, channels=(1, 5), mix=True)
    assert [track.channel for track in transcript.tracks] == [0]
    assert transcript.text


@pytest.fixture
def slow_origin() -> Iterator[tuple[str, threading.Event]]:
    """The URL of a source whose origin says nothing until the event is set."""
    go = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if go.wait(20):
                self.send_response(200)
                self.send_header("Content-Length", "4")
                self.end_headers()
                self.wfile.write(b"RIFF")

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/a.wav", go
    go.set()
    server.shutdown()
    server.server_close()


def fetched(url: str, hosts: ScriptedHosts, on_progress: Callable[[pipeline.Progress], None]) -> Transcript:
    settings = config.load(engine="standin")
    return pipeline.transcribe(url, Options(), settings=settings, hosts=hosts, on_progress=on_progress)  # type: ignore[arg-type]


def test_progress_is_told_while_a_source_is_fetched(slow_origin: tuple[str, threading.Event]) -> None:
    url, go = slow_origin
    transcript = fetched(url, ScriptedHosts([window(0, 0)], words_of), lambda _: go.set())
    assert transcript.text


def test_what_progress_raises_ends_a_fetch(slow_origin: tuple[str, threading.Event]) -> None:
    def on_progress(progress: pipeline.Progress) -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        fetched(slow_origin[0], ScriptedHosts([], words_of), on_progress)


@pytest.mark.parametrize(("itn", "text"), [(True, "25 boats."), (False, "Twenty five boats.")])
def test_numbers_become_digits_where_they_are_asked_for(tmp_path: Path, itn: bool, text: str) -> None:
    class CountingHosts(ScriptedHosts):
        def normalizer(self) -> Callable[[Sequence[str], str], Sequence[str]]:  # type: ignore[override]
            assert itn, "nobody asked for it"
            return lambda texts, language: ["25" for _ in texts]

    source = tmp_path / "a.wav"
    source.touch()
    hosts = CountingHosts(
        [window(0, 0)],
        lambda item, _: [say(item.spans[0], "twenty five boats"), Outcome(item.spans[1], Fate.NON_SPEECH)],
    )
    transcript = pipeline.transcribe(source, Options(itn=itn), settings=config.load(engine="standin"), hosts=hosts)  # type: ignore[arg-type]
    assert transcript.text == text
