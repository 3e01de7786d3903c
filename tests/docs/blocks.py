"""Blocks of code in the pages: where they are, in what language, and what is to become of them.

A block of ``sh`` or ``python`` runs, one of ``json``, ``yaml`` or ``toml`` is parsed, ``text`` is what something
printed. A comment before the fence, which neither a repository browser nor the site shows, says otherwise:

``<!-- not run: REASON -->``  one of ``REASONS``, or ``test: PATH`` for one that another test runs
``<!-- first: CODE -->``      is run before the block
``<!-- from: PATH -->``       the block is a part of that file, word for word
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

#: Why a block does not run. No other reason counts.
REASONS = {
    "installs": "installs packages or changes the system; tests of deployment and the release script do so",
    "internet": "asks hosts that are not here",
    "serves": "starts a server in the foreground; the tests' own server is started the same way",
    "machines": "needs Docker, Kubernetes, a database or a store of one's own",
    "gpu": "needs a GPU",
    "long": "runs for minutes or hours",
    "other program": "the language of another program, which is not installed here",
    "sketch": "one line of a whole that is shown elsewhere, with placeholders only its reader can fill",
}

#: Pages whose programs build on each other, and the test that runs them as a whole.
ELSEWHERE = {
    "docs/python.md": "tests/wire/test_python_docs.py",
    "docs/python.zh.md": "tests/wire/test_python_docs.py",
}

_BLOCK = re.compile(
    r"(?P<comments>(?:^[ ]*<!--[^\n]*-->\n)*)"
    r"^(?P<indent>[ ]*)```(?P<language>[\w-]*)[^\n]*\n(?P<code>.*?)^(?P=indent)```[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_COMMENT = re.compile(r"<!-- (not run|first|from): (.*?) -->")


@dataclass(frozen=True, slots=True)
class Block:
    """One block, with what stands before it. ``line`` is where its code begins."""

    page: Path
    line: int
    language: str
    code: str
    not_run: str = ""
    first: str = ""
    source: str = ""

    @property
    def name(self) -> str:
        """Page and line, for messages."""
        return f"{self.page.relative_to(CHECKOUT)}:{self.line}"


def pages() -> list[Path]:
    """Every page of the repository that people read, but for what a vendor wrote."""
    found = [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("examples/**/*.md")]
    return sorted([*found, *CHECKOUT.glob("benchmarks/*.md"), *CHECKOUT.glob("training/*.md")])


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        said = dict(_COMMENT.findall(found["comments"]))
        whole = ELSEWHERE.get(page.relative_to(CHECKOUT).as_posix())
        if whole and found["language"] == "python":
            said.setdefault("not run", f"test: {whole}")
        indent = len(found["indent"])
        code = "".join(line[indent:] for line in found["code"].splitlines(keepends=True))
        line = text.count("\n", 0, found.start("code")) + 1
        yield Block(
            page,
            line,
            found["language"],
            code,
            not_run=said.get("not run", ""),
            first=said.get("first", ""),
            source=said.get("from", ""),
        )
