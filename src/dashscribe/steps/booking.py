"""What an error means for the file or window that was worked on: the end of it, another try, or a wait.

A source's own fault ends the file at once. A host's failure is counted, and the third one ends the piece of work. What
is the machine's fault (database, disk) costs no try: the work waits until it is mended. What a database refuses for the
sake of what it was told is not: that counts as a failure, so that all work ends.
"""

from __future__ import annotations

import logging

from dashscribe import files, windows
from dashscribe.db import is_trouble, said
from dashscribe.errors import DashscribeError, EngineDownError, EngineUnavailableError, ModelNotFoundError
from dashscribe.errors.sources import RecognitionError, SourceError
from dashscribe.files import ClaimedFile
from dashscribe.pipeline import MAX_FAILURES
from dashscribe.queue.slots import Stage
from dashscribe.steps.bench import Bench
from dashscribe.windows import ClaimedWindow, Effect

logger = logging.getLogger(__name__)

#: Wait before the next try after a host's failure, doubled with each, and after trouble with the machine.
RETRY_MS, TROUBLE_MS = 500, 5000
#: The same where the only engine asks somebody else in vain: a server that loads a large model takes minutes.
DOWN_MS = 60_000


def book_file(bench: Bench, file: ClaimedFile, error: Exception) -> None:
    """Decide how a file goes on whose step ended with an error."""
    what = f"file {file.number} of task {file.task_id}, {file.state}"
    match error:
        case SourceError():
            end_file(bench, file, error.code_for(file.shape), error.message_for(file.shape))
        case ModelNotFoundError() | EngineUnavailableError():
            end_file(bench, file, error.code, error.message)
        case _ if costs_no_try(bench, error, what):
            files.release(bench.engine, file, after_ms=TROUBLE_MS)
        case _ if file.failures + 1 < MAX_FAILURES:
            log(what, error)
            files.release(bench.engine, file, after_ms=RETRY_MS << file.failures, failed_once=True)
        case _:
            log(what, error)
            failure = RecognitionError(f"It failed {MAX_FAILURES} times; the last reason: {said(error)}")
            end_file(bench, file, failure.code_for(file.shape), failure.message_for(file.shape))


def book_window(bench: Bench, window: ClaimedWindow, error: Exception) -> None:
    """Decide how a window goes on whose recognition ended with an error."""
    what = f"window {window.channel}-{window.number} of task {window.task_id}"
    if costs_no_try(bench, error, what):
        windows.release(bench.engine, window, after_ms=TROUBLE_MS)
        return
    log(what, error)
    if window.failures + 1 < MAX_FAILURES and not isinstance(error, RecognitionError):
        wait_ms = DOWN_MS if isinstance(error, EngineDownError) else RETRY_MS
        windows.release(bench.engine, window, after_ms=wait_ms << window.failures, failed_once=True)
        return
    effect = windows.give_up(bench.engine, window, said(error))
    if effect is not Effect.NONE:
        bench.telemetry.window_ended("given_up")
    if effect is Effect.LAST:
        bench.worker.ring(Stage.FINISH)


def end_file(bench: Bench, file: ClaimedFile, code: str, message: str) -> None:
    """Fail a file and clear away its windows."""
    if files.failed(bench.engine, file, code, message):
        bench.telemetry.file_ended("failed", code)
        bench.worker.ring(Stage.DELIVER)
        logger.info("file %d of task %s failed: %s %s", file.number, file.task_id, code, message)
        bench.store.delete_prefix(file.windows_prefix)


def costs_no_try(bench: Bench, error: Exception, what: str) -> bool:
    """Whether the machine is at fault, or the end of the program, which takes the hosts along."""
    if isinstance(error, OSError) or is_trouble(error):
        logger.warning("%s waits for the machine: %s: %s", what, type(error).__name__, error)
        return True
    return bench.worker.stopping.is_set() and not isinstance(error, SourceError)


def log(what: str, error: Exception) -> None:
    """Say in the log what went wrong; with a traceback where nobody has foreseen it."""
    if isinstance(error, DashscribeError):
        logger.warning("%s: %s: %s", what, type(error).__name__, error)
    else:
        logger.error("%s: an error that nobody foresaw", what, exc_info=error)
