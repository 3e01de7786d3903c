"""Does each format say exactly what its readers expect? Golden files show whole outputs, examples the wire's shapes."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from dashscribe.render import FORMATS, PRESETS, srt, transcription_json, tsv, vtt
from dashscribe.render.captions import clock, cues
from dashscribe.types import Entry, Fate, Media, Sentence, Track, Transcript, Turn, Word

GOLDEN = Path(__file__).parent / "golden"
STYLE = PRESETS["default"]

MEDIA = Media(
    url="https://media.example.net/a.wav",
    container="wav",
    codec="pcm_s16le",
    rate_hz=16_000,
    channel_count=1,
    duration_ms=5_120,
)
GREETING = Sentence(
    begin_ms=760,
    end_ms=3_240,
    text="Good morning, all.",
    words=(Word(760, 1_300, "Good "), Word(1_300, 2_100, "morning", ", "), Word(2_100, 3_240, "all", ".")),
    language="en",
)
LEDGER = (
    Entry(0, 760, Fate.NON_SPEECH),
    Entry(760, 3_240, Fate.TRANSCRIBED),
    Entry(3_240, 5_120, Fate.NON_SPEECH),
)
WIRE_WORDS = [
    {"begin_time": 760, "end_time": 1300, "text": "Good ", "punctuation": ""},
    {"begin_time": 1300, "end_time": 2100, "text": "morning", "punctuation": ", "},
    {"begin_time": 2100, "end_time": 3240, "text": "all", "punctuation": "."},
]
WIRE_PROPERTIES = {
    "audio_format": "pcm_s16le",
    "channels": [0],
    "original_sampling_rate": 16000,
    "original_duration_in_milliseconds": 5120,
}


def transcript(*sentences: Sentence, media: Media = MEDIA, model: str = "fun-asr", **changes: object) -> Transcript:
    track = Track(channel=0, sentences=sentences, ledger=LEDGER)
    return replace(Transcript(media=media, tracks=(track,), model=model, engine="standin"), **changes)


def spoken(text: str, *, begin_ms: int = 0, word_ms: int = 300, speaker: int | None = None) -> Sentence:
    """A sentence whose words are those of ``text``, or its characters where it has no spaces."""
    parts = [part + " " for part in text.split(" ")] if " " in text else list(text)
    parts[-1] = parts[-1].rstrip()
    words = tuple(Word(begin_ms + i * word_ms, begin_ms + (i + 1) * word_ms, part) for i, part in enumerate(parts))
    return Sentence(begin_ms=begin_ms, end_ms=words[-1].end_ms, text="".join(parts), words=words, speaker=speaker)


def minutes() -> Transcript:
    """Two channels, two languages, a speaker, a sentence too long for one caption, a stretch that failed."""
    long = "Let us go through the list, which is longer than last week, and then decide who takes which part of it."
    first = (
        spoken("Good morning, all."),
        spoken(long, begin_ms=2_000),
        spoken("Is 3 < 4 & 5 > 4 --> true?", begin_ms=10_000),
    )
    question = "大家早上好，今天我们讨论三个问题，第一个是预算，第二个是时间安排，第三个是人员，请大家踊跃发言。"
    second = (
        spoken(question, begin_ms=1_000, word_ms=200, speaker=1),
        spoken("好的。", begin_ms=12_000, speaker=0),
    )
    ledger = (
        Entry(0, 12_600, Fate.TRANSCRIBED),
        Entry(12_600, 13_000, Fate.FAILED, "the engine process ended with signal 11"),
        Entry(13_000, 14_000, Fate.NON_SPEECH),
    )
    tracks = tuple(Track(channel=c, sentences=s, ledger=ledger) for c, s in enumerate((first, second)))
    media = replace(MEDIA, channel_count=2, duration_ms=14_000)
    return Transcript(
        media=media, tracks=tracks, model="fun-asr", engine="standin", notes=("channel 5 does not exist",)
    )


@pytest.mark.parametrize("name", list(FORMATS))
def test_each_format_matches_its_golden_file(name: str) -> None:
    assert minutes().to(name) == (GOLDEN / f"minutes.{name}").read_text(encoding="utf-8")


# --- the service's result file: the examples of its three shapes ---------------------------------------------------


def wire(text: str) -> tuple[dict[str, object], dict[str, object]]:
    """The service's part of a rendered result, and ours."""
    result = json.loads(text)
    return result, result.pop("dashscribe")


