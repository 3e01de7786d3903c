"""Which children there are for what is installed, and which models help beside the engine: voices, noise, speakers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dashscribe import noise, weights
from dashscribe.engines import EngineInfo
from dashscribe.errors import WeightsError
from dashscribe.hosts.parent import Kind
from dashscribe.hosts.permits import BATCH_NICE, EXPRESS_NICE
from dashscribe.types import Options

if TYPE_CHECKING:
    from dashscribe.config import Settings


def detector_file(settings: Settings) -> tuple[bytes, tuple[str, ...]]:
    """The file of the installed voice activity model, empty for the embedded one, and a note if it is unusable."""
    model = weights.find_task(settings.resolved_models_dir, "voice_activity")
    if model is None:
        return b"", ()
    try:
        model.check()
    except WeightsError as error:
        return b"", (f"the embedded voice detector was used, because {error}",)
    return os.fsencode(model.path("model")), ()


def denoiser_file(settings: Settings, options: Options) -> tuple[bytes, tuple[str, ...]]:
    """The file of the installed denoiser, empty if it is not wanted, and a note if it is and there is none."""
    if not options.denoise:
        return b"", ()
    try:
        model = noise.denoiser(settings)
        model.check()
    except WeightsError as error:
        return b"", (f"the sound was used as it was, because {error}",)
    return os.fsencode(model.path("model")), ()


def speaker_kind(settings: Settings, *, segmented: bool = True) -> Kind:
    """The children that listen for speakers, by the models that are installed now; not ``segmented``: by one alone."""
    folder = settings.resolved_models_dir
    embedding = weights.find_task(folder, "speaker_embedding")
    if embedding is None:
        return Kind(role="speaker", version="spectral", nice=BATCH_NICE)
    segmentation = weights.find_task(folder, "speaker_segmentation") if segmented else None
    return Kind(
        role="speaker",
        weights=embedding.name,
        annotator=segmentation.name if segmentation else "",
        version="-".join(
            [model.digest[:16] for model in (embedding, segmentation) if model]
            + ([] if settings.provider == "cpu" else [settings.provider])
        ),
        nice=BATCH_NICE,
    )


def engine_kind(info: EngineInfo, nice: int) -> Kind:
    """The children that an engine runs in."""
    return Kind(
        role="asr",
        engine=info.name,
        version=info.version,
        target=info.target,
        weights=info.weights,
        annotator=info.annotator,
        tagger=info.tagger,
        secret=info.secret,
        nice=nice,
    )


def media_kind(settings: Settings, *, patient: bool = False) -> Kind:
    """The children that decode: they may read models, from when there are any.

    ``patient`` ones cut long files of tasks, which nobody waits for as for a short one.
    """
    folder = settings.resolved_models_dir
    nice = BATCH_NICE if patient else EXPRESS_NICE
    return Kind(role="media", models=str(folder) if folder.is_dir() else "", nice=nice)
