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

PAGES = dict(references.rendered())


@pytest.mark.parametrize("name", PAGES)
def test_reference_page_is_fresh(name: str) -> None:
    written = (references.DOCS / name).read_text(encoding="utf-8")
    assert written == PAGES[name], "stale: run .venv/bin/python tools/references.py"


def test_pages_name_all_that_there_is() -> None:
    assert all(f"`{row.name}`" in PAGES["parameters.md"] for row in TABLE)
    assert all(f"`{name}`" in PAGES["models.md"] for name in MODELS)
    assert all(f"`DASHSCRIBE_{name.upper()}`" in PAGES["settings.md"] for name in Settings.model_fields)
    for code in ("InvalidParameter", "ModelNotFound", "Throttling.RateQuota", "FILE_TOO_LARGE", "DECODE_ERROR"):
        assert f"`{code}`" in PAGES["errors.md"]
    assert "`POST /api/v1/services/audio/asr/transcription`" in PAGES["http-api.md"]


def test_tables_are_the_same_in_both_languages() -> None:
    for name in references.PAGES:
        english, chinese = (PAGES[f"{name}{suffix}.md"].count("\n| ") for suffix in ("", ".zh"))
        assert english == chinese > 5
