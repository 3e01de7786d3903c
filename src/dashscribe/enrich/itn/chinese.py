"""Where a Chinese text says numbers that a reader wants as digits.

A normalizer that sees a whole sentence breaks idioms and names (十有八九 becomes 10有8~9) and turns words around
(下午两点四十五分 becomes 2:45p.m.). So the numbers are found here, and only they are normalized: what is no number
cannot change, the words around stay in their order, and it is known which characters a number stands for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

from dashscribe.enrich.itn.number import Number, digits, is_counting, shaped

#: What holds a number's words and is none, or is written in words by everybody. Expressions without a unit (三心二意,
#: 张三, 第一时间, 万一, 一起) need no place here: single digits are left alone but in dates, times and the like.
KEPT = (
    # idioms and sayings
    *("十全十美", "十拿九稳", "十有八九", "十之八九", "八九不离十", "十恶不赦", "十万火急", "十足", "十佳", "十指"),
    *("十面埋伏", "十年寒窗", "十年树木", "十年如一日", "十月怀胎", "十里八乡", "十里洋场", "十里长街", "合十"),
    *("十万八千里", "一五一十", "一目十行", "以一当十", "一传十", "十传百", "闻一知十", "一暴十寒", "五十步笑百步"),
    *("三十而立", "四十不惑", "五十知天命", "三十六计", "七十二变", "七十二行", "三百六十行", "十八般", "十八变"),
    *("十八罗汉", "十八层地狱", "九九八十一", "三七二十一", "三下五除二", "不怕一万", "二百五(?!十)", "七七八八"),
    *(
        "三十年河东",
        "三十年河西",
        "一百个放心",
        "一百八十个不",
        "一万个(?:放心|不)",
        "百分百",
        "一千零一夜",
        "十二分",
        "一百单八",
    ),
    *("一点一滴", "一点一点", "五花肉", "十二生肖"),
    # 十分 is "very", unless minutes or a fraction follow
    r"十分(?![钟之零〇一二三四五六七八九十])",
    # the lunar calendar
    *("[正腊冬]月[二三]?十[一二三四五六七八九]?", "初十", "八月十五"),
    "(?:农历|阴历|旧历)[一二三四五六七八九十年月初廿闰]+",
    # names of places, events and plans
    *("十字", "十堰", "十三陵", "十三行", "十渡", "十八里店", "十里铺", "九一八", "一二九", "一二八事变", "七七事变"),
    *("十[二三四五六七八九]?大(?=报告|精神|以来|召开|代表|会议)", "二十大(?!小)", "十[一二三四五]五(?=规划|期间|时期)"),
    *("十一(?=黄金周|假期|长假|国庆)", "双十(?![一二])", "三一五晚会", "二十四桥", "二十四史", "二十五史", "五十铃"),
    # fractions that are written in words
    r"[千万]分之[零一二三四五六七八九十百点]+",
)

_DIGIT = "零〇一二三四五六七八九"
_ONE = "[一二三四五六七八九两]"
_BELOW_QIAN = f"{_ONE}百(?:零?{_ONE}?十)?(?:零?{_ONE})?|{_ONE}?十{_ONE}?"
_BELOW_WAN = f"(?:{_ONE}千(?:零?{_ONE}百)?(?:零?{_ONE}?十)?(?:零?{_ONE})?|{_BELOW_QIAN})"
_PART = f"(?:{_BELOW_WAN}|{_ONE})"
#: Numbers from ten on, said with their units.
_LARGE = f"(?:{_PART}亿(?:零?{_PART}万)?(?:零?{_PART})?|{_PART}万(?:零?{_PART})?|{_BELOW_WAN})"
_WHOLE = f"(?:{_LARGE}|[{_DIGIT}两])"
_DECIMAL = f"(?:{_WHOLE}点[{_DIGIT}]+(?![十百千]))"
#: What goes on behind a point is no whole number, also where it is no decimal: 九十九点九几.
_NO_POINT = f"(?!点[{_DIGIT}])"
_VALUE = f"(?:{_DECIMAL}|{_WHOLE}{_NO_POINT})"
#: Neither goes on as a number on its left, nor is "some" tens.
_ALONE = rf"(?<![{_DIGIT}两十百千万亿几数点周\d])(?<!星期)(?<!礼拜)"
_ENDS = rf"(?![{_DIGIT}两十百万亿几来\d]|千(?![克米瓦伏赫卡])|好几)"
_HOUR = f"(?:二十[一二三四]?|十{_ONE}?|[{_DIGIT}两])"
_MINUTE = f"(?:[零〇]{_ONE}|[二三四五]?十{_ONE}?)"
_PART_OF_DAY = "(?:上午|下午|中午|早上|早晨|清晨|凌晨|晚上|傍晚|夜里|半夜|今晚|明晚|昨晚|今早|明早)"
#: Behind a point that is made, 有一点, a new phrase begins. 一定 and the like, months and years begin one anywhere;
#: behind words that announce a point (有, 补充, 强调, 说, 注意, 提醒, 说明) all does but a measure or an end.
_NEW_PHRASE = f"一[定直般起些样切旦共]|(?:十[一二]?|[{_DIGIT}])月|[{_DIGIT}]{{4}}年"
_MEASURED = "[倍万亿米公厘毫千克斤吨升里元块美度秒分小平折兆瓦伏赫左到至以的]|个(?:小时|百分点|月|亿)"
_POINT = (
    f"(?<![{_DIGIT}十百千万亿]){_WHOLE}点(?={_NEW_PHRASE})"
    f"|(?<=[有充调说意醒明])(?<![只仅]有){_ONE}点(?=[{_DIGIT}]++(?![十百千]|{_MEASURED})[\u4e00-\u9fff])"
    f"|(?<=[这那有充调说意醒明])一点(?=[二三四五]?十{_ONE}?[个位名人家年天岁块元])"
)
#: After what the digits of a lesser unit are said without it, as in 三块五.
_SHORT_END = "(?=$|[^\u4e00-\u9fff]|[钱的左]|每)"

_PATTERNS: dict[str, str] = {
    "kept": "|".join((*KEPT, _POINT)),
    "shares": f"百分之{_VALUE}[到至]{_VALUE}{_ENDS}",
    "percent": f"百分之(?:{_VALUE}|百)(?![{_DIGIT}十百几]|[到至][{_DIGIT}十])",
    "fraction": f"(?<!又){_ALONE}{_WHOLE}分之{_WHOLE}{_ENDS}",
    "date": (
        f"(?<![正腊冬]){_ALONE}(?:[{_DIGIT}]{{2,4}}年)?(?:十[一二]?|[一二三四五六七八九])月(?:份)?"
        f"(?:[二三]?十{_ONE}?[日号]?|{_ONE}[日号])(?![{_DIGIT}十])"
    ),
    "month": f"{_ALONE}[{_DIGIT}]{{4}}年(?:十[一二]?|[一二三四五六七八九])月",
    "clock": (
        f"(?:{_PART_OF_DAY}{_HOUR}点(?:{_MINUTE}分?|{_ONE}分)?(?![{_DIGIT}十])"
        f"|{_ALONE}{_HOUR}点(?:{_MINUTE}分?(?![{_DIGIT}十秒])|(?=半|一刻|三刻|整|钟)))"
        f"(?:[到至]{_HOUR}点(?:{_MINUTE}分?)?(?![{_DIGIT}十]))?"
    ),
    "version": f"{_ALONE}(?:{_WHOLE}点){{2,}}[{_DIGIT}]+{_ENDS}",
    "decimal": f"(?<![这那差早晚快慢多大小好第]){_ALONE}{_DECIMAL}(?![点几])",
    "ratio": f"{_ALONE}{_WHOLE}比{_WHOLE}{_ENDS}",
    "short": (f"{_ALONE}{_WHOLE}(?:[块米度][{_DIGIT}]{{1,2}}{_SHORT_END}|块{_ONE}[毛角](?:{_ONE}{_SHORT_END})?)"),
    "year": f"{_ALONE}[{_DIGIT}]{{2}}年(?!级)",
    "string": f"{_ALONE}[{_DIGIT}幺]{{3,}}{_ENDS}{_NO_POINT}",
    "below_zero": f"零下{_WHOLE}(?=度|摄氏度)|(?<!正)负(?:{_DECIMAL}|{_LARGE}|{_ONE}(?=度|摄氏度)){_ENDS}",
    "large": f"{_ALONE}{_LARGE}{_ENDS}{_NO_POINT}",
}
#: A number by itself inside of an expression that was found.
_INNER = re.compile(f"[{_DIGIT}两十百千万亿]+")
#: Two neighbors of these are "some", not a number: 七八年 are seven or eight years.
_ROUGHLY = frozenset({*("一二", "两三", "二三", "三四", "三五", "四五", "五六", "六七", "七八", "八九")})
#: One character for another, so that places stay.
_SIMPLE = str.maketrans("萬億點兩幾來號時塊這說調個", "万亿点两几来号时块这说调个")


@cache
def _finder() -> re.Pattern[str]:
    """All patterns in one; it takes a tenth of a second to compile, which every start of a process would wait for."""
    return re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _PATTERNS.items()))


def chinese_numbers(text: str) -> Iterator[Number]:
    """The numbers of the text in order; none reaches into another."""
    text = text.translate(_SIMPLE)
    for match in _finder().finditer(text):
        kind = match.lastgroup or ""
        if kind in _WHOLE_EXPRESSIONS:
            yield Number(match.start(), match.end(), match[0], _WHOLE_EXPRESSIONS[kind])
        elif kind in ("date", "month", "clock", "short"):
            yield from _each(match)
        elif kind == "shares":
            yield from _shares(match)
        elif kind == "below_zero":
            yield _below_zero(match)
        elif kind == "year" and match[0][:2] not in _ROUGHLY:
            # The normalizer takes two digits for a number only where the year follows.
            yield Number(match.start(), match.end() - 1, match[0], _year)


def _each(match: re.Match[str]) -> Iterator[Number]:
    """Every number of an expression by itself: the words between them, such as 年 and 点, stay."""
    for inner in _INNER.finditer(match[0]):
        begin = match.start() + inner.start()
        said = inner[0]
        if len(said) == 2 and said[0] in "零〇":
            yield Number(begin, begin + 2, said[1], digits("0"))
        elif match[0][inner.end() : inner.end() + 1] == "年":
            yield Number(begin, begin + len(said), f"{said}年", _year)
        elif len(said) == 2 and set(said) <= set(_DIGIT):
            yield Number(begin, begin + 2, f"零点{said}", lambda answer: answer.removeprefix("0."))
        else:
            yield Number(begin, begin + len(said), said, digits())


def _shares(match: re.Match[str]) -> Iterator[Number]:
    """The second share of 百分之三到五 is a share, too."""
    first, second = re.split("[到至]", match[0])
    percent = _WHOLE_EXPRESSIONS["percent"]
    yield Number(match.start(), match.start() + len(first), first, percent)
    yield Number(match.end() - len(second), match.end(), f"百分之{second}", percent)


def _below_zero(match: re.Match[str]) -> Number:
    """零下五度 keeps its words, a minus becomes the sign."""
    if match[0].startswith("零下"):
        return Number(match.start() + 2, match.end(), match[0][2:], digits())
    return Number(match.start(), match.end(), match[0][1:], digits("-"))


def _year(answer: str) -> str:
    return answer.removesuffix("年") if re.fullmatch(r"(?:\d\d|\d{4})年", answer) else ""


def _row(answer: str) -> str:
    row = answer.replace(" ", "")
    return row if re.fullmatch(r"\d{3,}", row) and not is_counting(row) else ""


_WHOLE_EXPRESSIONS: dict[str, Callable[[str], str]] = {
    "percent": shaped(r"\d+(?:\.\d+)?%"),
    "fraction": shaped(r"\d+/\d+"),
    "version": shaped(r"\d+(?:\.\d+)+"),
    "decimal": shaped(r"\d+\.\d+"),
    "ratio": shaped(r"\d+:\d+"),
    "string": _row,
    "large": digits(),
}
