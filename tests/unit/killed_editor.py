"""Edits a transcript and kills itself at a moment: ``killed_editor.py HOME DATABASE STORE TASK MOMENT``."""

import os
import signal
import sys
from pathlib import Path

from durable import Home

from dashscribe.edits import EditBook, Replacement, Said


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: str, database: str, store: str, task_id: str, moment: str) -> None:
    home = Home(Path(folder), database_url=database, store_url=store)
    book = EditBook(home.engine, home.store)
    if moment == "before the blob":
        home.store.put = die  # type: ignore[method-assign]
    if moment == "after the blob":
        EditBook._make_current = die  # type: ignore[method-assign]
    if moment == "after the row":
        EditBook._forget = die  # type: ignore[method-assign]
    said = Replacement(("0-0",), (Said("the second edit"),))
    book.edit("default", task_id, 0, revision=1, replacements=[said], names={})


if __name__ == "__main__":
    main(*sys.argv[1:])
