"""Who reads Chinese finds every page that a user needs in Chinese, with the same parts, and stays among such pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from blocks import CHECKOUT, blocks

DOCS = CHECKOUT / "docs"


def names() -> list[str]:
    found = (path.relative_to(DOCS).as_posix().removesuffix(".md") for path in DOCS.rglob("*.md"))
    return sorted(name for name in found if not name.endswith(".zh") and not name.startswith("adr/"))


TRANSLATED = [name for name in names() if (DOCS / f"{name}.zh.md").is_file()]


@pytest.mark.parametrize("name", names())
def test_page_has_a_chinese_version(name: str) -> None:
    assert (DOCS / f"{name}.zh.md").is_file(), f"docs/{name}.zh.md is missing"


def test_chinese_pages_have_an_english_original() -> None:
    orphans = [p.name for p in DOCS.rglob("*.zh.md") if not p.with_name(p.name.replace(".zh.md", ".md")).is_file()]
    assert not orphans


@pytest.mark.parametrize("name", TRANSLATED)
def test_twins_link_to_each_other_first(name: str) -> None:
    base = Path(name).name
    assert (DOCS / f"{name}.md").read_text(encoding="utf-8").startswith(f"[中文]({base}.zh.md)\n")
    assert (DOCS / f"{name}.zh.md").read_text(encoding="utf-8").startswith(f"[English]({base}.md)\n")


@pytest.mark.parametrize("name", TRANSLATED)
def test_chinese_page_is_chinese(name: str) -> None:
    if name.startswith("reference/"):
        return  # tables are shared
    text = re.sub(
        r"```.*?```|`[^`]*`|\([^)]*\)", "", (DOCS / f"{name}.zh.md").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    han, latin = len(re.findall(r"[\u4e00-\u9fff]", text)), len(re.findall(r"[A-Za-z]+", text))
    assert han > 2 * latin, f"{han} Han characters beside {latin} Latin words"


@pytest.mark.parametrize("name", TRANSLATED)
def test_chinese_page_links_to_chinese_pages(name: str) -> None:
    page = DOCS / f"{name}.zh.md"
    text = page.read_text(encoding="utf-8").split("\n", 1)[1]
    for label, target in re.findall(r"\[([^\]]*)\]\(([^)#:\s]+\.md)", text):
        there = (page.parent / target).resolve()
        twin = there.with_name(there.name.replace(".md", ".zh.md"))
        if "英文" not in label and not target.endswith(".zh.md"):
            assert not twin.is_file(), f"{page.name} links to {target}, of which there is a Chinese version"


@pytest.mark.parametrize("name", TRANSLATED)
def test_twins_tell_the_same_chapters(name: str) -> None:
    """As many chapters, unless the Chinese page refers to the English one for the rest."""

    def chapters(page: Path) -> int:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        return len(re.findall(r"^## ", text, re.MULTILINE))

    page = DOCS / f"{name}.zh.md"
    english, chinese = chapters(DOCS / f"{name}.md"), chapters(page)
    assert chinese == english or f"{Path(name).name}.md" in page.read_text(encoding="utf-8").split("\n", 1)[1]


@pytest.mark.parametrize("name", TRANSLATED)
def test_code_in_twins_is_of_the_same_kinds(name: str) -> None:
    kinds = [{b.language for b in blocks(DOCS / f"{name}{suffix}.md")} for suffix in ("", ".zh")]
    assert kinds[1] <= kinds[0]


@pytest.mark.parametrize("name", TRANSLATED)
def test_programs_in_twins_are_the_same(name: str) -> None:
    """But for their comments: a command that changes is changed in both languages."""

    def programs(page: Path) -> list[str]:
        shown = [b.code for b in blocks(page) if b.language in ("sh", "bash", "python") and b.not_run != "sketch"]
        return [re.sub(r"\s+#\s.*$|^#\s.*$", "", code, flags=re.MULTILINE).strip() for code in shown]

    english = programs(DOCS / f"{name}.md")
    assert [code for code in programs(DOCS / f"{name}.zh.md") if code not in english] == []
