"""Pulls a model: download from the first origin that has it, check, unpack, install.

Several processes that pull the same model join: the second waits and finds it installed. The checksums seen at the
first pull are kept beside the models and compared at later ones, from whatever mirror.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

from dashscribe.errors import WeightsError
from dashscribe.weights import Installed
from dashscribe.weights.archives import kind, unpack
from dashscribe.weights.download import download, forget, open_client
from dashscribe.weights.installing import About, Watch, install
from dashscribe.weights.known import Known, Origin, file_name, shown
from dashscribe.weights.room import NoRoomLeftError, Room, disk_errors
from dashscribe.weights.shelf import Claim, Shelf, write_whole

#: What an archive of unknown content may unpack to, as a multiple of its size: int8 weights come to about 1.5.
UNPACKED_RATIO = 2


def pull(
    known: Known,
    models_dir: Path,
    *,
    origins: Sequence[Origin] = (),
    sha256: str = "",
    reserve_bytes: int = 0,
    watch: Watch | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Installed:
    """Install a known model into ``models_dir`` and return it; one that is there already is returned as it is.

    ``origins`` take the place of the row's own. ``sha256`` is what the one file must have; it replaces what earlier
    pulls recorded. ``reserve_bytes`` of the disk stay free. On any error, and when interrupted, nothing is seen of the
    model, and what was downloaded is kept for the next call. Raises WeightsError naming each origin and what was wrong.
    """
    watch = watch or Watch()
    with Shelf(models_dir, watch.say).claimed(known.name) as claim:
        if installed := claim.installed():
            watch.say(f"{known.name} is installed: {claim.folder}")
            return installed
        with open_client() as client:
            pulling = _Pull(known, claim, Room(models_dir, reserve_bytes), watch, sha256, client, sleep)
            return pulling.from_first(origins or known.origins)


class _Pull:
    """One model on its way, with the lock held."""

    def __init__(
        self,
        known: Known,
        claim: Claim,
        room: Room,
        watch: Watch,
        sha256: str,
        client: httpx.Client,
        sleep: Callable[[float], None],
    ) -> None:
        self._known, self._claim, self._room, self._watch = known, claim, room, watch
        self._sha256, self._client, self._sleep = sha256.lower(), client, sleep
        self._seen = _Seen(claim.work / "seen.json")

    def from_first(self, origins: Sequence[Origin]) -> Installed:
        """Try one origin after another. Raises WeightsError with what was wrong at each."""
        problems: list[str] = []
        for origin in origins:
            if problems:
                self._watch.say(f"{self._known.name}: {problems[-1]}; trying {origin.host}")
            try:
                return self._from(origin)
            except NoRoomLeftError:
                raise
            except WeightsError as error:
                problems.append(str(error))
        raise WeightsError(
            f"{self._known.name} could not be pulled: {'; '.join(problems)}. Name a mirror with --mirror, another "
            "place with --url, or install a file from elsewhere with `dashscribe models add`"
        )

    def _from(self, origin: Origin) -> Installed:
        files = dict(zip(map(file_name, origin.files), origin.urls, strict=True))
        if self._sha256 and len(files) != 1:
            raise WeightsError(f"{origin.host} has {len(files)} files; --sha256 is for an origin of one")
        parts: dict[str, Path] = {}
        sums: dict[str, str] = {}
        for name, url in files.items():
            parts[name] = self._claim.parts / hashlib.sha256(url.encode()).hexdigest()[:16]
            sums[name] = self._download(name, url, parts[name])
        try:
            model = self._install(origin, parts)
        except NoRoomLeftError:
            raise
        except WeightsError:
            # The files are not what they should be: the next try must not go on with them.
            for part in parts.values():
                forget(part)
            raise
        self._seen.add(sums)
        self._claim.forget_parts()
        return model

    def _download(self, name: str, url: str, part: Path) -> str:
        """Bring one file into its part and compare its checksum with what is known of it."""
        self._watch.say(f"{self._known.name}: downloading {shown(url)}")

        def spare_bytes(size_bytes: int) -> int:
            return self._known.unpacked_bytes or UNPACKED_RATIO * size_bytes

        seen = download(
            self._client,
            url,
            part,
            room=self._room,
            spare_bytes=spare_bytes,
            on_bytes=self._watch.over(name),
            sleep=self._sleep,
        )
        pinned = self._sha256 or self._known.sha256.get(name, "")
        expected = pinned or self._seen.sums.get(name, seen)
        if seen == expected:
            return seen
        forget(part)
        if pinned:
            raise WeightsError(f"{shown(url)} has the SHA-256 {seen}, not {expected} as it should")
        raise WeightsError(
            f"{shown(url)} has the SHA-256 {seen}, but had {expected} when it was first pulled; if the change is "
            f"meant, take it with --sha256 {seen}"
        )

    def _install(self, origin: Origin, parts: Mapping[str, Path]) -> Installed:
        about = About(
            label=origin.source,
            family=self._known.family,
            languages=self._known.languages,
            source=origin.source,
            license=self._known.license.name,
        )
        with disk_errors(f"{self._known.name} cannot be installed", self._claim.work):
            return install(self._claim, self._unpacked(origin, parts), about, self._watch)

    def _unpacked(self, origin: Origin, parts: Mapping[str, Path]) -> Path:
        """The folder in the draft that holds the model's files."""
        draft = self._claim.draft()
        for name, part in parts.items():
            if len(parts) == 1 and kind(part):
                on_bytes = self._watch.over(f"unpacking {name}")
                return unpack(part, draft, room=self._room, label=origin.source, on_bytes=on_bytes)
            place = draft / name
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                place.hardlink_to(part)  # no rename: the part stays until the whole model is installed
            except OSError:
                shutil.copyfile(part, place)
        return draft


class _Seen:
    """The checksums of what was installed under one name before, by file name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            self.sums: dict[str, str] = {str(name): str(value) for name, value in read.items()}
        except (OSError, ValueError, AttributeError):
            self.sums = {}

    def add(self, sums: Mapping[str, str]) -> None:
        """Remember checksums, in the place of older ones of the same files."""
        write_whole(self._path, json.dumps(self.sums | dict(sums), indent=1))
