"""The library from the outside: calls, streams and awaiting on this machine, formats, what a notebook shows, errors."""

import asyncio
import base64
import gc
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import psutil
import pytest

import dashscribe
from dashscribe.background import OnSentence, Stream
from dashscribe.render import FORMATS, notebook
from dashscribe.types import Entry, Fate, Media, Sentence, Track, Transcript
from dashscribe.wishes import options_of

CHECKOUT = Path(__file__).resolve().parents[2]
#: Children that were there before a test.
EARLIER: set[int] = set()


@pytest.fixture(autouse=True)
def standin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCRIBE_ENGINE", "standin")
    monkeypatch.setenv("DASHSCRIBE_WORKERS", "1")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An engine that takes a minute for every piece; none of its children may outlive a test."""
    monkeypatch.setenv("DASHSCRIBE_STANDIN_DELAY_MS", "60000")
    EARLIER.clear()
    EARLIER.update(children())
    yield
    assert children() == set()


def children() -> set[int]:
    """The children of this test: what the suite started for all of its tests is not among them."""
    return {child.pid for child in psutil.Process().children()} - EARLIER


def wait_for_children(count: int) -> None:
    until_s = time.monotonic() + 120
    while len(children()) < count:
        assert time.monotonic() < until_s, "the work does not begin"
        time.sleep(0.05)


# --- calls -----------------------------------------------------------------------------------------------------------


def test_every_way_gives_the_same_transcript(sample: Path) -> None:
    told: list[dashscribe.Sentence] = []
    far: list[float] = []
    whole = dashscribe.transcribe(
        sample, on_sentence=lambda _, sentence: told.append(sentence), on_progress=lambda p: far.append(p.fraction)
    )
    assert whole.text and tuple(told) == whole.sentences
    assert far[-1] == 1.0 and far == sorted(far)
    with dashscribe.stream(sample) as stream:
        assert tuple(stream) == whole.sentences
        assert stream.result() == whole
        assert stream.progress.fraction == 1.0

    async def awaited() -> None:
        heard: list[dashscribe.Sentence] = []
        loops: set[object] = set()
        result = await dashscribe.atranscribe(
            sample,
            on_sentence=lambda _, sentence: heard.append(sentence),
            on_progress=lambda _: loops.add(asyncio.get_running_loop()),
        )
        assert result == whole and tuple(heard) == whole.sentences
        assert loops == {asyncio.get_running_loop()}
        assert tuple([sentence async for sentence in dashscribe.stream(sample)]) == whole.sentences

    asyncio.run(awaited())


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, ()),
        ("", ()),
        ("auto", ()),
        ("zh-CN", ("zh",)),
        (["EN ", "en-US", "fil"], ("en", "fil")),
    ],
)
def test_a_language_is_read_as_by_a_server(given: str | list[str] | None, read: tuple[str, ...]) -> None:
    assert options_of(language=given).languages == read


def test_the_rest_of_a_stream_is_taken_by_its_result(sample: Path) -> None:
    stream = dashscribe.stream(sample, channels=[0])
    first = next(stream)
    assert stream.result().sentences[0] == first
    assert next(stream, None) is None


def test_wrong_parameters_are_told_at_once_in_errors_of_the_library(sample: Path, tmp_path: Path) -> None:
    for call in (dashscribe.transcribe, dashscribe.stream):
        with pytest.raises(dashscribe.InvalidParameterError, match="outside 2 to 100"):
            call(sample, diarize=True, speaker_count=1)
        with pytest.raises(dashscribe.InvalidParameterError, match="weight 9"):
            call(sample, hotwords=[dashscribe.Hotword("etcd", 9)])
        with pytest.raises(dashscribe.InvalidParameterError, match="-1 is outside 0 to 63"):
            call(sample, channels=[-1])
        with pytest.raises(dashscribe.InvalidParameterError, match="nothing to transcribe"):
            call(sample, duration_ms=0)
        with pytest.raises(dashscribe.InvalidParameterError, match="None is no whole number"):
            call(sample, channels=[None])  # pyright: ignore[reportArgumentType]
        for fraction in ("begin_ms", "duration_ms", "speaker_count", "channels"):
            value = [0.5] if fraction == "channels" else 500.0
            with pytest.raises(dashscribe.InvalidParameterError, match=r"\.[05] is no whole number"):
                call(sample, diarize=True, **{fraction: value})  # pyright: ignore[reportArgumentType]
        with pytest.raises(dashscribe.InvalidParameterError, match="before the begin"):
            call(sample, begin_ms=-1)
        with pytest.raises(dashscribe.ModelNotFoundError, match="did you mean fun-asr"):
            call(sample, model="fun-asrr")
        with pytest.raises(TypeError, match="'langauge'"):
            call(sample, langauge="en")  # pyright: ignore[reportCallIssue]
    with pytest.raises(dashscribe.SourceError, match="no such file"):
        dashscribe.transcribe(tmp_path / "gone.wav")
    with pytest.raises(dashscribe.SourceError, match="no such file"):
        next(dashscribe.stream(tmp_path / "gone.wav"))


def test_a_stretch_to_the_end_of_the_file_keeps_its_clock(sample: Path) -> None:
    whole, late = dashscribe.transcribe(sample), dashscribe.transcribe(sample, begin_ms=9_000)
    (track,) = late.tracks
    assert track.ledger[0].begin_ms == 9_000
    assert track.ledger[-1].end_ms == whole.tracks[0].ledger[-1].end_ms


# --- ending early ----------------------------------------------------------------------------------------------------


def test_closing_a_stream_ends_its_children(sample: Path, slow: None) -> None:
    with dashscribe.stream(sample):
        wait_for_children(2)
    assert children() == set()


def test_a_stream_that_is_lost_ends_its_children(sample: Path, slow: None) -> None:
    stream = dashscribe.stream(sample)
    wait_for_children(2)
    del stream
    gc.collect()
    until_s = time.monotonic() + 20
    while children() and time.monotonic() < until_s:
        time.sleep(0.1)


def test_a_closed_stream_has_no_result(sample: Path, slow: None) -> None:
    stream = dashscribe.stream(sample)
    stream.close()
    assert list(stream) == []
    with pytest.raises(RuntimeError, match="closed"):
        stream.result()


def test_canceling_ends_the_children_before_it_returns(sample: Path, slow: None) -> None:
    async def canceled(started: asyncio.Task[object]) -> None:
        await asyncio.to_thread(wait_for_children, 2)
        started.cancel()
        with pytest.raises(asyncio.CancelledError):
            await started

    async def awaited() -> None:
        await canceled(asyncio.ensure_future(dashscribe.atranscribe(sample)))
        assert children() == set()
        async with dashscribe.stream(sample) as stream:
            await canceled(asyncio.ensure_future(anext(stream)))
        assert children() == set()

    asyncio.run(awaited())


def test_what_a_callback_raises_ends_the_work(sample: Path, slow: None) -> None:
    def full(progress: dashscribe.Progress) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        dashscribe.transcribe(sample, on_progress=full)
    with pytest.raises(LookupError, match="enough"):
        asyncio.run(dashscribe.atranscribe(sample, on_progress=full))
    assert children() == set()


def said(*texts: str) -> list[Sentence]:
    return [Sentence(begin_ms=n, end_ms=n + 1, text=text) for n, text in enumerate(texts)]


def test_a_time_out_between_two_sentences_loses_nothing() -> None:
    sentences, gate = said("a", "b", "c"), threading.Semaphore(0)

    def work(report: object, say: OnSentence) -> Transcript:
        for sentence in sentences:
            gate.acquire()
            say(0, sentence)
        gate.acquire()
        return spoken("a b c")

    async def read() -> tuple[list[Sentence], Transcript]:
        stream, got = Stream(work), list[Sentence]()
        while True:
            try:
                got.append(await asyncio.wait_for(anext(stream), 0.02))
            except TimeoutError:
                gate.release()
            except StopAsyncIteration:
                return got, stream.result()

    assert asyncio.run(asyncio.wait_for(read(), 10)) == (sentences, spoken("a b c"))


def test_after_a_time_out_the_rest_can_be_taken_by_the_result() -> None:
    started = threading.Event()

    def work(report: object, say: OnSentence) -> Transcript:
        started.wait()
        return spoken("a")

    async def read() -> Transcript:
        stream = Stream(work)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.02)
        assert not stream._coming._asked, "who does not wait any more is not to be told"
        whole = asyncio.ensure_future(asyncio.to_thread(stream.result))
        await asyncio.sleep(0.05)  # it waits for the end
        started.set()
        return await asyncio.wait_for(whole, 10)

    assert asyncio.run(read()) == spoken("a")


def test_the_end_of_a_stream_is_told_to_all_who_wait_for_it() -> None:
    ready = threading.Event()

    def work(report: object, say: OnSentence) -> Transcript:
        ready.wait()
        raise LookupError("lost")

    stream, ends = Stream(work), list[str]()

    def read() -> None:
        try:
            list(stream)
            ends.append("")
        except LookupError as error:
            ends.append(str(error))

    threads = [threading.Thread(target=read, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    ready.set()
    for thread in threads:
        thread.join(10)
    assert sorted(ends) == ["", "", "lost"]


# --- formats ---------------------------------------------------------------------------------------------------------

MEDIA = Media(url="a.wav", container="wav", codec="pcm_s16le", rate_hz=16_000, channel_count=1, duration_ms=9_000)


def spoken(*texts: str, url: str = "a.wav", channels: int = 1, speaker: int | None = None) -> Transcript:
    said = tuple(
        Sentence(begin_ms=n * 1_000, end_ms=n * 1_000 + 900, text=text, speaker=speaker) for n, text in enumerate(texts)
    )
    tracks = tuple(
        Track(channel=n, sentences=said, ledger=(Entry(0, 9_000, Fate.TRANSCRIBED),)) for n in range(channels)
    )
    return Transcript(
        media=replace(MEDIA, url=url), tracks=tracks, model="fun-asr", engine="standin", notes=("a note",)
    )


def test_a_transcript_renders_itself_in_every_format() -> None:
    made = spoken("Good morning.")
    assert made.to_txt() == "Good morning.\n"
    assert made.to_tsv().startswith("begin_ms\t")
    assert made.to_srt().startswith("1\n00:00:00,000")
    assert made.to_vtt().startswith("WEBVTT")
    assert json.loads(made.to_json())["transcripts"][0]["text"] == "Good morning."
    if "md" in FORMATS:
        assert "Good morning." in made.to_markdown()


def test_a_format_that_does_not_exist_is_an_error_that_names_those_that_do() -> None:
    with pytest.raises(dashscribe.InvalidParameterError, match="'doc' is no format; known: txt, json, srt, vtt, tsv"):
        spoken("x").to("doc")


# --- notebooks -------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The elements of a page, balanced, with the texts in them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag != "br":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def player(self) -> str | None:
        return next((attributes["src"] for tag, attributes in self.elements if tag == "audio"), None)


def shown(transcript: Transcript) -> Page:
    page = Page(transcript._repr_html_())  # pyright: ignore[reportPrivateUsage] (the name is that of notebooks)
    assert {tag for tag, _ in page.elements} <= {
        *("div", "strong", "br", "audio", "em", "p", "table", "tr", "td", "ul", "li")
    }
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    return page


def test_a_notebook_plays_a_small_local_file_from_the_page_itself(tmp_path: Path) -> None:
    file = tmp_path / "a.mp3"
    file.write_bytes(b"sound")
    page = shown(spoken("Good morning.", url=str(file)))
    assert page.player() == f"data:audio/mpeg;base64,{base64.b64encode(b'sound').decode()}"
    assert "Good morning." in page.text and "0:00:00" in page.text and "a note" in page.text


def test_a_notebook_plays_a_url_and_nothing_else_that_has_a_scheme(tmp_path: Path) -> None:
    assert shown(spoken("x", url='https://h/a.mp3?a=1&b="><script>')).player() == 'https://h/a.mp3?a=1&b="><script>'
    for url in ("javascript:alert(1)", "oss://bucket/a.mp3", "file:///etc/a.mp3", "//[", "a\0.mp3", "-"):
        assert shown(spoken("x", url=url)).player() is None


def test_a_notebook_takes_in_no_large_file_and_none_that_is_no_recording(tmp_path: Path) -> None:
    large, secret = tmp_path / "a.wav", tmp_path / "id_rsa"
    large.write_bytes(bytes(notebook.MAX_FILE_BYTES + 1))
    secret.write_text("a private key")
    page = shown(spoken("x", url=str(large)))
    assert page.player() is None and "larger than 4 MB" in page.text
    assert shown(spoken("x", url=str(secret))).player() is None


def test_what_was_said_is_no_markup_in_a_notebook() -> None:
    page = shown(spoken("<script>alert(1)</script> & <b>", channels=2, speaker=0))
    assert "<script>alert(1)</script> & <b>" in page.text
    assert "Channel 1, Speaker 1" in page.text


def test_a_notebook_shows_a_bounded_part_of_a_long_transcript() -> None:
    page = spoken(*["word " * 4_000] * 1_000, url="x" * 10_000)._repr_html_()  # pyright: ignore[reportPrivateUsage]
    assert len(page) < 60_000
    assert "more sentences" in page
    assert len(shown(spoken(*["yes"] * 1_000)).elements) < 1_000
    assert "no speech" in shown(spoken()).text


# --- types -----------------------------------------------------------------------------------------------------------


def type_errors(folder: Path) -> list[str]:
    """What a type checker at its strictest says of the programs in a folder: the rule that each error breaks."""
    (folder / "pyrightconfig.json").write_text(json.dumps({"include": ["."], "typeCheckingMode": "strict"}))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", str(folder), "--outputjson"],
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(done.stdout)
    assert told["summary"]["filesAnalyzed"] == 1
    return [error["rule"] for error in told["generalDiagnostics"]]


def test_the_example_is_typed_throughout(tmp_path: Path) -> None:
    shutil.copy(CHECKOUT / "examples" / "library.py", tmp_path)
    assert type_errors(tmp_path) == []


def test_wrong_calls_are_type_errors(tmp_path: Path) -> None:
    wrong = ["transcribe('a', langauge='en')", "stream('a', channels='0')", "Client().transcribe('a', itn='yes')"]
    (tmp_path / "wrong.py").write_text("import dashscribe\n" + "".join(f"dashscribe.{call}\n" for call in wrong))
    assert {"reportCallIssue", "reportArgumentType"} <= set(type_errors(tmp_path))
