"""Bare words become sentences: they end at pauses, begin with a capital, and no word's time moves."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashscribe.enrich.punctuate import punctuate
from dashscribe.types import Sentence, Track, Word


def bare(text: str, begin_ms: int = 0, word_ms: int = 300, gap_ms: int = 50, language: str = "en") -> Sentence:
    """What the embedded engine gives: words a little apart, each but the last with its space."""
    spoken = text.split()
    words = tuple(
        Word(
            begin_ms + i * (word_ms + gap_ms),
            begin_ms + i * (word_ms + gap_ms) + word_ms,
            one if i == len(spoken) - 1 else f"{one} ",
            confidence=0.5,
        )
        for i, one in enumerate(spoken)
    )
    return Sentence(begin_ms=begin_ms, end_ms=words[-1].end_ms, text=text, words=words, language=language)


def written(sentences: Iterable[Sentence]) -> list[Sentence]:
    return list(punctuate(sentences))


def texts(*sentences: Sentence) -> list[str]:
    return [sentence.text for sentence in written(sentences)]


def test_a_sentence_gets_a_capital_and_a_full_stop() -> None:
    assert texts(bare("go forward ten meters")) == ["Go forward ten meters."]


def test_the_mark_belongs_to_the_last_word_and_spaces_to_the_words_before() -> None:
    (sentence,) = written([bare("good morning")])
    assert [(word.text, word.punctuation) for word in sentence.words] == [("Good ", ""), ("morning", ".")]


def test_i_and_its_short_forms_are_capitals_in_english_only() -> None:
    assert texts(bare("so i think i'm late and i've lost it")) == ["So I think I'm late and I've lost it."]
    assert texts(bare("io e i cani", language="it")) == ["Io e i cani."]


def test_a_long_pause_ends_a_sentence_inside_one_piece() -> None:
    first = bare("to my native country")
    second = bare("the narrative would be tedious", begin_ms=first.end_ms + 730)
    joined = replace(
        first,
        end_ms=second.end_ms,
        words=(*first.words[:-1], replace(first.words[-1], text="country "), *second.words),
        text=f"{first.text} {second.text}",
    )
    assert texts(joined) == ["To my native country.", "The narrative would be tedious."]


def test_a_sentence_goes_on_over_the_border_of_two_pieces() -> None:
    first = bare("i will say nothing")
    second = bare("of my antecedents", begin_ms=first.end_ms + 200)
    (sentence,) = written([first, second])
    assert sentence.text == "I will say nothing of my antecedents."
    assert (sentence.begin_ms, sentence.end_ms) == (first.begin_ms, second.end_ms)


def test_times_and_confidences_stay_as_they_were() -> None:
    given_words = [*bare("one two three").words, *bare("four five", begin_ms=4_000).words]
    made = [word for s in written([bare("one two three"), bare("four five", begin_ms=4_000)]) for word in s.words]
    assert [(w.begin_ms, w.end_ms, w.confidence) for w in made] == [
        (w.begin_ms, w.end_ms, w.confidence) for w in given_words
    ]


def test_commas_and_question_marks_are_never_made_up() -> None:
    assert texts(bare("how old is it", gap_ms=650)) == ["How old is it."]


def test_an_abbreviation_at_the_end_keeps_its_one_dot() -> None:
    assert texts(bare("at ten a.m.")) == ["At ten a.m."]


def complete(language: str, *words: tuple[str, str]) -> Sentence:
    """A sentence as other engines give it: (text, punctuation) per word."""
    timed = tuple(Word(i * 100, i * 100 + 100, text, mark) for i, (text, mark) in enumerate(words))
    text = "".join(text + mark for text, mark in words)
    return Sentence(begin_ms=0, end_ms=500, text=text, words=timed, language=language)


@pytest.mark.parametrize(
    "done",
    [
        complete("en", ("Hello", ", "), ("all", "!")),
        complete("zh", ("你", ""), ("好", "。")),
        complete("hi", ("नमस्ते ", ""), ("दुनिया", "")),
        Sentence(begin_ms=0, end_ms=500, text="no words here"),
    ],
)
def test_sentences_that_are_complete_or_not_understood_stay_as_they_are(done: Sentence) -> None:
    later = bare("and then", begin_ms=600)
    assert written([done, later]) == [done, *written([later])]
    earlier = replace(done, begin_ms=5_000, end_ms=5_500, words=())
    assert written([later, earlier]) == [*written([later]), earlier]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("你", "好"), "你好。"),
        (("걸어 ", "갔다"), "걸어 갔다."),
        (("用 ", "dash ", "scribe", "写"), "用 dash scribe写。"),
        (("说 ", "hello"), "说 hello."),
    ],
)
def test_scripts_without_capitals_get_their_own_full_stop(words: tuple[str, ...], expected: str) -> None:
    assert texts(complete("", *((word, "") for word in words))) == [expected]


def test_two_speakers_or_languages_never_share_a_sentence() -> None:
    first, second = bare("yes"), bare("no", begin_ms=400)
    assert texts(replace(first, speaker=0), replace(second, speaker=1)) == ["Yes.", "No."]
    assert texts(first, replace(second, language="de")) == ["Yes.", "No."]


def test_speech_without_pauses_is_broken_at_the_longest_one_within_half_a_minute() -> None:
    first = bare(" ".join(["word"] * 60))  # 21 s
    second = bare(" ".join(["more"] * 60), begin_ms=first.end_ms + 400)
    made = written([first, second])
    assert made[0].words[-1].end_ms == first.end_ms
    assert all(sentence.end_ms - sentence.begin_ms <= 30_000 for sentence in made)


def test_a_sentence_comes_out_as_soon_as_the_next_one_begins() -> None:
    taken = 0

    def source() -> Iterator[Sentence]:
        nonlocal taken
        for i in range(5):
            taken += 1
            yield bare("some words", begin_ms=i * 10_000)

    made = punctuate(source())
    assert next(made).text == "Some words."
    assert taken == 2


def test_the_text_of_a_track_reads_with_spaces_between_sentences() -> None:
    made = tuple(written([bare("the first"), bare("the second", begin_ms=5_000)]))
    assert Track(channel=0, sentences=made, ledger=()).text == "The first. The second."


def test_nothing_in_nothing_out() -> None:
    assert written([]) == []


GAPS = st.lists(st.tuples(st.integers(10, 2_500), st.integers(0, 1_200)), min_size=1, max_size=60)


@given(GAPS, st.integers(1, 7))
def test_every_word_comes_out_once_in_order_and_words_rebuild_the_text(gaps: list[tuple[int, int]], size: int) -> None:
    at_ms, words = 0, list[Word]()
    for i, (length_ms, gap_ms) in enumerate(gaps):
        words.append(Word(at_ms, at_ms + length_ms, f"w{i} "))
        at_ms += length_ms + gap_ms
    pieces = [words[i : i + size] for i in range(0, len(words), size)]
    sentences = [
        Sentence(
            begin_ms=piece[0].begin_ms, end_ms=piece[-1].end_ms, text="".join(w.text for w in piece), words=tuple(piece)
        )
        for piece in pieces
    ]
    made = written(sentences)
    assert [w.text.strip().lower() for s in made for w in s.words] == [w.text.strip() for w in words]
    assert [(w.begin_ms, w.end_ms) for s in made for w in s.words] == [(w.begin_ms, w.end_ms) for w in words]
    for sentence in made:
        assert sentence.text == "".join(w.text + w.punctuation for w in sentence.words)
        assert (sentence.begin_ms, sentence.end_ms) == (sentence.words[0].begin_ms, sentence.words[-1].end_ms)
        assert sentence.end_ms - sentence.begin_ms <= 30_000


# --- with a model -----------------------------------------------------------------------------------------------------


def marked(text: str) -> str:
    """A stand-in for a model: a comma after "well", a question mark at the end of what begins with "what"."""
    pulled = text.replace("well", "well，").replace("错", "错，").strip()
    return pulled + ("？" if "what" in text or "吗" in text else "。")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("well ", "what ", "now"), "Well, what now?"),
        (("不", "错", "走"), "不错，走。"),
        (("很", "好", "吗"), "很好吗？"),
        (("well ", "好"), "Well， 好。"),
    ],
)
def test_a_model_sets_marks_and_words_keep_their_times(words: tuple[str, ...], expected: str) -> None:
    said = complete("", *((word, "") for word in words))
    (sentence,) = punctuate([said], marked)
    assert sentence.text == expected
    assert [(w.begin_ms, w.end_ms) for w in sentence.words] == [(w.begin_ms, w.end_ms) for w in said.words]


def test_a_models_stops_part_sentences() -> None:
    said = bare("we are done what comes now")
    parts = list(punctuate([said], lambda text: text.replace("done", "done。") + "？"))
    assert [part.text for part in parts] == ["We are done.", "What comes now?"]


@pytest.mark.parametrize("useless", ["", "other words。", "we are。", "we are done twice。", "we are d one。"])
def test_a_model_that_changes_the_words_is_passed_over(useless: str) -> None:
    (sentence,) = punctuate([bare("we are done")], lambda text: useless)
    assert sentence.text == "We are done."


def test_speech_without_end_is_handed_to_the_model_in_parts_and_no_word_is_lost() -> None:
    said = [bare(" ".join(f"w{number}" for number in range(450)))]
    asked: list[int] = []

    def model(text: str) -> str:
        asked.append(len(text.split()))
        return "".join(f"{word}{'。' if at % 10 == 9 else ' '}" for at, word in enumerate(text.split()))

    made = list(punctuate(said, model))
    assert max(asked) <= 210
    spoken = [word.text.strip().lower() for sentence in made for word in sentence.words]
    assert spoken == [word.text.strip() for word in said[0].words]


# --- without words, sentences end where the voice pauses and nowhere else -------------------------------------------


def stops_after_five(text: str) -> str:
    """A model that ends a sentence with every fifth word."""
    words = text.split()
    return "".join(f"{word}{'。' if at % 5 == 0 else ' '}" for at, word in enumerate(words, start=1))


def test_a_models_stops_stand_inside_of_sentences_that_end_at_pauses_only() -> None:
    first = bare("we are done for now what comes after we do not know")
    second = bare("it is late", begin_ms=first.end_ms + 800)
    (one, two) = punctuate([first, second], stops_after_five, at_stops=False)
    assert one.text == "We are done for now. What comes after we do. Not know."
    assert two.text == "It is late."
    assert [(w.begin_ms, w.end_ms) for w in one.words] == [(w.begin_ms, w.end_ms) for w in first.words]
    assert "".join(word.text + word.punctuation for word in one.words) == one.text
    assert len(list(punctuate([first, second], stops_after_five))) == 4


def test_chinese_sentences_are_joined_without_spaces() -> None:
    said = complete("", *((word, "") for word in ("走", "吧", "好", "了")))
    (sentence,) = punctuate([said], lambda text: text.replace("吧", "吧。"), at_stops=False)
    assert sentence.text == "走吧。好了。"


def test_without_pauses_such_a_sentence_ends_after_half_a_minute() -> None:
    said = bare(" ".join(f"w{number}" for number in range(300)))
    made = list(punctuate([said], stops_after_five, at_stops=False))
    lengths_ms = [sentence.end_ms - sentence.begin_ms for sentence in made]
    assert max(lengths_ms) <= 30_000
    assert min(lengths_ms[:-1]) >= 15_000
    assert [w.text.strip().lower() for s in made for w in s.words] == [w.text.strip() for w in said.words]


def test_a_word_without_length_is_a_sentence_of_a_millisecond_or_part_of_its_neighbor() -> None:
    alone = Sentence(begin_ms=0, end_ms=2_000, text="yes", words=(Word(2_000, 2_000, "yes"),))
    (sentence,) = punctuate([alone])
    assert (sentence.begin_ms, sentence.end_ms, sentence.text) == (1_999, 2_000, "Yes.")
    words = (Word(0, 400, "we "), Word(500, 900, "know "), Word(900, 900, "yes"))
    said = Sentence(begin_ms=0, end_ms=900, text="we know yes", words=words)
    (sentence,) = punctuate([said], lambda text: "we know。yes。")
    assert (sentence.end_ms, [word.text for word in sentence.words]) == (900, ["We ", "know", "yes"])
