#!/usr/bin/env python3
"""Build the documentation site, English and Chinese, and fail for the first broken link.

    .venv/bin/python tools/build_docs.py [OUT]

The pages are plain Markdown that also reads well in a repository browser: ``docs/x.md`` and, where there is one,
``docs/x.zh.md``. Sphinx knows neither the second name nor links that leave ``docs/``. So each language is staged first:
a page of that language under its plain name, English where there is no other, links that leave ``docs/`` turned into
those of the repository. A link to a file or heading that does not exist is an error, outside ``docs/`` by this script,
inside by Sphinx.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
DOCS = CHECKOUT / "docs"
REPOSITORY = "https://github.com/dashscribe/dashscribe"
LANGUAGES = ("en", "zh")
#: Said on top of an English page in the Chinese site.
ENGLISH_ONLY = "> 本页目前只有英文。\n\n"
#: The lead of a page that has a twin in the other language, for readers of the repository; the site has its own.
_SWITCH = re.compile(r"^\[(?:中文|English)\]\([^)]+\)\n\n?", re.MULTILINE)
_COMMENT = re.compile(r"^ *<!--.*?-->\n", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(!?\[(?:[^\[\]`]|`[^`]*`)*\])\(([^)\s]+)\)")
#: A line that is broken between two characters of Chinese, which have no space between them.
_WRAPPED = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uffef])\n(?=[\u3400-\u9fff“‘（《])")
_FENCE = re.compile(r"^ *(```|~~~)")


class BrokenLinkError(Exception):
    """A link that leads nowhere; the text names page and target."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the navigation: its titles by language and its pages, in order, without their suffix."""

    titles: dict[str, str]
    pages: tuple[str, ...]


def page_names(docs: Path = DOCS) -> list[str]:
    """Every page, without its suffix; translations do not count."""
    names = (path.relative_to(docs).as_posix() for path in docs.rglob("*.md"))
    return sorted(name.removesuffix(".md") for name in names if not name.endswith(".zh.md"))


def sections(docs: Path = DOCS) -> list[Section]:
    """The navigation with the pages that exist; what ``nav.toml`` does not name comes last in the second section."""
    rows = tomllib.loads((docs / "nav.toml").read_text(encoding="utf-8"))["section"]
    left = [name for name in page_names(docs) if name != "index"]
    found: list[Section] = []
    for row in rows:
        pages = [name for wanted in row["pages"] for name in _matching(wanted, left)]
        left = [name for name in left if name not in pages]
        found.append(Section({language: row[language] for language in LANGUAGES}, tuple(pages)))
    found[1] = Section(found[1].titles, (*found[1].pages, *left))
    return found


def _matching(wanted: str, names: list[str]) -> list[str]:
    return [name for name in names if Path(name).match(wanted) and name.count("/") == wanted.count("/")]


def stage(language: str, target: Path, docs: Path = DOCS) -> None:
    """Write the pages of one language below ``target`` as Sphinx wants them. Raises BrokenLinkError."""
    for name in page_names(docs):
        translated = docs / f"{name}.zh.md"
        source = translated if language == "zh" and translated.is_file() else docs / f"{name}.md"
        text = _staged(source, language, docs)
        if language == "zh" and source != translated:
            head, _, rest = text.partition("\n\n")
            text = f"{head}\n\n{ENGLISH_ONLY}{rest}"
        if name == "index":
            text += "".join(_toctree(section, language) for section in sections(docs))
        path = target / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    shutil.copytree(docs / "images", target / "images", dirs_exist_ok=True)


def _toctree(section: Section, language: str) -> str:
    pages = "\n".join(section.pages)
    return f"\n```{{toctree}}\n:hidden:\n:caption: {section.titles[language]}\n\n{pages}\n```\n" if pages else ""


