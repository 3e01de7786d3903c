"""Adds a model that is on this machine already: a folder, an archive, or the one file of a voice activity detector."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from dashscribe.errors import WeightsError
from dashscribe.weights import CARD, Installed
from dashscribe.weights.archives import kind, unpack
from dashscribe.weights.cards import files_of, write_card
from dashscribe.weights.families import recognize
from dashscribe.weights.installing import About, Watch, card_in, check_family, examine, install
from dashscribe.weights.known import KNOWN, known_by_file
from dashscribe.weights.room import Room, disk_errors
from dashscribe.weights.shelf import Claim, Shelf, check_name

_ARCHIVE_SUFFIX = re.compile(r"(\.tar)?\.(bz2|gz|xz)|\.(tar|tgz|tbz2?|txz|zip|onnx)")
_LANGUAGE = re.compile(r"[a-z]{2,3}", re.ASCII)
_PIECE_BYTES = 1024**2


def add(
    path: Path,
    models_dir: Path,
    *,
    name: str = "",
    languages: Sequence[str] = (),
    link: bool = False,
    replace: bool = False,
    reserve_bytes: int = 0,
    watch: Watch | None = None,
) -> Installed:
    """Install what lies at ``path`` into ``models_dir`` and return it.

    ``name`` defaults to the short name of a known archive, else to the path's own. ``languages`` are codes such as zh,
    by default what the files tell. ``link`` makes links to a folder's files instead of copies. A folder that lies in
    ``models_dir`` already stays as it is and gets its card. Raises WeightsError naming the file and the remedy, also
    for a name that is taken, unless ``replace`` is given.
    """
    watch = watch or Watch()
    path = path.absolute()
    if not path.exists():
        raise WeightsError(f"{path}: there is no such file or folder")
    if link and not path.is_dir():
        raise WeightsError(f"{path} is no folder; only a folder can be added with --link")
    name = check_name(name or default_name(path))
    known = KNOWN.get(name)  # a name that has a row must not stand for another family
    about = About(
        label=str(path),
        family=known.family if known else "",
        languages=tuple(map(_language, languages)),
        source=str(path),
        license=known.license.name if known else "",
    )
    with Shelf(models_dir, watch.say).claimed(name) as claim:
        if path.resolve() == claim.folder.resolve():
            return _in_place(claim, about, replace, watch)
        if not replace and claim.folder.exists() and (there := claim.installed()):
            raise WeightsError(
                f"{name!r} is installed already, from {there.source or 'an unknown source'}; --replace replaces it, "
                "--name gives this one another name"
            )
        return _Adding(path, claim, Room(models_dir, reserve_bytes), watch).install(about, link=link)


def default_name(path: Path) -> str:
    """What a model is called if nobody names it. Raises WeightsError where the path gives no usable name."""
    if known := known_by_file(path.name):
        return known.name
    name = path.name if path.is_dir() else _without_suffix(path.name)
    try:
        return check_name(re.sub(r"[^A-Za-z0-9._-]+", "-", name))
    except WeightsError as error:
        raise WeightsError(f"{error}; name the model with --name") from error


def _without_suffix(name: str) -> str:
    match = re.search(rf"({_ARCHIVE_SUFFIX.pattern})$", name)
    return name[: match.start()] if match else name


def _language(code: str) -> str:
    if not _LANGUAGE.fullmatch(code):
        raise WeightsError(f"{code[:40]!r} is no language code; give codes such as zh, en or yue")
    return code


def _in_place(claim: Claim, about: About, replace: bool, watch: Watch) -> Installed:
    """Give a card to a folder that somebody put among the models by hand."""
    folder = claim.folder
    if card_in(folder) and not replace:
        raise WeightsError(f"{folder} is installed already; --replace writes its {CARD} anew")
    with disk_errors(f"{claim.name} cannot be installed", folder):
        model = examine(claim, folder, about, watch, compare=False)
    write_card(model)
    return model


class _Adding:
    """One model from this machine, with the lock held."""

    def __init__(self, path: Path, claim: Claim, room: Room, watch: Watch) -> None:
        self._path, self._claim, self._room, self._watch = path, claim, room, watch

    def install(self, about: About, *, link: bool) -> Installed:
        """Bring the files into the draft and make a model of them."""
        with disk_errors(f"{self._path} cannot be added", self._claim.work):
            if not self._path.is_dir():
                return install(self._claim, self._from_file(), about, self._watch)
            source = _only_folder(self._path)
            # Looked at before gigabytes are copied; and its own name may tell the languages.
            layout = recognize(source)
            check_family(about.label, layout.family.name, about.family)
            root = self._from_folder(source, link=link)
            if not about.languages and not card_in(root):
                about = dataclasses.replace(about, languages=layout.languages)
            return install(self._claim, root, about, self._watch)

    def _from_file(self) -> Path:
        """The draft's folder with what was in an archive, or with the one file."""
        draft = self._claim.draft()
        if kind(self._path):
            on_bytes = self._watch.over(f"unpacking {self._path.name}")
            return unpack(self._path, draft, room=self._room, on_bytes=on_bytes)
        if self._path.suffix != ".onnx":
            raise WeightsError(
                f"{self._path} is neither a folder nor an archive (.tar.bz2, .tar.gz, .tar.xz, .tar, .zip) nor an "
                ".onnx file"
            )
        self._copy([self._path], self._path.parent, draft)
        return draft

    def _from_folder(self, source: Path, *, link: bool) -> Path:
        """The draft's folder with copies of a folder's files, or links to them; its card is copied in any case."""
        draft = self._claim.draft()
        if link:
            for path in files_of(source):
                place = draft / path.relative_to(source)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(path)
        else:
            self._copy(list(files_of(source)), source, draft)
        if (source / CARD).is_file():
            shutil.copyfile(source / CARD, draft / CARD)
        return draft

    def _copy(self, paths: Sequence[Path], source: Path, draft: Path) -> None:
        total_bytes, done_bytes = sum(path.stat().st_size for path in paths), 0
        self._room.need(total_bytes, f"the copy of {self._path}")
        for path in paths:
            place = draft / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as original, place.open("xb") as copy:
                while piece := original.read(_PIECE_BYTES):
                    copy.write(piece)
                    done_bytes += len(piece)
                    self._room.took(len(piece), f"the copy of {self._path}")
                    self._watch.moved(f"copying {path.name}", done_bytes, total_bytes)


def _only_folder(folder: Path) -> Path:
    """The folder itself, or the one that is all there is in it, as after unpacking an archive by hand."""
    inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder
