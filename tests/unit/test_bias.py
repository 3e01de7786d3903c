"""Hotwords behind the engine: what sounds like a term becomes it, everything else stays as it was heard."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashscribe.enrich import Enrichment
from dashscribe.enrich.bias import Bias
from dashscribe.enrich.bias.lexicon import chinese_words, common_english, readings
from dashscribe.enrich.bias.sounds import ways
from dashscribe.pronunciation.dictionary import sayings
from dashscribe.types import Fate, Hotword, Options, Outcome, Sentence, Span, Word
from dashscribe.words import Heard, timed_sentence

WORD_MS = 300


def heard(text: str, confidence: float | None = None, language: str | None = None) -> Sentence:
    """A sentence as an engine gives it: each word, or Han character, takes 300 ms, nothing between them."""
    marks = [Heard(at, at + 1, at * WORD_MS, (at + 1) * WORD_MS) for at in range(len(text))]
    sentence = timed_sentence(text, marks, Span(0, len(text) * WORD_MS))
    words = tuple(
        replace(word, begin_ms=at * WORD_MS, end_ms=(at + 1) * WORD_MS, confidence=confidence, approximate=False)
        for at, word in enumerate(sentence.words)
    )
    spoken = ("en" if text.isascii() else "zh") if language is None else language
    return replace(sentence, begin_ms=0, end_ms=len(words) * WORD_MS, words=words, language=spoken)


def corrected(sentence: Sentence | str, *terms: str | tuple[str, int], context: str = "") -> Sentence:
    hotwords = tuple(Hotword(*term) if isinstance(term, tuple) else Hotword(term) for term in terms)
    given_sentence = heard(sentence) if isinstance(sentence, str) else sentence
    (result,) = Bias(Options(hotwords=hotwords, context=context)).correct([given_sentence])
    return result


@pytest.mark.parametrize(
    ("said", "term", "text"),
    [
        ("the dash scribe server", "DashScribe", "the DashScribe server"),
        ("the kestral bridge was closed", "Kestrel Bridge", "the Kestrel Bridge was closed"),
        ("he spoke of para farmer today", "Paraformer", "he spoke of Paraformer today"),
        ("mr vander slit moved", "Vandersloot", "mr Vandersloot moved"),
        ("the tara farm files", "Terraform", "the Terraform files"),
        ("we use post gress here", "Postgres", "we use Postgres here"),
        ("go to land of no by train", "Llandudno", "go to Llandudno by train"),
        ("kestrel bridge is old", "Kestrel Bridge", "Kestrel Bridge is old"),
        ("we met steven, then left", "Stephen", "we met Stephen, then left"),
        ("the g p t model", "GPT", "the GPT model"),
        ("the a w s bill", "AWS", "the AWS bill"),
        ("the w t o talks", "WTO", "the WTO talks"),
    ],
)
def test_english_that_sounds_like_a_term_becomes_the_term(said: str, term: str, text: str) -> None:
    assert corrected(said, term).text == text


@pytest.mark.parametrize(
    ("said", "term", "text"),
    [
        ("我们去海拉儿看看", "海拉尔", "我们去海拉尔看看"),
        ("今天张三风说话", "张三丰", "今天张三丰说话"),
        ("今天章山丰说话", "张三丰", "今天张三丰说话"),  # zh and z, an and ang
        ("请接蓝您先生", "兰宁", "请接兰宁先生"),  # in and ing
        ("这是刘兰的书", "刘楠", "这是刘楠的书"),  # n and l
        ("他叫伏昊然", "胡浩然", "他叫胡浩然"),  # f and h
        ("通易千文很好用", "通义千问", "通义千问很好用"),
        ("买了五机手机", "5G", "买了五机手机"),  # letters are no syllables of Mandarin
        ("这是阿里把把的", "阿里巴巴", "这是阿里巴巴的"),
        ("重清市的天气", "重庆市", "重庆市的天气"),  # chóng, though zhòng comes first
    ],
)
def test_chinese_homophones_of_a_term_become_the_term(said: str, term: str, text: str) -> None:
    assert corrected(said, (term, 5)).text == text


@pytest.mark.parametrize(
    ("said", "term"),
    [
        ("the harbor was open all night", "Kestrel Bridge"),
        ("the invention of printing", "Contention"),
        ("we met a comical man", "Okonkwo"),
        ("he was here", "AWS"),  # as a word it has two sounds, spelled out it has ten
        ("ask what you can do", "WTO"),
        ("would you like tea", "WTO"),
        ("kestrels are birds", "Kestrel"),  # an ending of grammar
        ("we walked over the bridge", "Bridget"),
        ("we were listening guys freedom noise", "Clostridium"),  # everybody's words in a row
        ("语义识别很重要", "语音识别"),
        ("我们理解你", "李杰"),  # the same without its tones
        ("动力机组在这里", "力基"),  # over the edge of a word
        ("月亮很大", "岳"),  # one syllable
        ("今天天气很好", "田七"),
    ],
)
def test_what_is_only_near_stays_as_it_was(said: str, term: str) -> None:
    sentence = heard(said)
    assert corrected(sentence, term) is sentence


@pytest.mark.parametrize(
    ("said", "term", "weights"),
    [
        ("he met the wright brothers", "Rite", {4: "he met the Rite brothers", 1: "he met the Rite brothers"}),
        ("a night in the hills", "Knight", {-6: "a night in the hills", 1: "a night in the hills"}),
        ("a night in the hills", "Knight", {4: "a Knight in the hills", 5: "a Knight in the hills"}),
        ("the lake of lofaten", "Lofoten", {-6: "the lake of lofaten", 1: "the lake of Lofoten"}),
        ("professor kellchick spoke", "Kowalczyk", {1: "professor kellchick spoke", 5: "professor Kowalczyk spoke"}),
        ("今天章山丰说话", "张三丰", {-6: "今天章山丰说话", 1: "今天章山丰说话", 5: "今天张三丰说话"}),
        ("the effort metal are diet", "Metoprolol", {5: "the effort metal are diet", 50: "the effort Metoprolol diet"}),
        ("他姓月", "岳", {4: "他姓月", 5: "他姓岳"}),
    ],
)
def test_the_weight_decides_how_near_is_near_enough(said: str, term: str, weights: dict[int, str]) -> None:
    for weight, text in weights.items():
        assert corrected(said, (term, weight)).text == text, weight


def test_a_disfavored_word_is_no_longer_protected_from_a_favored_one() -> None:
    assert corrected("please write it down", ("Wright", 1)).text == "please write it down"
    assert corrected("please write it down", ("Wright", 1), ("write", -6)).text == "please Wright it down"


def test_words_that_hold_sentences_together_are_never_a_term() -> None:
    assert (
        corrected("it was for the two of you", ("Fore", 50), ("Tu", 50), ("Ewe", 50)).text
        == "it was for the two of you"
    )


def test_the_longest_term_wins_and_terms_do_not_overlap() -> None:
    assert corrected("the kestral bridge road", "Kestrel", "Kestrel Bridge").text == "the Kestrel Bridge road"
    assert (
        corrected("the kestral britch road", "Kestrel", "Kestrel Bridge").text == "the Kestrel Bridge road"
    )  # the shorter one is nearer
    assert corrected("在海拉儿机场", "海拉尔", "海拉尔机场").text == "在海拉尔机场"
    assert corrected("在海拉而机厂", "海拉尔", ("海拉尔机场", 5)).text == "在海拉尔机场"


def test_a_term_that_is_there_keeps_its_words_from_other_terms() -> None:
    sentence = heard("the Kestrel Bridge road")
    assert corrected(sentence, "Kestrel Bridge", ("Castro Bridge", 50)) is sentence


def apart(sentence: Sentence, at: int, pause_ms: int) -> Sentence:
    """The same with a pause before word ``at``."""
    words = tuple(
        replace(word, begin_ms=word.begin_ms + pause_ms, end_ms=word.end_ms + pause_ms) if number >= at else word
        for number, word in enumerate(sentence.words)
    )
    return replace(sentence, words=words, end_ms=sentence.end_ms + pause_ms)


def test_nothing_is_put_together_over_a_pause_or_a_mark() -> None:
    sentence = heard("the dash scribe server")
    assert corrected(apart(sentence, 2, 299), "DashScribe").text == "the DashScribe server"
    assert corrected(apart(sentence, 2, 300), "DashScribe").text == "the dash scribe server"
    assert corrected("they dash, scribe the server", "DashScribe").text == "they dash, scribe the server"
    assert corrected("去海，拉儿在", "海拉尔").text == "去海，拉儿在"


def test_words_that_are_stretched_over_other_sound_are_no_term() -> None:
    sentence = heard("the dash scribe server")
    words = list(sentence.words)
    words[2] = replace(words[2], end_ms=words[2].end_ms + 4_000)
    words[3] = replace(words[3], begin_ms=words[3].begin_ms + 4_000, end_ms=words[3].end_ms + 4_000)
    stretched = replace(sentence, words=tuple(words), end_ms=sentence.end_ms + 4_000)
    assert corrected(stretched, ("Dashscrive", 5)) is stretched


def test_nothing_is_put_into_silence() -> None:
    silence = Outcome(Span(0, 1_000), Fate.NON_SPEECH)
    enrichment = Enrichment(Options(hotwords=(Hotword("Kestrel", 50), Hotword("岳", 50)), context="Kestrel"))
    assert list(enrichment.sentences([silence.span], lambda span: silence)) == []
    assert enrichment.notes == []


def test_a_word_that_the_engine_is_sure_of_gives_way_to_the_same_sound_only() -> None:
    assert corrected(heard("the kestral was there", 0.89), "Kestrel").text == "the Kestrel was there"
    assert corrected(heard("the kastrel was there", 0.89), "Kestrel").text == "the Kestrel was there"
    assert corrected(heard("the kastrel was there", 0.9), ("Kestrel", 50)).text == "the kastrel was there"
    assert corrected(heard("去海拉儿", 1.0), "海拉尔").text == "去海拉尔"


def test_words_take_case_and_spelling_from_the_list_and_times_from_what_was_heard() -> None:
    sentence = corrected(heard("see the dash scribe, it works", 0.5), "DashScribe")
    assert sentence.text == "see the DashScribe, it works"
    assert sentence.words[2] == Word(600, 1_200, "DashScribe", ", ", 0.5)
    split = corrected("the kestralbridge road", ("Kestrel Bridge", 5))
    assert [(word.text, word.begin_ms, word.end_ms) for word in split.words[1:3]] == [
        ("Kestrel ", 300, 461),
        ("Bridge ", 461, 600),
    ]
    quoted = corrected("“kestral” was there", "Kestrel")
    assert quoted.text == "“Kestrel” was there"


def test_times_that_nobody_measured_stay_marked() -> None:
    sentence = heard("the kestral was there")
    words = tuple(replace(word, approximate=True) for word in sentence.words)
    assert corrected(replace(sentence, words=words), "Kestrel").words[1].approximate


def test_times_between_words_that_share_the_time_of_another_number_are_marked() -> None:
    shared = corrected("the castrelbridge opened", "Kestrel Bridge")
    assert shared.text == "the Kestrel Bridge opened"
    assert [word.approximate for word in shared.words] == [False, True, True, False]


@pytest.mark.parametrize("language", ["de", "ja", "yue", "fr"])
def test_other_languages_pass_through(language: str) -> None:
    sentence = heard("the dash scribe server", language=language)
    assert corrected(sentence, "DashScribe") is sentence
    han = heard("去海拉儿", language=language)
    assert corrected(han, "海拉尔") is han


def test_a_language_that_nobody_told_is_read_by_its_script_unless_the_hints_speak_against_it() -> None:
    sentence = heard("the dash scribe server", language="")
    assert corrected(sentence, "DashScribe").text == "the DashScribe server"
    bias = Bias(Options(hotwords=(Hotword("DashScribe"),), languages=("de",)))
    assert list(bias.correct([sentence])) == [sentence]
    kana = heard("海拉儿に行く", language="")
    assert corrected(kana, "海拉尔") is kana


def test_terms_of_other_languages_and_scripts_are_not_corrected_into() -> None:
    bias = Bias(Options(hotwords=(Hotword("Кестрел"), Hotword("かな"), Hotword("kestral", 4, "de"))))
    sentence = heard("the kestrel was there")
    assert list(bias.correct([sentence])) == [sentence]


def test_corrections_are_counted_in_one_note() -> None:
    options = Options(hotwords=(Hotword("DashScribe"), Hotword("Kestrel")))
    enrichment = Enrichment(options)
    outcome = Outcome(Span(0, 2_000), Fate.TRANSCRIBED, (heard("the dash scribe server"),))
    (sentence,) = enrichment.sentences([outcome.span], lambda span: outcome)
    assert sentence.text == "The DashScribe server."
    other = Outcome(Span(0, 2_000), Fate.TRANSCRIBED, (heard("the kestral and the kestrel"),))
    (sentence,) = enrichment.sentences([other.span], lambda span: other)
    assert sentence.text == "The Kestrel and the Kestrel."
    assert enrichment.notes == ["hotwords: 2 words corrected"]


@pytest.mark.parametrize(
    "context",
    [
        "Bulge Bracket, Boutique, Middle Market, domestic securities firms",
        "Bulge Bracket Boutique Middle Market domestic securities firms",
        "['Bulge Bracket', 'Boutique', 'Middle Market', 'domestic securities firms']",
        "Investment banks fall into four categories: Bulge Bracket, Boutique, and others. Goldman Sachs is a Bulge "
        "Bracket bank.",
        "Wang Haoyu, Zhang Zixuan and nine others wrote: Bulge Bracket banks are the top nine. Li Mohan, Chen Siyu.",
    ],
)
def test_contexts_of_every_documented_form_give_their_terms(context: str) -> None:
    assert corrected("the nine top banks bulj bracket and so on", context=context).text == (
        "the nine top banks Bulge Bracket and so on"
    )


def test_names_in_an_english_context_are_weak() -> None:
    assert corrected("the lake of lofaten", ("Lofoten", 1)).text == "the lake of Lofoten"
    assert corrected("the lake of lofaten", context="Lofoten").text == "the lake of lofaten"


def test_names_in_a_chinese_context_are_weak() -> None:
    context = "参会人：王晓明、李四光，王小明；海拉尔 机场"
    assert corrected("我见到了王小名", context=context).text == "我见到了王小明"
    assert corrected("我见到了汪晓铭", context=context).text == "我见到了汪晓铭"
    assert corrected("我见到了王小猛", context=context).text == "我见到了王小猛"
    assert corrected("他叫王小名", ("王小明", -6), context="王小明").text == "他叫王小名"


def test_readings_and_sayings_are_those_of_the_libraries() -> None:
    assert ("h", "ang", 2) in readings("行")
    assert readings("女")[0] == ("n", "v", 3)
    assert sayings("bridge") == (("B", "R", "IH", "JH"),)
    assert len(sayings("the")) == 2
    assert sayings("kestrel") == () and sayings("") == () and sayings("Ω") == ()
    assert ways("DashScribe")[0].tokens == ("D", "AE", "SH", "S", "K", "R", "AY", "B")
    assert ways("Кестрел") == ways("...") == ways("") == ()


WORDS = st.sampled_from(
    ["the", "dash", "scribe", "kestral", "bridge", "castro", "of", "no", "land", "night", "a", *"海拉儿尔张三风丰理解"]
)
TERMS = st.sampled_from(
    ["DashScribe", "Kestrel Bridge", "Llandudno", "海拉尔", "张三丰", "Knight", "A, B", "岳", "C++"]
)


@given(
    st.lists(
        st.tuples(WORDS, st.sampled_from(["", "", ",", "。", "“"]), st.integers(0, 400), st.integers(0, 500)),
        max_size=12,
    ),
    st.lists(st.tuples(TERMS, st.sampled_from([-6, 1, 3, 4, 5, 50])), max_size=6),
)
def test_words_rebuild_the_text_times_stay_in_order_and_other_words_are_untouched(
    spoken: list[tuple[str, str, int, int]], terms: list[tuple[str, int]]
) -> None:
    words: list[Word] = []
    at_ms = 0
    for text, mark, gap_ms, long_ms in spoken:
        space = " " if text.isascii() else ""
        opening, mark = ("“", "") if mark == "“" else ("", mark)
        words.append(
            Word(
                at_ms + gap_ms,
                at_ms + gap_ms + long_ms,
                opening + text + space * (not mark),
                mark + space if mark else "",
            )
        )
        at_ms += gap_ms + long_ms
    text = "".join(word.text + word.punctuation for word in words)
    sentence = Sentence(begin_ms=0, end_ms=at_ms + 1, text=text, words=tuple(words))
    result = corrected(sentence, *terms)
    assert "".join(word.text + word.punctuation for word in result.words) == result.text
    assert all(word.begin_ms <= word.end_ms for word in result.words)
    assert all(left.end_ms <= right.begin_ms for left, right in pairwise(result.words))
    spelled = {part for term, _ in terms for part in term.replace(",", " ").split()} | set("".join(t for t, _ in terms))
    for word in result.words:
        assert word in sentence.words or word.text.strip(" “") in spelled
    assert corrected(result, *terms).text == result.text or len(terms) > 1


def test_thousands_of_names_in_a_context_are_put_into_nothing_else() -> None:
    draw = Random(3)
    family, given_names = (
        "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗",
        "子梓浩宇轩涵怡欣佳雨晨嘉俊明杰华伟强军平刚建国文重要发展世界心",
    )
    names = [draw.choice(family) + "".join(draw.choices(given_names, k=draw.choice((1, 2)))) for _ in range(4_000)]
    names += [f"{draw.choice(sorted(common_english())).title()} {draw.choice('ABCDE')}over" for _ in range(1_000)]
    bias = Bias(Options(context="、".join(names)))
    words = sorted(word for word in chinese_words() if word.isprintable())
    sentences = [heard("".join(draw.choices(words, k=8)), language="zh") for _ in range(150)]
    sentences += [heard(" ".join(draw.choices(sorted(common_english()), k=15))) for _ in range(150)]
    assert list(bias.correct(sentences)) == sentences
    assert bias.note() == ""
