"""Ports of the loopback that stay free until they are listened on."""

import fcntl
import os
import socket
import tempfile
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import IO

#: How many processes may draw ports at once, of a thousand each.
STRETCHES = 20

_drawn = count()
_owned: list[IO[str]] = []


def free_port() -> int:
    """A port that nobody has, below those that the system gives out, of a stretch of this process's own.

    One that the system gives out may be given to somebody else while a server that is told to take it still starts.
    """
    while True:
        port = 10_000 + _stretch(os.getpid()) * 1000 + next(_drawn) % 1000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@cache
def _stretch(pid: int) -> int:
    """The number of a stretch that belongs to this process until it ends: its lock is the system's."""
    for number in range(STRETCHES):
        stretch = (pid + number) % STRETCHES
        file = (Path(tempfile.gettempdir()) / f"dashscribe-tests-{os.getuid()}-ports-{stretch}").open("w")
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _owned.append(file)
            return stretch
        file.close()
    raise RuntimeError(f"{STRETCHES} processes draw ports already")
