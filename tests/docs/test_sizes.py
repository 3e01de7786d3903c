"""No module above 450 lines, no function above 40, without a reason that stands here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from blocks import CHECKOUT

MODULE_LINES, FUNCTION_LINES = 450, 40
ROOTS = ("src", "tools", "deploy", "examples", "benchmarks", "training", "tests")

ONE_ROOM = "all cases of one room, which share their fixtures"
#: Modules that are longer, and why.
LONG_MODULES = {
    "benchmarks/hotwords.py": "its word lists and sentences are most of it",
    "tests/e2e/test_hosts.py": ONE_ROOM,
    "tests/unit/test_asr_command.py": ONE_ROOM,
    "tests/unit/test_callback_delivery.py": ONE_ROOM,
    "tests/unit/test_fetch.py": ONE_ROOM,
    "tests/unit/test_fleet.py": ONE_ROOM,
    "tests/unit/test_library.py": ONE_ROOM,
    "tests/unit/test_openai_engine.py": ONE_ROOM,
    "tests/unit/test_pipeline.py": ONE_ROOM,
    "tests/unit/test_redo.py": ONE_ROOM,
    "tests/unit/test_steps.py": ONE_ROOM,
    "tests/unit/test_wire_params.py": ONE_ROOM,
    "tests/wire/test_generation.py": ONE_ROOM,
    "tests/wire/test_tus.py": ONE_ROOM,
}
ROWS = "a list of rows, one after the other, without a branch"
#: Functions that are longer, and why.
LONG_FUNCTIONS = {
    "src/dashscribe/catalog.py:_rows": ROWS,
    "src/dashscribe/cli/transcribe.py:transcribe": "the command's flags become options, in one place",
    "src/dashscribe/db/migrations/versions/0001_first.py:upgrade": ROWS,
    "src/dashscribe/db/migrations/versions/0002_clients.py:upgrade": ROWS,
    "src/dashscribe/tasks.py:_insert": "one transaction that must be read as one",
}


def _modules() -> list[Path]:
    return [path for root in ROOTS for path in sorted((CHECKOUT / root).rglob("*.py"))]


def _named(path: Path) -> str:
    return path.relative_to(CHECKOUT).as_posix()


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    """The functions of a module with the lines of their bodies, docstrings and signatures left out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body
            yield node.name, (node.end_lineno or 0) - body[0].lineno + 1


def test_long_modules_are_the_ones_with_a_reason() -> None:
    found = {_named(p) for p in _modules() if p.read_text(encoding="utf-8").count("\n") > MODULE_LINES}
    assert found == set(LONG_MODULES), (
        "cut it along its nouns, or say here why not; what has become short goes from the list"
    )


@pytest.mark.parametrize("roots", [ROOTS[:4], ROOTS[4:]], ids=["program", "benchmarks, training, tests"])
def test_long_functions_are_the_ones_with_a_reason(roots: tuple[str, ...]) -> None:
    limit = FUNCTION_LINES if roots[0] == "src" else 2 * FUNCTION_LINES
    found = {
        f"{_named(path)}:{name}"
        for path in _modules()
        if path.relative_to(CHECKOUT).parts[0] in roots
        for name, lines in _functions(path)
        if lines > limit
    }
    assert found == {name for name in LONG_FUNCTIONS if name.split("/")[0] in roots}
