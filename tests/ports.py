"""Ports of the loopback that stay free until they are listened on."""

import os
import socket
from itertools import count

_drawn = count()


def free_port() -> int:
    """A port that nobody has, below those that the system gives out, of a stretch of this process's own.

    One that the system gives out may be given to somebody else while a server that is told to take it still starts.
    """
    while True:
        port = 10_000 + os.getpid() % 20 * 1000 + next(_drawn) % 1000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
