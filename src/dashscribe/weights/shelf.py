"""The folder of all models: each model is changed by one process at a time, and seen whole or not at all.

Work on a model goes on in ``.work/<name>/`` beside the models: its lock, unfinished downloads, the folder that is being
built, the one that is being removed. What a killed process left there is cleared, or put back, by the next one that
takes the lock. Hidden in ``.work``, none of it is taken for a model, however complete it is.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dashscribe.errors import WeightsError
from dashscribe.weights import CARD, Installed, read_card
from dashscribe.weights.room import disk_errors

#: Names that engines have already.
RESERVED = frozenset({"pocketsphinx", "standin", "openai"})
_WORK = ".work"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


def check_name(name: str) -> str:
    """Return a name that a model may have. Raises WeightsError saying what it may consist of."""
    if not _NAME.fullmatch(name):
        raise WeightsError(
            f"{name[:120]!r} cannot be the name of a model: use up to 100 letters, digits, dots, dashes and "
            "underscores, a letter or digit first"
        )
    if name.lower() in RESERVED:
        raise WeightsError(f"{name!r} is the name of an engine that is built in; choose another with --name")
    return name


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to change one model: ``folder`` is where it lies or will lie, ``work`` where work on it goes on."""

    name: str
    folder: Path
    work: Path

    @property
    def parts(self) -> Path:
        """Where unfinished downloads wait; they outlive the process."""
        return self.work / "parts"

    def installed(self) -> Installed | None:
        """The model if it is there; None if nothing is. Raises WeightsError for a folder that is no installed model."""
        if not os.path.lexists(self.folder):
            return None
        try:
            return read_card(self.folder)
        except WeightsError as error:
            raise WeightsError(
                f"{self.folder} is in the way, a folder that is no installed model ({error}); `dashscribe models add "
                f"{self.folder}` makes it one if its files are all there, otherwise remove it"
            ) from error

    def draft(self) -> Path:
        """A new empty folder for what is being built."""
        draft = self.work / "draft"
        _discard(draft)
        draft.mkdir(parents=True)
        return draft

    def publish(self, built: Path) -> None:
        """Give a folder that is complete and on disk the model's name, in the place of what has it."""
        old = self.work / "old"
        if os.path.lexists(self.folder):
            self.folder.rename(old)
            sync_folder(self.work)
        built.rename(self.folder)
        sync_folder(self.folder.parent)
        _discard(old)

    def remove(self) -> None:
        """Take the model away at once, then delete its files."""
        self.work.mkdir(parents=True, exist_ok=True)
        trash = self.work / "trash"
        self.folder.rename(trash)
        sync_folder(self.folder.parent)
        _discard(trash)

    def clear(self) -> None:
        """Undo what a killed process left half done: put back what was to be replaced and was not, delete the rest."""
        old = self.work / "old"
        if os.path.lexists(old) and not os.path.lexists(self.folder):
            old.rename(self.folder)
        for name in ("old", "draft", "trash"):
            _discard(self.work / name)
        for draft in self.work.glob(".*.*"):  # of ``write_whole``, by whoever has its number, which need not be here
            if not _runs(draft.name.rpartition(".")[2]):
                draft.unlink(missing_ok=True)

    def forget_parts(self) -> None:
        """Delete the downloads, which are of no use any more."""
        shutil.rmtree(self.parts, ignore_errors=True)


class Shelf:
    """The models of one folder. ``say`` is told when another process has to be waited for."""

    def __init__(self, models_dir: Path, say: Callable[[str], None] = lambda line: None) -> None:
        self.models_dir = models_dir
        self._say = say

    @contextmanager
    def claimed(self, name: str) -> Generator[Claim]:
        """Hold the lock of one model, waiting for it; a killed process gives it up. Raises WeightsError for a name."""
        claim = self._claim(check_name(name))
        with disk_errors(f"{name} cannot be changed", self.models_dir):
            claim.work.mkdir(parents=True, exist_ok=True)
            lock = os.open(claim.work / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say(f"{name}: another process is at work on it; waiting for that")
                fcntl.flock(lock, fcntl.LOCK_EX)
            with disk_errors(f"{name}: what a killed process left cannot be cleared", self.models_dir):
                claim.clear()
            try:
                yield claim
            finally:
                with suppress(OSError):
                    claim.clear()  # what failed or was interrupted takes no room; a kill leaves it to the next one
        finally:
            os.close(lock)

    def sweep(self) -> None:
        """Clear what killed processes left of any model; what cannot be cleared now is left to the next one."""
        for lock in self.models_dir.glob(f"{_WORK}/*/lock"):
            with suppress(OSError), lock.open("rb+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._claim(lock.parent.name).clear()

    def names(self) -> list[str]:
        """Everything that lies here, hidden things left out; not all of it need be models."""
        try:
            return sorted(path.name for path in self.models_dir.iterdir() if not path.name.startswith("."))
        except OSError:
            return []

    def accepted(self, name: str) -> str:
        """The license that was accepted for a model; empty if none was."""
        try:
            return (self.models_dir / _WORK / name / "license").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def accept(self, name: str, license_name: str) -> None:
        """Remember that a license was accepted, so that nobody is asked twice."""
        work = self._claim(check_name(name)).work
        with disk_errors(f"{name}: the accepted license cannot be noted", self.models_dir):
            work.mkdir(parents=True, exist_ok=True)
            write_whole(work / "license", f"{license_name}\n")

    def _claim(self, name: str) -> Claim:
        return Claim(name, self.models_dir / name, self.models_dir / _WORK / name)


def remove(models_dir: Path, name: str) -> None:
    """Remove an installed model, and what is left of unfinished downloads of it.

    Raises WeightsError where there is neither, and for a folder that is no installed model.
    """
    folder, parts = models_dir / check_name(name), models_dir / _WORK / name / "parts"
    if not os.path.lexists(folder) and not parts.is_dir():
        raise WeightsError(f"{name} is not installed; `dashscribe models ls` lists what is")
    with Shelf(models_dir).claimed(name) as claim, disk_errors(f"{name} cannot be removed", folder):
        if os.path.lexists(folder):
            if not (folder / CARD).is_file():
                raise WeightsError(f"{folder} is left alone: it has no {CARD}, so it is no installed model")
            claim.remove()
        claim.forget_parts()


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that it is seen whole or not at all, and is on disk on return."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def _runs(pid: str) -> bool:
    """Whether there is a process of that number."""
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except (OSError, ValueError):  # somebody else's, or no number at all
        pass
    return True


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(path: Path) -> None:
    """Delete a folder with all in it, or a link to one; nothing there is no error."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
