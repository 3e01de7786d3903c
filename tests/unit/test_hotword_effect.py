"""``dashscribe hotwords test``: what counts as a term, and the sums that tell what a list does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from dashscribe.cli import hotword_effect
from dashscribe.cli.hotword_effect import Effect, count, counted
from dashscribe.cli.word_files import hotwords_in
from dashscribe.errors import DashscribeError
from dashscribe.types import Hotword


@pytest.mark.parametrize(
    ("term", "text", "times"),
    [
        ("Kestrel Bridge", "the kestrel  bridge, Kestrel Bridge!", 2),
        ("Kestrel", "kestrels and Kestrel-like birds", 1),
        ("海拉尔", "去海拉尔，海拉尔好", 2),
        ("5G", "买5G手机", 1),
        ("C++", "in C++ and C", 1),
        ("Kestrel", "去Kestrel看", 1),
    ],
)
def test_a_term_counts_where_it_is_a_word_of_its_own(term: str, text: str, times: int) -> None:
    assert count(term, text) == times


def test_with_a_transcript_recall_and_insertions_are_told() -> None:
    effect = counted("a", ["Kestrel", "海拉尔"], "a castle", "a Kestrel and a Kestrel", "a kestrel in 海拉尔")
    assert effect == Effect(file="a", without=0, with_list=2, said=2, found_without=0, found=1, inserted=1)


def test_without_a_transcript_only_occurrences_are_told() -> None:
    assert counted("a", ["Kestrel"], "a castle", "a Kestrel", None) == Effect(file="a", without=0, with_list=1)


def test_a_transcript_that_is_no_text_is_a_fault_of_its_recording(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff")
    with pytest.raises(DashscribeError, match=r"a\.txt, which says what was said, is not UTF-8"):
        hotword_effect._said(tmp_path / "a.wav")  # pyright: ignore[reportPrivateUsage]
    assert hotword_effect._said(tmp_path / "b.wav") is None  # pyright: ignore[reportPrivateUsage]


def test_sums_are_over_recordings_with_a_transcript(capsys: pytest.CaptureFixture[str]) -> None:
    effects = [
        Effect(file="a", without=1, with_list=3, said=4, found_without=1, found=3, inserted=0),
        Effect(file="b", without=0, with_list=9),
    ]
    hotword_effect._tell(effects, as_json=True)  # pyright: ignore[reportPrivateUsage]
    told = json.loads(capsys.readouterr().out)
    assert told["total"] == {
        **{"file": "total", "without": 1, "with_list": 12, "said": 4, "found_without": 1, "found": 3, "inserted": 0},
        **{"recall_without": 0.25, "recall": 0.75},
    }


@pytest.fixture
def listed(tmp_path: Path) -> Callable[[str], tuple[Hotword, ...]]:
    def read(text: str) -> tuple[Hotword, ...]:
        path = tmp_path / "words.txt"
        path.write_text(text, encoding="utf-8")
        return hotwords_in(path, "--hotwords")

    return read


def test_files_of_every_form_give_hotwords(listed: Callable[[str], tuple[Hotword, ...]]) -> None:
    assert listed("harbor\n海拉尔,5\nx,-6,EN") == (Hotword("harbor"), Hotword("海拉尔", 5), Hotword("x", -6, "en"))
    assert listed('[{"text": "a", "lang": "zh"}, "b"]') == (Hotword("a", 4, "zh"), Hotword("b"))
    assert listed('{"a": 50}') == (Hotword("a", 50),)


@pytest.mark.parametrize("text", ["x,9", "x,0", '[{"weight": 4}]', "[1]", '[{"text": " "}]', '{"a": "5"}', "{"])
def test_what_is_no_word_is_wrong_usage_and_named(text: str, listed: Callable[[str], tuple[Hotword, ...]]) -> None:
    with pytest.raises(typer.BadParameter) as raised:
        listed(text)
    assert raised.value.param_hint == "--hotwords"
