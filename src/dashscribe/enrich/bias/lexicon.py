"""What is known of words beside how English ones are said: how Han characters are read, which words are common.

Everything is read on first use, in the process that corrects, and stays small: 5 MB of readings, 6 MB of Chinese words.
``pypinyin`` itself is not imported where its files can be read: that would cost 60 MB and a third of a second for
phrases that are not needed.
"""

from __future__ import annotations

import functools
import importlib
import json
import re
import unicodedata
from collections.abc import Sequence
from importlib.resources import files

from dashscribe.pronunciation.dictionary import package_folder

#: Ways to read a character that count: the table lists the usual ones first.
MOST_READINGS = 5
#: A phrase of the list of Chinese words, by its length in characters.
_SHORTEST_WORD, _LONGEST_WORD = 2, 4
_TONES = {"\u0304": 1, "\u0301": 2, "\u030c": 3, "\u0300": 4}
_INITIALS = ("zh", "ch", "sh", *"bpmfdtnlgkhjqxrzcsyw")


@functools.cache
def readings(character: str) -> tuple[tuple[str, str, int], ...]:
    """The ways to read a Han character in Mandarin: initial, final (``ü`` as ``v``), tone (5 if it has none)."""
    found = _pinyin().get(str(ord(character)), "")
    return tuple(dict.fromkeys(_syllable(one) for one in found.split(",")[:MOST_READINGS] if one))


def _syllable(pinyin: str) -> tuple[str, str, int]:
    tone, letters = 5, ""
    for character in unicodedata.normalize("NFD", pinyin):
        tone = _TONES.get(character, tone)
        if character == "\u0308":
            letters = letters[:-1] + "v"
        elif character.isalpha():
            letters += character
    initial = next((one for one in _INITIALS if letters.startswith(one) and letters != one), "")
    final = letters[len(initial) :]
    # As written, these hide that the vowel is the one of nü.
    if initial in ("j", "q", "x", "y") and final.startswith("u"):
        final = "v" + final[1:]
    return initial, final, tone


@functools.cache
def _pinyin() -> dict[str, str]:
    """Readings with tone marks by code point, from the table of pypinyin (MIT)."""
    folder = package_folder("pypinyin")
    path = folder / "pinyin_dict.json" if folder else None
    if path and path.is_file():
        return json.loads(path.read_bytes())
    table = importlib.import_module("pypinyin.pinyin_dict").pinyin_dict
    return {str(code): one for code, one in table.items()}


@functools.cache
def common_english() -> frozenset[str]:
    """The 3,000 most frequent words of the language model in the wheel of pocketsphinx (BSD-2-Clause)."""
    return frozenset(_listed("common_en.txt"))


@functools.cache
def chinese_words() -> frozenset[str]:
    """Words that Chinese text is full of: a list of our own, and the shorter phrases of pypinyin's dictionary."""
    words = set(_listed("common_zh.txt"))
    folder = package_folder("pypinyin")
    path = folder / "phrases_dict.json" if folder else None
    if path and path.is_file():
        pattern = rf'"([\u4e00-\u9fff]{{{_SHORTEST_WORD},{_LONGEST_WORD}}})": \['
        words.update(re.findall(pattern, path.read_text(encoding="utf-8")))
    return frozenset(words)


def same_tones(left: Sequence[str], right: Sequence[str]) -> bool:
    """Whether Han characters that sound the same do so with their tones; a neutral tone goes with any."""
    return len(left) == len(right) and all(map(_is_same_tone, left, right))


@functools.lru_cache(maxsize=20_000)
def _is_same_tone(left: str, right: str) -> bool:
    return left == right or any(
        ours[:2] == theirs[:2] and (ours[2] == theirs[2] or 5 in (ours[2], theirs[2]))
        for ours in readings(left)
        for theirs in readings(right)
    )


def cuts_word(text: str, begin: int, end: int) -> bool:
    """Whether ``begin`` or ``end`` lies inside a Chinese word of the text, read from its left, longest words first."""
    words = chinese_words()
    at = 0
    while at < len(text):
        length = next((n for n in range(_LONGEST_WORD, 1, -1) if text[at : at + n] in words and at + n <= len(text)), 1)
        if at < begin < at + length or at < end < at + length:
            return True
        at += length
    return False


def _listed(file: str) -> list[str]:
    """The words of a file beside this module."""
    return files("dashscribe.enrich.bias").joinpath(file).read_text(encoding="utf-8").split()
