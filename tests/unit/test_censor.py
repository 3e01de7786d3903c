"""Sensitive words are masked or removed, in the text and its words alike; what only looks like one stays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from dashscribe import ledger
from dashscribe.enrich.censor import Lexicon, check_list, lexicons, system_list
from dashscribe.enrich.censor import censor as search
from dashscribe.errors import ConfigError
from dashscribe.types import Censor, Fate, Outcome, Sentence, Span, Word
from dashscribe.words import Heard, timed_sentence, written_words

NONE = Lexicon()


def spoken(text: str) -> Sentence:
    """A sentence of which each word took 200 ms."""
    heard = [Heard(w.begin, w.end, 300 * i, 300 * i + 200) for i, w in enumerate(written_words(text))]
    return timed_sentence(text, heard, Span(0, 300 * len(heard) + 1000))


def censor(sentences: Iterable[Sentence], asked: Censor, system: Lexicon = NONE) -> Iterator[Sentence]:
    own, _ = lexicons(asked)
    return search(sentences, [*own, system])


def censored(sentence: Sentence, asked: Censor, system: Lexicon = NONE) -> str:
    """The text that is left, proven to keep every promise; the empty string if nothing is left."""
    found = list(censor([sentence], asked, system))
    assert len(found) <= 1
    for one in found:
        span = Span(sentence.begin_ms, sentence.end_ms)
        assert ledger.admit(Outcome(span, Fate.TRANSCRIBED, (one,)), span).sentences == (one,)
    return found[0].text if found else ""


def masked(text: str, *words: str) -> str:
    return censored(spoken(text), Censor(masked=words))


def removed(text: str, *words: str) -> str:
    return censored(spoken(text), Censor(removed=words))


# The examples of the service's user guide, section "Sensitive word filter", in both languages.
def test_the_examples_of_the_guide() -> None:
    assert masked("帮我测试一下", "测试") == "帮我**一下"
    assert removed("比赛这就要开始了吗", "开始") == "比赛这就要了吗"
    assert masked("please help me test it", "test") == "please help me **** it"
    assert removed("is the game about to start now", "start") == "is the game about to now"
    asked = Censor(masked=("测试",), removed=("开始", "发生"))
    assert censored(spoken("测试开始时会发生什么？"), asked) == "**时会什么？"
    asked = Censor(masked=("test",), removed=("start", "happen"))
    assert censored(spoken("What will happen when we start the test?"), asked) == "What will when we the ****?"


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        # whole words of writing with spaces, in any case and width
        ("Test the tests, a contest, TEST.", ["test"], "**** the tests, a contest, ****."),
        ("a test-case and a test's end", ["test"], "a ****-case and a ****'s end"),
        ("Don and I don't, he'll see", ["don", "he", "ll"], "*** and I don't, **'ll see"),
        ("3.5 and 3 and 13", ["3"], "3.5 and * and 13"),
        ("C, C++ and C#", ["c"], "*, C++ and C#"),
        ("C, C++ and C#", ["C++", "c#"], "C, *** and **"),
        ("the U.S. law", ["u.s."], "the **** law"),
        ("ＴＥＳＴ it", ["test"], "**** it"),
        ("test it", ["ＴＥＳＴ"], "**** it"),
        ("Straße und STRASSE", ["strasse"], "****** und *******"),
        ("a café, a cafe\u0301, a cafe", ["café"], "a ****, a *****, a cafe"),
        ("a café, a cafe", ["cafe"], "a café, a ****"),
        ("Mr. O’Brien, Mr. O'Brien", ["O'Brien"], "Mr. *******, Mr. *******"),
        ("Mr. O’Brien, Mr. O'Brien", ["oʼbrien"], "Mr. *******, Mr. *******"),
        ("We don't, we don’t", ["don’t"], "We *****, we *****"),
        ("I don’t, a ‘test’, Smith’s", ["don", "test", "smith"], "I don’t, a ‘****’, *****’s"),
        # phrases over several words; spaces stay
        ("Meet me at Harbor Master house.", ["harbor master"], "Meet me at ****** ****** house."),
        ("a harbor, master", ["harbor master"], "a harbor, master"),
        # anywhere in writing without spaces
        ("我在测试机测试。", ["测试"], "我在**机**。"),
        ("我用test测试", ["test"], "我用****测试"),
        ("我用 test 测试", ["用test测"], "我* **** *试"),
        ("これはテストです", ["テスト"], "これは***です"),
        ("이것은 테스트입니다, 콘테스트", ["테스트"], "이것은 ***입니다, 콘테스트"),
        ("นี่คือการทดสอบ", ["ทดสอบ"], "นี่คือการ*****"),
        # the longest first; what is left of another one counts by itself
        ("测试机在测试", ["测试", "测试机"], "***在**"),
        ("甲乙丙丁", ["甲乙丙", "丙丁", "丁"], "****"),
        ("甲乙丙丁", ["甲乙丙", "丙丁"], "***丁"),
        ("nothing here", ["…", "*", "?!"], "nothing here"),
    ],
)
def test_masked_words_become_as_many_asterisks(text: str, words: list[str], expected: str) -> None:
    assert masked(text, *words) == expected
    assert len(expected) == len(text)


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("Start the game.", ["start"], "The game."),
        ("We start.", ["start"], "We."),
        ("We can start, or wait.", ["start"], "We can, or wait."),
        ("We wait, start, or go.", ["start"], "We wait, or go."),
        ("Well, start. Then go.", ["start"], "Well. Then go."),
        ("We wait. Start the game.", ["start"], "We wait. The game."),
        ("We wait, start", ["start"], "We wait"),
        ("Start, then go.", ["start"], "Then go."),
        ("Smith's house is Smith's", ["smith"], "House is"),
        ("a test-case, a case-test", ["test"], "a case, a case"),
        ("go测now", ["测"], "go now"),
        ("我用test 测试", ["test"], "我用测试"),
        ("我开始，开始，走。", ["开始"], "我，走。"),
        ("他说“开始”，就走。", ["开始"], "他说，就走。"),
        ("“开始走”，他说。", ["开始"], "“走”，他说。"),
        ("Meet at Harbor Master house.", ["harbor master"], "Meet at house."),
        ("甲甲乙乙", ["甲乙"], ""),
        ("开始。", ["开始"], ""),
        ("开始，开始。", ["开始"], ""),
    ],
)
def test_removed_words_vanish_with_a_space_and_doubled_marks(text: str, words: list[str], expected: str) -> None:
    assert removed(text, *words) == expected


def test_the_longest_counts_and_masking_goes_before_removing() -> None:
    assert censored(spoken("测试机在测试"), Censor(masked=("测试",), removed=("测试",))) == "**机在**"
    assert censored(spoken("测试机在测试"), Censor(masked=("测试",), removed=("测试机",))) == "在**"
    assert censored(spoken("测试机在测试"), Censor(masked=("测试机",), removed=("测试",))) == "***在"


def test_words_keep_their_times_and_removed_ones_are_gone() -> None:
    sentence = spoken("Start the test, now.")
    (found,) = censor([sentence], Censor(masked=("test",), removed=("start",)))
    assert [(word.text, word.punctuation) for word in found.words] == [("The ", ""), ("****", ", "), ("now", ".")]
    assert [(w.begin_ms, w.end_ms) for w in found.words] == [(w.begin_ms, w.end_ms) for w in sentence.words[1:]]
    assert (found.begin_ms, found.end_ms) == (sentence.words[1].begin_ms, sentence.end_ms)


def test_a_part_of_a_word_of_several_characters_goes() -> None:
    words = (Word(0, 300, "大测"), Word(300, 600, "试验", "。"))
    sentence = Sentence(begin_ms=0, end_ms=600, text="大测试验。", words=words)
    (found,) = censor([sentence], Censor(removed=("测试",)))
    assert [(word.text, word.begin_ms, word.end_ms) for word in found.words] == [("大", 0, 300), ("验", 300, 600)]


def test_the_system_list_masks_beside_the_words_of_the_call() -> None:
    system = Lexicon(masked=["一下"])
    assert censored(spoken("帮我测试一下"), Censor(removed=("测试",)), system) == "帮我**"
    assert censored(spoken("帮我测试一下"), Censor(), system) == "帮我测试**"


def test_a_list_has_a_word_on_each_line_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("\ufeff# names\n测试\n\n  harbor master  # a person\nC#\n#kestrel\n", encoding="utf-8")
    lexicon, note = system_list(path)
    assert note == ""
    text = "测试 harbor master, C# and kestrel names"
    assert censored(spoken(text), Censor(), lexicon) == "** ****** ******, ** and kestrel names"


def test_a_list_is_read_again_when_it_changes_and_only_then(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("测试\n", encoding="utf-8")
    first, _ = system_list(path)
    assert system_list(path)[0] is first
    path.write_text("开始\n", encoding="utf-8")
    os.utime(path, ns=(1, 1))
    second, note = system_list(path)
    assert (censored(spoken("测试开始"), Censor(), second), note) == ("测试**", "")


def test_a_list_that_is_lost_later_keeps_its_words_and_is_told(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("测试\n", encoding="utf-8")
    check_list(path)
    path.unlink()
    lexicon, note = system_list(path)
    assert censored(spoken("测试"), Censor(), lexicon) == "**"
    assert "No such file" in note
    assert "words read from it before count" in note
    assert str(tmp_path) not in note
    path.write_bytes(b"\xff\xfe")
    lexicon, note = system_list(path)
    assert censored(spoken("测试"), Censor(), lexicon) == "**"
    assert "UTF-8" in note


def test_a_list_that_never_was_there_is_told(tmp_path: Path) -> None:
    lexicon, note = system_list(tmp_path / "words.txt")
    assert not lexicon
    assert "no word of it was masked" in note


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", "folder"])
def test_an_unreadable_list_is_named_at_the_start(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "words.txt"
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"DASHSCRIBE_SENSITIVE_WORDS: .*words\.txt cannot be read"):
        check_list(path)
    check_list(None)
