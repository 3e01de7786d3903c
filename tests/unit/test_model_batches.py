"""How `models verify` finds out how many pieces a model may decode at once, with engines that fail or differ."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from dashscribe import weights
from dashscribe.cli import checkup
from dashscribe.cli.model_files import batch_finder
from dashscribe.config import Settings
from dashscribe.errors import HostDiedError, HostError
from dashscribe.hosts import Hosts
from dashscribe.types import Fate, Options, Outcome, Sentence, Window
from dashscribe.weights import Installed
from dashscribe.weights.cards import write_card
from dashscribe.weights.verifying import verify
from small_models import install


class Trial:
    """Children whose answers to a number of pieces at once are given: the truth, another text, or an error."""

    def __init__(self, **answers: str | Exception) -> None:
        self.answers = {int(name[1:]): answer for name, answer in answers.items()}
        self.windows: list[Window] = []
        self.sizes: list[int] = []

    def recognize(
        self, engine: str, window: Window, options: Options, *, batch: int, strict: bool = False
    ) -> Iterator[Outcome]:
        assert strict is (batch > 1)
        self.windows.append(window)
        self.sizes.append(batch)
        answer = self.answers.get(batch, "truth")
        if isinstance(answer, Exception):
            raise answer
        for span in window.spans:
            yield Outcome(span, Fate.TRANSCRIBED, (Sentence(begin_ms=span.begin_ms, end_ms=span.end_ms, text=answer),))


@pytest.fixture
def model(tmp_path: Path) -> Installed:
    return weights.find(install(tmp_path / "models", "sensevoice-small"), "sensevoice-small")


def found(trial: Trial, model: Installed, provider: str = "cuda") -> tuple[str, int] | None:
    settings = Settings(models_dir=model.folder.parent, provider=cast("Any", provider))
    return batch_finder(settings, cast("Hosts", trial))(model)


def test_the_largest_number_that_fits_and_changes_nothing_is_taken(model: Installed) -> None:
    trial = Trial()
    assert found(trial, model) == ("cuda", 32)
    assert trial.sizes == [1, 32]
    (window,) = {id(window): window for window in trial.windows}.values()
    lengths = [span.duration_ms for span in window.spans]
    assert lengths[0] == 30_000, "a long piece is among the first, so that memory is tried as well"
    assert len(set(lengths)) == 25
    assert len(lengths) > 2 * 32
    assert len(window.audio) == 32 * sum(lengths)


@pytest.mark.parametrize(
    ("trial", "size"),
    [
        (Trial(n32=HostError("Failed to allocate memory")), 16),
        (Trial(n32=HostDiedError("the child was killed by SIGKILL"), n16="another text"), 8),
        (Trial(n32="another text", n16="another text", n8=HostError("no")), 1),
    ],
)
def test_what_does_not_fit_or_differs_is_not_taken(model: Installed, trial: Trial, size: int) -> None:
    assert found(trial, model) == ("cuda", size)


def test_a_smaller_number_that_somebody_wrote_stays_the_most(model: Installed) -> None:
    trial = Trial()
    assert found(trial, replace(model, batches={"cpu": 8, "cuda": 16})) == ("cuda", 16)
    assert found(trial, replace(model, batches={"cpu": 8, "cuda": 12})) == ("cuda", 8)
    assert 32 not in trial.sizes


def test_a_processor_has_a_number_of_its_own(model: Installed) -> None:
    assert found(Trial(), replace(model, batches={"cpu": 1, "cuda": 32}), "cpu") == ("cpu", 8)


def test_a_family_that_never_decodes_together_is_not_tried(tmp_path: Path) -> None:
    model = weights.find(install(tmp_path / "models", "whisper-tiny"), "whisper-tiny")
    trial = Trial()
    assert found(trial, model) is None
    assert trial.sizes == []
    before = (model.folder / "model.toml").read_text(encoding="utf-8")
    assert verify(model, decode=lambda m: "text", find_batch=lambda m: None).notes == ["decodes one by one"]
    assert (model.folder / "model.toml").read_text(encoding="utf-8") == before


def test_a_card_that_cannot_be_written_is_a_note_and_no_problem(
    model: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models may lie on a read-only volume."""

    def refuse(*arguments: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("dashscribe.weights.cards.write_whole", refuse)
    verdict = verify(model, decode=lambda m: "text", find_batch=lambda m: ("cuda", 32))
    assert verdict.problems == []
    assert "not noted" in verdict.notes[0] and "Read-only file system" in verdict.notes[0]


def test_doctor_warns_of_a_gpu_that_is_given_one_piece_after_the_other(model: Installed) -> None:
    """Half a second is heard, by children that any provider suits."""

    class Children:
        def recognize(self, engine: str, window: Window, options: Options) -> Iterator[Outcome]:
            yield from (Outcome(span, Fate.TRANSCRIBED, ()) for span in window.spans)

    def told() -> tuple[str, str]:
        settings = Settings(models_dir=model.folder.parent, provider="cuda")
        patient = checkup.Patient(settings=settings, hosts=cast("Hosts", Children()), host="127.0.0.1", port=0)
        (finding,) = checkup.CHECKS["engine"](patient)
        return finding.status, finding.remedy

    assert told() == ("warn", "dashscribe models verify sensevoice-small")
    write_card(replace(model, batches={"cuda": 1}))
    assert told() == ("ok", "")


def test_worker_says_where_it_computes_and_what_is_missing_for_that(tmp_path: Path) -> None:
    env = os.environ | {"DASHSCRIBE_HOME": str(tmp_path), "DASHSCRIBE_PROVIDER": "cuda", "DASHSCRIBE_WORKERS": "2"}
    command = [sys.executable, "-m", "dashscribe", "worker"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as worker:
        assert worker.stdout is not None
        first = worker.stdout.readline()
        worker.terminate()
        try:
            worker.wait(60)
        finally:
            worker.kill()
    assert first.startswith("worker: 2 recognitions at once on cuda (the installed sherpa-onnx ")
    assert "was not built for it: docs/gpu.md" in first
    assert worker.returncode == 0, "a signal that comes so early is heeded, too"
