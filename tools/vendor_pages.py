"""Fetch the libraries of the browser pages from npm, at the versions and checksums that are written down here.

Run it after changing a row: ``python tools/vendor_pages.py``. The files it writes are part of the repository, so that
neither installing nor running dashscribe asks any other host. It needs npm, and nothing else does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

VENDOR = Path(__file__).parents[1] / "src/dashscribe/wire/pages/vendor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """One package of npm: which of its files become which of ours, and which bare imports they make."""

    name: str
    version: str
    licence: str
    integrity: str  # of the whole package, as `npm view NAME@VERSION dist.integrity` tells it
    files: dict[str, str]
    imports: dict[str, str] = field(default_factory=dict[str, str])


LIBRARIES = (
    Library(
        name="preact",  # draws the pages; what it is given as text can never become markup
        version="11.2.0",
        licence="MIT",
        integrity="sha512-/HfHI/7N84e6GrWBJ3J280z3mLaRJiDcSvj/A+y/4AbLnND/1UlGHe1sR6oYuTGwId0nP7dqDU9OnLxMPZ7xBg==",
        files={"dist/preact.mjs": "preact.js", "hooks/dist/hooks.mjs": "hooks.js", "LICENSE": "preact.LICENSE"},
        imports={"preact": "./preact.js"},
    ),
    Library(
        name="htm",  # markup in template strings, so that there is no build step
        version="3.1.1",
        licence="Apache-2.0",
        integrity="sha512-983Vyg8NwUE7JkZ6NmOqpCZ+sh1bKv2iYTlUkzlWmA5JD2acKoxd4KVxbMmxX/85mtfdnDmTFoNKcg5DGAvxNQ==",
        files={"dist/htm.module.js": "htm.js", "LICENSE": "htm.LICENSE"},
    ),
    Library(
        name="tus-js-client",  # uploads that go on where they broke off
        version="4.3.1",
        licence="MIT",
        integrity="sha512-ZLeYmjrkaU1fUsKbIi8JML52uAocjEZtBx4DKjRrqzrZa0O4MYwT6db+oqePlspV+FxXJAyFBc/L5gwUi2OFsg==",
        files={"dist/tus.min.js": "tus.js", "LICENSE": "tus.LICENSE"},
    ),
)

#: Where the checksums of what was written lie, for the test that holds them.
CHECKSUMS = "checksums.json"


def main() -> None:
    """Fetch all of them anew."""
    VENDOR.mkdir(parents=True, exist_ok=True)
    for library in LIBRARIES:
        with tempfile.TemporaryDirectory() as folder:
            _unpack(library, _fetched(library, Path(folder)))
        sys.stdout.write(f"{library.name} {library.version} ({library.licence})\n")
    written = sorted(path for path in VENDOR.iterdir() if path.name != CHECKSUMS)
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in written}
    (VENDOR / CHECKSUMS).write_text(json.dumps(sums, indent=2) + "\n")


def _fetched(library: Library, folder: Path) -> Path:
    """The package as a file that has the checksum it must have."""
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), f"{library.name}@{library.version}"]
    subprocess.run(command, check=True, capture_output=True)
    (package,) = folder.glob("*.tgz")
    found = "sha512-" + base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if found != library.integrity:
        sys.exit(f"{library.name} {library.version}: the checksum is {found}, not {library.integrity}")
    return package


def _unpack(library: Library, package: Path) -> None:
    with tarfile.open(package) as archive:
        for inside, name in library.files.items():
            member = archive.extractfile(f"package/{inside}")
            assert member is not None, f"{library.name} has no {inside}"
            text = member.read().decode()
            if name.endswith(".js"):
                text = f"/* {library.name} {library.version}, {library.licence} */\n{_fitted(library, text)}"
            (VENDOR / name).write_text(text)


def _fitted(library: Library, text: str) -> str:
    """A module whose bare imports name our files (browsers want addresses), and which names no source map."""
    for bare, ours in library.imports.items():
        text = re.sub(rf"""(from\s*)(["']){re.escape(bare)}\2""", rf"\g<1>\g<2>{ours}\g<2>", text)
    return re.sub(r"\n?//# sourceMappingURL=\S+\s*$", "\n", text)


if __name__ == "__main__":
    main()
