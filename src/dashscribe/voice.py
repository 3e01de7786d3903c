"""Whether 20 ms of sound hold a voice: by an installed Silero model through sherpa-onnx, else by webrtcvad.

A detector only flags frames; what becomes a run of speech is decided in ``segment``. Both are made anew for each
channel, since they remember what they heard.
"""

from __future__ import annotations

from collections import deque
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
#: How much louder than the background a voice has to be at the highest threshold, in dB; in proportion below.
STAND_OUT_DB = 6.0
#: Frames of 20 ms over which a level is smoothed, so that steady noise is steady, and in which its background lies: a
#: speaker takes a breath, or at least closes the lips, within three seconds.
SMOOTHED_FRAMES = 5
BACKGROUND_FRAMES = 150
#: The band in which levels are compared, 300 to 3400 Hz, in rows of 50 Hz: voices are strong there and rumble is not.
BAND = slice(6, 69)


def webrtc_voice(noise_threshold: float) -> Voice:
    """The embedded detector. ``noise_threshold`` is -1 (almost anything is voice) to 1 (only what is clearly one)."""
    # At 0: mode 1, of webrtcvad's four modes the nearest to a trained detector on clean speech. Speech that is
    # passed over here is lost, while noise that slips through is still judged by the engine.
    detector = webrtcvad.Vad(int(np.digitize(noise_threshold, (-0.5, 0.5, 0.8))))
    if noise_threshold <= 0:
        return lambda frame: cast("bool", detector.is_speech(frame, RATE_HZ))
    # webrtcvad takes any loud steady noise for voice, in all its modes; who asks for less of it gets a second opinion.
    background = Background()

    def stands_out(frame: bytes) -> bool:
        above_db = background.take(frame)  # of every frame, voiced or not
        return cast("bool", detector.is_speech(frame, RATE_HZ)) and above_db >= noise_threshold * STAND_OUT_DB

    return stands_out


class Background:
    """How far each frame stands out from the quietest of the last three seconds; noise goes on, speech has pauses."""

    def __init__(self) -> None:
        self._powers: deque[float] = deque(maxlen=SMOOTHED_FRAMES)
        self._levels_db: deque[float] = deque(maxlen=BACKGROUND_FRAMES)

    def take(self, frame: bytes) -> float:
        """The next frame's level over the background, in dB, 0 or more: that of 100 ms, in the band of a telephone."""
        spectrum = np.fft.rfft(np.frombuffer(frame, np.int16))[BAND] / len(frame)
        self._powers.append(float(np.square(np.abs(spectrum)).sum()))
        level_db = 10 * float(np.log10(np.mean(self._powers) + 1))
        self._levels_db.append(level_db)
        return level_db - min(self._levels_db)


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
