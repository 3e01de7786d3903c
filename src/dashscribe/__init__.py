"""dashscribe: the recorded-file speech recognition service of DashScope, on your own machines.

The library's few public names::

    import dashscribe
    print(dashscribe.transcribe("talk.mp3").text)

Importing this package loads no engine, codec or database library; native code runs in child processes only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dashscribe.errors import DashscribeError
from dashscribe.errors.sources import SourceError
from dashscribe.types import Hotword, Options, Sentence, Span, Transcript, Word

if TYPE_CHECKING:
    from dashscribe.config import Settings
    from dashscribe.pipeline import Progress

__all__ = ["DashscribeError", "Hotword", "Options", "Sentence", "SourceError", "Transcript", "Word", "transcribe"]


def transcribe(
    source: str | Path,
    *,
    model: str = "fun-asr",
    language: str | Sequence[str] | None = None,
    channels: Sequence[int] | None = None,
    begin_ms: int | None = None,
    duration_ms: int | None = None,
    hotwords: str | Iterable[str | Hotword] = (),
    context: str = "",
    itn: bool = False,
    drop_fillers: bool = False,
    diarize: bool = False,
    speaker_count: int | None = None,
    speech_noise_threshold: float | None = None,
    denoise: bool = False,
    refine_times: bool = False,
    settings: Settings | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_sentence: Callable[[int, Sentence], None] | None = None,
) -> Transcript:
    """Transcribe a file or an http(s) URL and wait for the result.

    ``language`` is a code or several hints; None means unknown. ``begin_ms`` and ``duration_ms`` limit the work to a
    stretch of the file, times stay on the file's clock. ``channels`` are transcribed each by itself, None stands for
    channel 0. ``hotwords`` are terms to listen for; ``context`` is text in which names and terms of the recording
    stand. ``itn`` writes numbers as digits, which the results of some models have anyway; ``drop_fillers`` leaves out
    hesitations; ``refine_times`` aligns words with their sound where that makes times more exact.

    ``diarize`` tells who speaks: by voice, or by channel where several are named; without ``channels``, a stereo call
    is taken by channel and any other recording as a whole. ``speaker_count``, 2 to 100, says how many voices there are.
    ``speech_noise_threshold`` is -1 (almost anything counts as speech) to 1 (only what is clearly a voice); ``denoise``
    takes noise off the sound with an installed model.

    ``on_sentence(channel, sentence)`` receives each sentence as it is settled. A source without speech gives a
    transcript with empty tracks.

    Raises SourceError for a source that cannot be had or read, ModelNotFoundError where no installed engine fits,
    ConfigError for a list of sensitive words that cannot be read, InvalidParameterError for a count, a threshold or a
    weight out of range, and WeightsError where no denoiser is installed that was asked for.
    """
    from dashscribe import config, noise
    from dashscribe.catalog import find_model, options_for
    from dashscribe.enrich.censor import check_list
    from dashscribe.errors import InvalidParameterError
    from dashscribe.hosts import Hosts
    from dashscribe.pipeline import transcribe as run
    from dashscribe.types import HOTWORD_WEIGHTS, MAX_SPEAKERS, MIN_SPEAKERS

    if speaker_count is not None and not MIN_SPEAKERS <= speaker_count <= MAX_SPEAKERS:
        raise InvalidParameterError(f"{speaker_count} is outside {MIN_SPEAKERS} to {MAX_SPEAKERS}.", "speaker_count")
    if speaker_count is not None and not diarize:
        raise InvalidParameterError("It counts only with diarize=True.", "speaker_count")
    settings = settings or config.load()
    check_list(settings.sensitive_words)
    stretch = None
    if begin_ms is not None or duration_ms is not None:
        start_ms = begin_ms or 0
        length_ms = settings.max_duration_s * 1000 if duration_ms is None else duration_ms
        stretch = Span(start_ms, start_ms + length_ms)
    languages = (language,) if isinstance(language, str) else tuple(language or ())
    named = tuple(channels) if channels is not None else () if diarize else (0,)
    terms = (hotwords,) if isinstance(hotwords, str) else hotwords
    options = options_for(
        find_model(model),
        languages=languages,
        channels=named,
        diarize=diarize,
        speaker_count=speaker_count,
        speaker_per_channel=diarize and len(named) > 1,
        stretch=stretch,
        hotwords=tuple(Hotword(word) if isinstance(word, str) else word for word in terms),
        context=context,
        itn=itn,
        drop_fillers=drop_fillers,
        speech_noise_threshold=speech_noise_threshold,
        denoise=denoise,
        refine_times=refine_times,
    )
    noise.check(options, settings)
    if wrong := [term for term in options.hotwords if term.weight not in HOTWORD_WEIGHTS]:
        raise InvalidParameterError(
            f"{wrong[0].text[:40]!r} has the weight {wrong[0].weight}; give 1 to 5, 50, or -6 to -1.", "hotwords"
        )
    with Hosts(settings, slots=settings.workers) as hosts:
        return run(source, options, settings=settings, hosts=hosts, on_progress=on_progress, on_sentence=on_sentence)
