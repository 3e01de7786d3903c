"""The last step of pull and add: files are recognized, summed up and described, then they become a model at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dashscribe.errors import WeightsError
from dashscribe.weights import CARD, Installed, digest_of, read_card
from dashscribe.weights.cards import checksums, write_card
from dashscribe.weights.families import FAMILIES, recognize
from dashscribe.weights.room import disk_errors
from dashscribe.weights.shelf import Claim


def _silent(line: str) -> None:
    del line


def _unmoved(what: str, done: int, total: int | None) -> None:
    del what, done, total


@dataclass(frozen=True, slots=True)
class Watch:
    """Who follows the work: ``say`` gets lines for people, ``moved(what, done, total or None)`` progress in bytes."""

    say: Callable[[str], None] = _silent
    moved: Callable[[str, int, int | None], None] = _unmoved

    def over(self, what: str) -> Callable[[int, int | None], None]:
        """The observer of one piece of work."""
        return lambda done, total: self.moved(what, done, total)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What is known of files before anybody looks at them.

    ``label`` stands for their folder in messages. The family that they must be of, and the languages that they read,
    are empty where the files shall tell; so are source and license where a card that came with the files shall.
    """

    label: str
    family: str = ""
    languages: tuple[str, ...] = ()
    source: str = ""
    license: str = ""


def install(claim: Claim, root: Path, about: About, watch: Watch) -> Installed:
    """Make a model of the files in ``root``, which lies in the claim's draft, and give it its place.

    Raises WeightsError for files that are no model, the wrong one, or damaged; then nothing is changed.
    """
    with disk_errors(f"{claim.name} cannot be installed", claim.work):
        model = examine(claim, root, about, watch)
        write_card(model, root)
        claim.publish(root)
    return model


def examine(claim: Claim, root: Path, about: About, watch: Watch, *, compare: bool = True) -> Installed:
    """What the files in ``root`` will be as a model of the claim's name; they are on disk on return.

    ``compare`` wants them to be those of the card that came with them. Raises WeightsError for files that are no model,
    of another family than wanted, or changed.
    """
    try:
        layout = recognize(root)
    except WeightsError as error:
        raise WeightsError(error.detail.replace(str(root), about.label)) from error
    check_family(about.label, layout.family.name, about.family)
    sums = checksums(root, watch.over(f"checking {claim.name}"))
    came_with = card_in(root)
    if came_with and compare:
        _compare(about.label, sums, came_with.sums)
    return Installed(
        name=claim.name,
        folder=claim.folder,
        family=layout.family.name,
        files=layout.files,
        sums=sums,
        languages=about.languages or (came_with.languages if came_with else layout.languages),
        source=(came_with.source if came_with else "") or about.source,
        license=about.license or (came_with.license if came_with else ""),
        digest=digest_of(sums),
    )


def check_family(label: str, found: str, wanted: str) -> None:
    """Raise WeightsError unless the family is the wanted one, or any is."""
    if wanted and found != wanted:
        raise WeightsError(
            f"{label} is a {FAMILIES[found].title} model, not {FAMILIES[wanted].title}; take another file, or install "
            "it under another name with `dashscribe models add --name`"
        )


def card_in(folder: Path) -> Installed | None:
    """The card that came with files from another machine; None if there is none that can be read."""
    try:
        return read_card(folder)
    except WeightsError:
        return None


def _compare(label: str, sums: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Raise WeightsError for the first file that is not the one of the card."""
    for name, value in expected.items():
        if sums.get(name) != value:
            seen = f"has the SHA-256 {sums[name]}" if name in sums else "is missing"
            raise WeightsError(
                f"{label}: {name} {seen}, but its {CARD} tells of {value}: the file was damaged or changed on its way. "
                f"Copy it again, or delete {CARD} there if the change is meant"
            )
