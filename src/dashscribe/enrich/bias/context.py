"""Terms in a context: names and other words of its own kind that a text about the recording mentions.

Contexts come as lists with separators of any kind, as passages, or mixed, and much of them may have nothing to do with
the recording. What is drawn from them is only ever compared by its exact sound, so that too much does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dashscribe.enrich.bias.lexicon import chinese_words, common_english
from dashscribe.enrich.bias.sounds import letters_of
from dashscribe.types import Hotword

#: Most terms that are taken from a context, the first ones; its other words are left out.
MOST_TERMS = 5_000
#: Longest entry of a list, in words and in Han characters.
_MOST_WORDS, _LEAST_HAN, _MOST_HAN = 4, 2, 10
_SEPARATORS = re.compile(r"[,，、;；:：。!！?？|\n\t\"“”()（）\[\]{}《》「」]|\.(?:\s|$)|(?<!\w)['‘’]|['‘’](?!\w)")
#: Words that begin with a capital or hold a digit or a capital inside, next to each other.
_NAMES = re.compile(r"[^\W\d_]*[A-Z0-9][\w&'’.+-]*(?: [A-Z][\w&'’.+-]*)*")
_HAN = re.compile(r"[\u3400-\u9fff·]+")


def context_hotwords(context: str) -> tuple[Hotword, ...]:
    """The terms of a context as hotwords of the least weight, in the order in which they stand there."""
    found: dict[str, Hotword] = {}
    for text in _terms(context):
        if len(found) == MOST_TERMS:
            break
        text = text.strip(" .'’-")
        if len(text) > 1 and not _is_common(text):
            found.setdefault(letters_of(text), Hotword(text, weight=1))
    return tuple(found.values())


def _terms(context: str) -> Iterator[str]:
    for entry in _SEPARATORS.split(context):
        entry = entry.strip(" '‘’")
        for run in _HAN.findall(entry):
            if _LEAST_HAN <= len(run) <= _MOST_HAN:
                yield run
        if 1 <= len(entry.split()) <= _MOST_WORDS and not _HAN.search(entry):
            yield entry
        for name in _NAMES.findall(entry):
            yield from _parts(name.split(" "))


def _parts(words: Sequence[str]) -> Iterator[str]:
    """Words with capitals that follow each other, and any few of them: they may be several names in a list."""
    for count in range(min(len(words), _MOST_WORDS), 0, -1):
        for at in range(len(words) - count + 1):
            yield " ".join(words[at : at + count])


def _is_common(text: str) -> bool:
    """Whether the words are everybody's."""
    if text in chinese_words():
        return True
    return all(word in common_english() for word in map(letters_of, text.split()))
