"""What one transcription may be asked for, in the words of the library: the same here and through a server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index
from typing import TypedDict, Unpack

from dashscribe.catalog import find_model, options_for
from dashscribe.errors import InvalidParameterError
from dashscribe.languages import NAMES, spelled
from dashscribe.types import HOTWORD_WEIGHTS, MAX_CHANNELS, MAX_SPEAKERS, MIN_SPEAKERS, Hotword, Options, Span

#: The end of a stretch without one: beyond any recording that is taken.
FOREVER_MS = 366 * 24 * 3_600_000


class Wishes(TypedDict, total=False):
    """Parameters of ``transcribe``, ``atranscribe`` and ``stream``, here and of a ``Client``; all may be left out."""

    #: A model name of the service; "fun-asr".
    model: str
    #: A language code or several that may be spoken; None: unknown.
    language: str | Sequence[str] | None
    #: Channels from 0, each transcribed by itself; None: channel 0, or for ``diarize`` whatever tells speakers apart.
    channels: Sequence[int] | None
    #: Where to begin, and how much to transcribe; times in the result stay on the file's clock.
    begin_ms: int | None
    duration_ms: int | None
    #: Terms to listen for, as text or with a weight.
    hotwords: str | Iterable[str | Hotword]
    #: A text in which names and terms of the recording stand.
    context: str
    #: Numbers as digits, which the results of some models have anyway.
    itn: bool
    #: Leave out hesitations.
    drop_fillers: bool
    #: Tell who speaks, and how many speak (2 to 100) if that is known.
    diarize: bool
    speaker_count: int | None
    #: From -1, almost anything counts as speech, to 1, only what is clearly a voice.
    speech_noise_threshold: float | None
    #: Take noise off first, with an installed model.
    denoise: bool
    #: Align words with their sound where that makes times more exact.
    refine_times: bool


def options_of(**wishes: Unpack[Wishes]) -> Options:
    """The options of a transcription.

    Raises InvalidParameterError for what is out of range, ModelNotFoundError for a model that nobody knows, and
    TypeError for a parameter that does not exist.
    """
    if unknown := wishes.keys() - Wishes.__annotations__.keys():
        raise TypeError(f"no parameter is called {min(unknown)!r}; there are {', '.join(Wishes.__annotations__)}")
    diarize, speaker_count = wishes.get("diarize", False), _whole_or_none(wishes.get("speaker_count"), "speaker_count")
    if speaker_count is not None and not MIN_SPEAKERS <= speaker_count <= MAX_SPEAKERS:
        raise InvalidParameterError(f"{speaker_count} is outside {MIN_SPEAKERS} to {MAX_SPEAKERS}.", "speaker_count")
    if speaker_count is not None and not diarize:
        raise InvalidParameterError("It counts only with diarize=True.", "speaker_count")
    begin_ms = _whole_or_none(wishes.get("begin_ms"), "begin_ms")
    duration_ms = _whole_or_none(wishes.get("duration_ms"), "duration_ms")
    channels = _channels(wishes.get("channels"), diarize)
    return options_for(
        find_model(wishes.get("model", "fun-asr")),
        languages=_languages(wishes.get("language")),
        channels=channels,
        diarize=diarize,
        speaker_count=speaker_count,
        speaker_per_channel=diarize and len(channels) > 1,
        stretch=_stretch(begin_ms, duration_ms),
        hotwords=_hotwords(wishes.get("hotwords", ())),
        context=wishes.get("context", ""),
        itn=wishes.get("itn", False),
        drop_fillers=wishes.get("drop_fillers", False),
        speech_noise_threshold=wishes.get("speech_noise_threshold"),
        denoise=wishes.get("denoise", False),
        refine_times=wishes.get("refine_times", False),
    )


def _whole(value: int, name: str) -> int:
    """A whole number of whatever type; a fraction is refused here, since further on it would be a fault of ours."""
    try:
        return index(value)
    except TypeError as error:
        raise InvalidParameterError(f"{value!r} is no whole number.", name) from error


def _whole_or_none(value: int | None, name: str) -> int | None:
    return None if value is None else _whole(value, name)


def _languages(given: str | Iterable[str] | None) -> tuple[str, ...]:
    """Codes as engines have them; an empty one and ``auto`` ask for nothing."""
    codes = [code.strip().lower() for code in ((given,) if isinstance(given, str) else given or ())]
    return tuple(dict.fromkeys(spelled(code, NAMES) for code in codes if code not in ("", "auto")))


def _channels(wanted: Sequence[int] | None, diarize: bool) -> tuple[int, ...]:
    """Channel numbers, each once; none for those that it takes to tell speakers apart."""
    if wanted is None:
        return () if diarize else (0,)
    channels = tuple(_whole(one, "channels") for one in dict.fromkeys(wanted))
    if wrong := [channel for channel in channels if not 0 <= channel < MAX_CHANNELS]:
        raise InvalidParameterError(f"{wrong[0]} is outside 0 to {MAX_CHANNELS - 1}.", "channels")
    return channels


def _stretch(begin_ms: int | None, duration_ms: int | None) -> Span | None:
    if begin_ms is None and duration_ms is None:
        return None
    start_ms = begin_ms or 0
    if start_ms < 0:
        raise InvalidParameterError(f"{start_ms} lies before the begin of the recording; give 0 or more.", "begin_ms")
    if duration_ms is not None and duration_ms < 1:
        raise InvalidParameterError(f"{duration_ms} leaves nothing to transcribe; give 1 or more.", "duration_ms")
    return Span(start_ms, FOREVER_MS if duration_ms is None else start_ms + duration_ms)


def _hotwords(terms: str | Iterable[str | Hotword]) -> tuple[Hotword, ...]:
    given = (terms,) if isinstance(terms, str) else terms
    hotwords = tuple(Hotword(word) if isinstance(word, str) else word for word in given)
    if wrong := [word for word in hotwords if word.weight not in HOTWORD_WEIGHTS]:
        raise InvalidParameterError(
            f"{wrong[0].text[:40]!r} has the weight {wrong[0].weight}; give 1 to 5, 50, or -6 to -1.", "hotwords"
        )
    return hotwords
