"""Seconds and tokens: the service's own examples, and a count of text that any text can be given to."""

import pytest

from dashscribe.render.counts import audio_tokens, seconds_down, seconds_up, text_tokens


@pytest.mark.parametrize(
    ("duration_ms", "tokens", "seconds"),
    [
        (1680, 42, 1),
        (2080, 52, 2),
        (6760, 169, 6),
        (0, 25, 1),
        (1, 25, 1),
        (999, 25, 1),
        (1001, 26, 1),
        (300_000, 7500, 300),
    ],
)
def test_tokens_and_seconds_of_the_qwen3_examples(duration_ms: int, tokens: int, seconds: int):
    assert (audio_tokens(duration_ms), seconds_down(duration_ms)) == (tokens, seconds)


@pytest.mark.parametrize(("duration_ms", "seconds"), [(3834, 4), (0, 0), (1, 1), (1000, 1), (1001, 2)])
def test_seconds_of_fun_asr_are_rounded_up(duration_ms: int, seconds: int):
    assert seconds_up(duration_ms) == seconds


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("  ", 0),
        ("Hi", 2),
        ("Welcome to the weekly review.", 8),
        ("欢迎使用。", 6),
        ("internationalization", 5),
        ("a，b", 4),
    ],
)
def test_tokens_of_a_text(text: str, tokens: int):
    assert text_tokens(text) == tokens


def test_tokens_only_grow_with_the_text():
    text = "Four score and seven years ago 八十七年以前, our fathers…"
    counts = [text_tokens(text[:length]) for length in range(len(text) + 1)]
    assert counts == sorted(counts)
