"""Parts that fail in ways for which the service has codes, put in the way of a server that runs as another process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dashscribe.config import Settings
from dashscribe.engines import EngineInfo
from dashscribe.types import Limits, Options, Outcome, Waveform


class Broken:
    """An engine that fails at every span."""

    def __init__(self, settings: Settings) -> None:
        pass

    def recognize(self, pieces: Sequence[Waveform], options: Options) -> list[Outcome]:
        raise RuntimeError("the weights are torn")


BROKEN = EngineInfo(
    name="broken",
    target=f"{__name__}:Broken",
    languages=(),
    limits=Limits(),
    version="1",
    package=__name__,
    summary="fails, for tests",
)

#: Runs at the start of every Python that has it on its path: enrichment that leaves no word, as a filter of words may.
WORDLESS = """
from dashscribe import enrich

enrich.punctuate = lambda sentences, **how: (s for s in sentences if not s.text)
"""


def installed_engine(folder: Path) -> str:
    """Make ``folder`` look like an installed distribution with the engine: the PYTHONPATH that finds it."""
    about = folder / "failing_parts-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: failing-parts\nVersion: 1\n")
    (about / "entry_points.txt").write_text(f"[dashscribe.engines]\nbroken = {__name__}:BROKEN\n")
    return f"{folder}:{Path(__file__).parent}"


def wordless_enrichment(folder: Path) -> str:
    """The PYTHONPATH with which enrichment leaves no word."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(WORDLESS)
    return str(folder)
