"""The forms that ship: readable, well spelled, and each with the vendor's page that it comes from."""

from __future__ import annotations

import re
import wave
from importlib.resources import files
from typing import Any

import pytest
from msgspec import UNSET

from dashscribe.conformance.cases import Case, Step, load
from dashscribe.conformance.checks import WORDS, examine
from dashscribe.conformance.sounds import CLIP_MS, clip, data_uri, sounds

CASES = load()
PLACEHOLDER = re.compile(r"\{([a-z][a-z_]*)\}")
SOURCES = {"run", "audio", "audio_path", "gone_url", "forbidden_url", "page_url"} | {
    f"{name}_{form}" for name in sounds() for form in ("url", "data_uri")
}


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in texts(inner)]
    return [value] if isinstance(value, str) else []


def words(check: Any) -> list[tuple[str, Any]]:
    if not isinstance(check, dict):
        return []
    return [*check.items(), *(word for choice in check.get("any", ()) for word in words(choice))]


def sent(step: Step) -> list[str]:
    body = None if step.json is UNSET else step.json
    return texts([step.send, step.key, dict(step.headers), body, step.arguments, step.form])


def test_every_form_has_an_id_of_its_own():
    ids = [case.id for case in CASES]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z]+/[a-z0-9-]+", name) for name in ids)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_form_is_well_made(case: Case):
    known = set(SOURCES)
    assert case.title and case.page and case.section
    for step in case.steps:
        assert bool(step.send) != bool(step.sdk)
        assert step.expect or step.like
        assert step.until_ended or "submitted" not in step.like or step.send.startswith("POST ")
        used = {name for text in [*sent(step), *texts(dict(step.expect))] for name in PLACEHOLDER.findall(text)}
        assert used <= known, f"nothing says what {used - known} stands for"
        assert not step.cleans or step.cleans in known
        known |= set(step.save)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_expectations_use_the_vocabulary(case: Case):
    for step in case.steps:
        for check in step.expect.values():
            for word, argument in words(check):
                assert word in WORDS
                if word == "matches":
                    re.compile(argument)
        # None of them holds for nothing at all, but for what must be absent.
        missed = [finding for finding in examine({}, step.expect, 1) if not finding.holds]
        assert missed or all("absent" in check for check in step.expect.values())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_form_is_replayed_as_it_says(case: Case):
    streams = [
        step
        for step in case.steps
        if any("text/event-stream" in text for text in texts(dict(step.expect))) or "lines[*]" in step.expect
    ]
    clients = [step for step in case.steps if step.sdk]
    assert case.replay == ("sdk" if clients else "sse" if streams else "http")


def test_forms_are_found_by_text_and_by_pattern():
    assert [case.id for case in load("chat/stream")] == ["chat/stream", "chat/stream-usage"]
    assert [case.id for case in load("tasks/can*")] == ["tasks/cancel-ended", "tasks/cancel-at-once"]
    assert load("no such form") == []


def test_the_clip_is_small_and_what_it_is_said_to_be():
    shipped = files("dashscribe.conformance").joinpath("speech.wav")
    assert len(shipped.read_bytes()) < 100_000
    with shipped.open("rb") as file, wave.open(file) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 16_000)
        assert sound.getnframes() * 1000 == CLIP_MS * 16_000


def test_other_sounds_are_made_of_the_clip():
    assert sounds()["speech"] == clip()
    assert len(sounds()["stereo"]) - 44 == 2 * (len(clip()) - 44)
    assert data_uri(b"\0").startswith("data:audio/wav;base64,AA")
