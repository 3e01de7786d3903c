"""What the runtime writes to stderr where it should raise: exceptions it swallowed, sound or text it cut off.

sherpa-onnx catches exceptions of the ONNX runtime and answers with an empty text, which looks like silence, and it
drops what does not fit into a cache with a line on stderr only (``csrc/offline-recognizer-*-impl.*``). So stderr is
read around each call. That works because a host child makes one call at a time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile

from dashscribe.errors import EngineUnavailableError

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

    def refuse_fallback(self, provider: str) -> None:
        """Raise EngineUnavailableError if the runtime said that it computes on the processor instead."""
        # The ONNX runtime's own reason, if it has one, stands before the line that says so.
        reason = self._quote("CUDA failure", "Failed to load library", "Failed to create CUDA")
        reason = reason or self._quote("Fallback to cpu")
        if provider == "cpu" or not reason:
            return
        remedy = "Install a sherpa-onnx that was built for it (docs/gpu.md)"
        if "Please compile" not in self.text:
            remedy = "See whether driver and libraries are there (nvidia-smi, docs/gpu.md)"
        raise EngineUnavailableError(
            f"DASHSCRIBE_PROVIDER={provider} has no effect: the runtime says {reason!r}. {remedy}, or set "
            "DASHSCRIBE_PROVIDER=cpu."
        )

    def _quote(self, *signs: str) -> str:
        """The first line with one of these signs; of a long one what follows the sign."""
        for line in map(str.strip, self.text.splitlines()):
            for sign in signs:
                if sign in line:
                    return line if len(line) <= QUOTED else line[line.index(sign) :][:QUOTED]
        return ""


def _scratch_file() -> int:
    """A descriptor of an empty file: in memory, or where the system has no such (macOS), without a name on disk."""
    if sys.platform == "linux":
        return os.memfd_create("stderr")
    with TemporaryFile() as file:
        return os.dup(file.fileno())


@contextmanager
def heard() -> Generator[Complaints]:
    """Collect what native code writes to stderr inside the block; it is passed on to the real stderr afterwards."""
    complaints = Complaints()
    real = os.dup(2)
    kept = _scratch_file()
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
