"""For any words and any list: what is left spells its text in its old times and holds no word of the list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from dashscribe import ledger
from dashscribe.enrich.censor import censor as search
from dashscribe.enrich.censor import lexicons
from dashscribe.enrich.fillers import drop_fillers
from dashscribe.types import Censor, Fate, Outcome, Sentence, Span
from dashscribe.words import Heard, timed_sentence, written_words

#: Few characters, so that hits, overlaps and repetitions are common.
PIECES = st.sampled_from(
    ["a", "b", "ab", "ba", "the", "um", "I", "don't", "b's", "b-a", "3.5", "C++", "甲", "乙", "我", "嗯"]
)
MARKS = st.sampled_from(["", "", "", " ", " ", " ", ", ", "，", "。", ". ", "“", "”", "…", "? "])
SPAN = Span(0, 60_000)
ENTRIES = st.lists(
    st.one_of(
        st.text(alphabet="abAＢ甲乙我 '", min_size=1, max_size=4).filter(lambda text: any(map(str.isalnum, text))),
        st.sampled_from(["the", "um the", "b's", "3.5", "c++", "don", "a b"]),
    ),
    max_size=4,
).map(tuple)
CENSORS = st.builds(Censor, masked=ENTRIES, removed=ENTRIES)


@st.composite
def sentences(draw: st.DrawFn) -> Sentence:
    pairs = draw(st.lists(st.tuples(PIECES, MARKS), min_size=1, max_size=12))
    text = draw(st.sampled_from(["", "“"])) + "".join(piece + mark for piece, mark in pairs)
    heard: list[Heard] = []
    at_ms = 0
    for word in written_words(text):
        begin_ms = at_ms + draw(st.sampled_from([0, 40, 400]))
        at_ms = begin_ms + draw(st.sampled_from([0, 100, 200]))
        heard.append(Heard(word.begin, word.end, begin_ms, at_ms))
    sentence = timed_sentence(text, heard, SPAN, language=draw(st.sampled_from(["", "en", "zh"])))
    return sentence if sentence.begin_ms < sentence.end_ms else replace(sentence, end_ms=sentence.end_ms + 1)


def censor(sentences: list[Sentence], asked: Censor) -> Iterator[Sentence]:
    return search(sentences, lexicons(asked)[0])


def check(before: Sentence, after: list[Sentence]) -> None:
    """Every promise of a result, and no time that was not there before."""
    if not after:
        return
    outcome = Outcome(SPAN, Fate.TRANSCRIBED, tuple(after))
    assert ledger.admit(outcome, SPAN) == outcome
    rest = iter((word.begin_ms, word.end_ms) for word in before.words)
    assert all((word.begin_ms, word.end_ms) in rest for word in after[0].words)
    assert after[0].text.strip() == after[0].text
    for pattern in (r"[,，]\s*[,，。.?]", r"^[,，。.?…]"):
        assert not re.search(pattern, after[0].text) or re.search(pattern, before.text)


@given(sentences(), CENSORS)
def test_censored_sentences_keep_their_promises_and_a_second_time_changes_nothing(
    sentence: Sentence, asked: Censor
) -> None:
    after = list(censor([sentence], asked))
    check(sentence, after)
    assert list(censor(after, asked)) == after


@given(sentences(), ENTRIES)
def test_masking_keeps_every_length_and_every_time(sentence: Sentence, words: tuple[str, ...]) -> None:
    (after,) = censor([sentence], Censor(masked=words))
    assert len(after.text) == len(sentence.text)
    assert [len(word.text) for word in after.words] == [len(word.text) for word in sentence.words]
    assert all(new in (old, "*") for old, new in zip(sentence.text, after.text, strict=True))
    assert replace(after, text="", words=()) == replace(sentence, text="", words=())


@given(sentences(), st.lists(st.text(alphabet="甲乙我嗯", min_size=1, max_size=3)), st.booleans())
def test_no_listed_word_is_left_in_writing_without_spaces(sentence: Sentence, words: list[str], removes: bool) -> None:
    asked = Censor(removed=tuple(words)) if removes else Censor(masked=tuple(words))
    assert not any(word in one.text for one in censor([sentence], asked) for word in words)


@given(sentences(), st.lists(st.sampled_from(["a", "b", "ab", "the", "um", "i"])), st.booleans())
def test_no_listed_word_is_left_among_those_between_spaces(sentence: Sentence, words: list[str], removes: bool) -> None:
    asked = Censor(removed=tuple(words)) if removes else Censor(masked=tuple(words))
    after = list(censor([sentence], asked))
    assert not any(piece.lower() in words for one in after for piece in one.text.split())


@given(sentences())
@example(timed_sentence("I um I", (), SPAN, language="en"))
def test_without_fillers_the_rest_keeps_its_promises_and_a_second_time_changes_nothing(sentence: Sentence) -> None:
    after = list(drop_fillers([sentence]))
    check(sentence, after)
    assert list(drop_fillers(after)) == after