def test_file_urls_shape_is_the_documented_one() -> None:
    result, ours = wire(transcription_json.render(transcript(replace(GREETING, speaker=0))))
    assert json.dumps(result) == json.dumps(
        {
            "file_url": "https://media.example.net/a.wav",
            "properties": WIRE_PROPERTIES,
            "transcripts": [
                {
                    "channel_id": 0,
                    "content_duration_in_milliseconds": 2480,
                    "text": "Good morning, all.",
                    "sentences": [
                        {
                            "begin_time": 760,
                            "end_time": 3240,
                            "text": "Good morning, all.",
                            "sentence_id": 1,
                            "speaker_id": 0,
                            "words": WIRE_WORDS,
                        }
                    ],
                }
            ],
        }
    )
    assert list(ours) == ["engine", "coverage", "notes", "warnings"]


def test_file_urls_shape_has_no_speaker_where_none_was_asked_for() -> None:
    result, _ = wire(transcription_json.render(transcript(GREETING)))
    assert "speaker_id" not in result["transcripts"][0]["sentences"][0]


def filetrans(words: bool, language: str = "en", emotion: str = "neutral") -> dict[str, object]:
    sentence = {
        "sentence_id": 0,
        "begin_time": 760,
        "end_time": 3240,
        "language": language,
        "emotion": emotion,
        "text": "Good morning, all.",
    }
    return {
        "file_url": "https://media.example.net/a.wav",
        "audio_info": {"format": "wav", "sample_rate": 16000},
        "transcripts": [
            {
                "channel_id": 0,
                "text": "Good morning, all.",
                "sentences": [sentence | {"words": WIRE_WORDS} if words else sentence],
            }
        ],
    }


@pytest.mark.parametrize("words", [True, False])
def test_filetrans_shape_is_the_documented_one_with_and_without_words(words: bool) -> None:
    result, _ = wire(transcription_json.render(transcript(GREETING), shape="file_url", words=words))
    assert json.dumps(result) == json.dumps(filetrans(words))


def test_filetrans_language_is_measured_else_the_callers_hint() -> None:
    unknown = transcript(replace(GREETING, language="", emotion="happy"))
    result, _ = wire(transcription_json.render(unknown, shape="file_url", language="de"))
    assert result == filetrans(words=True, language="de", emotion="happy")
    result, _ = wire(transcription_json.render(transcript(GREETING), shape="file_url", language="de"))
    assert result == filetrans(words=True, language="en")


def test_filetrans_result_names_what_nobody_measured() -> None:
    def notes(**changes: str) -> object:
        told = replace(
            transcript(replace(GREETING, **{"language": "en", "emotion": "happy", **changes})), engine="standin"
        )
        return wire(transcription_json.render(told, shape="file_url", language="de"))[1]["notes"]

    assert notes() == []
    assert notes(language="") == ["sentences: no language was measured; de stands for that"]
    assert notes(emotion="") == ["sentences: no emotion was measured; neutral stands for that"]
    english = replace(transcript(replace(GREETING, language="en", emotion="sad")), engine="pocketsphinx")
    (note,) = json.loads(transcription_json.render(english, shape="file_url"))["dashscribe"]["notes"]
    assert note == "sentences: no language was measured; en is the one that the engine reads"
    assert json.loads(transcription_json.render(english))["dashscribe"]["notes"] == []


def test_sensevoice_shape_is_the_documented_one() -> None:
    result, _ = wire(transcription_json.render(transcript(replace(GREETING, emotion="happy")), shape="sensevoice"))
    text = "<|Speech|> Good morning, all. <|/Speech|> <|HAPPY|>"
    assert json.dumps(result) == json.dumps(
        {
            "file_url": "https://media.example.net/a.wav",
            "properties": WIRE_PROPERTIES,
            "transcripts": [
                {
                    "channel_id": 0,
                    "content_duration_in_milliseconds": 2480,
                    "text": text,
                    "sentences": [{"begin_time": 760, "end_time": 3240, "text": text}],
                }
            ],
        }
    )


def test_sensevoice_sentences_follow_each_other_without_a_space_and_may_lack_an_emotion() -> None:
    two = transcript(replace(GREETING, emotion=""), replace(GREETING, emotion="", begin_ms=4_000, events=("BGM",)))
    result, _ = wire(transcription_json.render(two, shape="sensevoice"))
    assert result["transcripts"][0]["text"] == (
        "<|Speech|> Good morning, all. <|/Speech|><|BGM|> Good morning, all. <|/BGM|>"
    )


