"""Search in Chinese: every two characters that follow each other are a term, in the index and in what is looked for.

Sphinx' own Chinese search cuts the pages into words (jieba), but not what the reader types: a query that is no single
word of that dictionary finds nothing. Pairs need no dictionary and agree on both sides. Words of Latin letters stay
whole, and what is looked for in several words must all be on the page, as Sphinx has it.
"""

from __future__ import annotations

import re

from sphinx.search import SearchLanguage

_TERMS = re.compile(r"[\u3400-\u9fff]+|[A-Za-z0-9_.-]+")

_SPLIT_QUERY = r"""
function splitQuery(query) {
  const terms = [];
  for (const run of query.match(/[\u3400-\u9fff]+|[A-Za-z0-9_.-]+/g) || []) {
    if (run.charCodeAt(0) < 0x3400 || run.length < 3) { terms.push(run); continue; }
    for (let i = 0; i + 2 <= run.length; i++) terms.push(run.slice(i, i + 2));
  }
  return terms;
}
"""

_NO_STEMMER = """
var Stemmer = function () { this.stemWord = function (word) { return word; }; };
"""


def terms(text: str) -> list[str]:
    """The terms of a text: pairs of Han characters, single ones too, and words of Latin letters."""
    found: list[str] = []
    for run in _TERMS.findall(text):
        if run[0] < "\u3400":
            found.append(run)
            continue
        found += [run[at : at + 2] for at in range(len(run) - 1)] + list(run)
    return found


class ChineseSearch(SearchLanguage):
    """Takes the place of Sphinx' own Chinese."""

    lang = "zh"
    language_name = "Chinese"
    js_splitter_code = _SPLIT_QUERY
    js_stemmer_code = _NO_STEMMER
    stopwords = frozenset()

    def split(self, input: str) -> list[str]:
        """See ``terms``."""
        return terms(input)

    def word_filter(self, word: str) -> bool:
        """Single characters count."""
        return bool(word)

    def stem(self, word: str) -> str:
        """As it is, lower case: Sphinx looks for lower case."""
        return word.lower()
