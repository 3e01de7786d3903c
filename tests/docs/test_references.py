"""The reference pages say what the code says."""

from __future__ import annotations

import sys

import pytest
from blocks import CHECKOUT

sys.path.insert(0, str(CHECKOUT / "tools"))

import references
from dashscribe.catalog import MODELS
from dashscribe.config import Settings
from dashscribe.wire.params import TABLE

#: Told here, so that collecting need not write them all; that of the commands in English is written elsewhere.
NAMES = [f"{name}{suffix}.md" for name in references.PAGES for suffix in ("", ".zh")] + ["commands.zh.md"]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """All of them, by name."""
    return dict(references.rendered())


def test_all_pages_are_looked_at(pages: dict[str, str]) -> None:
    assert sorted(pages) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_reference_page_is_fresh(name: str, pages: dict[str, str]) -> None:
    written = (references.DOCS / name).read_text(encoding="utf-8")
    assert written == pages[name], "stale: run .venv/bin/python tools/references.py"


def test_pages_name_all_that_there_is(pages: dict[str, str]) -> None:
    assert all(f"`{row.name}`" in pages["parameters.md"] for row in TABLE)
    assert all(f"`{name}`" in pages["models.md"] for name in MODELS)
    assert all(f"`DASHSCRIBE_{name.upper()}`" in pages["settings.md"] for name in Settings.model_fields)
    for code in ("InvalidParameter", "ModelNotFound", "Throttling.RateQuota", "FILE_TOO_LARGE", "DECODE_ERROR"):
        assert f"`{code}`" in pages["errors.md"]
    assert "`POST /api/v1/services/audio/asr/transcription`" in pages["http-api.md"]


def test_tables_are_the_same_in_both_languages(pages: dict[str, str]) -> None:
    for name in references.PAGES:
        english, chinese = (pages[f"{name}{suffix}.md"].count("\n| ") for suffix in ("", ".zh"))
        assert english == chinese > 5
