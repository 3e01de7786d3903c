"""Model weights on this machine: where they lie, which there are, what identifies them.

``$DASHSCRIBE_MODELS_DIR/<name>/`` holds the upstream's files under their own names and a ``model.toml`` that tells the
family, the files with their SHA-256, and where they came from. A folder counts once it has that file, which is written
last. Getting weights there is ``pull`` and ``adding``; what a family's folder must hold is ``families``.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from dashscribe.errors import WeightsError
from dashscribe.weights.families import FAMILIES, Layout, Task, check

#: The file that makes a folder an installed model.
CARD = "model.toml"
#: What it calls the number of pieces that may be decoded at once, by what computes.
BATCH_KEYS = {"cpu": "batch", "cuda": "cuda_batch"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A model on this machine. ``files`` are by role, relative to ``folder``; ``sums`` their SHA-256 by file name.

    ``batches`` is how many pieces of sound may be decoded at once without changing any result, by what computes ("cpu",
    "cuda"), as `models verify` found by trying; 1 where it did not. ``digest`` identifies the weights: twelve
    hexadecimal digits.
    """

    name: str
    folder: Path
    family: str
    files: Mapping[str, str]
    sums: Mapping[str, str]
    languages: tuple[str, ...]
    source: str = ""
    license: str = ""
    batches: Mapping[str, int] = field(default_factory=lambda: {"cpu": 1})
    digest: str = ""

    @property
    def layout(self) -> Layout:
        """The folder as its family wants it."""
        return Layout(FAMILIES[self.family], self.files, self.languages)

    def path(self, role: str) -> Path:
        """The file, or for a role that ends with a slash the folder, of that role."""
        path = self.folder / self.files[role]
        return path.parent if role.endswith("/") else path

    def check(self) -> None:
        """Look for what would keep it from loading; raises WeightsError naming the file and the remedy."""
        check(self.folder, self.layout)


def installed(models_dir: Path) -> dict[str, Installed]:
    """The models of a folder by name; a folder without a usable ``model.toml`` is none."""
    found: dict[str, Installed] = {}
    try:
        folders = sorted(models_dir.iterdir())
    except OSError:
        return found
    for folder in folders:
        try:
            found[folder.name] = read_card(folder)
        except WeightsError:
            continue  # being installed, or something else; `models ls` tells of it
    return found


def find(models_dir: Path, name: str) -> Installed:
    """The installed model of that name. Raises WeightsError naming the command that lists what there is."""
    try:
        return read_card(models_dir / name)
    except WeightsError as error:
        raise WeightsError(f"no usable model {name!r} is installed: {error}; see `dashscribe models ls`") from error


def find_task(models_dir: Path, task: Task) -> Installed | None:
    """The first installed model for a task, by name; None if there is none."""
    models = installed(models_dir).values()
    return next((model for model in models if FAMILIES[model.family].task == task), None)


def read_card(folder: Path) -> Installed:
    """The model in a folder, by its ``model.toml``. Raises WeightsError for a card that is missing or unusable."""
    try:
        stat = (folder / CARD).stat()
    except OSError as error:
        raise WeightsError(f"{folder / CARD}: {error.strerror or error}") from error
    return _read_card(folder, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _read_card(folder: Path, mtime_ns: int, size: int) -> Installed:
    """The same, read again only when the file has changed."""
    del mtime_ns, size
    try:
        card = tomllib.loads((folder / CARD).read_text(encoding="utf-8"))
        return _installed(folder, card)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{folder / CARD} is unusable: {error!r}; `dashscribe models add` writes it anew") from error


def _installed(folder: Path, card: dict[str, Any]) -> Installed:
    if card["family"] not in FAMILIES:
        raise ValueError(f"unknown family {card['family']!r}")
    sums = {str(name): str(value) for name, value in card["sha256"].items()}
    return Installed(
        name=folder.name,
        folder=folder,
        family=card["family"],
        files={str(role): str(name) for role, name in card["files"].items()},
        sums=sums,
        languages=tuple(map(str, card["languages"])),
        source=str(card.get("source", "")),
        license=str(card.get("license", "")),
        batches={provider: int(card[key]) for provider, key in BATCH_KEYS.items() if key in card},
        digest=digest_of(sums),
    )


def digest_of(sums: Mapping[str, str]) -> str:
    """What identifies weights: twelve hexadecimal digits over the SHA-256 of all files."""
    lines = "".join(f"{sums[name]} {name}\n" for name in sorted(sums))
    return hashlib.sha256(lines.encode()).hexdigest()[:12]
