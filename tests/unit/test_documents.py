"""Documents: whatever was said stands in them as it was said, in paragraphs that people can read."""

from __future__ import annotations

import html
import io
import re

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from test_render import spoken, transcript

from dashscribe.render import docx as word
from dashscribe.render import markdown, text, tsv
from dashscribe.render.breaks import plain
from dashscribe.render.paragraphs import Page, paragraphs, short_clock
from dashscribe.types import Sentence

HOSTILE = st.text(
    st.one_of(st.sampled_from("#*_`[]()<>|~&$\\-+=!1.)>: ab会\t\n"), st.characters(exclude_categories=["Cs"])),
    max_size=30,
)
SOURCES = MarkdownIt("gfm-like", {"linkify": False})


def said(*texts: str, pause_ms: int = 0, speaker: int | None = None) -> list[Sentence]:
    step_ms = 1000 + pause_ms
    return [
        Sentence(begin_ms=at * step_ms, end_ms=at * step_ms + 1000, text=one, speaker=speaker)
        for at, one in enumerate(texts)
    ]


@settings(max_examples=300)
@given(what=HOSTILE, title=HOSTILE, name=HOSTILE)
def test_markdown_shows_what_was_said_whatever_it_looks_like(what: str, title: str, name: str) -> None:
    page = Page(title=title, speakers={0: name}, times=False)
    shown = SOURCES.render(markdown.render(transcript(*said(what, speaker=0)), page))
    assert len(re.findall(r"<(?!/|p>|h1>|strong>)", shown)) == 0, shown
    heading = [plain(title).strip()] if title.strip() and plain(title).strip() else []
    voice = plain(name).strip() or "Speaker 1"
    body = [f"{voice} {plain(what).strip()}"] if plain(what).strip() else []
    found = [
        html.unescape(re.sub("<[^>]+>", "", part))
        for part in re.findall(r"<(?:h1|p)>(.*?)</(?:h1|p)>", shown, re.DOTALL)
    ]
    squeezed = [" ".join(one.split()) for one in found if one.strip()]
    assert squeezed == [" ".join(one.split()) for one in (*heading, *body)]


@settings(max_examples=60)
@given(what=HOSTILE, title=HOSTILE)
def test_word_documents_say_what_was_said_whatever_it_is(what: str, title: str) -> None:
    data = word.render(transcript(*said(what)), Page(title=title, times=False))
    document = docx.Document(io.BytesIO(data))
    wanted = [one for one in (plain(title).strip(), plain(what).strip()) if one]
    assert [p.text for p in document.paragraphs] == [re.sub("[\ufffe\uffff]", "", one) for one in wanted]


@settings(max_examples=150)
@given(texts=st.lists(HOSTILE, max_size=3), name=HOSTILE)
def test_every_record_of_a_table_is_one_line_of_five_fields(texts: list[str], name: str) -> None:
    lines = tsv.render(transcript(*said(*texts, speaker=0)), Page(speakers={0: name})).splitlines()
    assert [len(line.split("\t")) for line in lines] == [5] * (len(texts) + 1)
    told = [line.rpartition("\t")[2] for line in lines[1:]]
    assert [re.sub(r"\\(x..|u....|.)", lambda found: literal(found[0]), text) for text in told] == texts


def literal(escaped: str) -> str:
    return escaped.encode("ascii").decode("unicode_escape")


@pytest.mark.parametrize(
    ("sentences", "begins"),
    [
        (said("one.", "two.", "three."), [0]),
        (said("one.", "two.", pause_ms=2000), [0, 3000]),
        (said(*["again."] * 130), [0, 60_000, 120_000]),
        ([*said("one.", speaker=0), *said("", "two.", speaker=1)[1:]], [0, 1000]),
    ],
)
def test_paragraphs_end_with_the_speaker_at_pauses_and_behind_a_minute(
    sentences: list[Sentence], begins: list[int]
) -> None:
    assert [paragraph.begin_ms for paragraph in paragraphs(sentences, Page())] == begins


def test_names_take_the_place_of_numbers_everywhere() -> None:
    made = transcript(spoken("good morning", speaker=0), spoken("hello", begin_ms=900, speaker=1))
    page = Page(speakers={0: "Anna\tLi"})
    assert "**Anna Li** good morning" in markdown.render(made, page)
    assert "**Speaker 2** hello" in markdown.render(made, page)
    assert "\tAnna Li\tgood morning" in tsv.render(made, page)
    assert text.render(made, Page(times=True, speakers=page.speakers)).startswith("[0:00] Anna Li: good morning\n")
    silent = Page(speakers=False)
    assert "Speaker" not in markdown.render(made, silent) + text.render(made, silent)


@pytest.mark.parametrize(("ms", "shown"), [(0, "0:00"), (59_999, "0:59"), (3_599_999, "59:59"), (3_600_000, "1:00:00")])
def test_times_are_short(ms: int, shown: str) -> None:
    assert short_clock(ms) == shown
