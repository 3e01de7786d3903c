"""Words of a text and their times: they always spell the text, and what nothing measured is marked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashscribe.types import Sentence, Span
from dashscribe.words import Heard, locate, part_at_stops, timed_sentence, written_words

SPAN = Span(1_000, 5_000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello world", ["hello", "world"]),
        ("Hello, world!", ["Hello", "world"]),
        ("don't stop", ["don't", "stop"]),
        ("今天天气不错，走吧。", list("今天天气不错走吧")),
        ("用dash scribe写", ["用", "dash", "scribe", "写"]),
        ("35.6% of 1,200", ["35.6%", "of", "1", "200"]),
        ("3:30 at a.b@c.com", ["3:30", "at", "a.b@c.com"]),
        ("C++ 版本1.2.3", ["C++", "版", "本", "1.2.3"]),
        ("걸어 갔다", ["걸어", "갔다"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("“Quoted” text", ["“Quoted", "text"]),
        ("", []),
        ("…!", []),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    assert [word.text for word in written_words(text)] == words


@given(st.text(max_size=60))
def test_words_and_what_follows_them_are_the_text(text: str) -> None:
    found = written_words(text)
    assert not found or "".join(word.text + word.tail for word in found) == text


@given(
    st.text(alphabet="ab 你好，。.!'-1 ", max_size=40),
    st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 500)), max_size=12),
)
def test_any_times_give_ordered_words_inside_the_span_that_spell_the_sentence(
    text: str, times: list[tuple[int, int]]
) -> None:
    heard = [Heard(i, i + 1, 1_000 + begin, 1_000 + begin + length) for i, (begin, length) in enumerate(sorted(times))]
    sentence = timed_sentence(text, heard, SPAN)
    assert sentence.text == "".join(word.text + word.punctuation for word in sentence.words)
    edges = [edge for word in sentence.words for edge in (word.begin_ms, word.end_ms)]
    assert edges == sorted(edges)
    assert not edges or SPAN.begin_ms <= edges[0] <= edges[-1] <= SPAN.end_ms


def test_spaces_go_with_the_word_or_with_its_mark() -> None:
    sentence = timed_sentence("Hello, big  world. ", (), SPAN)
    assert [(word.text, word.punctuation) for word in sentence.words] == [("Hello", ", "), ("big ", ""), ("world", ".")]
    assert sentence.text == "Hello, big world."


def test_words_are_timed_by_the_pieces_that_spell_them() -> None:
    text = "opening 门"
    places = locate(text, ["\u2581open", "ing", "门"])
    assert places == [(0, 4), (4, 7), (8, 9)]
    heard = [Heard(0, 4, 1_100, 1_300), Heard(4, 7, 1_300, 1_500), Heard(8, 9, 2_000, 2_200)]
    opening, door = timed_sentence(text, heard, SPAN).words
    assert (opening.begin_ms, opening.end_ms, opening.approximate) == (1_100, 1_500, False)
    assert (door.begin_ms, door.end_ms, door.approximate) == (2_000, 2_200, False)


@pytest.mark.parametrize(
    ("text", "pieces", "found"),
    [
        ("read@@ing", ["read@@", "ing"], None),
        ("reading", ["read@@", "ing"], [(0, 4), (4, 7)]),
        ("a b", [" a", " b"], [(0, 1), (2, 3)]),
        ("a b", ["a", "c"], None),
        ("a b", ["a"], None),
        ("", [], []),
    ],
)
def test_pieces_are_found_in_the_text_or_not_at_all(
    text: str, pieces: list[str], found: list[tuple[int, int]] | None
) -> None:
    assert locate(text, pieces) == found


def test_words_that_nothing_measured_share_the_time_around_them_and_say_so() -> None:
    first, lost, last = timed_sentence("ab xyz cd", [Heard(0, 2, 1_000, 1_500), Heard(7, 9, 2_500, 3_000)], SPAN).words
    assert (lost.begin_ms, lost.end_ms, lost.approximate) == (1_500, 2_500, True)
    assert not first.approximate
    assert not last.approximate


def texts(text: str) -> list[str]:
    return [sentence.text for sentence in part_at_stops(timed_sentence(text, (), SPAN))]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Hello world. How are you? Fine", ["Hello world.", "How are you?", "Fine"]),
        ("你好。再见！", ["你好。", "再见！"]),
        ("Dr. Smith met J. Doe. Yes.", ["Dr. Smith met J. Doe.", "Yes."]),
        ("He said “stop.” Then left.", ["He said “stop.”", "Then left."]),
        ("no marks at all", ["no marks at all"]),
        ("1.5, then 2.5.", ["1.5, then 2.5."]),
    ],
)
def test_sentences_are_parted_at_their_own_marks(text: str, sentences: list[str]) -> None:
    assert texts(text) == sentences


@given(st.text(alphabet="ab. 你。！?", max_size=40))
def test_parting_loses_no_word_and_keeps_order(text: str) -> None:
    whole = timed_sentence(text, (), SPAN)
    parts: list[Sentence] = part_at_stops(whole)
    said = [word.text.strip() for part in parts for word in part.words]
    assert said == [word.text.strip() for word in whole.words]
    assert all("".join(w.text + w.punctuation for w in part.words) == part.text for part in parts if part.words)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        # A model may give the last words of a sound no time of their own.
        ([(1_000, 1_400), (1_500, 1_500)], ["One. Two."]),
        ([(1_000, 1_000), (1_000, 1_400)], ["One. Two."]),
        ([(1_000, 1_000), (1_000, 1_000)], ["One. Two."]),
        ([(1_000, 1_400), (1_500, 1_501)], ["One.", "Two."]),
    ],
)
def test_words_without_length_are_no_sentence_by_themselves(times: list[tuple[int, int]], expected: list[str]) -> None:
    text = "One. Two."
    heard = [Heard(w.begin, w.end, *time) for w, time in zip(written_words(text), times, strict=True)]
    sentence = timed_sentence(text, heard, SPAN)
    assert [part.text for part in part_at_stops(sentence)] == expected
