"""Whether 20 ms of sound hold a voice: by an installed Silero model through sherpa-onnx, else by webrtcvad.

A detector only flags frames; what becomes a run of speech is decided in ``segment``. Both are made anew for each
channel, since they remember what they heard.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import webrtcvad

from dashscribe.types import RATE_HZ

#: Says whether a frame, 20 ms of int16 samples as bytes, is voiced.
Voice = Callable[[bytes], bool]

#: Samples that Silero decides on at once at 16 kHz, and how many of the last window it wants to hear again (version 5).
WINDOW_SAMPLES = 512


def webrtc_voice(noise_threshold: float) -> Voice:
    """The embedded detector. ``noise_threshold`` is -1 (almost anything is voice) to 1 (only what is clearly one)."""
    # At 0: mode 1, of webrtcvad's four modes the nearest to a trained detector on clean speech. Speech that is
    # passed over here is lost, while noise that slips through is still judged by the engine.
    detector = webrtcvad.Vad(int(np.digitize(noise_threshold, (-0.5, 0.5, 0.8))))
    return lambda frame: cast("bool", detector.is_speech(frame, RATE_HZ))


class SileroVoice:
    """A Silero model; a frame counts as the last whole window of 32 ms did, so flags come up to 32 ms late."""

    def __init__(self, model: Path, noise_threshold: float) -> None:
        import sherpa_onnx  # native; only where such a model is installed

        runtime = cast("Any", sherpa_onnx)  # it carries no types
        config = runtime.VadModelConfig()
        config.silero_vad.model = str(model)
        config.silero_vad.threshold = float(np.interp(noise_threshold, (-1, 0, 1), (0.1, 0.5, 0.9)))
        # Bare decisions: runs are formed in ``segment``, alike for all detectors.
        config.silero_vad.min_speech_duration = config.silero_vad.min_silence_duration = 0.0
        config.sample_rate = RATE_HZ
        self._model = runtime.VadModel.create(config)
        self._window = int(self._model.window_size())
        self._overlap = self._window - WINDOW_SAMPLES
        self._samples = np.zeros(self._overlap, dtype=np.float32)
        self._voiced = False

    def __call__(self, frame: bytes) -> bool:
        """Take the next frame."""
        new = np.frombuffer(frame, np.int16).astype(np.float32) / 32768
        self._samples = np.concatenate((self._samples, new))
        while len(self._samples) >= self._window:
            window: list[float] = self._samples[: self._window].tolist()
            self._voiced = bool(self._model.is_speech(window))
            self._samples = self._samples[WINDOW_SAMPLES:]
        return self._voiced


def open_voice(model: Path | None, noise_threshold: float) -> Voice:
    """The detector for one channel: the model if there is one, else the embedded one."""
    return SileroVoice(model, noise_threshold) if model else webrtc_voice(noise_threshold)
