"""Markdown: a heading, then a paragraph per turn with its time and who speaks; nothing said is taken for a mark-up."""

from __future__ import annotations

import re

from dashscribe.render.breaks import plain
from dashscribe.render.paragraphs import Page, Paragraph, sections, short_clock
from dashscribe.types import Transcript

#: What means something to CommonMark or to GitHub's dialect anywhere in a line.
_MARKS = re.compile(r"([\\`*_\[\]<>~|$&])")
#: And what does at the begin of one only: headings, lists, quotes, rules.
_LINE_STARTS = re.compile(r"^(\s*)([#+=-]|\d{1,9}(?=[.)]))")


def render(transcript: Transcript, page: Page | None = None) -> str:
    """The document; a transcript without text is its title alone."""
    page = page or Page()
    parts = [f"# {_escaped(plain(page.title).strip())}"] if page.title.strip() else []
    for section in sections(transcript, page):
        parts += [f"## {section.heading}"] if section.heading else []
        parts += [_paragraph(paragraph, page) for paragraph in section.paragraphs]
    return "".join(f"{part}\n\n" for part in parts).rstrip("\n") + "\n" if parts else ""


def _paragraph(paragraph: Paragraph, page: Page) -> str:
    said = f"**{_escaped(paragraph.voice)}**" if paragraph.voice else ""
    when = f"`{short_clock(paragraph.begin_ms)}`" if page.times is not False else ""
    lead = " ".join(filter(None, (when, said)))
    return f"{lead} {_escaped(paragraph.text)}" if lead else _escaped(paragraph.text)


def _escaped(text: str) -> str:
    """The text as it is to be read, with a backslash before what would be a mark-up."""
    return _LINE_STARTS.sub(_escape_start, _MARKS.sub(r"\\\1", text))


def _escape_start(found: re.Match[str]) -> str:
    # A number that would begin a list is parted from its dot: a backslash before a digit would be shown.
    return f"{found[1]}{found[2]}\\" if found[2][0].isdigit() else f"{found[1]}\\{found[2]}"
