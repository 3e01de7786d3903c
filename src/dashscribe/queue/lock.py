"""The worker role of one home, held by one process at a time and given up with its end, however it ends."""

from __future__ import annotations

import fcntl
import os
import uuid
from itertools import count
from pathlib import Path

from dashscribe.errors import ConfigError


class HomeLock:
    """One role in a home folder. Where work is shared between many homes, one home may have several roles.

    A role has a name for as long as its file lies there, so that a worker that begins anew knows its earlier rows.
    """

    def __init__(self, home: Path, *, several: bool = False) -> None:
        self._home = home
        self._several = several
        self._descriptor: int | None = None
        #: The name of a role that may be one of several, which no other home has; its number in this home.
        self.name, self.number = "", 1

    def take(self) -> None:
        """Take the role, or the first free one. Raises ConfigError naming the process that has it."""
        for self.number in count(1):
            path = self._home / ("worker.lock" if self.number == 1 else f"worker-{self.number}.lock")
            holder = self._try(path)
            if holder is None:
                return
            if not self._several:
                raise ConfigError(
                    f"home={str(self._home)!r} has a worker already, process {holder or 'unknown'}: stop it, start "
                    "this server with --no-worker, or give it another home"
                )

    def _try(self, path: Path) -> str | None:
        """Take the role of this file; else the process that has it."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigError(f"home={str(self._home)!r} cannot be written: {error}") from error
        holder, _, name = os.pread(descriptor, 100, 0).decode(errors="replace").partition("\n")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return holder.strip()
        self.name = name.strip() or (str(uuid.uuid4()) if self._several else "")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n{self.name}".strip().encode() + b"\n", 0)
        self._descriptor = descriptor
        return None

    def release(self) -> None:
        """Give the role up."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
