"""Runs the program with faults planted inside it: python faulty_process.py serve …

``FAULT_KILL`` is ``WHERE:MOMENT:COUNT``: the process kills itself (SIGKILL) the COUNTth time that it comes ``before``
or ``after`` the commit of a transaction of the function WHERE (``windows.add``), or of a put (``store.put``).
``FAULT_CLOCK`` names a file with seconds by which the wall clock is off. ``FAULT_STORE`` names a file: while it exists,
the store's puts and reads fail for the reason in it (an errno's name), or are as slow as it says (``slow 0.5``).
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any


def plant_clock(path: Path) -> None:
    """Let the wall clock be off by what stands in a file."""
    real, real_ns = time.time, time.time_ns

    def offset() -> float:
        try:
            return float(path.read_text() or 0)
        except (OSError, ValueError):
            return 0.0

    time.time = lambda: real() + offset()  # type: ignore[assignment]
    time.time_ns = lambda: real_ns() + int(offset() * 1e9)  # type: ignore[assignment]


class Killer:
    """Ends the process at one moment."""

    def __init__(self, plan: str) -> None:
        self.where, self.moment, count = plan.split(":")
        self._left = int(count)

    def at(self, where: str, moment: str) -> None:
        """Die if this is the moment."""
        if (where, moment) != (self.where, self.moment):
            return
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Watched:
    """A transaction before and after whose commit the process may die."""

    def __init__(self, where: str, inner: AbstractContextManager[Any], killer: Killer) -> None:
        self._where, self._inner, self._killer = where, inner, killer

    def __enter__(self) -> Any:
        return self._inner.__enter__()

    def __exit__(self, *error: Any) -> Any:
        if error[0] is None:
            self._killer.at(self._where, "before")
        result = self._inner.__exit__(*error)
        if error[0] is None:
            self._killer.at(self._where, "after")
        return result


def plant_kill(plan: str) -> None:
    """Watch every transaction, and the store's puts."""
    from dashscribe import db

    killer, real = Killer(plan), db.writing

    def writing(engine: Any, *, urgent: bool = False) -> Watched:
        frame = sys._getframe(1)
        where = f"{frame.f_globals['__name__'].removeprefix('dashscribe.')}.{frame.f_code.co_name}"
        return Watched(where, real(engine, urgent=urgent), killer)

    db.writing = writing  # type: ignore[assignment]

    def deadly(real_put: Callable[..., Any]) -> Callable[..., Any]:
        def put(self: Any, *arguments: Any) -> Any:
            killer.at("store.put", "before")
            stored = real_put(self, *arguments)
            killer.at("store.put", "after")
            return stored

        return put

    for kind in stores():
        kind.put = deadly(kind.put)


def stores() -> list[Any]:
    """The classes of both kinds of store."""
    from dashscribe.store.folder import Folder
    from dashscribe.store.s3 import Bucket

    return [Folder, Bucket]


def plant_store(path: Path) -> None:
    """Let the store fail or dawdle as a file says."""

    def faulty(real: Callable[..., Any]) -> Callable[..., Any]:
        def act(self: Any, *arguments: Any) -> Any:
            try:
                fault = path.read_text().split()
            except OSError:
                fault = []
            if fault[:1] == ["slow"]:
                time.sleep(float(fault[1]))
            elif fault:
                number = getattr(errno, fault[0])
                raise OSError(number, os.strerror(number))
            return real(self, *arguments)

        return act

    for kind in stores():
        for name in ("put", "read", "size"):
            setattr(kind, name, faulty(getattr(kind, name)))


def main() -> None:
    """Plant what the environment asks for, then be the program."""
    if path := os.environ.get("FAULT_CLOCK"):
        plant_clock(Path(path))
    if path := os.environ.get("FAULT_STORE"):
        plant_store(Path(path))
    if plan := os.environ.get("FAULT_KILL"):
        plant_kill(plan)
    from dashscribe import cli

    cli.main()


if __name__ == "__main__":
    main()