def test_sensevoice_marks_other_emotions_as_undetermined_drops_other_events_and_lists_what_was_dropped() -> None:
    said = replace(GREETING, emotion="surprised", events=("Cough", "Laughter"))
    result, ours = wire(transcription_json.render(transcript(said, GREETING), shape="sensevoice"))
    first = result["transcripts"][0]["sentences"][0]["text"]
    assert first == "<|Laughter|> Good morning, all. <|/Laughter|> <|SPECIAL_TOKEN_1|>"
    assert ours["dropped"] == [{"channel_id": 0, "sentence": 1, "emotion": "surprised", "events": ["Cough"]}]


@pytest.mark.parametrize(
    ("model", "member"),
    [
        ("fun-asr", "properties"),
        ("qwen3-asr-flash-filetrans", "audio_info"),
        ("a-model-that-the-catalog-lacks", "properties"),
    ],
)
def test_json_takes_the_shape_of_the_transcripts_model(model: str, member: str) -> None:
    assert member in json.loads(transcript(GREETING, model=model).to_json())


def test_coverage_sums_up_the_ledger_and_failures_are_warned_of() -> None:
    _, ours = wire(minutes().to_json())
    coverage = ours["coverage"][1]
    assert (coverage["transcribed_ms"], coverage["failed_ms"], coverage["non_speech_ms"]) == (12_600, 400, 1_000)
    assert coverage["ledger"][1] == {
        "begin_time": 12_600,
        "end_time": 13_000,
        "fate": "failed",
        "reason": "the engine process ended with signal 11",
    }
    assert ours["notes"] == ["channel 5 does not exist"]
    assert [w.split(":")[0] for w in ours["warnings"]] == ["channel 0", "channel 1"]


@pytest.mark.parametrize("shape", ["file_urls", "file_url", "sensevoice"])
def test_json_is_one_line_of_unescaped_utf_8_without_nulls(shape: transcription_json.Shape) -> None:
    text = transcription_json.render(minutes(), shape=shape)
    assert text.count("\n") == 1
    assert "大家早上好" in text
    assert "null" not in text


# --- text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (["Good morning.", "How are you?"], "Good morning. How are you?"),
        (["早上好。", "你好吗？"], "早上好。你好吗？"),
        (["他说：“好。”", "我也去。"], "他说：“好。”我也去。"),
        (["안녕하세요.", "반갑습니다."], "안녕하세요. 반갑습니다."),
        (["It is called 道.", "道可道。"], "It is called 道. 道可道。"),
        (["One. ", "Two."], "One. Two."),
        (["", "One."], "One."),
    ],
)
def test_sentences_are_joined_as_their_writing_does(texts: Sequence[str], joined: str) -> None:
    said = [Sentence(begin_ms=i, end_ms=i + 1, text=text) for i, text in enumerate(texts)]
    assert transcript(*said).to("txt") == joined + "\n"


# --- captions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [("txt", ""), ("srt", ""), ("vtt", "WEBVTT\n"), ("tsv", "begin_ms\tend_ms\tchannel\tspeaker\ttext\n")],
)
def test_a_transcript_without_sentences_gives_a_valid_empty_file(name: str, expected: str) -> None:
    assert transcript().to(name) == expected


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (0, "00:00:00,000"),
        (1_001, "00:00:01,001"),
        (3_599_999, "00:59:59,999"),
        (3_600_000, "01:00:00,000"),
        (359_999_999, "99:59:59,999"),
        (360_000_000, "100:00:00,000"),
    ],
)
def test_times_are_exact_beyond_99_hours(time_ms: int, text: str) -> None:
    assert clock(time_ms, ",") == text


def test_a_long_sentence_is_cut_between_words_within_the_limits() -> None:
    text = " ".join(f"word{n}" for n in range(200))
    result = cues(transcript(spoken(text)))
    assert len(result) > 10
    for cue in result:
        assert len(cue.lines) <= STYLE.lines
        assert all(cell_len(line) <= STYLE.columns for line in cue.lines)
        assert cue.end_ms - cue.begin_ms <= STYLE.max_ms
    assert " ".join(line for cue in result for line in cue.lines) == text


def test_a_han_character_counts_two_columns() -> None:
    style = replace(STYLE, columns=40)
    result = cues(transcript(spoken("好" * 40, word_ms=100)), style)
    assert [cue.lines for cue in result] == [("好" * 20, "好" * 20)]
    assert len(cues(transcript(spoken("好" * 41, word_ms=100)), style)) == 2


