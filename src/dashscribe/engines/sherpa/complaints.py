"""What the runtime writes to stderr where it should raise: exceptions it swallowed, sound or text it cut off.

sherpa-onnx catches exceptions of the ONNX runtime and answers with an empty text, which looks like silence, and it
drops what does not fit into a cache with a line on stderr only (``csrc/offline-recognizer-*-impl.*``). So stderr is
read around each call. That works because a host child makes one call at a time.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

#: Longest part of the text that is looked at and quoted, in bytes and in characters.
KEPT_BYTES, QUOTED = 16_384, 200


@dataclass(slots=True)
class Complaints:
    """What was written during a call."""

    text: str = ""

    @property
    def exception(self) -> str:
        """What the runtime caught and kept to itself; empty if nothing."""
        return self._quote("Caught exception", "Non-zero status code", "onnxruntime::")

    @property
    def truncation(self) -> str:
        """What the runtime says it cut off; empty if nothing. Its advice on long prompts speaks of that, too."""
        return self._quote(
            *("Result is truncated", "Truncating audio", "truncating the repetition", "discard the remaining"),
            *("too large for KV", "leaves no room", "scaffold exceeds"),
        )

    @property
    def fallback(self) -> str:
        """What the runtime says of a provider that it lacks; empty if nothing."""
        return self._quote("Fallback to cpu", "Failed to create CUDA", "Failed to load library")

    def _quote(self, *signs: str) -> str:
        lines = [line.strip() for line in self.text.splitlines()]
        for line in lines:
            if any(sign in line for sign in signs):
                return line[-QUOTED:]
        return ""


@contextmanager
def heard() -> Generator[Complaints]:
    """Collect what native code writes to stderr inside the block; it is passed on to the real stderr afterwards."""
    complaints = Complaints()
    real = os.dup(2)
    kept = os.memfd_create("stderr")
    try:
        os.dup2(kept, 2)
        try:
            yield complaints
        finally:
            os.dup2(real, 2)
            size = os.lseek(kept, 0, os.SEEK_END)
            os.lseek(kept, max(0, size - KEPT_BYTES), os.SEEK_SET)
            data = os.read(kept, KEPT_BYTES)
            complaints.text = data.decode("utf-8", "replace")
            if data:
                os.write(real, data)
    finally:
        os.close(kept)
        os.close(real)
