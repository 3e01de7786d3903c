"""Filler words and stutters of Chinese and English, left out with their times.

``RULES`` lists the rules in order; each looks at the words of one sentence and names those that go. A word that means
something elsewhere goes only on evidence: a mark or a pause beside it, or what stands around it. In doubt it stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dashscribe.enrich.cutting import Hole, cut
from dashscribe.types import Sentence, Word, is_unspaced
from dashscribe.words import STOPS

#: Silence from this length on parts a word from its neighbor as a comma would: readers pause 0.3 s and more at commas.
PAUSE_MS = 300
LANGUAGES = frozenset(("zh", "en"))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Never anything but a hesitation, unless a question: "Hmm?". Some ring with the next word: "uh huh", "uh oh".
SOUNDS = _words("um umm ummm uh uhh uhhh uhm er erm hm hmm hmmm 呃 嗯")
_ANSWERS = _words("huh oh 逆 哼")
#: A hesitation only where it stands by itself: 啊 ends sentences (是啊), 额 begins words (额度).
ALONE = _words("啊 额")
#: What a listener takes for English when nobody says what the language is: "um" is a word in German and Portuguese.
_ENGLISH = _words(
    "the and you that this what have are my i'm i've it's don't that's think know with not yes yeah okay well just they"
)
#: English words that stand twice by accident only. Not "that that", "had had", "in in", "told you you can".
TWICE = _words(
    "the a an i we they he she and or but if of to at with from my your our their these this would could should "
    "because i'm it's we're they're i've that's he's she's there's when"
)
#: A determiner needs its noun, so that these repeat with the word before them: "in the in the".
_DETERMINERS = _words("the a an my your our their this these")
#: What ends no clause, so that it is said again behind a comma by accident only. Not "what I want to, to be honest".
_ENDING_NONE = _words(
    "the a an my your our their i we they he she and or but because "
    "i'm it's we're they're i've that's he's she's there's"
)
#: What no clause ends with, so that a comma behind it belongs to the filler: "the, um, door".
_OPEN = TWICE | _words("in on for as is are was were will can not so that's it you")
#: What no clause begins with: "the door, um, is open".
_GOING_ON = _words("is are was were am has had will would can could should to of in on at for with from that than")
#: Beginnings of English words that are no words: "th the", "wh what". Not "st" and "dr", which are short for something.
_ONSETS = _words("th wh sh ch tr pr br gr cr fr bl cl fl gl pl sl sp sw thr str spr")
#: Single characters that are doubled by accident where a clause begins; elsewhere the first may end another
#: word (告诉我我们, 突然然后). Not 是, 对, 不, 好, 有, 没, which answer, nor 看, 试, 慢, doubled with a meaning.
DOUBLED = _words("我 你 您 他 她 它 咱 这 那 就 在 把 被 和 跟 也 还 因 所 但 如 然 虽 其 觉 应 什 怎 已 现 而 或")
#: A count or kind of thing: 那那个人 is "then that one".
_MEASURES = frozenset("个些种位样里边时天年次条件本张只么会儿")
_COMMAS = frozenset((",", "，", "、"))
#: What may stand between two times that something is said.
_BETWEEN = _COMMAS | frozenset(("", "-", "—", "——", "…", "……", "..."))
#: What may stand in front of a clause: 但是我我不去.
_LEADS = (
    "但是",
    "但",
    "因为",
    "所以",
    "然后",
    "如果",
    "而且",
    "就",
    "那",
    "觉得",
    "认为",
    "以为",
    "希望",
    "说",
    "想",
    "是",
)
#: Verbs that a pronoun may follow and close: 告诉我我我 keeps two.
_TAKING = frozenset("诉问给让叫请教骗知帮")
#: Words of two characters and more that nobody says twice on purpose; pronouns only where a clause begins.
PAIRS = (
    *("然后", "就是", "因为", "所以", "但是", "如果", "虽然", "其实", "而且", "或者", "不过", "比如", "这个", "那个"),
    *("我觉得", "应该", "已经", "现在"),
)
PRONOUNS = ("我们", "你们", "他们", "她们", "咱们")
#: Set off by marks, these are hesitations before a subject or the like: 那个，我想问. Before 很贵 they are subjects.
DEMONSTRATIVES = ("那个", "这个")
_FOLLOWING = (
    *("我", "你", "您", "他", "她", "咱", "请", "麻烦", "对不起", "不好意思", "大家", "然后", "所以", "因为", "如果"),
    *("但是", "今天", "明天", "昨天", "刚才", "嗯", "呃", "那个", "这个", "什么", "怎么说", "就是说"),
)
_SAYING = frozenset("很太真是不也都更最挺没有要可会能比多好贵在")
#: Phrases that are fillers only between commas, or in front of one at the beginning.
PHRASES = (("you", "know"), ("i", "mean"))
_SIMPLE = str.maketrans(
    "個們這後說覺應現麼還過為從雖實誰請煩對兒樣邊時條張隻訴問給讓騙幫認",
    "个们这后说觉应现么还过为从虽实谁请烦对儿样边时条张只诉问给让骗帮认",
)

#: A character of Chinese or a word of other writing, of which the text of a word may hold several.
_PART = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff]|[^\W\u2e80-\u9fff]+(?:['’.&@/:%+-]+[^\W\u2e80-\u9fff]+)*")


@dataclass(frozen=True, slots=True)
class Unit:
    """A spoken unit, a Latin word or a Chinese character: how it is compared, where it stands, what parts it.

    ``mark`` stands behind it, ``parted`` and ``closed`` say whether a mark, a pause or an end is before and behind it.
    """

    text: str
    written: str
    begin: int
    end: int
    mark: str
    parted: bool
    closed: bool


@dataclass(frozen=True, slots=True)
class Drop:
    """Units that go, by number; ``marks``: those behind them stay, ``comma``: the one before does."""

    first: int
    last: int
    marks: bool = True
    comma: bool = True


Rule = Callable[[Sequence[Unit], int], Drop | None]


def drop_fillers(sentences: Iterable[Sentence], languages: Sequence[str] = ()) -> Iterator[Sentence]:
    """The sentences without fillers and stutters; one that consisted of nothing else is left out.

    ``languages`` are hints for sentences whose language nobody measured.
    """
    for sentence in sentences:
        left = _without(sentence) if _is_known(sentence, languages) else sentence
        if left is not None:
            yield left


def _is_known(sentence: Sentence, languages: Sequence[str]) -> bool:
    """Whether the sentence is Chinese or English, as far as can be told."""
    if sentence.language:
        return sentence.language in LANGUAGES
    if languages and LANGUAGES.isdisjoint(languages):
        return False
    if any("\u3041" <= character <= "\u30ff" for character in sentence.text):
        return False  # kana
    if any(is_unspaced(character) and character.isalpha() for character in sentence.text):
        return True
    spoken = [unit.text for unit in units_of(sentence)]
    is_english = not _ENGLISH.isdisjoint(spoken) or any(word.text.strip() == "I" for word in sentence.words)
    return len(languages) == 1 or is_english or SOUNDS.issuperset(spoken)


def _without(sentence: Sentence) -> Sentence | None:
    """The sentence after each rule has found all that it finds."""
    left = sentence
    units = units_of(left)
    for rule in RULES:
        while holes := _found(rule, units):
            shorter = cut(left, holes)
            if shorter is None:
                return None
            left = shorter
            units = units_of(left)
    return left


def _found(rule: Rule, units: Sequence[Unit]) -> list[Hole]:
    """What a rule says that goes."""
    holes: list[Hole] = []
    at = 0
    while at < len(units):
        drop = rule(units, at)
        if drop is None:
            at += 1
        else:
            holes += _holes(units, drop)
            at = drop.last + 1
    return holes


def _holes(units: Sequence[Unit], drop: Drop) -> Iterator[Hole]:
    yield Hole(units[drop.first].begin, units[drop.last].end, drop.marks)
    if drop.first and not drop.comma:
        before = units[drop.first - 1]
        yield Hole(before.end, before.end + len(before.mark))


def units_of(sentence: Sentence) -> list[Unit]:
    """The units of a sentence in order."""
    found: list[Unit] = []
    at, last_mark = 0, "."
    words = sentence.words
    pauses = [True, *(_is_pause(left, right) for left, right in pairwise(words)), True]
    for number, word in enumerate(words):
        mark = word.punctuation.strip()
        parts = [match.span() for match in _PART.finditer(word.text)]
        for begin, end in parts:
            written = word.text[begin:end]
            own = mark if end == parts[-1][1] else ""
            parted = begin == parts[0][0] and (bool(last_mark) or pauses[number])
            closed = bool(own) or (end == parts[-1][1] and pauses[number + 1])
            text = written.lower().replace("’", "'").translate(_SIMPLE)
            found.append(Unit(text, written, at + begin, at + end, own, parted, closed))
        at += len(word.text) + len(word.punctuation)
        last_mark = mark
    return found


def _is_pause(left: Word, right: Word) -> bool:
    """Whether silence was measured between two words."""
    return not (left.approximate or right.approximate) and right.begin_ms - left.end_ms >= PAUSE_MS


def _is_stop(mark: str) -> bool:
    """Whether a mark ends a sentence; dots that trail off end none."""
    mark = mark.replace("…", "").replace("...", "")
    return not STOPS.isdisjoint(mark) or mark.endswith(".")


def _is_question(mark: str) -> bool:
    return not {"?", "？", "!", "！"}.isdisjoint(mark)


def _drop_filler(units: Sequence[Unit], first: int, last: int) -> Drop:
    """These units, and the comma around them where nothing but they asked for it."""
    before, behind = units[max(first - 1, 0) : first], units[last + 1 : last + 2]
    commas = {unit.mark for unit in (*before, units[last])} <= {"", ","}
    goes_on = any(unit.text in _OPEN for unit in before) or any(unit.text in _GOING_ON for unit in behind)
    needless = commas and goes_on
    return Drop(first, last, marks=not needless, comma=not needless)


def sounds(units: Sequence[Unit], at: int) -> Drop | None:
    """um, uh, er, hmm, 呃, 嗯: always, unless part of an answer (uh huh), a question, or a name (the ER)."""
    unit = units[at]
    if unit.text not in SOUNDS or _is_question(unit.mark):
        return None
    if any(other.text in _ANSWERS for other in units[at + 1 : at + 2] if not unit.mark):
        return None
    if at and units[at - 1].text in ("uh", "mm") and not units[at - 1].mark:
        return None
    begins = at == 0 or _is_stop(units[at - 1].mark)
    if not begins and unit.written != unit.written.lower():
        return None
    if len(unit.written) > 1 and unit.written.isascii() and unit.written.isupper():
        return None
    return _drop_filler(units, at, at)


def alone(units: Sequence[Unit], at: int) -> Drop | None:
    """啊 and 额 that stand by themselves, and no answer or cry."""
    unit = units[at]
    if unit.text not in ALONE or not (unit.parted and unit.closed) or _is_question(unit.mark):
        return None
    only = len(units) == 1 or _is_stop(unit.mark)
    return None if only else _drop_filler(units, at, at)


def demonstratives(units: Sequence[Unit], at: int) -> Drop | None:
    """那个 and 这个 between marks or pauses, in front of what begins a clause; 那个人 and 我要那个 stay."""
    last = at + 1
    if _spelled(units, at, 2) not in DEMONSTRATIVES or last + 1 >= len(units):
        return None
    if not (units[at].parted and units[last].closed) or _is_stop(units[last].mark):
        return None
    following = _spelled(units, last + 1, 4)
    inside = at > 0 and bool(units[at - 1].mark) and not _is_stop(units[at - 1].mark)
    if following.startswith(_FOLLOWING) or (inside and bool(units[last].mark) and following[:1] not in _SAYING):
        return Drop(at, last)
    return None


def phrases(units: Sequence[Unit], at: int) -> Drop | None:
    """You know and I mean between commas, or at the beginning in front of one."""
    pair = tuple(unit.text for unit in units[at : at + 2])
    if pair not in PHRASES:
        return None
    last = at + 1
    begins = at == 0 or _is_stop(units[at - 1].mark)
    ends = last == len(units) - 1
    if begins and units[last].mark == "," and not ends:
        return Drop(at, last)
    if not begins and units[at - 1].mark == "," and (units[last].mark == "," or (ends and units[last].mark == ".")):
        return _drop_filler(units, at, last)
    return None


def beginnings(units: Sequence[Unit], at: int) -> Drop | None:
    """Words that were broken off and begun anew: th- the, wh what."""
    unit = units[at]
    if at + 1 == len(units) or not unit.text.isascii() or not unit.text.isalpha():
        return None
    whole = units[at + 1].text
    broken = unit.mark in ("-", "--", "—", "–", "...", "…") and len(unit.text) < 4
    if (
        len(whole) > len(unit.text)
        and whole.startswith(unit.text)
        and (broken or (unit.text in _ONSETS and not unit.mark))
    ):
        return Drop(at, at, marks=False)
    return None


def twice(units: Sequence[Unit], at: int) -> Drop | None:
    """Function words said again: the the, I, I; in the in the."""
    for size in (1, 2):
        words = [unit.text for unit in units[at : at + size]]
        fits = words[0] in TWICE if size == 1 else words[-1] in _DETERMINERS and words[0] in _OPEN
        if fits and _is_again(units, at, size) and at + 2 * size < len(units):
            return Drop(at, at + size - 1, marks=False)
    return None


def doubled(units: Sequence[Unit], at: int) -> Drop | None:
    """我我我想, and 因因为, a word begun anew: where a clause begins, or three times and more."""
    text = units[at].text
    if text not in DOUBLED or not _is_again(units, at, 1):
        return None
    count = 2
    while _is_again(units, at + count - 1, 1):
        count += 1
    following = _spelled(units, at + count, 2)
    if not following or (text == "和" and following[:1] == following[1:]):  # 和和气气
        return None
    if begins_clause(units, at):
        is_then = text in "那这" and count == 2 and following[:1] in _MEASURES and units[at].mark == ""
        return None if is_then and text == "那" else Drop(at, at + count - 2, marks=False)
    if count < 3:
        return None
    kept = 2 if units[at - 1].text in _TAKING else 1
    return Drop(at, at + count - 1 - kept, marks=False)


def pairs(units: Sequence[Unit], at: int) -> Drop | None:
    """然后然后, 那个那个; 我们我们 where a clause begins."""
    for size in (3, 2):
        text = _spelled(units, at, size)
        fits = text in PAIRS or (text in PRONOUNS and begins_clause(units, at))
        if fits and len(text) == size and _is_again(units, at, size) and at + 2 * size < len(units):
            return Drop(at, at + size - 1, marks=False)
    return None


def begins_clause(units: Sequence[Unit], at: int) -> bool:
    """Whether a mark or a pause stands before, or a word that leads on to a clause."""
    return units[at].parted or "".join(unit.text for unit in units[max(at - 2, 0) : at]).endswith(_LEADS)


def _is_again(units: Sequence[Unit], at: int, size: int) -> bool:
    """Whether the units are said a second time right behind, with no more than a comma or dots between.

    A comma may as well part two clauses, 就是他，他来了, unless a mark or a pause stands before the first, too.
    """
    first, second = units[at : at + size], units[at + size : at + 2 * size]
    if len(second) < size or [unit.text for unit in first] != [unit.text for unit in second]:
        return False
    if first[0].written.islower() and second[0].written[:1].isupper() and first[0].text[0] != "i":
        return False  # a name: "the The Hague office"
    if first[-1].mark in _COMMAS and not first[0].parted and first[-1].text not in _ENDING_NONE:
        return False
    return not any(unit.mark for unit in first[:-1]) and first[-1].mark in _BETWEEN


def _spelled(units: Sequence[Unit], at: int, count: int) -> str:
    """The text of some units, as long as no mark parts them."""
    text = ""
    for unit in units[at : at + count]:
        text += unit.text
        if unit.mark:
            break
    return text


#: In this order: what a sound parted may turn out to be a stutter.
RULES: tuple[Rule, ...] = (sounds, alone, phrases, demonstratives, beginnings, twice, pairs, doubled)
