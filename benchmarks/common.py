"""What the benchmarks share: where recordings lie, a table, the machine in words."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
SAMPLE = CHECKOUT / "examples" / "gettysburg.flac"

# What an installation has compiled is not compiled again at each start; nor is it here, from the second start on.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def recordings(language: str = "en", kinds: Sequence[str] = ("speech",)) -> list[Path]:
    """Recordings beside the checkout (``AUDIO_DIR`` names another folder), or the project's own sample."""
    folder = Path(os.environ.get("AUDIO_DIR") or CHECKOUT.parent / "shared" / "audio")
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return [SAMPLE]
    rows = json.loads(manifest.read_text(encoding="utf-8"))
    return [folder / row["file"] for row in rows if row["language"] == language and row["kind"] in kinds]


def machine() -> str:
    """One line: processor count, Python, platform."""
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.platform()}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A plain table with right-aligned columns but the first."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for row in cells:
        first, *others = zip(row, widths, strict=True)
        lines.append("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]))
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
