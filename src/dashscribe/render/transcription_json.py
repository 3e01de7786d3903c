"""The service's result file in its three shapes, exactly; what only we say is in one top-level member, ``dashscribe``.

Shapes: ``file_urls`` (Fun-ASR, Paraformer), ``file_url`` (filetrans), ``sensevoice`` (tags inside the texts). Members
come in the service's order and are left out where nothing is known: there are no nulls.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dashscribe.catalog import find_model
from dashscribe.engines import ENGINES
from dashscribe.errors import ModelNotFoundError
from dashscribe.types import Entry, Fate, Media, Sentence, Shape, Track, Transcript

#: Emotions and events that have a tag in SenseVoice texts (models 4.1). Another emotion is tagged as undetermined, one
#: that nothing measured carries no tag, another event none either; what was dropped stands in ``dashscribe.dropped``.
EMOTION_TAGS = {"neutral": "NEUTRAL", "happy": "HAPPY", "angry": "ANGRY", "sad": "SAD"}
OTHER_EMOTION_TAG = "SPECIAL_TOKEN_1"
SPEECH_TAG = "Speech"
EVENT_TAGS = (SPEECH_TAG, "Applause", "BGM", "Laughter")


def render(transcript: Transcript, *, shape: Shape = "file_urls", words: bool = True, language: str = "") -> str:
    """The result as one line of JSON, not escaped beyond what JSON demands; see ``pieces``."""
    return "".join(pieces(transcript, shape=shape, words=words, language=language))


def pieces(
    transcript: Transcript,
    *,
    shape: Shape = "file_urls",
    words: bool = True,
    language: str = "",
    more: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """The text of the result, little by little: as objects, a long one's words would take as much memory again.

    ``words`` (the service's enable_words) and ``language`` (for sentences whose language nothing measured: the caller's
    first hint) matter in the shape ``file_url`` only; the other shapes always or never carry them. ``more`` are members
    of ours besides those that every result has.
    """
    yield _json({"file_url": transcript.media.url, **_about(transcript.media, shape)})[:-1] + ',"transcripts":['
    for number, track in enumerate(transcript.tracks):
        yield ("," if number else "") + _json(_head(track, shape))[:-1] + ',"sentences":['
        for count, sentence in enumerate(_sentences(track, shape, words, language)):
            yield ("," if count else "") + _json(sentence)
        yield "]}"
    ours = extras(transcript) | dict(more or {})
    if shape == "file_url":
        ours["notes"] += _stand_ins(transcript, language)
    if shape == "sensevoice":
        if not all(sentence.events for track in transcript.tracks for sentence in track.sentences):
            ours["notes"].append(f"sentences: not every one has a measured event; {SPEECH_TAG} stands for that")
        ours["dropped"] = [entry for track in transcript.tracks for entry in _dropped(track)]
    yield f'],"dashscribe":{_json(ours)}}}\n'


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def render_for_model(transcript: Transcript) -> str:
    """The result in the shape of the transcript's model; a name that the catalog lacks gets ``file_urls``."""
    try:
        shape = find_model(transcript.model).shape
    except ModelNotFoundError:
        shape = "file_urls"
    return render(transcript, shape=shape)


def _about(media: Media, shape: Shape) -> dict[str, Any]:
    if shape == "file_url":
        return {"audio_info": {"format": media.container, "sample_rate": media.rate_hz}}
    return {
        "properties": {
            "audio_format": media.codec,
            "channels": list(range(media.channel_count)),
            "original_sampling_rate": media.rate_hz,
            "original_duration_in_milliseconds": media.duration_ms,
        }
    }


def _head(track: Track, shape: Shape) -> dict[str, Any]:
    """What stands before the sentences of a channel."""
    result: dict[str, Any] = {"channel_id": track.channel}
    if shape != "file_url":
        result["content_duration_in_milliseconds"] = track.speech_ms
    return result | {"text": "".join(map(_tagged, track.sentences)) if shape == "sensevoice" else track.text}


def _sentences(track: Track, shape: Shape, words: bool, language: str) -> Iterator[dict[str, Any]]:
    for number, sentence in enumerate(track.sentences):
        match shape:
            case "file_url":
                yield _filetrans_sentence(sentence, number, words, language)
            case "sensevoice":
                yield {**_times(sentence), "text": _tagged(sentence)}
            case "file_urls":
                yield _sentence(sentence, number + 1)


def _sentence(sentence: Sentence, sentence_id: int) -> dict[str, Any]:
    result = _times(sentence) | {"text": sentence.text, "sentence_id": sentence_id}
    if sentence.speaker is not None:
        result["speaker_id"] = sentence.speaker
    return result | {"words": _words(sentence)}


