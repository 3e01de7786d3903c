"""Finding recordings by their titles and by what was said in them, on both databases, Chinese included."""

from __future__ import annotations

from dashscribe.search.folding import Term as Term
from dashscribe.search.hits import Found as Found
from dashscribe.search.hits import Hit as Hit
from dashscribe.search.hits import find as find
from dashscribe.search.hits import matches as matches
from dashscribe.search.hits import terms_of as terms_of
from dashscribe.search.index import Entry as Entry
from dashscribe.search.index import Line as Line
from dashscribe.search.index import holds as holds
from dashscribe.search.index import kept as kept
from dashscribe.search.index import languages as languages
from dashscribe.search.index import prepare as prepare
from dashscribe.search.index import remove as remove
from dashscribe.search.index import write as write
