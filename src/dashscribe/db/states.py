"""The words for where tasks, files, windows and deliveries are on their way, as the tables hold them."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """States of a task and, but for the last one seen from outside, of each of its files.

    Also of a stage that is done again, which is never canceled.
    """

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class FileState(StrEnum):
    """Where a file is on its way. A slot works on one that is FETCHING, CUTTING or FINISHING.

    From RECOGNIZING on all windows are cut; it is ended by the last one that is done.
    """

    WAITING = "waiting"
    FETCHING = "fetching"
    FETCHED = "fetched"
    CUTTING = "cutting"
    RECOGNIZING = "recognizing"
    JOINING = "joining"
    FINISHING = "finishing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


_SEEN = {
    FileState.WAITING: Status.PENDING,
    FileState.SUCCEEDED: Status.SUCCEEDED,
    FileState.FAILED: Status.FAILED,
    FileState.CANCELED: Status.CANCELED,
}


def status_of(state: FileState) -> Status:
    """A file's state as it is seen from outside."""
    return _SEEN.get(state, Status.RUNNING)


class WindowState(StrEnum):
    """Where a window is on its way. ``STALE``: an earlier cut left it, the present one has not come to it yet."""

    READY = "ready"
    CLAIMED = "claimed"
    DONE = "done"
    GIVEN_UP = "given_up"
    STALE = "stale"


class DeliveryState(StrEnum):
    """Where an event is on its way to one target. ``DEAD`` is kept for a replay, ``DROPPED`` is not."""

    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    DEAD = "dead"
    DROPPED = "dropped"
