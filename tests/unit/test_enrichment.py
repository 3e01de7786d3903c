"""The enrichers in their order: each only when asked for, and one that fails leaves sentences as they were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import dashscribe
from dashscribe import config, enrich, pipeline
from dashscribe.cli import app
from dashscribe.enrich import Enrichment
from dashscribe.errors import ConfigError, HostError
from dashscribe.errors.sources import NoWordsError
from dashscribe.hosts.protocol import CutEnd
from dashscribe.types import Censor, Fate, Media, Options, Outcome, Sentence, Span
from dashscribe.words import timed_sentence

SPAN = Span(0, 4000)
MEDIA = Media(url="a.wav", container="wav", codec="pcm_s16le", rate_hz=16_000, channel_count=1, duration_ms=4000)


def outcome(text: str, span: Span = SPAN) -> Outcome:
    return Outcome(span, Fate.TRANSCRIBED, (timed_sentence(text, (), span, language="en"),))


def texts(enrichment: Enrichment, *heard: Outcome) -> list[str]:
    by_span = {one.span: one for one in heard}
    return [sentence.text for sentence in enrichment.sentences(by_span, by_span.__getitem__)]


def test_nothing_is_left_out_that_was_not_asked_for() -> None:
    assert texts(Enrichment(Options()), outcome("Um, the the test.")) == ["Um, the the test."]


def test_fillers_go_before_words_are_censored() -> None:
    options = Options(drop_fillers=True, censor=Censor(masked=("harbor master",)))
    assert texts(Enrichment(options), outcome("Um, the harbor, uh, master.")) == ["The harbor, master."]
    assert texts(Enrichment(options), outcome("Um, the harbor uh master.")) == ["The ****** ******."]


def test_marks_come_before_fillers_are_looked_for() -> None:
    assert texts(Enrichment(Options(drop_fillers=True)), outcome("um i think so")) == ["I think so."]


def test_the_operators_list_counts_unless_the_call_says_no(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("test\n", encoding="utf-8")
    heard = outcome("A test, yes.")
    assert texts(Enrichment(Options(censor=Censor()), sensitive_words=path), heard) == ["A ****, yes."]
    assert texts(Enrichment(Options(censor=Censor(system=False)), sensitive_words=path), heard) == ["A test, yes."]
    assert texts(Enrichment(Options(), sensitive_words=path), heard) == ["A test, yes."]


def test_a_lost_list_is_told_once(tmp_path: Path) -> None:
    enrichment = Enrichment(Options(censor=Censor()), sensitive_words=tmp_path / "none.txt")
    assert texts(enrichment, outcome("One, yes."), outcome("Two, yes.", Span(9000, 11_000))) == [
        "One, yes.",
        "Two, yes.",
    ]
    assert [note.split(":")[0] for note in enrichment.notes] == ["the server's list of sensitive words"]


@pytest.mark.parametrize(("stage", "loss"), [("drop_fillers", "filler words stay"), ("censor", "sensitive words may")])
def test_a_stage_that_fails_leaves_the_sentence_and_a_note(
    monkeypatch: pytest.MonkeyPatch, stage: str, loss: str
) -> None:
    real = getattr(enrich, stage)

    def failing(sentences: Iterable[Sentence], *arguments: Any, **options: Any) -> Iterator[Sentence]:
        for sentence in sentences:
            if "two" in sentence.text.lower():
                raise ZeroDivisionError("broken")
            yield from real([sentence], *arguments, **options)

    monkeypatch.setattr(enrich, stage, failing)
    enrichment = Enrichment(Options(drop_fillers=True, censor=Censor(masked=("test",))))
    heard = [
        outcome(f"Um, {name} test.", Span(i * 4000, i * 4000 + 4000)) for i, name in enumerate(["one", "two", "six"])
    ]
    found = texts(enrichment, *heard)
    assert found[::2] == ["One ****.", "Six ****."]
    assert found[1] == {"drop_fillers": "Um, two ****.", "censor": "Two test."}[stage]
    (note,) = enrichment.notes
    assert note.startswith(loss)
    assert note.endswith("that stage failed: ZeroDivisionError: broken")
    assert list(enrichment.failed.values()) == [[note]]


def test_what_a_failed_stage_had_not_settled_comes_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(sentences: Iterable[Sentence], **how: object) -> Iterator[Sentence]:
        first, second = next(iter(sentences)), next(iter(sentences))
        yield first
        raise ZeroDivisionError(second.text)

    monkeypatch.setattr(enrich, "punctuate", failing)
    enrichment = Enrichment(Options())
    heard = [outcome(name, Span(i * 4000, i * 4000 + 4000)) for i, name in enumerate(["one", "two", "three"])]
    assert texts(enrichment, *heard) == ["one", "two", "three"]
    assert len(enrichment.notes) == 1


def test_what_recognition_raises_is_no_failure_of_a_stage() -> None:
    def hear(span: Span) -> Outcome:
        raise HostError("gone")

    enrichment = Enrichment(Options(drop_fillers=True, censor=Censor(masked=("test",))))
    with pytest.raises(HostError, match="gone"):
        list(enrichment.sentences([SPAN], hear))
    assert enrichment.notes == []


@pytest.mark.parametrize(
    ("options", "text"),
    [(Options(drop_fillers=True), "Um, uh."), (Options(censor=Censor(removed=("test",))), "Test, test.")],
)
def test_a_source_of_which_no_words_are_left_says_so(options: Options, text: str) -> None:
    cut = CutEnd(MEDIA, (0,), 0, 4000, (), ())
    transcript = pipeline.finish(cut, {0: [outcome(text)]}, Enrichment(options), "standin")
    assert transcript.tracks[0].sentences == ()
    assert [entry.fate for entry in transcript.tracks[0].ledger] == [Fate.TRANSCRIBED]
    with pytest.raises(NoWordsError):
        pipeline.refuse_empty(transcript)


def test_the_rest_of_a_source_is_kept() -> None:
    cut = CutEnd(MEDIA, (0,), 0, 4000, (), ())
    heard = [outcome("Um, uh.", Span(0, 2000)), outcome("We go.", Span(2000, 4000))]
    transcript = pipeline.finish(cut, {0: heard}, Enrichment(Options(drop_fillers=True)), "standin")
    pipeline.refuse_empty(transcript)
    assert transcript.text == "We go."


@pytest.mark.parametrize(("arguments", "drops"), [([], False), (["--no-fillers"], True)])
def test_the_command_line_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], drops: bool
) -> None:
    asked: list[Options] = []

    class Batch:
        def __init__(self, *given: object) -> None:
            pass

        def events(self) -> Iterator[object]:
            yield from ()

        def close(self) -> None:
            pass

    (tmp_path / "a.wav").touch()
    monkeypatch.setattr("dashscribe.cli.batch.Batch", Batch)
    monkeypatch.setattr("dashscribe.cli.work.here", lambda options, **rest: asked.append(options))
    result = CliRunner().invoke(app, ["transcribe", str(tmp_path / "a.wav"), *arguments])
    assert result.exit_code == 0, result.output
    assert [options.drop_fillers for options in asked] == [drops]


def test_the_command_line_and_the_library_refuse_a_missing_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCRIBE_SENSITIVE_WORDS", str(tmp_path / "words.txt"))
    (tmp_path / "a.wav").touch()
    result = CliRunner().invoke(app, ["transcribe", str(tmp_path / "a.wav")])
    assert isinstance(result.exception, ConfigError)
    with pytest.raises(ConfigError, match="cannot be read"):
        dashscribe.transcribe(tmp_path / "a.wav")
    monkeypatch.setenv("DASHSCRIBE_SENSITIVE_WORDS", "")
    assert config.load().sensitive_words is None
