"""Landlock: this process may read below some folders, and nothing else of the file system.

Works without root and in containers, from Linux 5.13 on. Files that are open already stay usable, which is how a media
child reads its source. Numbers are from <linux/landlock.h>; the system calls have the same ones on all architectures.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1  # flag of landlock_create_ruleset: only tell the version
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
#: All rights over files that a version knows, by version: those named here are refused unless a rule grants them.
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
#: From this version on, connecting and binding of TCP (both bits), and reaching the abstract sockets and, by signal,
#: the processes outside (both bits).
_NETWORK_FROM, _SCOPES_FROM = 4, 6


def read_only(paths: Iterable[Path]) -> str:
    """Restrict this thread, and those it starts, to reading these files and what lies below these folders.

    Call it while there is one thread, after ``gain_nothing``. Paths that do not exist are left out. Returns a sentence
    for the report, which begins with "readable" where the system cannot do it.
    """
    if sys.platform != "linux":
        return f"readable: {sys.platform} has no Landlock"
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION))
    if version < 1:
        return f"readable: no Landlock ({os.strerror(ctypes.get_errno())})"
    handled = _RIGHTS[max(known for known in _RIGHTS if known <= version)]
    attributes = struct.pack(
        "=QQQ", handled, 0b11 if version >= _NETWORK_FROM else 0, 0b11 if version >= _SCOPES_FROM else 0
    )
    # An older kernel takes a longer structure if what it does not know is zero.
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    if ruleset < 0:
        return f"readable: {os.strerror(ctypes.get_errno())}"
    try:
        for path in paths:
            with suppress(OSError):
                _grant(libc, ruleset, path)
        if libc.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint(0)) != 0:
            return f"readable: {os.strerror(ctypes.get_errno())}"
    finally:
        os.close(ruleset)
    threads = len(list(Path("/proc/self/task").iterdir())) if Path("/proc/self/task").is_dir() else 1
    return "its source and its program" if threads == 1 else f"readable: by {threads - 1} threads started before"


def _grant(libc: ctypes.CDLL, ruleset: int, path: Path) -> None:
    """Let one file be read, or all below one folder."""
    assert sys.platform == "linux"
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = _READ_FILE | (_READ_DIR if stat.S_ISDIR(os.fstat(descriptor).st_mode) else 0)
        rule = struct.pack("=Qi", rights, descriptor)
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, ctypes.c_uint(0))
    finally:
        os.close(descriptor)
