"""The tags of sensevoice-v1 as the wire has them, and what clients make of them.

The forms are those of the service's own sample result (user guide, September 2025): a sentence inside its event's
opening and closing tag, the tag of its emotion behind. The other tags are named in the same guide's sample parser.
"""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from dashscribe.render import transcription_json
from dashscribe.types import Entry, Fate, Media, Sentence, Track, Transcript, Word

#: What a plain-text view has to remove (the service's names are letters, digits and underscores).
ANY_TAG = re.compile(r"<\|/?[A-Za-z0-9_]+\|>")
MEDIA = Media(url="a.wav", container="wav", codec="pcm_s16le", rate_hz=16_000, channel_count=1, duration_ms=60_000)
EMOTIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
EVENTS = ("Speech", "Applause", "BGM", "Laughter")


def said(text: str, begin_ms: int = 0, **tags: Any) -> Sentence:
    words = (Word(begin_ms, begin_ms + 900, text),)
    return Sentence(begin_ms=begin_ms, end_ms=begin_ms + 900, text=text, words=words, **tags)


def transcript(*sentences: Sentence, channels: int = 1) -> Transcript:
    ledger = (Entry(0, 60_000, Fate.TRANSCRIBED),)
    tracks = tuple(Track(channel=number, sentences=sentences, ledger=ledger) for number in range(channels))
    return Transcript(media=MEDIA, tracks=tracks, model="sensevoice-v1", engine="standin")


def rendered(*sentences: Sentence, channels: int = 1) -> dict[str, Any]:
    return json.loads(transcript(*sentences, channels=channels).to_json())


def text_of(sentence: Sentence) -> str:
    (track,) = rendered(sentence)["transcripts"]
    assert track["text"] == track["sentences"][0]["text"]
    return track["text"]


@pytest.mark.parametrize(
    ("emotion", "tag"),
    [
        ("neutral", "<|NEUTRAL|>"),
        ("happy", "<|HAPPY|>"),
        ("angry", "<|ANGRY|>"),
        ("sad", "<|SAD|>"),
        # The service has no tag for these; its own "undetermined" stands there, and the result says what was heard.
        ("fearful", "<|SPECIAL_TOKEN_1|>"),
        ("disgusted", "<|SPECIAL_TOKEN_1|>"),
        ("surprised", "<|SPECIAL_TOKEN_1|>"),
    ],
)
def test_golden_emotions(emotion: str, tag: str) -> None:
    heard = said("Good morning everyone.", events=("Speech",), emotion=emotion)
    assert text_of(heard) == f"<|Speech|> Good morning everyone. <|/Speech|> {tag}"
    dropped = [{"channel_id": 0, "sentence": 1, "emotion": emotion}] if "SPECIAL" in tag else []
    assert rendered(heard)["dashscribe"]["dropped"] == dropped


def test_golden_no_emotion() -> None:
    """The second sentence of the service's sample has none."""
    assert text_of(said("I am honored.", events=("Speech",))) == "<|Speech|> I am honored. <|/Speech|>"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ("Speech", "<|Speech|> Good morning everyone. <|/Speech|> <|HAPPY|>"),
        ("Applause", "<|Applause|> Good morning everyone. <|/Applause|> <|HAPPY|>"),
        ("BGM", "<|BGM|> Good morning everyone. <|/BGM|> <|HAPPY|>"),
        ("Laughter", "<|Laughter|> Good morning everyone. <|/Laughter|> <|HAPPY|>"),
    ],
)
def test_golden_events(event: str, text: str) -> None:
    assert text_of(said("Good morning everyone.", events=(event,), emotion="happy")) == text


def test_golden_two_events_and_the_whole_text() -> None:
    """Each sentence opens and closes on its own; in the whole text nothing stands between two of them."""
    two = [
        said("你好。", events=("Speech", "BGM"), emotion="sad"),
        said("再见。", 2_000, events=("Speech",)),
        said("Bye.", 4_000, events=("Laughter",), emotion="angry"),
    ]
    assert rendered(*two)["transcripts"][0]["text"] == (
        "<|Speech|> <|BGM|> 你好。 <|/BGM|> <|/Speech|> <|SAD|><|Speech|> 再见。 <|/Speech|>"
        "<|Laughter|> Bye. <|/Laughter|> <|ANGRY|>"
    )


def test_speech_stands_for_an_event_that_nobody_measured_and_a_note_says_so() -> None:
    assert text_of(said("Hello.")) == "<|Speech|> Hello. <|/Speech|>"
    note = "sentences: not every one has a measured event; Speech stands for that"
    assert rendered(said("Hello."))["dashscribe"]["notes"] == [note]
    assert rendered(said("Hello.", events=("BGM",)))["dashscribe"]["notes"] == []


