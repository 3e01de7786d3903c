"""Numbers as digits: what is written for what is said, the words that carry it, and what happens when it fails."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from durable import Home, only, result_of, run, speech
from hypothesis import given, settings
from hypothesis import strategies as st
from itn_cases import CASES, MISSES

from dashscribe import config, pipeline
from dashscribe.engines import ENGINES, EngineInfo
from dashscribe.enrich import Enrichment
from dashscribe.enrich.itn import Normalizer, write_numbers
from dashscribe.errors import EngineUnavailableError, HostDiedError, HostError, HostTimeoutError
from dashscribe.hosts import Bounds, Hosts
from dashscribe.hosts.protocol import Load, Normalize, Punctuate, TextsReply
from dashscribe.hosts.text import TextRole
from dashscribe.types import Censor, Fate, Options, Outcome, Sentence, Span, Word
from dashscribe.words import Heard, timed_sentence

MS_PER_CHARACTER = 100


def sentence_of(text: str, language: str = "") -> Sentence:
    """The text as it would be heard, every character a tenth of a second."""
    heard = [Heard(at, at + 1, at * MS_PER_CHARACTER, (at + 1) * MS_PER_CHARACTER) for at in range(len(text))]
    return timed_sentence(text, heard, Span(0, len(text) * MS_PER_CHARACTER), language=language)


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


def told_cases() -> Iterator[tuple[str, str]]:
    for text in CASES.values():
        for line in lines(text):
            said, _, wanted = line.partition(" => ")
            yield said, wanted


def spells(sentence: Sentence) -> bool:
    return "".join(word.text + word.punctuation for word in sentence.words) == sentence.text


@pytest.fixture(scope="module")
def normalizer() -> Iterator[Normalizer]:
    with Hosts(config.load(), slots=1) as hosts:
        yield hosts.normalizer()


@pytest.fixture
def write(normalizer: Normalizer) -> Callable[[str], Sentence]:
    def write_one(text: str, language: str = "") -> Sentence:
        (sentence,) = write_numbers([sentence_of(text, language)], normalizer=normalizer)
        return sentence

    return write_one


def test_numbers_are_written_as_a_reader_wants_them(write, capsys):
    cases = [(said, wanted or said) for said, wanted in told_cases()]
    written = [(said, write(said).text) for said, _ in cases]
    right = sum(case in cases for case in written)
    total = len(cases) + len(lines(MISSES))
    with capsys.disabled():
        sys.stdout.write(f"\nnumbers as digits: {right} of {total} cases are written as wanted\n")
    assert total >= 150
    assert written == cases


def test_known_misses_are_as_the_table_says(write):
    told = [line.replace(" => ", " | ").split(" | ") for line in lines(MISSES)]
    assert [(said, write(said).text) for said, _, _ in told] == [(said, today) for said, today, _ in told]
    assert all(today != wanted for _, today, wanted in told), "this is none any more: move it to the cases"


def test_a_number_is_one_word_with_the_times_of_what_was_said(write):
    said = "we sold twenty five boats, for thirty five point six percent."
    sentence = write(said)
    assert sentence.text == "we sold 25 boats, for 35.6%."
    told = [(word.text, word.punctuation, word.begin_ms, word.end_ms) for word in sentence.words]
    begin, end = said.index("twenty") * 100, (said.index("five boats") + 4) * 100
    assert told[2] == ("25 ", "", begin, end)
    begin, end = said.index("thirty") * 100, (said.index("percent") + 7) * 100
    assert told[5] == ("35.6%", ".", begin, end)


def test_the_words_around_a_number_are_the_very_same(write):
    before = sentence_of("下午两点四十五分,我们见面。")
    after = write(before.text)
    assert after.text == "下午2点45分,我们见面。"
    texts = [word.text for word in after.words]
    assert texts == ["下", "午", "2", "点", "45", "分", "我", "们", "见", "面"]
    assert [after.words[i] for i in (0, 1, 3, 5, 6, 7, 8, 9)] == [before.words[i] for i in (0, 1, 3, 7, 8, 9, 10, 11)]
    assert (after.words[4].begin_ms, after.words[4].end_ms) == (400, 700)


def test_confidence_is_the_least_and_approximate_times_stay_so(normalizer):
    words = (Word(0, 100, "twenty ", confidence=0.9), Word(100, 200, "five", ".", confidence=0.4, approximate=True))
    sentence = Sentence(begin_ms=0, end_ms=200, text="twenty five.", words=words)
    (written,) = write_numbers([sentence], normalizer=normalizer)
    assert written.words == (Word(0, 200, "25", ".", confidence=0.4, approximate=True),)


def test_words_longer_than_a_number_keep_the_rest(normalizer):
    words = (Word(0, 300, "三十"), Word(300, 600, "五岁和"), Word(600, 900, "四十岁", "。", confidence=0.5))
    sentence = Sentence(begin_ms=0, end_ms=900, text="三十五岁和四十岁。", words=words)
    (written,) = write_numbers([sentence], normalizer=normalizer)
    assert written.words == (Word(0, 600, "35岁和"), Word(600, 900, "40岁", "。", confidence=0.5))


@pytest.mark.parametrize(("language", "hints", "is_written"), [
    ("", (), True), ("zh", (), True), ("", ("de", "zh"), True), ("zh", ("de",), True),
    ("ja", (), False), ("yue", (), False), ("", ("ja",), False), ("de", ("zh",), False),
])  # fmt: skip
def test_other_languages_stay_as_they_are(normalizer, language: str, hints: tuple[str, ...], is_written: bool):
    before = sentence_of("今年三十五岁", language)
    (after,) = write_numbers([before], normalizer=normalizer, languages=hints)
    assert after.text == ("今年35岁" if is_written else before.text)


def test_japanese_is_told_by_its_kana(write):
    assert write("三十五になります").text == "三十五になります"


def test_no_child_is_asked_where_nothing_is_counted():
    def fail(texts: Sequence[str], language: str) -> Sequence[str]:
        raise AssertionError(texts)

    said = [sentence_of(text) for text in ("one of them said no.", "我们一起三心二意。", "")]
    assert list(write_numbers(said, normalizer=fail)) == said


@pytest.mark.parametrize("answer", ["", "  ", "fifty", "2:45p.m.", "25 people", "二五"])
def test_an_answer_that_looks_like_no_number_changes_nothing(answer: str):
    said = sentence_of("we are twenty five people")
    assert list(write_numbers([said], normalizer=lambda texts, language: [answer] * len(texts))) == [said]


def test_a_row_without_end_stays_and_takes_no_time(write):
    said = "一" * 5000
    assert write(said).text == said
    said = "nine " * 2000
    assert write(said).text == said.strip()


FILLERS = ("boats", "we", "sold", "harbor", "苹果", "卖", "船,", "well,")
NUMBERS = (
    *("twenty five", "two thirds", "one hundred and five", "minus five", "five percent", "three point one four"),
    *("five dollars and fifty cents", "two forty five p.m.", "nine one one", "march fifth", "nineteen eighty four"),
    *(
        "三十五",
        "百分之五",
        "下午两点四十五分",
        "三月八号",
        "三块五毛",
        "零下五度",
        "一点二点三",
        "一三五七九",
        "三分之二",
    ),
    *("三分之二", "one", "seven", "一", "十有八九", "万一"),
)


@settings(max_examples=150)
@given(parts=st.lists(st.sampled_from([*FILLERS, *NUMBERS]), min_size=1, max_size=12), dotted=st.booleans())
def test_whatever_is_said_the_words_spell_it_and_times_hold(normalizer, parts: list[str], dotted: bool):
    before = sentence_of(" ".join(parts) + "." * dotted)
    (after,) = write_numbers([before], normalizer=normalizer)
    assert spells(after)
    assert (after.begin_ms, after.end_ms) == (before.begin_ms, before.end_ms)
    assert all(left.end_ms <= right.begin_ms for left, right in pairwise(after.words))
    begins, ends = {w.begin_ms: at for at, w in enumerate(before.words)}, {w.end_ms for w in before.words}
    for word in after.words:
        # Each stands for a run of words that were said: what is no number is the very same, marks included.
        assert word.begin_ms in begins and word.end_ms in ends
        if word.text.strip() in FILLERS:
            assert word == before.words[begins[word.begin_ms]]
    spoken = [word for word in before.words if word.begin_ms not in {w.begin_ms for w in after.words}]
    assert all(any(w.begin_ms < s.begin_ms and s.end_ms <= w.end_ms for w in after.words) for s in spoken)
    marks = [mark for mark in before.text if mark in ",。"]
    assert [mark for mark in after.text if mark in ",。"] == marks


# --- in the enrichment, and in a child --------------------------------------------------------------------------------


def enriched(normalizer: Normalizer | None, *texts: str, censor: Censor | None = None) -> tuple[list[str], list[str]]:
    """The texts and notes of sentences that are heard one after another."""
    enrichment = Enrichment(Options(itn=True, censor=censor), normalizer=normalizer)
    length_ms = 10_000
    outcomes: dict[Span, Outcome] = {}
    for number, text in enumerate(texts):
        span = Span(number * 2 * length_ms, (number * 2 + 1) * length_ms)
        heard = [Heard(at, at + 1, span.begin_ms + at * 10, span.begin_ms + at * 10 + 10) for at in range(len(text))]
        outcomes[span] = Outcome(span, Fate.TRANSCRIBED, (timed_sentence(text, heard, span),))
    return [s.text for s in enrichment.sentences(outcomes, outcomes.__getitem__)], enrichment.notes


def test_numbers_are_written_behind_marks_and_fillers(normalizer):
    texts, notes = enriched(normalizer, "twenty five of them came on march fifth", "今年三十五岁")
    assert texts == ["25 of them came on march 5.", "今年35岁。"]
    assert notes == []


@pytest.mark.parametrize(
    ("said", "word", "masked", "removed"),
    [
        ("他说八九六四事件。", "八九六四", "他说****事件。", "他说事件。"),
        ("工号一零零八六。", "一零零八六", "工号*****。", "工号。"),
        ("my pin is one two three five.", "One two three five", "my pin is ****.", "my pin is."),
        ("他在三十五中学。", "三十五中", "他在***学。", "他在学。"),
        ("三百五十块钱。", "三百", "350块钱。", "350块钱。"),  # another number
    ],
)
def test_sensitive_words_that_say_numbers_are_found_in_digits(normalizer, said, word, masked, removed):
    for asked, expected in ((Censor(masked=("word", word)), masked), (Censor(removed=(word,)), removed)):
        assert enriched(normalizer, said, censor=asked) == ([expected], [])


def test_many_sensitive_words_are_asked_about_in_parts_and_once():
    asked: list[Sequence[str]] = []

    def write_digits(texts: Sequence[str], language: str) -> Sequence[str]:
        asked.append(texts)
        return ["".join(str("零一二三四五六七八九".index(digit)) for digit in text) for text in texts]

    words = ["".join("零一二三四五六七八九"[int(digit)] for digit in str(number)) for number in range(1000, 4000)]
    texts, notes = enriched(write_digits, "一二二一和五二二一。", "三三三一。", censor=Censor(masked=tuple(words)))
    assert (texts, notes) == (["****和5221。", "****。"], [])
    assert len(asked) == 2 + 3
    assert max(map(len, asked)) <= 1000


def test_a_list_whose_digits_cannot_be_had_is_searched_as_it_is():
    def die(texts: Sequence[str], language: str) -> Sequence[str]:
        raise HostDiedError("the text process died")

    texts, notes = enriched(die, "harbor 5.", "five five two.", censor=Censor(masked=("harbor", "one two one")))
    assert texts == ["****** 5.", "five five two."]
    assert [note.split(",")[0] for note in notes] == [
        "writing numbers as digits failed",
        "sensitive words may be left as digits: the text process died",
    ]


def test_once_the_normalizer_fails_numbers_stay_and_one_note_says_so():
    asked: list[Sequence[str]] = []

    def die(texts: Sequence[str], language: str) -> Sequence[str]:
        asked.append(texts)
        raise HostDiedError("the text process died")

    texts, notes = enriched(die, "twenty five", "thirty five", "四十五")
    assert texts == ["Twenty five.", "Thirty five.", "四十五。"]
    assert len(asked) == 1
    (note,) = notes
    assert note.startswith("writing numbers as digits failed") and "the text process died" in note


def test_an_answer_of_the_wrong_length_leaves_the_text_with_a_note():
    texts, notes = enriched(lambda texts, language: [], "twenty five")
    assert texts == ["Twenty five."]
    assert len(notes) == 1


def test_a_child_is_asked_only_where_digits_are_wanted_and_missing():
    class Counting:
        def punctuator(self) -> None:
            """No punctuation model is installed."""

        def normalizer(self) -> str:
            return "asked"

    def asked(engine: EngineInfo | None, options: Options) -> object:
        return pipeline.enrichment_for(engine, options, Counting(), config.Settings()).normalizer  # type: ignore[arg-type]

    engine = ENGINES["pocketsphinx"]
    assert asked(engine, Options(itn=True)) == "asked"
    assert asked(engine, Options()) is None
    assert asked(replace(engine, itn=True), Options(itn=True)) is None
    assert asked(None, Options(itn=True)) is None


@pytest.mark.parametrize(("itn", "text"), [(True, "25 boats."), (False, "Twenty five boats.")])
def test_a_task_that_wants_digits_has_them_in_its_result(tmp_path: Path, itn: bool, text: str):
    home = Home(tmp_path, {"https://example.com/a.wav": speech(1)})
    heard = home.hosts.recognize

    def counting(*args: Any, **more: Any) -> Iterator[Outcome]:
        for outcome in heard(*args, **more):
            said = timed_sentence("twenty five boats", [], outcome.span)
            yield replace(outcome, sentences=(said,))

    home.hosts.recognize = counting  # type: ignore[method-assign]
    home.hosts.normalizer = lambda: lambda texts, language: ["25"] * len(texts)  # type: ignore[method-assign]
    task = run(home, "https://example.com/a.wav", options=Options(itn=itn))
    home.worker.stop()
    assert msgspec.json.decode(result_of(home, only(task)))["transcripts"][0]["text"] == text


def test_the_child_starts_with_the_first_number_and_serves_both_languages():
    me = psutil.Process()
    with Hosts(config.load(), slots=1) as hosts:
        before = me.children()
        normalizer = hosts.normalizer()
        assert me.children() == before
        assert normalizer(["twenty five", "ten"], "en") == ("25", "ten")
        assert normalizer(["三十五"], "zh") == ("35",)
        (child,) = set(me.children()) - set(before)
        child.kill()
        child.wait()
        assert normalizer(["三十五"], "zh") == ("35",), "one that died is replaced"
        with pytest.raises(HostError, match="cannot answer Normalize"):
            normalizer(["fünf"], "de")


def test_a_child_that_takes_too_long_to_start_is_a_host_error():
    with Hosts(config.load(), slots=1, bounds=Bounds(load_s=0.001)) as hosts, pytest.raises(HostTimeoutError):
        hosts.normalizer()(["twenty five"], "en")


def test_a_text_that_the_grammar_cannot_read_comes_back():
    class Odd:
        def normalize(self, text: str) -> str:
            if text == "bad":
                raise RuntimeError("no path")
            return "" if text == "empty" else text.upper()

    role = TextRole()
    role._normalizers = {"en": Odd()}
    (reply,) = role.answer(Normalize(("fine", "bad", "empty"), "en"))
    assert reply == TextsReply(("FINE", "bad", "empty"))


def test_a_text_child_does_only_what_it_was_loaded_for(monkeypatch: pytest.MonkeyPatch):
    role = TextRole()
    with pytest.raises(Exception, match="cannot answer Normalize"):
        next(role.answer(Normalize(("one",), "en")))
    with pytest.raises(Exception, match="cannot answer Punctuate"):
        next(role.answer(Punctuate("one")))
    monkeypatch.setitem(__import__("sys").modules, "wetext", None)
    with pytest.raises(EngineUnavailableError, match="wetext"):
        list(role.answer(Load(b"{}")))
