"""The site is built whole and strictly, needs no other host, and finds Chinese words."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from blocks import CHECKOUT

sys.path.insert(0, str(CHECKOUT / "tools"))
sys.path.insert(0, str(CHECKOUT / "tools" / "site"))

import build_docs as site
from chinese_search import terms


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, str(CHECKOUT / "tools" / "build_docs.py"), str(out)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert ended.returncode == 0, ended.stderr
    return out


@pytest.mark.slow
def test_every_page_is_there_in_both_languages(built: Path) -> None:
    for name in site.page_names():
        assert (built / f"{name}.html").is_file()
        assert (built / "zh" / f"{name}.html").is_file()
    for language, folder in (("en", built), ("zh", built / "zh")):
        told = (folder / "index.html").read_text(encoding="utf-8")
        assert all(section.titles[language] in told for section in site.sections())


class _Loaded(HTMLParser):
    """What a page loads by itself, in difference to what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        loads = tag in ("script", "img", "iframe", "source", "video", "audio")
        if loads and named.get("src"):
            self.found.append(named["src"] or "")
        if tag == "link" and named.get("rel") not in ("canonical", "alternate"):
            self.found.append(named.get("href") or "")


@pytest.mark.slow
def test_no_page_loads_from_another_host(built: Path) -> None:
    for page in built.rglob("*.html"):
        loaded = _Loaded()
        loaded.feed(page.read_text(encoding="utf-8"))
        assert not [url for url in loaded.found if re.match(r"(?:https?:)?//", url)], page
    for style in built.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(?:https?:)?//|@import[^;]*//", style.read_text(encoding="utf-8")), style


@pytest.mark.slow
def test_marks_of_the_tests_are_not_in_the_site(built: Path) -> None:
    assert not [page for page in built.rglob("*.html") if "not run:" in page.read_text(encoding="utf-8")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("热词表", "hotwords"),
        ("离线部署", "offline"),
        ("说话人区分", "which-model"),
        ("回调目标", "callbacks"),
        ("DASHSCRIBE_RETENTION", "what-is-kept"),
    ],
)
def test_chinese_is_found(built: Path, query: str, page: str) -> None:
    """By the very code that a browser runs: it cuts the query, and every part has to be in the index of the page."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed (Debian: apt-get install nodejs)")
    static = built / "zh" / "_static"
    script = f"""
      global.window = {{}};
      const fs = require("fs"), vm = require("vm");
      vm.runInThisContext(fs.readFileSync({json.dumps(str(static / "language_data.js"))}, "utf8"));
      let index; global.Search = {{ setIndex: (data) => {{ index = data; }} }};
      vm.runInThisContext(fs.readFileSync({json.dumps(str(built / "zh" / "searchindex.js"))}, "utf8"));
      const parts = splitQuery({json.dumps(query)}).map((part) => new Stemmer().stemWord(part.toLowerCase()));
      const hits = parts.map((part) => [].concat(index.terms[part] ?? [], index.titleterms[part] ?? []));
      console.log(JSON.stringify(index.docnames.filter((name, at) => hits.every((found) => found.includes(at)))));
    """
    ended = subprocess.run([node, "-e", script], capture_output=True, text=True, timeout=60, check=True)
    assert page in json.loads(ended.stdout)


@pytest.mark.slow
def test_lines_of_chinese_are_joined_without_a_space(built: Path) -> None:
    text = re.sub(r"<pre>.*?</pre>", "", (built / "zh" / "faq.html").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not re.findall(r"[\u3400-\u9fff，。：；]\n[\u3400-\u9fff]", text)


def test_terms_are_pairs() -> None:
    assert {"热词", "词表", "表"} <= set(terms("热词表")) and "fun-asr" in terms("用 fun-asr 识别")


@pytest.mark.slow
@pytest.mark.parametrize(
    "link", ["[a](nowhere.md)", "[a](../nowhere.toml)", "[a](page.md#no-such-heading)", "[a](../README.md#none)"]
)
def test_broken_link_fails_the_build(tmp_path: Path, link: str, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = tmp_path / "docs"
    (docs / "images").mkdir(parents=True)
    (tmp_path / "README.md").write_text("# A heading\n")
    shutil.copy(site.DOCS / "nav.toml", docs / "nav.toml")
    (docs / "page.md").write_text("# Page\n\nWords.\n")
    (docs / "index.md").write_text(f"# Start\n\n{link}\n")
    pages = tmp_path / "pages"
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", "-c", str(CHECKOUT / "tools" / "site")]
    try:
        site.stage("en", pages, docs)
    except site.BrokenLinkError as error:
        assert "index.md links to" in str(error)
        return
    ended = subprocess.run([*command, str(pages), str(tmp_path / "out")], capture_output=True, text=True, check=False)
    assert ended.returncode != 0, ended.stdout
