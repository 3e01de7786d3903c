"""What is asked for against noise, checked before any work is done: a threshold in its range, a denoiser that is there.

What is done about it is in ``voice`` (the threshold) and ``denoise``, both in media children.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashscribe import weights
from dashscribe.errors import InvalidParameterError, WeightsError
from dashscribe.types import Options
from dashscribe.weights import Installed

if TYPE_CHECKING:
    from dashscribe.config import Settings


def check(options: Options, settings: Settings) -> None:
    """Raise InvalidParameterError for a threshold out of range, WeightsError if there is no denoiser and is to be."""
    check_threshold(options.speech_noise_threshold)
    if options.denoise:
        denoiser(settings)


def check_threshold(threshold: float | None) -> float:
    """Return the threshold, 0 for None. Raises InvalidParameterError unless it lies in -1 to 1."""
    if threshold is None:
        return 0.0
    if not -1.0 <= threshold <= 1.0:
        raise InvalidParameterError(
            f"{threshold} is outside -1 to 1; leave it out for the default, 0.", "speech_noise_threshold"
        )
    return threshold


def denoiser(settings: Settings) -> Installed:
    """The installed denoiser. Raises WeightsError naming the command that installs one."""
    model = weights.find_task(settings.resolved_models_dir, "denoise")
    if model is None:
        raise WeightsError("no denoiser is installed; `dashscribe models pull gtcrn` installs one")
    return model
