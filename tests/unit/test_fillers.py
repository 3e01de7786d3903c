"""Fillers and stutters go with their times and marks; whatever may mean something stays."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from dashscribe import ledger
from dashscribe.enrich.fillers import RULES, drop_fillers
from dashscribe.types import Fate, Outcome, Sentence, Span, Word
from dashscribe.words import Heard, timed_sentence, written_words

WORD_MS, GAP_MS, LONG_MS = 200, 40, 500


def spoken(text: str, language: str = "", pauses: Collection[int] = ()) -> Sentence:
    """A sentence whose words lie close together, but for a long silence behind those of these numbers."""
    heard: list[Heard] = []
    at_ms = 1000
    for number, word in enumerate(written_words(text)):
        heard.append(Heard(word.begin, word.end, at_ms, at_ms + WORD_MS))
        at_ms += WORD_MS + (LONG_MS if number in pauses else GAP_MS)
    return timed_sentence(text, heard, Span(1000, at_ms + 1000), language=language)


def left(sentence: Sentence, *languages: str) -> str:
    """The text without fillers, proven to keep every promise; the empty string if nothing is left."""
    found = list(drop_fillers([sentence], languages))
    assert len(found) <= 1
    for one in found:
        span = Span(sentence.begin_ms, sentence.end_ms)
        assert ledger.admit(Outcome(span, Fate.TRANSCRIBED, (one,)), span).sentences == (one,)
    return found[0].text if found else ""


CHINESE_GONE = [
    ("嗯，我想问一下。", "我想问一下。"),
    ("呃我想问一下。", "我想问一下。"),
    ("我想问，嗯，一下。", "我想问，一下。"),
    ("我想嗯问一下。", "我想问一下。"),
    ("他走了嗯，我没走。", "他走了，我没走。"),
    ("我知道，嗯。", "我知道。"),
    ("我知道嗯", "我知道"),
    ("嗯……我想想。", "我想想。"),
    ("啊……我想想。", "我想想。"),
    ("那个……我想想。", "我想想。"),
    ("嗯嗯，好的。", "好的。"),
    ("嗯。", ""),
    ("嗯，呃，嗯。", ""),
    ("啊，我想问一下。", "我想问一下。"),
    ("然后，啊，我们就走了。", "然后，我们就走了。"),
    ("额，这件事不好说。", "这件事不好说。"),
    ("那个，我想问一下。", "我想问一下。"),
    ("那個，我們想問一下。", "我們想問一下。"),
    ("我觉得，那个，他不来了。", "我觉得，他不来了。"),
    ("这个，这个，我也不知道。", "我也不知道。"),
    ("我们去买，那个，电池。", "我们去买，电池。"),
    ("我我我想去。", "我想去。"),
    ("我，我想去。", "我想去。"),
    ("我……我想去。", "我想去。"),
    ("我，我，我不知道。", "我不知道。"),
    ("他说，我，我不知道。", "他说，我不知道。"),
    ("今天下雨，我我不去了。", "今天下雨，我不去了。"),
    ("但是我我不去。", "但是我不去。"),
    ("这件事我我我不知道。", "这件事我不知道。"),
    ("他告诉我我我错了。", "他告诉我我错了。"),
    ("这这这怎么办？", "这怎么办？"),
    ("因因为他不来。", "因为他不来。"),
    ("然然后我们就走了。", "然后我们就走了。"),
    ("我我们走吧。", "我们走吧。"),
    ("我们我们走吧。", "我们走吧。"),
    ("然后然后我们就走了。", "然后我们就走了。"),
    ("就是那个那个地方。", "就是那个地方。"),
    ("我觉得我觉得可以。", "我觉得可以。"),
    ("我我看看。", "我看看。"),
    ("嗯我嗯我想去。", "我想去。"),
    ("我们用 um Python 写。", "我们用 Python 写。"),
    ("呃，Python 很好。", "Python 很好。"),
]

CHINESE_STAYS = [
    *("看看这个。", "天天下雨。", "慢慢来。", "高高兴兴上班。", "试试吧。", "谢谢大家。", "常常这样。", "说说看。"),
    *(
        "对对对。",
        "是是是，您说得对。",
        "不不不，不是。",
        "好好好。",
        "没有没有。",
        "可以可以。",
        "五五分成。",
        "一一说明。",
    ),
    *("那个人走了。", "我要那个。", "那个，很贵。", "我喜欢那个颜色。", "那个？", "这个苹果，那个梨。", "这个是我的。"),
    *(
        "是啊。",
        "好啊，走吧。",
        "啊？",
        "啊！",
        "啊。",
        "然后啊，我们就走了。",
        "嗯？",
        "他呃逆了。",
        "嗯哼，不错。",
        "额度不够。",
    ),
    *("他告诉我我错了。", "我问他他不说。", "他突然然后走了。", "那那个人怎么办？", "和和气气。", "就是是我。"),
    *(
        "请告诉我们我们的名字。",
        "李莉莉来了。",
        "妈妈爸爸都在。",
        "他的电话是一三三三五五。",
        "成都都下雨。",
        "我。我知道。",
    ),
    *("他说我，我没听见。", "我不喜欢那个，那个太贵了。", "就是他，他来了。", "我要这个，这个好看。"),
    *("我想你，你想我吗？", "我等到现在，现在才明白。", "是我们，我们来做。"),
    *("研究所所以关门。", "供应应该够。", "实现现在的目标。", "例如如果下雨。"),
]

ENGLISH_GONE = [
    ("Um, I think so.", "I think so."),
    ("Um i think so.", "I think so."),
    ("So um the door is open.", "So the door is open."),
    ("The um door is open.", "The door is open."),
    ("I, um, think so.", "I think so."),
    ("The door, uh, is open.", "The door is open."),
    ("Well, um, we can go.", "Well, we can go."),
    ("We can go, um.", "We can go."),
    ("We can go um", "We can go"),
    ("Er, no. Hmm, yes.", "No. Yes."),
    ("Uh, um, hmm.", ""),
    ("The the door is open.", "The door is open."),
    ("the the door is open", "the door is open"),
    ("I I think so.", "I think so."),
    ("I, I, I think so.", "I think so."),
    ("I think the, the door is open.", "I think the door is open."),
    ("It's it's open.", "It's open."),
    ("We sat in the in the garden.", "We sat in the garden."),
    ("Th- the door is open.", "The door is open."),
    ("Look, wh- what is this?", "Look, what is this?"),
    ("and th the door", "and the door"),
    ("You know, I think so.", "I think so."),
    ("It was, you know, a long day.", "It was a long day."),
    ("I mean, it's late.", "It's late."),
    ("He left, I mean, he went home.", "He left, he went home."),
    ("The, um, the door is open.", "The door is open."),
    ("He left, to, to be honest, go home.", "He left, to be honest, go home."),
    ("“Um, yes,” he said.", "“Yes,” he said."),
]

ENGLISH_STAYS = [
    *("It is very very good.", "No no, please.", "Bye bye.", "Ha ha.", "He had had enough.", "I know that that is so."),
    *(
        "I told you you can go.",
        "What it is is late.",
        "They went in in the end.",
        "Uh huh.",
        "Uh oh.",
        "Hmm?",
        "So so.",
    ),
    *("Do you know him?", "You know what I mean.", "That's what I mean.", "You know the answer.", "I mean it."),
    *(
        "She is in the ER now.",
        "The UM team won.",
        "Five five seven.",
        "Call 5 5 7.",
        "Plan b but later.",
        "Duran Duran plays.",
    ),
    *("It costs a dollar, a dollar.", "This is it, it is late.", "She said no, no.", "Mr Mraz sings.", "A sh."),
    *("I don't want to, to be honest.", "I can't do this, this is crazy.", "I love these, these are great."),
    *("He knows what it's made of, of course.", "I really wish I could, could you help me?"),
    *("To err is human.", "Call the The Hague office.", "Add a (a number)."),
]


@pytest.mark.parametrize(("text", "expected"), CHINESE_GONE)
def test_chinese_fillers_and_stutters_go(text: str, expected: str) -> None:
    assert left(spoken(text, "zh")) == expected


@pytest.mark.parametrize("text", CHINESE_STAYS)
def test_what_means_something_in_chinese_stays(text: str) -> None:
    assert left(spoken(text, "zh")) == text


@pytest.mark.parametrize(("text", "expected"), ENGLISH_GONE)
def test_english_fillers_and_stutters_go(text: str, expected: str) -> None:
    assert left(spoken(text, "en")) == expected


@pytest.mark.parametrize("text", ENGLISH_STAYS)
def test_what_means_something_in_english_stays(text: str) -> None:
    assert left(spoken(text, "en")) == text


@pytest.mark.parametrize("text", [row[1] for row in CHINESE_GONE + ENGLISH_GONE if row[1]])
def test_a_second_time_changes_nothing(text: str) -> None:
    assert left(spoken(text, "en" if text.isascii() else "zh")) == text


def test_a_pause_is_evidence_where_there_are_no_marks() -> None:
    text = "啊我想问"
    assert left(spoken(text, "zh")) == text
    assert left(spoken(text, "zh", pauses=[0])) == "我想问"
    assert left(spoken("那个我喜欢", "zh")) == "那个我喜欢"
    assert left(spoken("那个我想问", "zh", pauses=[1])) == "我想问"
    assert left(spoken("今天下雨我我不去", "zh")) == "今天下雨我我不去"
    assert left(spoken("今天下雨我我不去", "zh", pauses=[3])) == "今天下雨我不去"


def test_times_that_nothing_measured_are_no_evidence() -> None:
    sentence = spoken("啊我想问", "zh", pauses=[0])
    words = tuple(Word(w.begin_ms, w.end_ms, w.text, approximate=True) for w in sentence.words)
    assert (
        left(Sentence(begin_ms=1000, end_ms=sentence.end_ms, text=sentence.text, words=words, language="zh"))
        == "啊我想问"
    )


def test_words_of_several_characters_lose_a_part() -> None:
    words = (Word(0, 300, "我我们"), Word(300, 600, "走吧", "。"))
    (found,) = drop_fillers([Sentence(begin_ms=0, end_ms=600, text="我我们走吧。", words=words, language="zh")])
    assert [(word.text, word.begin_ms, word.end_ms) for word in found.words] == [("我们", 0, 300), ("走吧", 300, 600)]


def test_a_sentence_begins_and_ends_with_the_words_that_are_left() -> None:
    sentence = spoken("Um, I think so, um.", "en")
    (found,) = drop_fillers([sentence])
    assert found.text == "I think so."
    assert (found.begin_ms, found.end_ms) == (sentence.words[1].begin_ms, sentence.words[3].end_ms)
    kept = [(word.begin_ms, word.end_ms) for word in sentence.words[1:4]]
    assert [(word.begin_ms, word.end_ms) for word in found.words] == kept


@pytest.mark.parametrize(
    ("text", "language"),
    [("Er geht um den See.", "de"), ("Um homem e um rio.", "pt"), ("嗯、そうです。", "ja"), ("唔該，嗯。", "yue")],
)
def test_other_languages_stay_as_they_are(text: str, language: str) -> None:
    assert left(spoken(text, language)) == text
    assert left(spoken(text), language) == text


@pytest.mark.parametrize("text", ["Er geht um den See.", "Um homem e um rio.", "そう嗯です。"])
def test_what_nobody_says_to_be_english_is_told_by_its_words(text: str) -> None:
    assert left(spoken(text)) == text
    assert left(spoken("Um, I think so.")) == "I think so."
    assert left(spoken("Um, yes.")) == "Yes."


def test_rules_are_documented() -> None:
    assert all(rule.__doc__ for rule in RULES)