def test_slow_speech_is_cut_by_time() -> None:
    result = cues(transcript(spoken("so very slow", word_ms=4_000)))
    assert [(cue.begin_ms, cue.end_ms, cue.lines) for cue in result] == [
        (0, 4_000, ("so",)),
        (4_000, 8_000, ("very",)),
        (8_000, 12_000, ("slow",)),
    ]


def test_cues_prefer_to_end_at_a_comma() -> None:
    text = "When in the course of human events it becomes necessary, one people may dissolve the bands with another."
    assert cues(transcript(spoken(text)))[0].lines[-1].endswith("necessary,")


def test_no_line_begins_with_a_closing_mark_or_ends_with_an_opening_one() -> None:
    result = cues(transcript(spoken("他说：（你好）。“我们走吧”，然后就离开了。" * 4, word_ms=100)))
    lines = [line for cue in result for line in cue.lines]
    assert len(lines) > 3
    assert not [line for line in lines if line[0] in "：）。”，" or line[-1] in "（“"]


def test_a_word_is_never_broken_even_when_it_is_wider_than_a_line() -> None:
    wide = "https://example.com/" + "a" * 60
    assert [cue.lines for cue in cues(transcript(spoken(f"See {wide} there")))] == [("See", wide), ("there",)]


def test_parts_of_a_word_that_an_engine_times_apart_stay_together() -> None:
    parts = tuple(Word(i * 100, i * 100 + 100, "ab") for i in range(30))
    result = cues(transcript(Sentence(begin_ms=0, end_ms=3_000, text="ab" * 30, words=parts)))
    assert [cue.lines for cue in result] == [("ab" * 30,)]


def test_a_word_without_length_gets_a_cue_that_ends_after_it_begins() -> None:
    words = (Word(0, 0, "flash "), Word(7_001, 7_001, "and "), Word(14_002, 14_002, "gone"))
    result = cues(transcript(Sentence(begin_ms=0, end_ms=14_002, text="flash and gone", words=words)))
    assert [(cue.begin_ms, cue.end_ms) for cue in result] == [(0, 1_000), (7_001, 8_001), (13_002, 14_002)]


def test_text_that_looks_like_markup_or_a_time_line_is_harmless() -> None:
    risky = transcript(spoken("<b>1</b> & \n\n2 --> 3\x00 00:00:01,000 --> 00:00:02,000"))
    for text in (srt.render(risky), vtt.render(risky)):
        assert text.count("-->") == text.count("\n\n") + (not text.startswith("WEBVTT"))
        assert "\x00" not in text
    assert "&lt;b&gt;1&lt;/b&gt; &amp; 2" in vtt.render(risky).replace("\n", " ")


def test_tsv_keeps_every_record_on_one_line_of_five_fields() -> None:
    risky = Sentence(begin_ms=1, end_ms=2, text="tab\there\r\nnew\\line", speaker=3)
    lines = tsv.render(transcript(risky)).split("\n")
    assert lines == ["\t".join(tsv.COLUMNS), "1\t2\t0\t3\ttab\\there\\r\\nnew\\\\line", ""]


def test_text_has_a_line_per_turn_where_speakers_are_told():
    def said(begin_ms: int, text: str, speaker: int | None) -> Sentence:
        return Sentence(begin_ms=begin_ms, end_ms=begin_ms + 900, text=text, speaker=speaker)

    turns = (Turn(0, 3_000, 0), Turn(3_000, 4_000, 1))
    sentences = (
        said(0, "How are you?", 0),
        said(1_000, "All well?", 0),
        said(3_000, "Yes.", 1),
        said(4_000, "Hm.", None),
    )
    track = Track(channel=0, sentences=sentences, ledger=(), turns=turns)
    one = Transcript(media=MEDIA, tracks=(track,), model="fun-asr", engine="standin")
    assert one.to("txt") == "Speaker 1: How are you? All well?\nSpeaker 2: Yes.\nHm.\n"
    call = replace(
        one,
        tracks=(
            replace(track, sentences=(said(0, "How are you?", 0), said(5_000, "Good.", 0))),
            replace(track, channel=1, sentences=(said(3_000, "Fine.", 1),)),
        ),
    )
    assert call.to("txt") == "Speaker 1: How are you?\nSpeaker 2: Fine.\nSpeaker 1: Good.\n"
    apart = replace(call, tracks=(call.tracks[0], replace(track, channel=1, sentences=(said(3_000, "Fine.", 0),))))
    assert apart.to("txt") == "Channel 0:\nSpeaker 1: How are you? Good.\n\nChannel 1:\nSpeaker 1: Fine.\n"
