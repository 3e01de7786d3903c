"""What is known of words: how English ones are pronounced, how Han characters are read, which words are common.

Everything is read on first use, in the process that corrects, and stays small: 3 MB of the dictionary as it lies in the
file, 5 MB of readings, 6 MB of Chinese words. ``pypinyin`` itself is not imported where its files can be read: that
would cost 60 MB and a third of a second for phrases that are not needed.
"""

from __future__ import annotations

import functools
import importlib
import json
import re
import unicodedata
from collections.abc import Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

#: Ways to say a word, and to read a character, that count: the dictionary lists the usual ones first.
MOST_SAYINGS, MOST_READINGS = 3, 5
#: A phrase of the list of Chinese words, by its length in characters.
_SHORTEST_WORD, _LONGEST_WORD = 2, 4
_TONES = {"\u0304": 1, "\u0301": 2, "\u030c": 3, "\u0300": 4}
_INITIALS = ("zh", "ch", "sh", *"bpmfdtnlgkhjqxrzcsyw")


@functools.cache
def sayings(word: str) -> tuple[tuple[str, ...], ...]:
    """The ways to say an English word in lower case, as phones of the ARPAbet without stress; empty if unknown.

    They are those of CMUdict as the wheel of pocketsphinx carries it (BSD-2-Clause), read without importing that.
    """
    blocks = _blocks()
    text, key = _dictionary(), word.encode()
    if key[:2] not in blocks:
        return ()
    begin, end = blocks[key[:2]]
    found: list[tuple[str, ...]] = []
    # The others follow the first as "word(2)"; lines begin behind a line break, the first one of the block too.
    for form in (key, *(b"%s(%d)" % (key, number) for number in range(2, MOST_SAYINGS + 1))):
        at = text.find(b"\n" + form + b" ", begin, end)
        if at < 0:
            break
        at += len(form) + 2
        found.append(tuple(text[at : text.index(b"\n", at)].decode().split()))
    return tuple(found)


@functools.cache
def _dictionary() -> bytes:
    folder = _folder("pocketsphinx")
    path = folder / "model" / "en-us" / "cmudict-en-us.dict" if folder else None
    return b"\n" + path.read_bytes() + b"\n" if path and path.is_file() else b"\n"


@functools.cache
def _blocks() -> dict[bytes, tuple[int, int]]:
    """Where in the dictionary the lines with these first two letters begin and end: they stand together there."""
    starts = [(line[1], line.start()) for line in re.finditer(rb"\n(..)(?:(?!\n\1)[^\n]*\n(?=\1))*", _dictionary())]
    ends = [start for _, start in starts[1:]] + [len(_dictionary())]
    return {letters: (start, end) for (letters, start), end in zip(starts, ends, strict=True)}


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
    folder = _folder("pypinyin")
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
    folder = _folder("pypinyin")
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


def _folder(package: str) -> Path | None:
    """Where an installed package lies; it is not imported for that."""
    spec = find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
