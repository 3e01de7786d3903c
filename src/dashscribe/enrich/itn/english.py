"""Where an English text says numbers that a reader wants as digits.

As for Chinese, only the numbers themselves are normalized: the normalizer alone writes "at 1st" and "the 4 july". Small
numbers stay words, as prose has them, but in dates, times, shares, amounts and rows of digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise

from dashscribe.enrich.itn.number import SMALL, Number, digits, is_counting, shaped

#: What is written in words by everybody. Expressions of small numbers ("one of them", "no one", "at sixes and sevens")
#: need no place here.
KEPT = (
    *("four score and seven", "three score and ten", "fifty fifty", "twenty four seven", "forty winks"),
    *("catch twenty two", "twenty twenty vision", "twenty twenty hindsight"),
    *("a thousand and one nights", "a (?:hundred|thousand)(?! and | per ?cent| dollars| euros)"),
)

_ONE = "(?:one|two|three|four|five|six|seven|eight|nine)"
_LATE_TEEN = "(?:thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen)"
_TEEN = f"(?:ten|eleven|twelve|{_LATE_TEEN})"
_TENS = "(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
_TO = "[ -]"
_SCALE = "(?:thousand|million|billion|trillion)"
_BELOW_100 = f"(?:{_TENS}{_TO}{_ONE}|{_TENS}|{_TEEN}|{_ONE})"
_BELOW_1000 = f"(?:(?:{_BELOW_100}|a){_TO}hundred(?:(?: and)? {_BELOW_100})?|{_BELOW_100})"
_WHOLE = f"(?:(?:(?:{_BELOW_1000}|a) {_SCALE}(?: and)? )*(?:(?:{_BELOW_1000}|a) {_SCALE}|{_BELOW_1000})|zero)"
_DIGIT = f"(?:{_ONE}|zero|oh)"
_DECIMAL = f"(?:{_WHOLE} point {_DIGIT}(?: {_DIGIT})*)"
_AMOUNT = f"(?:(?:{_DECIMAL}|{_WHOLE})(?: {_SCALE})?)"
_SMALL_ORDINAL = "(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth)"
_LARGE_ORDINAL = (
    f"(?:{_TENS}{_TO}{_SMALL_ORDINAL}|thirteenth|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth"
    "|twentieth|thirtieth|fortieth|fiftieth|sixtieth|seventieth|eightieth|ninetieth)"
)
_ORDINAL = f"(?:{_LARGE_ORDINAL}|{_SMALL_ORDINAL})"
_MONTH = "(?:january|february|april|june|july|august|september|october|november|december)"
#: These are verbs, too: a day has to tell them apart.
_VERB_MONTH = "(?:march|may)"
#: What tens are part of: the forty niners, twenty somethings.
_NICKNAME = f"{_TENS}{_TO}(?:something|somethings|sixers|niner|niners|sixed)"
_CENTURY = f"(?:{_LATE_TEEN}|twenty)"
_YEAR = (
    f"(?:{_CENTURY} (?:{_TENS}{_TO}{_ONE}|{_TENS}|{_TEEN}|oh{_TO}{_ONE}|hundred(?: and {_BELOW_100})?)"
    f"|two thousand(?:(?: and)? {_BELOW_100})?)"
)
#: Years that may as well be two numbers, as in "twenty thirty people".
_DOUBTFUL_YEAR = re.compile(f"twenty {_TENS}|{_CENTURY} {_TEEN}", re.IGNORECASE)
_NUMBER_WORD = f"(?:{_DIGIT}|{_TEEN}|{_TENS}|hundred|{_SCALE})"
_PARTS = {
    **{"third": 3, "quarter": 4, "fourth": 4, "fifth": 5},
    **{"sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10},
}
_PART = f"(?:{'|'.join(_PARTS)})"
_ENDS = rf"(?![\w'’]|-\w|{_TO}(?:{_NUMBER_WORD}|{_ORDINAL})\b| point {_DIGIT}\b)"
_ENDS_WORD = r"(?![\w'’]|-\w)"
#: What a decimal measures, or what goes on behind one: "at one point five percent", no "at one point five people".
_MEASURED = (
    f"(?:per|percent|{_SCALE}|dollars|euros|cents|degrees|points|times|(?:kilo|centi|milli)?met(?:er|re)s|miles|feet|"
    "inches|(?:milli)?seconds|minutes|hours|days|weeks|months|years|pounds|(?:kilo)?grams|tons|liters|"
    r"and|or|to|in|on|for|from|as|at|by|with|but|is|was)\b"
)
_POINT = rf"(?:at|on) (?:that |this )?one point(?= {_DIGIT} (?!{_NUMBER_WORD}\b|{_MEASURED})\w)"

#: Of each kind of number: how it is said, the part that becomes digits in groups whose names begin with the kind's.
_PATTERNS: dict[str, str] = {
    "kept": rf"(?:{'|'.join(KEPT)}|{_NICKNAME})(?!\w|{_TO}{_NUMBER_WORD}\b)|{_POINT}",
    "date": rf"{_MONTH} (?:the )?(?P<date_day>{_ORDINAL}|{_BELOW_100})(?:,? (?P<date_year>{_YEAR}))?{_ENDS}",
    "verb_month": rf"{_VERB_MONTH} (?:the )?(?P<verb_month_day>{_ORDINAL})(?:,? (?P<verb_month_year>{_YEAR}))?{_ENDS}",
    "month": rf"(?:{_MONTH}|{_VERB_MONTH}) (?P<month_year>{_YEAR}){_ENDS}",
    "day_of": rf"(?P<day_of_nth>{_ORDINAL}) of (?:{_MONTH}|{_VERB_MONTH})\b(?:,? (?P<day_of_year>{_YEAR}){_ENDS})?",
    "clock": rf"(?P<clock_time>{_BELOW_100}(?: (?:oh{_TO}{_ONE}|{_BELOW_100}))?)(?= (?:[ap]\.?m\b|[ap] m\b))",
    "oclock": rf"(?P<oclock_hour>{_TEEN}|{_ONE})(?= o['’]?clock\b)",
    "percent": rf"{_AMOUNT} per ?cent{_ENDS_WORD}",
    "money": rf"{_AMOUNT} (?:dollars?|euros?)(?: and {_BELOW_100} cents?)?{_ENDS_WORD}",
    "fraction": rf"{_BELOW_100}{_TO}{_PART}s(?!\w)|one{_TO}{_PART}(?= of\b)",
    "version": rf"{_WHOLE}(?: point (?:{_BELOW_100}|{_DIGIT})){{2,}}{_ENDS}",
    "negative": rf"(?:minus|negative) (?:{_DECIMAL}|{_WHOLE}){_ENDS}",
    "decimal": rf"{_DECIMAL}(?= {_SCALE}\b|(?!{_TO}{_NUMBER_WORD}\b)){_ENDS_WORD}",
    "decade": rf"{_LATE_TEEN} (?:twenties|thirties|forties|fifties|sixties|seventies|eighties|nineties){_ENDS_WORD}",
    "ordinal": rf"(?:{_WHOLE}(?:(?<=hundred)|(?<=thousand)|(?<=illion)) and {_ORDINAL}|{_LARGE_ORDINAL}){_ENDS_WORD}",
    "scaled": rf"{_BELOW_1000}(?= (?:million|billion|trillion){_ENDS}(?! dollar| euro))",
    "year": rf"{_YEAR}{_ENDS}",
    "string": rf"(?!(?:oh )*oh(?! {_DIGIT}\b)){_DIGIT}(?: {_DIGIT}){{2,}}{_ENDS}",
    "large": rf"{_WHOLE}{_ENDS}",
}
#: Before a number that is the rest of another one, or the second of two without anything between them.
_AFTER_NUMBER = re.compile(rf"\b{_NUMBER_WORD}(?: point)?{_TO}$", re.IGNORECASE)
_AFTER_NUMBER_REACH = len("seventeen point ") + 1
#: Before what is a time and no verb's object.
_AFTER_PREPOSITION = re.compile(
    r"\b(?:in|on|of|since|until|till|by|from|to|before|after|year|around|late|early|mid) $", re.IGNORECASE
)
_PREPOSITION_REACH = len("around ") + 1
#: Between two numbers, of which the second is named: "between one hundred and ten thousand" may be a range.
_AFTER_BETWEEN = re.compile(r"\bbetween (?:\w+ )?$", re.IGNORECASE)
_BETWEEN_REACH = len("between approximately ") + 1
_SECOND = re.compile(rf"(?: \w+){{0,2}} and (?:{_NUMBER_WORD}|a)\b", re.IGNORECASE)
_SCALES = ("trillion", "billion", "million", "thousand")


@cache
def _finder() -> re.Pattern[str]:
    """All patterns in one; it takes a tenth of a second to compile, which every start of a process would wait for."""
    return re.compile(
        r"(?<![\w.'’-])(?:" + "|".join(f"(?P<{name}>{pattern})" for name, pattern in _PATTERNS.items()) + ")",
        re.IGNORECASE | re.ASCII,
    )


def english_numbers(text: str) -> Iterator[Number]:
    """The numbers of the text in order; none reaches into another."""
    for match in _finder().finditer(text):
        kind = match.lastgroup or ""
        if kind == "kept" or _AFTER_NUMBER.search(text, max(0, match.start() - _AFTER_NUMBER_REACH), match.start()):
            continue
        if kind in _PLACED:
            yield from _placed(kind, match)
        elif kind == "fraction":
            yield _fraction(match)
        elif kind == "negative":
            yield Number(match.start(), match.end(), _asked(match[0].partition(" ")[2]), digits("-"))
        elif not _is_doubtful(kind, match):
            yield Number(match.start(), match.end(), _asked(match[0]), _WHOLE_EXPRESSIONS[kind])


def _placed(kind: str, match: re.Match[str]) -> Iterator[Number]:
    """The numbers at named places of an expression; the words around them stay."""
    if kind == "verb_month" and match[f"{kind}_day"].lower() in ("first", "second") and not _is_led(match):
        return
    for place, written in _PLACES.items():
        name = f"{kind}_{place}"
        if name in match.groupdict() and match[name]:
            asked = _asked(match[name])
            if place == "time":
                asked += " p.m."  # the half of the day stays as it was said
            if place == "day" and match.string[: match.start(name)].lower().endswith("the "):
                written = _PLACES["nth"]
            yield Number(match.start(name), match.end(name), asked, written)


def _fraction(match: re.Match[str]) -> Number:
    over, _, under = match[0].lower().replace("-", " ").rpartition(" ")
    parts = _PARTS[under.removesuffix("s")]

    def written(answer: str) -> str:
        count = digits()(answer)
        return f"{count}/{parts}" if count and int(count) < parts and (count, parts) != ("2", 4) else ""

    return Number(match.start(), match.end(), over, written)


def _is_doubtful(kind: str, match: re.Match[str]) -> bool:
    """Whether words are better: "twenty second" may be a length, "twenty twenty" no year, and "one" is prose."""
    if _is_several(match):
        return True
    if kind == "large":
        return match[0].lower() in SMALL
    if kind == "ordinal":
        return match[0].lower().endswith("second")
    return kind == "year" and _DOUBTFUL_YEAR.fullmatch(match[0]) is not None and not _is_led(match)


def _is_several(match: re.Match[str]) -> bool:
    """Whether these may be numbers next to each other: "one thousand two thousand", "between one hundred and ten"."""
    scales = [_SCALES.index(word) for word in match[0].lower().split() if word in _SCALES]
    if any(left >= right for left, right in pairwise(scales)):
        return True
    begin = max(0, match.start() - _BETWEEN_REACH)
    is_between = " and " in match[0].lower() and _AFTER_BETWEEN.search(match.string, begin, match.start()) is not None
    return is_between and _SECOND.match(match.string, match.end()) is None


def _is_led(match: re.Match[str]) -> bool:
    """Whether a preposition stands before it."""
    begin = max(0, match.start() - _PREPOSITION_REACH)
    return _AFTER_PREPOSITION.search(match.string, begin, match.start()) is not None


def _asked(said: str) -> str:
    """The words as the normalizer knows them."""
    text = said.lower().replace("-", " ").replace("per cent", "percent")
    return re.sub(r"\ba (?=hundred|thousand|million|billion|trillion)", "one ", text)


def _day(answer: str) -> str:
    return digits()(re.sub(r"(?<=\d)(?:st|nd|rd|th)$", "", answer))


def _time(answer: str) -> str:
    """2:45; full hours without minutes, as they were said."""
    match = re.fullmatch(r"0?(\d{1,2}):?([0-5]\d) p\.m\.", answer)
    if not match or int(match[1]) > 24:
        return ""
    return match[1] if match[2] == "00" else f"{match[1]}:{match[2]}"


def _money(answer: str) -> str:
    return answer if re.fullmatch(r"[$€]\d+(?:\.\d\d?)?(?: (?:m|b|tr)illion)?", answer) else ""


def _row(answer: str) -> str:
    """Digits in a row; only telephone numbers of ten digits in groups."""
    row = re.sub(r"[ -]", "", answer)
    if not re.fullmatch(r"\d{3,}", row) or is_counting(row):
        return ""
    return answer if re.fullmatch(r"\d{3}-\d{3}-\d{4}", answer) else row


_ORDINAL_FORM = r"\d+(?:st|nd|rd|th)"
_PLACED = frozenset({"date", "verb_month", "month", "day_of", "clock", "oclock"})
_PLACES: dict[str, Callable[[str], str]] = {
    "day": _day,
    "nth": shaped(_ORDINAL_FORM),
    "time": _time,
    "hour": digits(),
    "year": shaped(r"\d{4}"),
}
_WHOLE_EXPRESSIONS: dict[str, Callable[[str], str]] = {
    "percent": shaped(r"\d+(?:\.\d+)?%"),
    "money": _money,
    "version": shaped(r"\d+(?:\.\d+)+"),
    "decimal": shaped(r"\d+\.\d+"),
    "decade": shaped(r"\d{4}s"),
    "ordinal": shaped(_ORDINAL_FORM),
    "scaled": digits(),
    "year": shaped(r"\d{4}"),
    "string": _row,
    "large": shaped(r"\d+"),
}
