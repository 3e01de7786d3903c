"""Whatever people make of a transcript, every promise about transcripts holds of it, and the original stays."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace

import msgspec
import webvtt
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dashscribe import ledger
from dashscribe.edits import Edits, Place, Replacement, Said
from dashscribe.edits.aligning import comparable, reworded, tidy
from dashscribe.edits.comparing import compare
from dashscribe.edits.state import edited, unedited
from dashscribe.errors import InvalidParameterError
from dashscribe.render import CaptionStyle, markdown, text, transcription_json, vtt
from dashscribe.render.paragraphs import Page
from dashscribe.types import Entry, Fate, Media, Sentence, Span, Track, Transcript, Word
from dashscribe.words import Heard, timed_sentence, written_words
from sizes import size

TEXT = st.text(
    st.one_of(
        st.sampled_from("aab thE 的是我。，！?.’'-%♪ \t\nÉ२한の５ﾊ\u200d\U00020000"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=40,
)
WORDY = st.lists(
    st.sampled_from(["the", "cat", "The", "sat.", "好", "你好", "on", "2019年", "it's", "—", "mat,"]), max_size=8
)


@st.composite
def sentences(draw: st.DrawFn, begin_ms: int = 0) -> list[Sentence]:
    """Sentences in order, as models give them: words timed well, badly or not at all, in one piece or several."""
    found: list[Sentence] = []
    for _ in range(draw(st.integers(1, 5))):
        begin_ms += draw(st.integers(0, 300))
        end_ms = begin_ms + draw(st.integers(1, 3000))
        text = " ".join(draw(WORDY)) or draw(TEXT.map(tidy))
        heard: list[Heard] = []
        at, at_ms = 0, begin_ms
        while at < len(text) and draw(st.booleans()):
            until, until_ms = min(len(text), at + draw(st.integers(1, 5))), draw(st.integers(at_ms, end_ms))
            heard.append(Heard(at, until, at_ms, until_ms))
            at, at_ms = until, until_ms
        sentence = timed_sentence(text, heard, Span(begin_ms, end_ms), language=draw(st.sampled_from(["", "en", "zh"])))
        if sentence.begin_ms < sentence.end_ms and sentence.text:
            words = draw(regrouped(sentence.words)) if draw(st.booleans()) else sentence.words
            speaker = draw(st.one_of(st.none(), st.integers(0, 3)))
            found.append(replace(sentence, words=words, speaker=speaker))
        begin_ms = end_ms
    assume(found)
    return found


@st.composite
def regrouped(draw: st.DrawFn, words: tuple[Word, ...]) -> tuple[Word, ...]:
    """The same text in other words: some joined, some parted, as other engines have them."""
    result: list[Word] = []
    for word in words:
        if result and draw(st.booleans()):
            last = result.pop()
            joined = last.text + last.punctuation + word.text
            result.append(Word(last.begin_ms, word.end_ms, joined, word.punctuation, draw(st.none() | st.floats(0, 1))))
        elif len(word.text) > 1 and draw(st.booleans()):
            at, middle_ms = draw(st.integers(1, len(word.text) - 1)), (word.begin_ms + word.end_ms) // 2
            result.append(Word(word.begin_ms, middle_ms, word.text[:at]))
            result.append(Word(middle_ms, word.end_ms, word.text[at:], word.punctuation))
        else:
            result.append(word)
    return tuple(result)


def transcript(*channels: list[Sentence]) -> Transcript:
    end_ms = max(s.end_ms for found in channels for s in found) + 500
    tracks = tuple(
        Track(channel=number, sentences=tuple(found), ledger=(Entry(0, end_ms, Fate.TRANSCRIBED),))
        for number, found in enumerate(channels)
    )
    media = Media(url="u", container="wav", codec="pcm_s16le", rate_hz=16_000, channel_count=1, duration_ms=end_ms)
    made = Transcript(media=media, tracks=tracks, model="fun-asr", engine="standin")
    ledger.check(made, Span(0, end_ms))
    return made


@settings(max_examples=size(60, 400))
@given(old=sentences(), texts=st.lists(TEXT.map(tidy).filter(bool), min_size=1, max_size=4))
def test_new_texts_keep_every_promise_and_the_stretch(old: list[Sentence], texts: list[str]) -> None:
    try:
        new = reworded(old, texts)
    except InvalidParameterError:
        assert old[-1].end_ms - old[0].begin_ms < len(texts)
        return
    assert [sentence.text for sentence in new] == texts
    assert (new[0].begin_ms, new[-1].end_ms) == (old[0].begin_ms, old[-1].end_ms)
    transcript(new)
    assert all(word.text for sentence in new for word in sentence.words)


@settings(max_examples=size(50, 400))
@given(old=sentences())
def test_the_same_text_is_the_same_words(old: list[Sentence]) -> None:
    for sentence in old:
        (again,) = reworded([sentence], [sentence.text])
        heard = [(w.begin_ms, w.end_ms, w.confidence) for w in sentence.words]
        kept = [
            (w.begin_ms, w.end_ms, w.confidence) for w in again.words if (w.begin_ms, w.end_ms, w.confidence) in heard
        ]
        # Words of marks alone are none to be found again; all others are where and what they were.
        spoken = [w for w in sentence.words if any(letter.isalnum() for letter in w.text + w.punctuation)]
        if len(spoken) == len(sentence.words):
            assert len(kept) == len(again.words) == len(sentence.words)
            assert not [w for w in again.words if w.approximate] or any(w.approximate for w in sentence.words)


@st.composite
def changes(draw: st.DrawFn, edits: Edits) -> list[Replacement]:
    """Replacements that fit a revision."""
    found: list[Replacement] = []
    for track in edits.tracks:
        at = 0
        while at < len(track.sentences) and draw(st.booleans()):
            begin = draw(st.integers(at, len(track.sentences) - 1))
            at = draw(st.integers(begin + 1, len(track.sentences)))
            said = draw(st.lists(st.builds(Said, TEXT.map(tidy), st.none() | st.integers(0, 5)), max_size=3))
            found.append(Replacement(tuple(placed.id for placed in track.sentences[begin:at]), tuple(said)))
    return draw(st.permutations([*found, *draw(additions(edits, found))]))


@st.composite
def additions(draw: st.DrawFn, edits: Edits, others: list[Replacement]) -> list[Replacement]:
    """What is put where no sentence stands, nor is to stand by other replacements."""
    joined = {sentence_id for one in others for sentence_id in one.ids[1:]}
    found: list[Replacement] = []
    for track in edits.tracks:
        ends = [0, *(placed.sentence.end_ms for placed in track.sentences)]
        begins = [*(placed.sentence.begin_ms for placed in track.sentences), edits.media.duration_ms]
        ids = [*(placed.id for placed in track.sentences), ""]
        for free_ms, until_ms, behind in zip(ends, begins, ids, strict=True):
            if free_ms < until_ms and behind not in joined and draw(st.booleans()):
                begin_ms = draw(st.integers(free_ms, until_ms - 1))
                span = Span(begin_ms, draw(st.integers(begin_ms + 1, until_ms)))
                said = draw(st.lists(st.builds(Said, TEXT.map(tidy).filter(bool)), min_size=1, max_size=2))
                found.append(Replacement((), tuple(said), Place(track.channel, span)))
    return found


@settings(max_examples=size(40, 400))
@given(data=st.data(), left=sentences(), right=sentences())
def test_any_edits_one_after_another_keep_every_promise(
    data: st.DataObject, left: list[Sentence], right: list[Sentence]
) -> None:
    original = transcript(left, right)
    before = msgspec.json.encode(original)
    edits = unedited(original, "key")
    for revision in range(1, 5):
        wanted = data.draw(changes(edits))
        untouched = {placed.id: placed.sentence for track in edits.tracks for placed in track.sentences}
        for replacement in wanted:
            for sentence_id in replacement.ids:
                del untouched[sentence_id]
        try:
            edits, fresh = edited(edits, wanted, {0: f"Anna {revision}"}, revision)
        except InvalidParameterError as error:
            assert "do not fit" in str(error)
            continue
        now = {placed.id: placed.sentence for track in edits.tracks for placed in track.sentences}
        assert len(now) == sum(len(track.sentences) for track in edits.tracks), "every id once"
        assert untouched.items() <= now.items(), "others are as they were, under their ids"
        for replacement, mine in zip(wanted, fresh, strict=True):
            assert [placed.sentence.text for placed in mine.placed] == [
                one.text for one in replacement.said if one.text
            ]
            for placed, one in zip(mine.placed, [one for one in replacement.said if one.text], strict=True):
                assert one.speaker in (None, placed.sentence.speaker)
        ledger.check(edits.transcript(), Span(0, original.media.duration_ms))
        assert msgspec.json.decode(msgspec.json.encode(edits), type=Edits) == edits
    assert msgspec.json.encode(original) == before


@settings(max_examples=60)
@given(data=st.data(), spoken=sentences())
def test_whatever_was_edited_every_word_is_exported_once(data: st.DataObject, spoken: list[Sentence]) -> None:
    edits = unedited(transcript(spoken), "key")
    for revision in (1, 2):
        try:
            edits, _ = edited(edits, data.draw(changes(edits)), {}, revision)
        except InvalidParameterError:
            continue
    made = edits.transcript()
    texts = [sentence.text for sentence in made.sentences]
    words = re.findall(r"\w+", " ".join(texts))
    result = json.loads(transcription_json.render(made))["transcripts"][0]
    assert [sentence["text"] for sentence in result["sentences"]] == texts
    for one in result["sentences"]:
        assert "".join(word["text"] + word["punctuation"] for word in one["words"]) == one["text"]
    cues = webvtt.from_string(vtt.render(made, CaptionStyle(speakers=False)))
    shown = {
        "txt": text.render(made, Page(speakers=False)),
        "md": re.sub(r"\\(?=[^\w\s])", "", markdown.render(made, Page(speakers=False, times=False))),
        "vtt": " ".join(html.unescape(cue.raw_text) for cue in cues),
    }
    for wanted, got in shown.items():
        assert "".join(re.findall(r"\w+", got)) == "".join(words), wanted


def _key(text: str) -> str:
    """A word without the marks behind it."""
    return comparable(written_words(text)[0].text)


@settings(max_examples=size(40, 400))
@given(left=sentences(), right=sentences())
def test_comparing_gives_both_sides_back(left: list[Sentence], right: list[Sentence]) -> None:
    pairs, figures = compare(transcript(left), transcript(right))
    assert figures.words == sum(len(pair.left) for pair in pairs)
    assert figures.other_words == sum(len(pair.right) for pair in pairs)
    assert figures.changed == figures.replaced + figures.inserted + figures.deleted
    keys = [[[_key(word.text) for word in side] for side in (pair.left, pair.right)] for pair in pairs]
    for pair, (mine, others) in zip(pairs, keys, strict=True):
        assert (pair.kind == "same") == (mine == others)
        assert (pair.kind == "inserted", pair.kind == "deleted") == (not mine, not others)
    same, none = compare(transcript(left), transcript(left))
    assert none.changed == 0
    assert {pair.kind for pair in same} <= {"same"}
