#!/usr/bin/env python3
"""Back up the database and the stored files of a dashscribe home while the server runs.

    backup.py HOME DESTINATION

DESTINATION is a new folder on the same file system: stored files are linked, which takes next to no time or room.
Copy it to another machine and remove it. Settings come from nowhere but the arguments: where DASHSCRIBE_DATABASE_URL
or DASHSCRIBE_STORE_URL lead elsewhere, pass --database and --store. Needs Python 3.11, and nothing besides.

Why it is exact: the server writes a file before the row that names it, and removes the row before the file. While this
program holds the database's write lock no row changes, so every file that a row names is there, and since the server
replaces stored files instead of writing into them, a link keeps what it had.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path

#: How long to wait for the server's current write, in seconds; the server itself waits as long for this program.
LOCK_S = 15.0


def main(arguments: list[str] | None = None) -> int:
    """Make one backup; 0 if it is whole, 1 with the reason on stderr if there is none."""
    parser = argparse.ArgumentParser(description="Back up a dashscribe home while the server runs.")
    parser.add_argument("home", type=Path, help="DASHSCRIBE_HOME")
    parser.add_argument("destination", type=Path, help="new folder on the same file system")
    parser.add_argument("--database", type=Path, help="the SQLite file; default: HOME/dashscribe.db")
    parser.add_argument("--store", type=Path, help="folder of stored files; default: HOME/store")
    args = parser.parse_args(arguments)
    database, store = args.database or args.home / "dashscribe.db", args.store or args.home / "store"
    destination: Path = args.destination
    try:
        destination.mkdir(mode=0o700)
    except OSError as error:
        print(f"backup: {error}", file=sys.stderr)  # noqa: T201
        return 1
    try:
        count = back_up(database, store, args.home / "uploads", destination)
    except (OSError, sqlite3.Error) as error:
        shutil.rmtree(destination, ignore_errors=True)
        print(f"backup: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"{destination}: dashscribe.db and {count} stored files")  # noqa: T201
    return 0


def back_up(database: Path, store: Path, uploads: Path, destination: Path) -> int:
    """Write the database and the files into the folder; the number of stored files. OSError, sqlite3.Error."""
    uri = f"{database.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_S, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        try:
            # Linked first: the copy of the database takes longer, and may be made after the lock, from a reader's
            # view that was opened under it.
            with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it sees this instant
                count = _link(store, destination / "store")
                lock.execute("ROLLBACK")
                with closing(sqlite3.connect(destination / "dashscribe.db")) as copy:
                    reader.backup(copy)
        finally:
            if lock.in_transaction:
                lock.execute("ROLLBACK")
    if uploads.is_dir():
        _copy(uploads, destination / "uploads")
    with closing(sqlite3.connect(destination / "dashscribe.db")) as copy:
        problem = copy.execute("PRAGMA quick_check").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(f"the copy of {database} is damaged: {problem}")
    return count


def _link(source: Path, target: Path) -> int:
    """Link every file below ``source`` but half-written ones; files that vanish meanwhile belong to no row."""
    count = 0
    target.mkdir(mode=0o700)
    for folder, names, files in os.walk(source):
        names[:] = [name for name in names if name != ".drafts"]
        there = target / Path(folder).relative_to(source)
        there.mkdir(exist_ok=True)
        for name in files:
            try:
                os.link(Path(folder, name), there / name)
            except FileNotFoundError:
                continue
            count += 1
    return count


def _copy(source: Path, target: Path) -> None:
    """Copy the beginnings of resumable uploads, which are added to in place.

    The server cuts off what came after the instant of the backup, and tells the client of one that is missing, because
    it was finished in between, to upload it again.
    """
    target.mkdir(mode=0o700)
    for path in source.iterdir():
        with suppress(FileNotFoundError):
            shutil.copyfile(path, target / path.name)


if __name__ == "__main__":
    sys.exit(main())
