"""Transcripts in OpenAI's shapes: what its clients demand is there, and what nothing measures is said to be so."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from dashscribe.catalog import LANGUAGES
from dashscribe.languages import CODES, NAMES
from dashscribe.render import openai_json
from dashscribe.types import Entry, Fate, Media, Sentence, Track, Transcript, Word

MEDIA = Media(url="a.wav", container="wav", codec="pcm_s16le", rate_hz=16_000, channel_count=1, duration_ms=6760)


def sentence(begin_ms: int, *words: str, confidence: float | None = None, **members: Any) -> Sentence:
    spoken = tuple(
        Word(begin_ms + 100 * i, begin_ms + 100 * i + 90, f"{w} ", "", confidence) for i, w in enumerate(words)
    )
    spoken = (*spoken[:-1], replace(spoken[-1], text=words[-1], punctuation="."))
    text = "".join(word.text + word.punctuation for word in spoken)
    return Sentence(begin_ms=begin_ms, end_ms=spoken[-1].end_ms, text=text, words=spoken, **members)


def transcript(*sentences: Sentence) -> Transcript:
    track = Track(channel=0, sentences=sentences, ledger=(Entry(0, 6760, Fate.TRANSCRIBED),))
    return Transcript(media=MEDIA, tracks=(track,), model="fun-asr", engine="standin", notes=("earlier",))


TWO = transcript(
    sentence(1000, "Good", "morning", confidence=0.5, language="en"), sentence(3000, "Bye", confidence=0.25)
)
COMPLETION = openai_json.Completion("chatcmpl-1", 1, "qwen3-asr-flash")


def test_tokens_and_seconds_follow_the_examples_of_the_service():
    usage = COMPLETION.whole(TWO, {})["usage"]
    assert (usage["prompt_tokens"], usage["seconds"]) == (169, 6)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"] == {"audio_tokens": 169, "text_tokens": 0}
    assert usage["completion_tokens_details"] == {"text_tokens": usage["completion_tokens"]}


def test_a_recording_without_speech_is_an_empty_text_everywhere():
    nothing = transcript()
    assert COMPLETION.whole(nothing, {})["choices"][0]["message"]["content"] == ""
    assert openai_json.plain(nothing, with_logprobs=True)["text"] == ""
    told = openai_json.verbose(nothing, language="", words=True, segments=True)
    assert (told["text"], told["segments"], told["words"], told["language"]) == ("", [], [], "unknown")
    assert openai_json.diarized(nothing)["segments"] == []


def test_every_segment_has_the_ten_members_that_clients_demand():
    told = openai_json.verbose(TWO, language="", words=False, segments=True)
    assert "words" not in told
    for index, segment in enumerate(told["segments"]):
        assert set(segment) == {
            *("id", "seek", "start", "end", "text", "tokens"),
            *("temperature", "avg_logprob", "compression_ratio", "no_speech_prob"),
        }
        assert segment["id"] == index
    first = told["segments"][0]
    assert (first["start"], first["end"], first["text"]) == (1.0, 1.19, "Good morning.")
    assert first["avg_logprob"] == pytest.approx(math.log(0.5))
    assert (told["language"], told["duration"]) == ("english", 6.76)


def test_what_nobody_measured_is_named():
    told = openai_json.verbose(TWO, language="", words=False, segments=True)
    assert told["dashscribe"]["notes"] == ["earlier", openai_json.UNMEASURED]
    told = openai_json.verbose(transcript(sentence(0, "Hm")), language="", words=False, segments=True)
    assert told["dashscribe"]["notes"] == ["earlier", openai_json.UNMEASURED, openai_json.UNMEASURED_LOGPROB]
    told = openai_json.verbose(TWO, language="", words=True, segments=False)
    assert told["dashscribe"]["notes"] == ["earlier"]


def test_words_come_without_their_marks_and_spaces():
    told = openai_json.verbose(TWO, language="", words=True, segments=False)
    assert told["words"] == [
        {"word": "Good", "start": 1.0, "end": 1.09},
        {"word": "morning", "start": 1.1, "end": 1.19},
        {"word": "Bye", "start": 3.0, "end": 3.09},
    ]
    assert "segments" not in told


def test_logprobs_tell_only_what_was_measured():
    told = openai_json.logprobs((sentence(0, "é", confidence=0.5), sentence(0, "no"), sentence(0, "0", confidence=0.0)))
    assert told == [
        {"token": "é.", "bytes": [0xC3, 0xA9, 0x2E], "logprob": pytest.approx(math.log(0.5))},
        {"token": "0.", "bytes": [0x30, 0x2E], "logprob": openai_json.LEAST_LOGPROB},
    ]


def test_speakers_are_letters_and_a_missing_diarization_is_told():
    two = transcript(sentence(0, "Hm", speaker=0), sentence(500, "Yes", speaker=1))
    told = openai_json.diarized(two)
    assert [(s["speaker"], s["id"], s["type"]) for s in told["segments"]] == [
        ("A", "seg_0", "transcript.text.segment"),
        ("B", "seg_1", "transcript.text.segment"),
    ]
    assert told["dashscribe"]["notes"] == ["earlier"]
    assert openai_json.diarized(TWO)["dashscribe"]["notes"] == ["earlier", openai_json.ONE_SPEAKER]


@pytest.mark.parametrize(("number", "letters"), [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (701, "ZZ")])
def test_there_is_a_name_for_every_speaker(number: int, letters: str):
    assert openai_json.speaker(sentence(0, "Hm", speaker=number)) == letters


def test_every_language_of_the_catalog_has_a_name_that_leads_back():
    assert set(NAMES) >= LANGUAGES
    assert all(CODES[name] == code for code, name in NAMES.items())
