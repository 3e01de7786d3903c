"""Steps that end when their recording was deleted, failed or is past its time: what they have stored goes, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dashscribe import files, recordings
from dashscribe.db.tables import FileState
from dashscribe.files import ClaimedFile
from dashscribe.redos import ClaimedRedo
from dashscribe.steps.bench import Bench
from dashscribe.steps.heard import every_first_key
from dashscribe.windows import ClaimedWindow

Row = TypeVar("Row", ClaimedFile, ClaimedWindow, ClaimedRedo)


def leaving_nothing(bench: Bench, step: Callable[[Row], None]) -> Callable[[Row], None]:
    """The same step, which looks at its end, however that comes, whether what it was for is still there.

    Erasing has been here before, perhaps, and comes again only much later.
    """

    def run(row: Row) -> None:
        try:
            step(row)
        finally:
            task_id, number = _place(row)
            state = recordings.state_of(bench.engine, task_id, number)
            if state is None:
                bench.store.delete_prefix(files.prefix_of(task_id, number))
            elif state is FileState.FAILED:  # perhaps while this went on: its time was over
                bench.store.delete_prefix(files.windows_prefix_of(task_id, number))
                if isinstance(row, ClaimedFile) and row.cut is not None:  # a result that no row knows of
                    for key in every_first_key(row.prefix, row.generation, row.claim):
                        bench.store.delete(key)

    return run


def _place(row: ClaimedFile | ClaimedWindow | ClaimedRedo) -> tuple[str, int]:
    """The task of the recording, and its place in it."""
    match row:
        case ClaimedWindow():
            return row.task_id, row.file_number
        case ClaimedRedo():
            return row.file.task_id, row.file.number
        case _:
            return row.task_id, row.number
