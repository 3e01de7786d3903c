"""Whatever transcript is written as the service's result, in any shape, is read back as it was."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashscribe.client.reading import transcript_of
from dashscribe.errors.remote import ApiError
from dashscribe.render import transcription_json
from dashscribe.types import Entry, Fate, Media, Sentence, Track, Transcript, Turn, Word

TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
#: The shapes' models, and what sentences of each may tell.
MODELS = {"fun-asr": "file_urls", "qwen3-asr-flash-filetrans": "file_url", "sensevoice-v1": "sensevoice"}


@st.composite
def said(draw: st.DrawFn, model: str) -> Sentence:
    words = tuple(Word(n * 100, n * 100 + 90, text, draw(TEXTS)) for n, text in enumerate(draw(st.lists(TEXTS))))
    sentence = Sentence(begin_ms=0, end_ms=10_000, text="".join(word.text + word.punctuation for word in words))
    if model == "sensevoice-v1":
        # Tags stand inside its texts, between spaces.
        emotion = draw(st.sampled_from(["", "happy", "angry", "sad", "neutral"]))
        events = draw(st.sampled_from([(), ("Applause",), ("BGM", "Laughter"), ("Speech", "Laughter")]))
        bare = " ".join(sentence.text.replace("<|", "").replace("|>", "").split())
        return replace(sentence, text=bare, emotion=emotion, events=events)
    sentence = replace(sentence, words=words)
    if model == "fun-asr":
        return replace(sentence, speaker=draw(st.none() | st.integers(0, 99)))
    return replace(sentence, language=draw(st.sampled_from(["zh", "en"])), emotion=draw(st.sampled_from(["happy"])))


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    model = draw(st.sampled_from(list(MODELS)))
    tracks: list[Track] = []
    for channel in draw(st.lists(st.integers(0, 63), unique=True, max_size=3)):
        sentences = tuple(draw(st.lists(said(model), max_size=3)))
        fates = draw(st.lists(st.sampled_from(Fate), max_size=3))
        ledger = tuple(
            Entry(n * 9_000, n * 9_000 + 9_000, fate, "lost" if fate is Fate.FAILED else "")
            for n, fate in enumerate(fates)
        )
        tracks.append(Track(channel=channel, sentences=sentences, ledger=ledger))
    media = Media(url="a.wav", container="", codec="mp3", rate_hz=8_000, channel_count=2, duration_ms=27_000)
    return Transcript(
        media=media, tracks=tuple(tracks), model=model, engine="standin", notes=tuple(draw(st.lists(TEXTS)))
    )


@given(transcripts())
def test_a_result_is_read_back_as_it_was_written(made: Transcript) -> None:
    shape = MODELS[made.model]
    written = transcription_json.render(made, shape=shape)  # pyright: ignore[reportArgumentType]
    read = transcript_of(msgspec.json.decode(written), made.model)
    tracks = tuple(replace(track, turns=()) for track in read.tracks)
    assert tracks == made.tracks
    assert read.notes[: len(made.notes)] == made.notes
    assert (read.engine, read.media.url, read.media.rate_hz) == (made.engine, "a.wav", 8_000)
    if shape != "file_url":
        assert read.media == made.media


def test_turns_are_what_a_speaker_says_in_a_row() -> None:
    sentences = [
        {"begin_time": n * 1_000, "end_time": n * 1_000 + 900, "text": "x", "speaker_id": speaker}
        for n, speaker in enumerate([0, 0, 1, 0])
    ]
    read = transcript_of({"transcripts": [{"channel_id": 0, "sentences": sentences}]}, "fun-asr")
    assert read.tracks[0].turns == (Turn(0, 1_900, 0), Turn(2_000, 2_900, 1), Turn(3_000, 3_900, 0))
    assert read.to_txt() == "Speaker 1: x x\nSpeaker 2: x\nSpeaker 1: x\n"


@pytest.mark.parametrize(
    "result",
    [
        {"transcripts": 5},
        {"transcripts": [{"sentences": [{"text": "no times"}]}]},
        {"dashscribe": {"coverage": [{"ledger": [{"begin_time": 0, "end_time": 1, "fate": "eaten"}]}]},
         "transcripts": [{"channel_id": 0}]},
    ],
)  # fmt: skip
def test_what_is_no_result_is_an_error_of_the_library(result: dict[str, object]) -> None:
    with pytest.raises(ApiError, match="cannot be read"):
        transcript_of(result, "fun-asr")
