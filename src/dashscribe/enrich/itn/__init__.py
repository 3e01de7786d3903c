"""Numbers as digits (inverse text normalization), in Chinese and English, for engines that spell them out.

Where numbers are is found here, by language; what they come to is a normalizer's work, in a child process. Owns the tie
between the new text and the words: what is no number keeps its words as they are, a number becomes one word with the
times of those that said it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

from dashscribe.enrich.itn.chinese import chinese_numbers
from dashscribe.enrich.itn.english import english_numbers
from dashscribe.enrich.itn.number import Number
from dashscribe.languages import ITN_LANGUAGES
from dashscribe.types import Sentence, Word

#: Gives texts of a language, ``zh`` or ``en``, with the numbers in them as digits: one for each, in order.
Normalizer = Callable[[Sequence[str], str], Sequence[str]]

#: Numbers that take longer to say are rows of digits read from a list, or a model that got stuck; the time that the
#: normalizer takes grows faster than its text.
MAX_SPOKEN = 120
#: Most phrases that are asked about at once: a normalizer takes 2 ms for each, and answers within a time.
_TOGETHER = 1_000
_FINDERS = {"zh": chinese_numbers, "en": english_numbers}
#: What every number has a word of: a quick look, which finds some others, too.
_COUNTING = re.compile(
    "[零〇一二两兩三四五六七八九十百千万萬亿億幺]|"
    r"\b(?:zero|oh|one|tw|th[ir]|fo|fi|si|se|eigh|nin|te|eleven|hundred|thousand|[mbt]r?illion)",
    re.IGNORECASE,
)
_KANA = re.compile("[\u3041-\u30ff]")


def write_numbers(
    sentences: Iterable[Sentence], *, normalizer: Normalizer, languages: Sequence[str] = ()
) -> Iterator[Sentence]:
    """Write the numbers of each sentence as digits; ``languages`` are the caller's hints.

    A number stays in words where the normalizer gives nothing that looks like one. What the normalizer raises passes
    through.
    """
    for sentence in sentences:
        written = [
            found for language in spoken(sentence, languages) for found in _written(sentence.text, language, normalizer)
        ]
        yield _rewritten(sentence, sorted(written)) if written else sentence


def may_count(text: str) -> bool:
    """Whether a text may say a number; told quickly, of long lists."""
    return _COUNTING.search(text) is not None


def in_digits(texts: Sequence[str], normalizer: Normalizer) -> list[str]:
    """Phrases with their numbers as digits, each as if nothing else was said; what the normalizer raises passes."""
    results: list[str] = []
    for at in range(0, len(texts), _TOGETHER):
        # No number reaches over the end of a line, so that many phrases are asked about at once.
        joined = "\n".join(" ".join(text.split()) for text in texts[at : at + _TOGETHER])
        written = [found for language in ITN_LANGUAGES for found in _written(joined, language, normalizer)]
        results += _spliced(joined, sorted(written)).split("\n")
    return results


def spoken(sentence: Sentence, languages: Sequence[str] = ()) -> tuple[str, ...]:
    """Whose numbers to look for: Chinese and English mix in one sentence, and their scripts tell them apart."""
    if sentence.language:
        return ITN_LANGUAGES if sentence.language in ITN_LANGUAGES else ()
    if languages and not set(languages) & set(ITN_LANGUAGES):
        return ()
    return ("en",) if _KANA.search(sentence.text) else ITN_LANGUAGES


def _written(said: str, language: str, normalizer: Normalizer) -> Iterator[tuple[int, int, str]]:
    """Begin, end and digits of each number of a language."""
    numbers: list[Number] = [n for n in _FINDERS[language](said) if len(n.spoken) <= MAX_SPOKEN]
    if not numbers:
        return
    answers = normalizer([number.spoken for number in numbers], language)
    for number, answer in zip(numbers, answers, strict=True):
        text = number.written(answer.strip())
        if text and text != said[number.begin : number.end]:
            yield number.begin, number.end, text


def _rewritten(sentence: Sentence, written: Sequence[tuple[int, int, str]]) -> Sentence:
    """The sentence with these stretches written anew; they are in order and disjoint."""
    words = tuple(_words(sentence.words, written))
    return replace(sentence, text=_spliced(sentence.text, written), words=words)


def _spliced(text: str, written: Iterable[tuple[int, int, str]]) -> str:
    parts: list[str] = []
    at = 0
    for begin, end, new in written:
        parts += text[at:begin], new
        at = end
    return "".join((*parts, text[at:]))


def _words(words: Sequence[Word], written: Sequence[tuple[int, int, str]]) -> Iterator[Word]:
    """The words of the new text: one for all that share a stretch, the others untouched."""
    ends = list(accumulate(len(word.text) + len(word.punctuation) for word in words))
    at = begin = 0
    rest = list(written)
    while at < len(words):
        until = at + 1
        inside: list[tuple[int, int, str]] = []
        # A word of a script without spaces may hold several numbers, and a number may end in the midst of a word.
        while rest and rest[0][0] < ends[until - 1]:
            inside.append(rest.pop(0))
            while ends[until - 1] < inside[-1][1]:
                until += 1
        yield _joined(words[at:until], begin, inside) if inside else words[at]
        at, begin = until, ends[until - 1]


def _joined(words: Sequence[Word], begin: int, written: Iterable[tuple[int, int, str]]) -> Word:
    """One word for those that begin at place ``begin``; it keeps the mark behind the last one."""
    spelled = "".join(word.text + word.punctuation for word in words).removesuffix(words[-1].punctuation)
    sure = [word.confidence for word in words if word.confidence is not None]
    return Word(
        begin_ms=words[0].begin_ms,
        end_ms=words[-1].end_ms,
        text=_spliced(spelled, [(b - begin, e - begin, new) for b, e, new in written]),
        punctuation=words[-1].punctuation,
        confidence=min(sure, default=None),
        approximate=any(word.approximate for word in words),
    )
