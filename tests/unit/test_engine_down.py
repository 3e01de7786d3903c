"""An engine that asks somebody else is down: the next one does its work and the result says so."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import pytest
from durable import Home, cut_by_hand, only, result_of, run, shorten_waits, speech, take
from sqlalchemy import select
from test_pipeline import ScriptedHosts, say, window, words_of

from dashscribe import config, pipeline, windows
from dashscribe.catalog import find_model
from dashscribe.choice import choose_engine, passed_over
from dashscribe.config import Settings
from dashscribe.db import reading, tables
from dashscribe.db.tables import FileState
from dashscribe.engines import find_engine
from dashscribe.errors import EngineDownError, EngineUnavailableError
from dashscribe.hosts import Hosts
from dashscribe.hosts.parent import Kind, _environment  # pyright: ignore[reportPrivateUsage]
from dashscribe.hosts.protocol import error_from, failure_of
from dashscribe.queue.slots import PutBack
from dashscribe.steps import booking, prepare, recognize
from dashscribe.tasks import Status
from dashscribe.types import Options, Outcome, Transcript, Window

URL = "http://127.0.0.1:9/v1"
REASON = f"{URL} cannot be reached: Connection refused (3 tries)"
NOTE = f"pocketsphinx took the place of openai, which is down: {REASON}"
A = "http://x/a"


# --- choosing ---------------------------------------------------------------------------------------------------------


def test_the_next_candidate_is_chosen_and_the_note_says_why() -> None:
    model, settings = find_model("fun-asr"), Settings(openai_url=URL)
    assert choose_engine(model, (), settings).name == "openai"
    info = choose_engine(model, (), settings, {"openai": REASON})
    assert info.name == "pocketsphinx"
    assert list(passed_over(model, (), settings, info, {"openai": REASON})) == [NOTE]
    assert list(passed_over(model, (), settings, info, {})) == []


@pytest.mark.parametrize(
    ("languages", "forced"), [(("zh",), ""), ((), "openai")], ids=["nobody else reads it", "it is forced"]
)
def test_an_engine_that_is_down_is_chosen_where_there_is_no_other(languages: tuple[str, ...], forced: str) -> None:
    model, settings = find_model("fun-asr"), Settings(openai_url=URL, engine=forced)
    info = choose_engine(model, languages, settings, {"openai": REASON})
    assert info.name == "openai"
    assert list(passed_over(model, languages, settings, info, {"openai": REASON})) == []


def test_the_error_crosses_from_the_child_to_the_parent() -> None:
    error = error_from(failure_of(EngineDownError(REASON)))
    assert type(error) is EngineDownError
    assert isinstance(error, EngineUnavailableError)
    assert (error.status, error.code, error.retryable, str(error)) == (503, "ModelUnavailable", True, REASON)


# --- in memory --------------------------------------------------------------------------------------------------------


class FailingHosts(ScriptedHosts):
    """The endpoint gives what ``hear`` gives; the other engine gives words."""

    def __init__(self, windows: list[Window], hear: Callable[[Window, int], Iterable[Outcome]]) -> None:
        super().__init__(windows, hear)
        self.used: list[str] = []
        self.is_down: dict[str, str] = {}

    def down(self) -> dict[str, str]:
        return dict(self.is_down)

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
        self.used.append(engine)
        if engine == "openai":
            yield from super().recognize(engine, item, options, express=express, first=first, stop=stop)
        else:
            yield from words_of(item, 0)[first:]


def refuse(item: Window, attempt: int) -> Iterator[Outcome]:
    raise EngineDownError(REASON)
    yield


def transcribed(hosts: FailingHosts, tmp_path: Path, languages: tuple[str, ...] = (), **more: object) -> Transcript:
    source = tmp_path / "a.wav"
    source.touch()
    settings = config.load(openai_url=URL, **({"engine": more.pop("forced")} if "forced" in more else {}))
    options = Options(languages=languages)
    return pipeline.transcribe(source, options, settings=settings, hosts=hosts, **more)  # type: ignore[arg-type]


def test_a_source_begins_anew_with_the_next_engine(tmp_path: Path) -> None:
    hosts = FailingHosts([window(0, i) for i in range(3)], refuse)
    told: list[str] = []
    transcript = transcribed(hosts, tmp_path, on_sentence=lambda _, sentence: told.append(sentence.text))
    assert transcript.engine == "pocketsphinx"
    assert transcript.notes[0] == NOTE
    assert len(told) == len(transcript.sentences) > 0
    assert hosts.used[-3:] == ["pocketsphinx"] * 3
    assert all(entry.reason == "" for entry in transcript.tracks[0].ledger)


def test_an_engine_that_is_known_to_be_down_is_not_asked(tmp_path: Path) -> None:
    hosts = FailingHosts([window(0, 0)], refuse)
    hosts.is_down = {"openai": REASON}
    transcript = transcribed(hosts, tmp_path)
    assert hosts.used == ["pocketsphinx"]
    assert transcript.notes[0] == NOTE


def test_what_was_told_is_not_told_again_by_another_engine(tmp_path: Path) -> None:
    def hear(item: Window, attempt: int) -> Iterator[Outcome]:
        if item.index == 1:
            assert first_was_told.wait(20)
            raise EngineDownError(REASON)
        yield from (say(span, "Four score.") for span in item.spans)

    first_was_told = threading.Event()
    hosts = FailingHosts([window(0, 0), window(0, 1)], hear)
    with pytest.raises(EngineDownError, match="Connection refused"):
        transcribed(hosts, tmp_path, on_sentence=lambda *_: first_was_told.set())
    assert set(hosts.used) == {"openai"}
    again = FailingHosts([window(0, 0), window(0, 1)], hear)
    assert transcribed(again, tmp_path).engine == "pocketsphinx"


@pytest.mark.parametrize("more", [{"languages": ("zh",)}, {"forced": "openai"}])
def test_without_another_engine_the_error_says_what_is_down(tmp_path: Path, more: dict[str, object]) -> None:
    with pytest.raises(EngineDownError, match="cannot be reached: Connection refused"):
        transcribed(FailingHosts([window(0, 0)], refuse), tmp_path, **more)  # type: ignore[arg-type]


# --- tasks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    shorten_waits(monkeypatch)
    monkeypatch.setattr(recognize, "RECUT_WAIT_MS", 20)
    monkeypatch.setattr(booking, "DOWN_MS", 20)
    opened = Home(tmp_path, {A: speech(4)}, engine="", openai_url=URL, workers=1)
    yield opened
    opened.worker.stop()


def fall(home: Home, at: str = "") -> Callable[[str], None]:
    """Makes the endpoint go down when it gets the sound whose name ends like this, and stay so."""

    def on_recognize(sound: str) -> None:
        if home.hosts.engines[sound] == "openai" and (home.hosts.is_down or sound.endswith(at)):
            home.hosts.is_down = {"openai": REASON}
            raise EngineDownError(REASON)

    return on_recognize


def failures(home: Home) -> list[int]:
    with reading(home.engine) as connection:
        return list(connection.execute(select(tables.files.c.failures)).scalars())


def test_a_task_goes_on_with_the_next_engine_and_says_so(home: Home) -> None:
    home.hosts.on_recognize = fall(home, at="0-2")
    task = run(home, A)
    assert task.status is Status.SUCCEEDED
    result = msgspec.json.decode(result_of(home, only(task)))
    assert result["dashscribe"]["engine"] == "pocketsphinx"
    assert result["dashscribe"]["notes"][0] == NOTE
    assert result["dashscribe"]["warnings"] == []
    assert only(task).engine == "pocketsphinx"
    assert NOTE in only(task).notes
    assert set(home.hosts.engines.values()) == {"pocketsphinx"}, "no window is left to what the endpoint heard"
    assert failures(home) == [0]
    assert home.origin.fetched[A] == 1


def test_a_task_that_begins_while_the_engine_is_down_says_so_too(home: Home) -> None:
    home.hosts.is_down = {"openai": REASON}
    result = msgspec.json.decode(result_of(home, only(run(home, A))))
    assert result["dashscribe"]["engine"] == "pocketsphinx"
    assert result["dashscribe"]["notes"][0] == NOTE
    assert set(home.hosts.engines.values()) == {"pocketsphinx"}


def test_a_task_whose_engine_is_back_before_it_is_cut_anew_stays_with_it(home: Home) -> None:
    def once(sound: str) -> None:
        if sound.endswith("0-1") and sound not in home.hosts.recognized and not gone:
            gone.append(sound)
            raise EngineDownError(REASON)

    gone: list[str] = []
    home.hosts.on_recognize = once
    result = msgspec.json.decode(result_of(home, only(run(home, A))))
    assert gone
    assert result["dashscribe"]["engine"] == "openai"
    assert not any("took the place" in note for note in result["dashscribe"]["notes"])
    assert set(home.hosts.recognized.values()) == {1}


def test_a_cut_that_is_going_on_is_broken_off_for_the_next_engine(home: Home) -> None:
    """Else the cut of a long file would wait for room that windows of an engine which is down never make."""
    home.submit(A)
    prepare.fetch(home.bench, take(home, FileState.WAITING))
    file = take(home, FileState.FETCHED)

    def on_cut(url: str, number: int) -> None:
        if number == 2:
            home.hosts.is_down = {"openai": REASON}

    home.hosts.on_cut = on_cut
    with pytest.raises(PutBack):
        prepare.cut(home.bench, file)


def test_windows_wait_a_while_where_no_other_engine_can_do_it(home: Home) -> None:
    tries: list[str] = []

    def on_recognize(sound: str) -> None:
        tries.append(sound)
        if len(tries) < 3:
            raise EngineDownError(REASON)

    home.origin.sources[A] = speech(1)
    home.hosts.on_recognize = on_recognize
    task = run(home, A, options=Options(languages=("zh",)))
    assert task.status is Status.SUCCEEDED
    assert only(task).engine == "openai"
    assert len(tries) == 3


def test_a_file_fails_in_the_end_and_says_what_is_down(home: Home) -> None:
    def on_recognize(sound: str) -> None:
        raise EngineDownError(REASON)

    home.origin.sources[A] = speech(1)
    home.hosts.on_recognize = on_recognize
    task = run(home, A, options=Options(languages=("zh",)))
    assert only(task).code == "InternalError.Algo"
    assert REASON in only(task).message


def test_a_window_that_finds_the_engine_down_has_its_file_cut_anew_and_counts_no_failure(home: Home) -> None:
    cut_by_hand(home, A)
    row = windows.claim(home.engine)
    assert row is not None
    home.hosts.on_recognize = fall(home)
    recognize.recognize(home.bench, row)
    with reading(home.engine) as connection:
        assert connection.execute(select(tables.files.c.state)).scalar_one() == FileState.FETCHED
        assert set(connection.execute(select(tables.windows.c.failures)).scalars()) == {0}


# --- the key ----------------------------------------------------------------------------------------------------------


def test_only_the_child_of_the_endpoint_gets_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCRIBE_OPENAI_API_KEY", "sk-endpoint")
    monkeypatch.setenv("DASHSCRIBE_API_KEY", "sk-clients")
    settings = config.load(openai_url=URL)
    info = find_engine("openai", settings)
    with Hosts(settings, slots=1) as hosts:
        told = {
            name: hosts._settings_for(Kind(role="asr", engine=name, secret=secret))  # pyright: ignore[reportPrivateUsage]
            for name, secret in (("openai", info.secret), ("pocketsphinx", ""))
        }
    assert b"sk-clients" not in b"".join(told.values())
    assert b"sk-endpoint" not in told["pocketsphinx"]
    key = Settings.model_validate_json(told["openai"]).openai_api_key
    assert key is not None
    assert key.get_secret_value() == "sk-endpoint"
    assert "sk-" not in str([_environment(Kind(role=role)) for role in ("asr", "text", "media")])
    assert os.environ["DASHSCRIBE_API_KEY"] == "sk-clients"
