"""How the C library of a long-lived process keeps memory that was freed."""

from __future__ import annotations

import ctypes
from contextlib import suppress

# <malloc.h> of glibc.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
#: Blocks from this size on are mapped one by one, in bytes. That is glibc's default, too, but only until the first one
#: is freed: the threshold then grows up to 32 MiB, and what is smaller stays with the process behind what still lives.
MAPPED_BYTES = 128 * 1024


def give_back_large_blocks() -> None:
    """Have large blocks go back to the system as soon as they are freed; nothing happens without glibc.

    A long file's texts and voiceprints come in such blocks, and a server lives for months.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for name in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
            libc.mallopt(name, MAPPED_BYTES)
