"""Tables on terminals of every width: nothing is cut off, nothing is wider than the terminal, in Chinese neither."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from dashscribe.cli import output

COLUMNS = ("ID", "OWNER", "URL", "STATE")
ROWS = [
    ("1", "实验室", "https://media.example.net/" + "录音/" * 12, "works"),
    ("22", "a-rather-long-owner", "https://h/1", "revoked 2026-01-01"),
    ("vocab-harbor-0123456789abcdef0123456789abcdef", "default", "", "works"),
]


def printed(width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    file = io.StringIO()
    monkeypatch.setattr(output, "console", lambda: Console(file=file, width=width, markup=False, highlight=False))
    output.print_table(COLUMNS, ROWS, free=("URL",))
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [50, 60, 80, 100, 120, 140, 1000])
def test_every_value_is_there_whole_and_every_line_fits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(width, monkeypatch)
    assert max(cell_len(line) for line in lines) <= width
    told = "".join("".join(lines).split())
    for value in (
        "实验室",
        "a-rather-long-owner",
        "vocab-harbor-0123456789abcdef0123456789abcdef",
        "revoked2026-01-01",
    ):
        assert value in told
    assert "…" not in told
    # A long text goes on in the next line, where other columns may stand beside it.
    assert told.count("录") == 12


def test_a_wide_terminal_gets_a_table_and_a_narrow_one_paragraphs(monkeypatch: pytest.MonkeyPatch) -> None:
    wide, narrow = printed(140, monkeypatch), printed(60, monkeypatch)
    assert wide[0].split() == list(COLUMNS)
    assert narrow[0].strip() == "id 1"
    assert [line.split()[0] for line in narrow[1:3]] == ["owner", "url"]


def test_a_table_without_rows_is_its_headings(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(output, "console", lambda: Console(file=file, width=80))
    output.print_table(("TASK", "STATUS"), [])
    assert file.getvalue().split() == ["TASK", "STATUS"]
