"""The sound of a window, span by span, as engine and speaker children hear it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dashscribe.decode import decode_flac
from dashscribe.errors import InvariantError
from dashscribe.types import SAMPLES_PER_MS, Waveform, Window, total_ms


def pieces(window: Window, first: int = 0) -> Iterator[Waveform]:
    """The sound of each span from number ``first`` on.

    Raises InvariantError when the audio is not as long as the spans together.
    """
    samples = decode_flac(window.audio) if window.packed else np.frombuffer(window.audio, np.int16)
    if len(samples) != window.speech_ms * SAMPLES_PER_MS:
        raise InvariantError(
            f"window {window.index} of channel {window.channel} holds {len(samples)} samples, "
            f"its spans need {window.speech_ms * SAMPLES_PER_MS}"
        )
    begin = total_ms(window.spans[:first]) * SAMPLES_PER_MS
    for span in window.spans[first:]:
        end = begin + span.duration_ms * SAMPLES_PER_MS
        yield Waveform(samples[begin:end], span.begin_ms)
        begin = end