# --- the parser of the service's guide -----------------------------------------------------------------------------

KNOWN_EMOTIONS, KNOWN_EVENTS = ("NEUTRAL", "HAPPY", "ANGRY", "SAD"), EVENTS


def cleaned(text: str) -> str:
    """For each known tag in turn: opening with a space behind, closing, opening; then single spaces."""
    for name in (*KNOWN_EVENTS, *KNOWN_EMOTIONS, "SPECIAL_TOKEN_1"):
        for written in (f"<|{name}|> ", f"<|/{name}|>", f"<|{name}|>"):
            text = text.replace(written, "")
    return re.sub(r"\s{2,}", " ", text).strip()


def names_in(text: str, known: tuple[str, ...]) -> set[str]:
    return set(re.findall(r"<\|(" + "|".join(known) + r")\|>", text))


def parsed(result: dict[str, Any], *, trans: bool, emotions: bool, events: bool) -> list[dict[str, Any]]:
    """The transcripts as the guide's sample parser leaves them: what was asked for, no sentence without any of it."""
    result = copy.deepcopy(result)
    for track in result["transcripts"]:
        for sentence in track["sentences"]:
            tagged = sentence.pop("text")
            wanted = (("emotion", emotions, KNOWN_EMOTIONS), ("event", events, KNOWN_EVENTS))
            sentence |= {name: found for name, kept, known in wanted if kept and (found := names_in(tagged, known))}
            if trans:
                sentence["text"] = cleaned(tagged)
        whole = cleaned(track.pop("text"))
        if trans:
            track["text"] = whole
        track["sentences"] = [s for s in track["sentences"] if s.keys() & {"text", "emotion", "event"}]
    return result["transcripts"]


TOLD = [
    said(f"Sentence {number}, told in a way.", number * 1_000, emotion=emotion, events=events)
    for number, (emotion, events) in enumerate(
        product(("", *EMOTIONS), [(), *((event,) for event in EVENTS), ("Speech", "BGM"), ("Cough",)])
    )
]


@pytest.mark.parametrize(("trans", "emotions", "events"), list(product((True, False), repeat=3)))
def test_the_guides_parser_leaves_no_tag_and_loses_no_sentence(trans: bool, emotions: bool, events: bool) -> None:
    result = rendered(*TOLD, channels=2)
    for track in parsed(result, trans=trans, emotions=emotions, events=events):
        assert not ANY_TAG.search(json.dumps(track, default=sorted))
        begins = [sentence["begin_time"] for sentence in track["sentences"]]
        # Asked for emotions alone, it keeps those sentences that carry one; asked for nothing, none: that is its rule.
        with_emotion = [s.begin_ms for s in TOLD if s.emotion.upper() in KNOWN_EMOTIONS]
        expected = [s.begin_ms for s in TOLD] if trans or events else with_emotion if emotions else []
        assert begins == expected
        assert track.get("text") == (" ".join(s.text for s in TOLD) if trans else None)
        for sentence, source in zip(track["sentences"], [s for s in TOLD if s.begin_ms in expected], strict=True):
            assert sentence.get("text") == (source.text if trans else None)
            if events:
                assert sentence["event"] == (set(source.events) & set(EVENTS) or {"Speech"})
            if emotions:
                assert sentence.get("emotion", set()) == {source.emotion.upper()} & set(KNOWN_EMOTIONS)


def test_the_library_has_the_same_as_plain_text_and_typed_fields() -> None:
    """What the guide's parser takes out of the texts, the library never put into them."""
    whole = transcript(*TOLD)
    assert [s.text for s in whole.sentences] == [s.text for s in TOLD]
    assert whole.text == " ".join(s.text for s in TOLD)
    assert not ANY_TAG.search(whole.text)
    for name in ("txt", "srt", "vtt", "tsv"):
        assert not ANY_TAG.search(whole.to(name))
    (track,) = parsed(json.loads(whole.to_json()), trans=True, emotions=True, events=True)
    for mine, theirs in zip(whole.sentences, track["sentences"], strict=True):
        assert mine.text == theirs["text"]
        assert {mine.emotion.upper()} & set(KNOWN_EMOTIONS) == theirs.get("emotion", set())
        assert theirs["event"] == (set(mine.events) & set(EVENTS) or {"Speech"})


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_the_shape_of_filetrans_has_all_seven_in_a_member(emotion: str) -> None:
    told = replace(transcript(said("Hello.", emotion=emotion)), model="qwen3-asr-flash-filetrans")
    (sentence,) = json.loads(transcription_json.render(told, shape="file_url"))["transcripts"][0]["sentences"]
    assert (sentence["emotion"], sentence["text"]) == (emotion, "Hello.")
