"""How long children may take, and how old they may get."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long a child may give no sign, in seconds, and how old it may get.

    A recognition may take ``speech_s`` plus ``per_speech_s`` for each second of the longest span: a slow engine on a
    crowded machine stays below ten times real time. That counts for each span that is decoded at once, but for no more
    than ``at_once``: what takes more is a GPU. Seeking decodes what it skips, hence ``per_skipped_s``.
    """

    load_s: float = 300.0
    media_s: float = 120.0
    per_skipped_s: float = 0.05
    text_s: float = 60.0
    speech_s: float = 60.0
    per_speech_s: float = 20.0
    at_once: int = 8
    age_s: float = 6 * 3600.0
