#!/usr/bin/env python3
"""Back up the database, the stored files and the configuration of a dashscribe home while the server runs.

    backup.py HOME DESTINATION

DESTINATION is a new folder on the file system of the stored files, which are linked into it at next to no cost. Copy it
to another machine and remove it. Settings come from nowhere but the arguments: where DASHSCRIBE_DATABASE_URL names
another SQLite file pass --database, where DASHSCRIBE_STORE_URL names another folder --store, and --no-store where it
names a bucket, of which a copy is to be made after this one. PostgreSQL has pg_dump. Needs Python 3.11, and nothing
besides.

Why it is exact: the server writes a file before the row that names it, and removes the row before the file. While this
program holds the database's write lock no row changes, so every file that a row names is there, and since the server
replaces stored files instead of writing into them, a link keeps what it had.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

#: How long to wait for the server's current write, in seconds; the server itself waits as long for this program.
LOCK_S = 15.0


def main(arguments: list[str] | None = None) -> int:
    """Make one backup; 0 if it is whole, 1 with the reason on stderr if there is none."""
    parser = argparse.ArgumentParser(description="Back up a dashscribe home while the server runs.")
    parser.add_argument("home", type=Path, help="DASHSCRIBE_HOME")
    parser.add_argument("destination", type=Path, help="new folder on the file system of the stored files")
    parser.add_argument("--database", type=Path, help="the SQLite file; default: HOME/dashscribe.db")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--store", type=Path, help="folder of stored files; default: HOME/store")
    where.add_argument("--no-store", action="store_true", help="leave the stored files out: they lie in a bucket")
    args = parser.parse_args(arguments)
    home, destination = args.home, args.destination
    database, store = args.database or home / "dashscribe.db", args.store or home / "store"
    try:
        destination.mkdir(mode=0o700)
    except FileExistsError:
        return _failed(f"{destination} is there already: remove it once it is copied elsewhere, or name another folder")
    except OSError as error:
        return _failed(error)
    try:
        count = back_up(database, None if args.no_store else store, destination)
        others = copy_others(home, destination)
    except (OSError, sqlite3.Error) as error:
        shutil.rmtree(destination, ignore_errors=True)
        return _failed(error)
    except BaseException:  # Ctrl-C leaves nothing that looks like a backup
        shutil.rmtree(destination, ignore_errors=True)
        raise
    files = "no stored files" if args.no_store else f"{count} stored files"
    print(f"{destination}: {', '.join(('dashscribe.db', *others))} and {files}")  # noqa: T201
    return 0


def _failed(reason: object) -> int:
    print(f"backup: {reason}", file=sys.stderr)  # noqa: T201
    return 1


def back_up(database: Path, store: Path | None, destination: Path) -> int:
    """Write the database and the files into the folder; the number of stored files. OSError, sqlite3.Error."""
    if not database.exists():
        raise FileNotFoundError(f"there is no {database}: name the SQLite file with --database; PostgreSQL has pg_dump")
    count, uri = 0, f"{database.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_S, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        try:
            # Linked first: the copy of the database takes longer, and may be made after the lock, from a reader's
            # view that was opened under it.
            with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it sees this instant
                if store is not None:
                    count = _link(store, destination / "store")
                lock.execute("ROLLBACK")
                with closing(sqlite3.connect(destination / "dashscribe.db")) as copy:
                    reader.backup(copy)
        finally:
            if lock.in_transaction:
                lock.execute("ROLLBACK")
    with closing(sqlite3.connect(destination / "dashscribe.db")) as copy:
        problem = copy.execute("PRAGMA quick_check").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(f"the copy of {database} is damaged: {problem}")
        if store is not None:
            _check_store(copy, store, destination / "store")
    return count


def copy_others(home: Path, destination: Path) -> list[str]:
    """Copy what else of the home cannot be made again; what there was of it."""
    copied = list[str]()
    with suppress(FileNotFoundError):  # which most homes do not have
        shutil.copy(home / "config.toml", destination / "config.toml")
        copied.append("config.toml")
    if (home / "uploads").is_dir():
        _copy(home / "uploads", destination / "uploads")
    return copied


def _link(source: Path, target: Path) -> int:
    """Link every file below ``source`` but half-written ones; files that vanish meanwhile belong to no row."""
    count = 0
    target.mkdir(mode=0o700)
    for folder, names, files in os.walk(source, onerror=_pass_over_vanished, followlinks=True):
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


def _pass_over_vanished(error: OSError) -> None:
    """End the backup for a folder that cannot be read; one that is gone belongs to no row."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _check_store(copy: sqlite3.Connection, store: Path, linked: Path) -> None:
    """Raise FileNotFoundError if rows name stored files and none of them was there: then they lie elsewhere."""
    example = ""
    for key in _keys(copy):
        if (linked / key).exists():
            return
        example = example or key
    if example:
        raise FileNotFoundError(
            f"{store} holds none of the files that rows name, such as {example}: name the folder of "
            "DASHSCRIBE_STORE_URL with --store, or, for a bucket, give --no-store and copy the bucket afterwards"
        )


def _keys(copy: sqlite3.Connection) -> Iterator[str]:
    """Where what rows name lies in the store, but for what is about to be removed."""
    tables = {name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "files" in tables:
        copy.row_factory = sqlite3.Row
        for row in copy.execute("SELECT f.* FROM files f JOIN tasks t ON t.id = f.task_id WHERE NOT t.removed"):
            if "hidden" not in row.keys() or not row["hidden"]:  # noqa: SIM118 (a Row is no dict; old ones lack it)
                yield from filter(None, (row["source_key"], row["result_key"]))
    if "uploads" in tables:
        for (key,) in copy.execute("SELECT key FROM uploads WHERE complete AND NOT removed"):
            yield f"uploads/{hashlib.sha256(key.encode()).hexdigest()}"


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
