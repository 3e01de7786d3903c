"""dashscribe: the recorded-file speech recognition service of DashScope, on your own machines.

The library's few public names::

    import dashscribe
    print(dashscribe.transcribe("talk.mp3").text)

Importing this package loads no engine, codec, database or HTTP library; native code runs in child processes only.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from dashscribe.errors import ConfigError, DashscribeError, InvalidParameterError, ModelNotFoundError, WeightsError
from dashscribe.errors.remote import ApiError, UnfinishedError, UnreachableError
from dashscribe.errors.sources import SourceError
from dashscribe.types import Hotword, Options, Progress, Sentence, Transcript, Word

if TYPE_CHECKING:
    from dashscribe.background import OnProgress, OnSentence, Stream
    from dashscribe.client import Client
    from dashscribe.config import Settings
    from dashscribe.wishes import Wishes

__all__ = [
    "ApiError",
    "Client",
    "ConfigError",
    "DashscribeError",
    "Hotword",
    "InvalidParameterError",
    "ModelNotFoundError",
    "Options",
    "Progress",
    "Sentence",
    "SourceError",
    "Stream",
    "Transcript",
    "UnfinishedError",
    "UnreachableError",
    "WeightsError",
    "Wishes",
    "Word",
    "atranscribe",
    "stream",
    "transcribe",
]


def __getattr__(name: str) -> Any:
    """Names whose modules bring a library along are imported when they are first used."""
    match name:
        case "Client":
            from dashscribe.client import Client

            return Client
        case "Stream":
            from dashscribe.background import Stream

            return Stream
        case "Wishes":
            from dashscribe.wishes import Wishes

            return Wishes
        case _:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def transcribe(
    source: str | Path,
    *,
    settings: Settings | None = None,
    on_progress: OnProgress | None = None,
    on_sentence: OnSentence | None = None,
    **wishes: Unpack[Wishes],
) -> Transcript:
    """Transcribe a file or an http(s) URL on this machine and wait for the result.

    What may be asked for, all of it optional: ``model`` (default "fun-asr"); ``language``, a code or several hints,
    None for unknown; ``channels``, each transcribed by itself, None for channel 0; ``begin_ms`` and ``duration_ms``, a
    stretch of the file, times stay on the file's clock; ``hotwords``, terms to listen for; ``context``, text in which
    names and terms of the recording stand; ``itn``, numbers as digits; ``drop_fillers``, no hesitations;
    ``refine_times``, words aligned with their sound where that makes times more exact.

    ``diarize`` tells who speaks: by voice, or by channel where several are named; without ``channels``, a stereo call
    is taken by channel and any other recording as a whole. ``speaker_count``, 2 to 100, says how many voices there are.
    ``speech_noise_threshold`` is -1 (almost anything counts as speech) to 1 (only what is clearly a voice); ``denoise``
    takes noise off the sound with an installed model.

    ``on_progress`` is called with every step and at least once a second, ``on_sentence(channel, sentence)`` with each
    sentence as it is settled; what they raise ends the work. A source without speech gives a transcript with empty
    tracks.

    Raises SourceError for a source that cannot be had or read, ModelNotFoundError where no installed engine fits,
    ConfigError for a setting that cannot be used, InvalidParameterError for a count, a threshold or a weight out of
    range, and WeightsError where no denoiser is installed that was asked for.
    """
    from dashscribe import config, noise
    from dashscribe.enrich.censor import check_list
    from dashscribe.hosts import Hosts
    from dashscribe.pipeline import transcribe as run
    from dashscribe.wishes import options_of

    options = options_of(**wishes)
    settings = settings or config.load()
    check_list(settings.sensitive_words)
    noise.check(options, settings)
    with Hosts(settings, slots=settings.workers) as hosts:
        return run(source, options, settings=settings, hosts=hosts, on_progress=on_progress, on_sentence=on_sentence)


async def atranscribe(
    source: str | Path,
    *,
    settings: Settings | None = None,
    on_progress: OnProgress | None = None,
    on_sentence: OnSentence | None = None,
    **wishes: Unpack[Wishes],
) -> Transcript:
    """As ``transcribe``, awaited: the work is done in a thread, and the callbacks run in the event loop.

    Cancel the task that awaits it and the work ends within about a second, its child processes too.
    """
    from dashscribe.background import awaited

    return await awaited(partial(_carry_out, source, settings, wishes), on_progress, on_sentence)


def stream(source: str | Path, *, settings: Settings | None = None, **wishes: Unpack[Wishes]) -> Stream:
    """The sentences of a source as they are settled, for ``for`` or ``async for``; asked for as ``transcribe`` is.

    The work begins at once and ends with the last sentence, or when the stream is closed. ``result()`` of the stream is
    the whole transcript. What ``transcribe`` raises is raised where a sentence was expected, but for wrong parameters.
    """
    from dashscribe.background import Stream
    from dashscribe.wishes import options_of

    options_of(**wishes)  # what is wrong with them is told here and now
    return Stream(partial(_carry_out, source, settings, wishes))


def _carry_out(
    source: str | Path, settings: Settings | None, wishes: Wishes, report: OnProgress, say: OnSentence
) -> Transcript:
    return transcribe(source, settings=settings, on_progress=report, on_sentence=say, **wishes)
