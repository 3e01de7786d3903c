"""What is tried again for ever, and what ends with a reason: by whose fault it is."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from durable import Home, only, patient_stop, result_of, run, shorten_waits, source, speech
from sqlalchemy import text
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from dashscribe.config import Settings
from dashscribe.db import writing
from dashscribe.errors.sources import DecodeError, DurationTooLongError, NoSuchChannelError
from dashscribe.hosts import media
from dashscribe.hosts.decoding import Decoding
from dashscribe.hosts.protocol import Cut
from dashscribe.tasks import Status
from dashscribe.types import Limits, Options

A = "http://x/a"
#: What a W64 of 16 KB can claim to last.
LIE_MS = 1_125_000_000_000_000_000


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)
    patient_stop(monkeypatch)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, {A: speech(4)})


def write_nonsense(home: Home) -> None:
    """What each database refuses in its own words: division by zero, or the NULL that comes of it."""
    with writing(home.engine) as connection:
        connection.execute(text("UPDATE owners SET tag_ms = 1 / 0"))


def raise_(error: Exception) -> None:
    raise error


REFUSED = pytest.mark.parametrize(
    "refuse",
    [
        write_nonsense,
        lambda home: raise_(DataError("UPDATE owners", {}, Exception("integer out of range"))),
        lambda home: raise_(IntegrityError("UPDATE owners", {}, Exception("integer out of range"))),
        lambda home: raise_(ProgrammingError("UPDATE owners", {}, Exception("integer out of range"))),
    ],
    ids=["really", "data", "integrity", "programming"],
)


@REFUSED
def test_file_for_which_the_database_refuses_a_statement_ends_with_the_reason(
    home: Home, refuse: Callable[[Home], None]
) -> None:
    tries: list[str] = []

    def fail(url: str) -> None:
        tries.append(url)
        refuse(home)

    home.hosts.on_probe = fail
    task = run(home, A)
    assert (task.status, only(task).code) == (Status.FAILED, "InternalError.Algo")
    assert len(tries) == 3
    assert "It failed 3 times; the last reason:" in only(task).message
    assert any(words in only(task).message for words in ("out of range", "division by zero", "NOT NULL"))
    assert "UPDATE" not in only(task).message  # how the tables are made is nobody's business


@REFUSED
def test_window_for_which_the_database_refuses_a_statement_is_given_up(
    home: Home, refuse: Callable[[Home], None]
) -> None:
    tries: list[str] = []

    def fail(sound: str) -> None:
        if sound.endswith("0-2"):
            tries.append(sound)
            refuse(home)

    home.hosts.on_recognize = fail
    task = run(home, A)
    assert task.status is Status.SUCCEEDED
    assert len(tries) == 3
    assert b"UPDATE" not in result_of(home, only(task))
    assert len(msgspec.json.decode(result_of(home, only(task)))["transcripts"][0]["text"].split(" ")) == 3


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("UPDATE", {}, Exception("database is locked")),
        InterfaceError("UPDATE", {}, Exception("the connection is closed")),
        ProgrammingError("UPDATE", {}, Exception("the session has ended"), connection_invalidated=True),
        NoConnectionError("QueuePool limit of size 5 overflow 15 reached"),
        OSError(28, "No space left on device"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_trouble_with_the_machine_costs_no_try(home: Home, error: Exception) -> None:
    tries: list[str] = []

    def fail(what: str, *rest: object) -> None:
        if tries.count(what) < 6:
            tries.append(what)
            raise error

    home.hosts.on_probe = home.hosts.on_recognize = fail
    task = run(home, A)
    assert task.status is Status.SUCCEEDED
    assert len(tries) == 6 * 5
    assert len(msgspec.json.decode(result_of(home, only(task)))["transcripts"][0]["text"].split(" ")) == 4


# --- a length that is claimed -----------------------------------------------------------------------------------------


def refusal_of_a_cut(settings: Settings) -> DurationTooLongError:
    """What a cut says of such a claim."""
    most_ms, remedy = Decoding(settings, *[None] * 3)._most_ms()  # type: ignore[arg-type]
    with pytest.raises(DurationTooLongError) as refused:
        media._check_duration(LIE_MS, Cut(b"", "", Options(), Limits(), most_ms, remedy))
    return refused.value


@pytest.mark.parametrize("shape", ["file_urls", "file_url"])
def test_file_that_claims_to_be_too_long_is_refused_before_its_cut_in_the_same_words(home: Home, shape: str) -> None:
    home.origin.sources[A] = source([(0, 1000)], duration_ms=LIE_MS)
    home.hosts.on_cut = lambda url, number: raise_(DecodeError("it was cut"))
    task = run(home, A, shape=shape)
    expected = refusal_of_a_cut(home.settings)
    found = (task.status, only(task).code, only(task).message)
    assert found == (Status.FAILED, "AUDIO_DURATION_TOO_LONG", expected.message_for(shape))


def test_file_as_long_as_the_limit_is_transcribed(tmp_path: Path) -> None:
    home = Home(tmp_path, {A: source([(0, 1000)], duration_ms=8000)}, max_duration_s=8)
    assert run(home, A).status is Status.SUCCEEDED


def test_channel_that_is_not_there_is_told_first_as_by_a_cut(home: Home) -> None:
    home.origin.sources[A] = source([(0, 1000)], duration_ms=LIE_MS)
    home.hosts.on_cut = lambda url, number: raise_(NoSuchChannelError("There is no channel 3."))
    task = run(home, A, options=Options(channels=(3,)))
    assert (only(task).code, "no channel 3" in only(task).message) == ("NO_VALID_AUDIO_ERROR", True)
