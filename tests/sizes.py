"""How long the long tests are: short in the suite, in full where ``FULL_SIZE`` is set, as ``tests/soak.py`` does."""

import os

FULL = bool(os.environ.get("FULL_SIZE"))


def size(short: int, full: int) -> int:
    """How many of something a test takes, when the short run proves the same of each of them."""
    return full if FULL else short
