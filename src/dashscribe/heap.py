"""Memory of long-lived processes: how the C library keeps what was freed, when Python looks for garbage."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Generator
from contextlib import contextmanager, suppress

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


def give_back_the_rest() -> None:
    """Have all that is free go back to the system, which takes some milliseconds; nothing happens without glibc."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def without_collector() -> Generator[None]:
    """For a start: what is imported and composed is no garbage, and looking through it takes a seventh of the time.

    What is there at the end is looked through once and never again, since that would stop every thread for some 60 ms.
    """
    gc.disable()
    try:
        yield
        gc.collect()
        gc.freeze()
    finally:
        gc.enable()