def _filetrans_sentence(sentence: Sentence, sentence_id: int, words: bool, language: str) -> dict[str, Any]:
    result: dict[str, Any] = {
        "sentence_id": sentence_id,
        **_times(sentence),
        "language": sentence.language or language,
        "emotion": sentence.emotion or "neutral",
        "text": sentence.text,
    }
    return result | {"words": _words(sentence)} if words else result


def _stand_ins(transcript: Transcript, language: str) -> Iterator[str]:
    """Notes on what every sentence of the shape ``file_url`` tells and nobody measured."""
    engine = ENGINES.get(transcript.engine)
    sentences = [(bool(s.language), bool(s.emotion)) for track in transcript.tracks for s in track.sentences]
    if sentences and engine and len(engine.languages) == 1:
        yield f"sentences: no language was measured; {engine.languages[0]} is the one that the engine reads"
    elif not all(has_language for has_language, _ in sentences):
        yield f"sentences: no language was measured; {language or 'an empty one'} stands for that"
    if not all(has_emotion for _, has_emotion in sentences):
        yield "sentences: no emotion was measured; neutral stands for that"


def _times(part: Sentence | Entry) -> dict[str, Any]:
    return {"begin_time": part.begin_ms, "end_time": part.end_ms}


def _words(sentence: Sentence) -> list[dict[str, Any]]:
    return [
        {"begin_time": w.begin_ms, "end_time": w.end_ms, "text": w.text, "punctuation": w.punctuation}
        for w in sentence.words
    ]


def _tagged(sentence: Sentence) -> str:
    """The text inside its event tags, the first event outermost, and followed by its emotion."""
    text = sentence.text
    for event in reversed([event for event in sentence.events if event in EVENT_TAGS] or [SPEECH_TAG]):
        text = f"<|{event}|> {text} <|/{event}|>"
    if not sentence.emotion:
        return text
    return f"{text} <|{EMOTION_TAGS.get(sentence.emotion, OTHER_EMOTION_TAG)}|>"


def _dropped(track: Track) -> Iterator[dict[str, Any]]:
    """What was heard and has no tag in SenseVoice texts, sentence by sentence."""
    for number, sentence in enumerate(track.sentences, start=1):
        emotion = {"emotion": sentence.emotion} if sentence.emotion not in ("", *EMOTION_TAGS) else {}
        events = [event for event in sentence.events if event not in EVENT_TAGS]
        if emotion or events:
            yield {"channel_id": track.channel, "sentence": number, **emotion, **({"events": events} if events else {})}


def extras(transcript: Transcript) -> dict[str, Any]:
    """What only we say, the member ``dashscribe`` of results and answers: engine, coverage, notes, warnings."""
    return {
        "engine": transcript.engine,
        "coverage": [_coverage(track) for track in transcript.tracks],
        **_speakers(transcript.tracks),
        "notes": list(transcript.notes),
        "warnings": list(_warnings(transcript.tracks)),
    }


def _speakers(tracks: Iterable[Track]) -> dict[str, Any]:
    """How long each speaker of each channel was heard, where speakers were told apart."""
    found = [
        {"channel_id": track.channel, "speaker_id": speaker, "speech_ms": spoken_ms}
        for track in tracks
        for speaker, spoken_ms in sorted(track.speaking_ms.items())
    ]
    return {"speakers": found} if found else {}


def _coverage(track: Track) -> dict[str, Any]:
    """What became of every millisecond of a channel: the sum of each fate, then the ledger that they sum up."""
    totals = {f"{fate}_ms": _sum_ms(track, fate) for fate in Fate}
    return {"channel_id": track.channel, **totals, "ledger": [_entry(entry) for entry in track.ledger]}


def _entry(entry: Entry) -> dict[str, Any]:
    result = _times(entry) | {"fate": entry.fate.value}
    return result | {"reason": entry.reason} if entry.reason else result


def _warnings(tracks: Iterable[Track]) -> Iterator[str]:
    for track in tracks:
        failed = [entry for entry in track.ledger if entry.fate is Fate.FAILED]
        if failed:
            yield (
                f"channel {track.channel}: {_sum_ms(track, Fate.FAILED)} ms could not be transcribed, "
                f"first at {failed[0].begin_ms} ms: {failed[0].reason}"
            )


def _sum_ms(track: Track, fate: Fate) -> int:
    return sum(entry.end_ms - entry.begin_ms for entry in track.ledger if entry.fate is fate)
