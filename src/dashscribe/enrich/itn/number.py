"""A number as it was said, and how the answer of a normalizer becomes what is written in its place."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

#: The small numbers that the normalizer leaves as words, since prose does; dates, times and the like want digits.
SMALL = {
    **{word: str(value) for value, word in enumerate("零一二三四五六七八九十")},
    **{"〇": "0", "两": "2"},
    **{"zero": "0", "oh": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6"},
    **{"seven": "7", "eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12"},
}


@dataclass(frozen=True, slots=True)
class Number:
    """A stretch of a text that says a number: from ``begin`` to ``end``, half-open.

    ``spoken`` is what the normalizer is asked about; ``written`` makes of its answer what takes the place of the
    stretch, and gives an empty text where the words had better stay.
    """

    begin: int
    end: int
    spoken: str
    written: Callable[[str], str]


def shaped(pattern: str) -> Callable[[str], str]:
    """Takes answers of that form without their spaces, no others: a form that nobody expected is no improvement."""
    form = re.compile(pattern)

    def written(answer: str) -> str:
        answer = answer.replace(" ", "")
        return answer if form.fullmatch(answer) else ""

    return written


def digits(prefix: str = "") -> Callable[[str], str]:
    """Takes plain numbers, small ones included, and puts ``prefix`` in front."""

    def written(answer: str) -> str:
        answer = SMALL.get(answer, answer)
        return prefix + answer if re.fullmatch(r"\d+(?:\.\d+)?(?:[万亿](?:\d+万?)?)?", answer) else ""

    return written


def is_counting(row: str) -> bool:
    """Whether somebody counts up or down, which is no number: 一二三, three two one."""
    steps = {int(right) - int(left) for left, right in pairwise(row)}
    return steps in ({1}, {-1})
