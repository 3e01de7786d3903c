"""Whether another task is accepted: while the disk has room and the queue is not longer than the operator wants.

What is refused here is refused before anything is kept of it, and can be sent again; a repeated call whose task exists
already asks for nothing new, and gets that task whatever the state of the server.
"""

from __future__ import annotations

from dashscribe.errors import DiskLowError, QueueFullError
from dashscribe.wire.parts import Parts

#: What a client is told to wait, in seconds: files end all the time, a disk is cleared once in a while.
QUEUE_RETRY_S, DISK_RETRY_S = 10, 60


def admit(parts: Parts, owner: str, files: int, idempotency_key: str = "") -> None:
    """Let in a task of so many files. Raises QueueFullError, DiskLowError.

    Tasks that come in at the same moment see the same queue, so that together they may go a little beyond its limit.
    """
    if idempotency_key and parts.tasks.has_made(owner, idempotency_key):
        return
    settings = parts.settings
    room_bytes = parts.uploads.room_bytes()
    if room_bytes < 0:
        raise DiskLowError(
            f"{(room_bytes + settings.disk_reserve_bytes) // 1024**2} MiB of the server's disk are free, and "
            f"{settings.disk_reserve_bytes // 1024**2} MiB are kept free (DASHSCRIBE_DISK_RESERVE_BYTES): "
            "try again later.",
            DISK_RETRY_S,
        )
    for whose, limit, variable in (
        (owner, settings.max_owner_files, "DASHSCRIBE_MAX_OWNER_FILES"),
        ("", settings.max_queued_files, "DASHSCRIBE_MAX_QUEUED_FILES"),
    ):
        if limit and (queued := parts.tasks.open_files(whose)) + files > limit:
            of_whom = f"of owner {owner} " if whose else ""
            raise QueueFullError(
                f"{queued} files {of_whom}wait or are being worked on and {files} more came; the limit is {limit} "
                f"({variable}): wait until some have ended, or submit fewer at once.",
                QUEUE_RETRY_S,
            )
