"""What is known of a kind of model folder, and a folder that is one: the nouns of ``families``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dashscribe.weights.onnx_header import Header

Task = Literal[
    "speech", "voice_activity", "punctuation", "speaker_segmentation", "speaker_embedding", "audio_tagging", "denoise"
]
#: Headers of a folder's graphs by role.
Headers = Mapping[str, Header]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One kind of model folder.

    ``files`` maps a role to glob patterns, best first (int8 before float32: a third of the memory); a role that ends
    with ``/`` is a folder, given by a file inside it. ``optional`` are roles that may be absent. ``metadata`` lists the
    required keys of a role's graph. ``fits`` tells the family from others with the same files, ``check`` finds what is
    wrong with a folder of it beyond missing files and keys.
    """

    name: str
    title: str
    task: Task
    files: Mapping[str, tuple[str, ...]]
    optional: frozenset[str] = frozenset()
    metadata: Mapping[str, tuple[str, ...]]
    fits: Callable[[Headers], bool] = lambda headers: True
    check: Callable[[Path, Mapping[str, str], Headers], Iterator[str]] = lambda folder, files, headers: iter(())
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """A folder that is complete: its family, and its files by role, relative to the folder."""

    family: Family
    files: Mapping[str, str]
    languages: tuple[str, ...]