def _staged(source: Path, language: str, docs: Path) -> str:
    """A page without what only the repository or the tests need, and with links as the site has them."""
    text = _COMMENT.sub("", _SWITCH.sub("", source.read_text(encoding="utf-8"), count=1))
    text = "".join(_unwrapped(part) for part in re.split(r"(^ *```.*?^ *```$)", text, flags=re.MULTILINE | re.DOTALL))
    return "".join(
        line if fenced else _LINK.sub(lambda link: _linked(link, source, language, docs), line)
        for line, fenced in _lines(text)
    )


def _unwrapped(part: str) -> str:
    """Prose whose Chinese lines are joined; code as it is."""
    return part if part.lstrip(" ").startswith("```") else _WRAPPED.sub("", part)


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it belongs to a block of code."""
    fence = ""
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        inside = bool(fence)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1] == fence:
            fence = ""
        yield line, inside or bool(mark)


def _linked(link: re.Match[str], source: Path, language: str, docs: Path) -> str:
    label, url = link[1], link[2]
    path, _, anchor = url.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return link[0]
    target = (source.parent / path).resolve()
    where = f"{source.relative_to(docs.parent)} links to {url}"
    if not target.exists():
        raise BrokenLinkError(f"{where}, which does not exist")
    if anchor and target.suffix == ".md" and anchor not in headings(target):
        raise BrokenLinkError(f"{where}, where no heading has that name")
    if target.is_relative_to(docs / "images"):
        return link[0]
    if target.is_relative_to(docs) and target.suffix == ".md":
        return _within(label, path, anchor, source, target, language, docs)
    kind = "tree" if target.is_dir() else "blob"
    inside = target.relative_to(docs.parent).as_posix()
    return f"{label}({REPOSITORY}/{kind}/main/{inside}{'#' + anchor if anchor else ''})"


def _within(label: str, path: str, anchor: str, source: Path, target: Path, language: str, docs: Path) -> str:
    """A link to another page: to this language's under that name, or to the other language's site."""
    chinese = target.name.endswith(".zh.md")
    behind = f"#{anchor}" if anchor else ""
    # Where an English page stands in for a missing Chinese one, its readers go on in Chinese as soon as they can.
    here = not _twin(target).is_file() or (not anchor and not source.name.endswith(".zh.md"))
    if chinese == (language == "zh") or (language == "zh" and here):
        return f"{label}({path.removesuffix('.md').removesuffix('.zh')}.md{behind})"
    name = target.relative_to(docs).as_posix().removesuffix(".md").removesuffix(".zh")
    up = "../" * len(source.relative_to(docs).parents[:-1])
    there = f"{up}zh/{name}.html" if chinese else f"{up}../{name}.html"
    # As HTML, since the generator would look for the page in this language's tree.
    return f'<a href="{there}{behind}">{label.strip("[]")}</a>'


def _twin(page: Path) -> Path:
    """The Chinese version of an English page, which may not exist."""
    return page.with_name(page.name.replace(".md", ".zh.md"))


def headings(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    text = path.read_text(encoding="utf-8")
    titles = [line.lstrip("#").strip() for line, fenced in _lines(text) if not fenced and re.match(r"#+ ", line)]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def build(out: Path) -> int:
    """Both languages into ``out``, Chinese in ``out/zh``; 0 if every link and page is good."""
    for language in LANGUAGES:
        with tempfile.TemporaryDirectory(prefix="dashscribe-docs-") as folder:
            pages = Path(folder) / "pages"
            try:
                stage(language, pages)
            except BrokenLinkError as error:
                print(f"docs: {error}", file=sys.stderr)
                return 1
            command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
            command += [
                "-c",
                str(CHECKOUT / "tools" / "site"),
                "-D",
                f"language={'zh_CN' if language == 'zh' else 'en'}",
            ]
            command += ["-d", f"{folder}/doctrees", str(pages), str(out / "zh" if language == "zh" else out)]
            if status := subprocess.run(command, check=False).returncode:
                return status
    print(f"docs: {out}/index.html and {out}/zh/index.html")
    return 0


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=CHECKOUT / "build" / "site", help="default: build/site")
    return build(parser.parse_args().out.resolve())


if __name__ == "__main__":
    sys.exit(main())
