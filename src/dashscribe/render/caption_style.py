"""What captions should look like: a record of limits, and presets of it by name.

Every number of a preset has its source in docs/captions.md. Widths are columns of a fixed-width display: a Han
character takes two, so that one limit serves every writing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionStyle:
    """Limits of a cue: ``lines`` of ``columns``, on the screen from ``min_ms`` to ``max_ms``.

    ``columns_per_second`` is how fast viewers read: a cue stays on for that, where nothing follows it at once.
    ``speakers`` says whether cues tell who speaks: None where there are several voices, or names by the number of the
    speaker, from 0. Raises ValueError for limits that no cue can keep.
    """

    columns: int = 42
    lines: int = 2
    min_ms: int = 1_000
    max_ms: int = 7_000
    columns_per_second: int = 21
    speakers: bool | Mapping[int, str] | None = None

    def __post_init__(self) -> None:
        if self.columns < 2 or self.lines < 1 or self.columns_per_second < 1:
            raise ValueError("captions need a line of 2 columns, read at 1 column per second, at least")
        if not 0 < self.min_ms <= self.max_ms:
            raise ValueError(f"cues cannot last from {self.min_ms} ms to {self.max_ms} ms")


PRESETS: dict[str, CaptionStyle] = {
    "default": CaptionStyle(),
    "chinese": CaptionStyle(columns=32, columns_per_second=18),
    "broadcast": CaptionStyle(columns=32, min_ms=1_500, max_ms=6_000, columns_per_second=17),
    "social": CaptionStyle(columns=24, lines=1, max_ms=3_000, speakers=False),
}


def find_style(
    captions: str | CaptionStyle = "default", *, speakers: bool | Mapping[int, str] | None = None
) -> CaptionStyle:
    """The style itself or the preset of that name; ``speakers`` replaces what it says of them unless None.

    Raises ValueError for an unknown name.
    """
    if isinstance(captions, str):
        if captions not in PRESETS:
            raise ValueError(f"{captions!r} is no caption preset; known: {', '.join(PRESETS)}")
        captions = PRESETS[captions]
    return captions if speakers is None else replace(captions, speakers=speakers)
