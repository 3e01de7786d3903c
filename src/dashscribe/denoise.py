"""Takes noise off a channel while it streams by, with an installed GTCRN model through sherpa-onnx.

The model hears frames of 32 ms every 16 ms and remembers what came before, so that nothing depends on the blocks in
which the sound arrives, memory stays the same however long it is, and no sample moves. Used in media children only,
before the voice detector, which profits from it too.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dashscribe.types import RATE_HZ


class Denoiser:
    """One channel: what was fed comes out again, as many samples, up to 32 ms later.

    A model that does not load, raises or gives what is no sound ends the work, not the source: ``failure`` says why,
    and what had not come out by then comes out as it was fed, as does all that follows.
    """

    def __init__(self, model: Path) -> None:
        self.failure = ""
        self._fed = np.zeros(0, np.int16)  # what did not come out yet
        self._model: Any = None
        try:
            self._model = _open(model)
        except Exception as error:  # its native code raises what it likes
            self._fail(error)

    def feed(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take the next samples, shape (n,), any n; those that are done, shape (m,)."""
        self._fed = np.concatenate((self._fed, samples))
        if self._model is None:
            return self._rest()
        try:
            return self._done(self._model.run(samples.astype(np.float32) / 32768, RATE_HZ).samples)
        except Exception as error:
            return self._fail(error)

    def finish(self) -> NDArray[np.int16]:
        """The sound has ended: what is left of it."""
        if self._model is None:
            return self._rest()
        try:
            last = self._done(self._model.flush().samples)
        except Exception as error:
            return self._fail(error)
        if len(self._fed):
            return np.concatenate((last, self._fail(ValueError(f"{len(self._fed)} samples did not come out"))))
        return last

    def _done(self, clean: list[float]) -> NDArray[np.int16]:
        sound = np.asarray(clean, np.float32) * 32768
        if len(sound) > len(self._fed) or not np.isfinite(sound).all():
            raise ValueError("what came out is no sound")
        self._fed = self._fed[len(sound) :]
        return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)

    def _fail(self, error: Exception) -> NDArray[np.int16]:
        traceback.print_exception(error)
        self.failure = f"{type(error).__name__}: {' '.join(str(error).split())}"
        self._model = None
        return self._rest()

    def _rest(self) -> NDArray[np.int16]:
        rest, self._fed = self._fed, np.zeros(0, np.int16)
        return rest


def _open(model: Path) -> Any:
    import sherpa_onnx  # native; only where such a model is installed

    runtime = cast("Any", sherpa_onnx)  # it carries no types
    gtcrn = runtime.OfflineSpeechDenoiserGtcrnModelConfig(model=str(model))
    config = runtime.OfflineSpeechDenoiserModelConfig(gtcrn=gtcrn, num_threads=1)
    denoiser = runtime.OnlineSpeechDenoiser(runtime.OnlineSpeechDenoiserConfig(model=config))
    if denoiser.sample_rate != RATE_HZ:
        raise ValueError(f"the model is for {denoiser.sample_rate} Hz, not {RATE_HZ}")
    return denoiser
