"""For any sentences: captions parse back to the same milliseconds, and nothing of the text is lost.

WebVTT is read by webvtt-py in its strict mode, SubRip by a reader that takes nothing but the documented form.
"""

import html
import re

import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from dashscribe.render.captions import COLUMNS, LINES, MAX_CUE_MS, cues
from dashscribe.types import Media, Sentence, Track, Transcript, Word

#: Ordinary text of several writings, what is special to either format, white space of all kinds, control characters.
ALPHABET = (
    "abc DEF 123 äß 汉字，。 かな한글 กข عر <>&;-–→{}\\#:.!? NOTE WEBVTT \t\n\r\x0b\x0c\x85\u2028\u3000\x00\x1b\x7f"
)
WORDS = st.text(ALPHABET, min_size=1, max_size=12) | st.sampled_from(["-->", "00:00:01,000", "NOTE", "<v A>", "&amp;"])
SOLID_WORDS = WORDS.map(lambda text: re.sub(r"\s", "", text) or "x")


def spelled(texts: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, str]]:
    """A word and what follows it."""
    return st.tuples(texts, st.sampled_from(["", " ", ", ", "。"]))


@st.composite
def sentences(draw: st.DrawFn, texts: st.SearchStrategy[str] = WORDS) -> tuple[Sentence, ...]:
    """Sentences in order of time whose words, with pauses between them, rebuild the text."""
    at_ms = draw(st.integers(0, 400_000_000))
    result: list[Sentence] = []
    for drawn in draw(st.lists(st.lists(spelled(texts), min_size=1, max_size=20), max_size=4)):
        words: list[Word] = []
        for text, punctuation in drawn:
            begin_ms = at_ms + draw(st.integers(0, 3_000))
            at_ms = begin_ms + draw(st.integers(0, 2_000))
            words.append(Word(begin_ms, at_ms, text, punctuation))
        at_ms = max(at_ms, words[0].begin_ms + 1)
        text = "".join(word.text + word.punctuation for word in words)
        result.append(Sentence(begin_ms=words[0].begin_ms, end_ms=at_ms, text=text, words=tuple(words)))
    return tuple(result)


def transcript(said: tuple[Sentence, ...]) -> Transcript:
    media = Media(url="a.wav", container="wav", codec="pcm_s16le", rate_hz=16_000, channel_count=1, duration_ms=0)
    return Transcript(media=media, tracks=(Track(channel=0, sentences=said, ledger=()),), model="fun-asr", engine="")


def milliseconds(clock: str) -> int:
    hours, minutes, seconds, ms = map(int, re.split(r"[:.,]", clock))
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms


def bare(text: str) -> str:
    """The text without white space and control characters, the only things that captions may change."""
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]", "", text)


def visible(said: tuple[Sentence, ...]) -> list[Sentence]:
    return [sentence for sentence in said if bare(sentence.text)]


def assert_same_times(parsed: list[tuple[int, int]], said: tuple[Sentence, ...]) -> None:
    begins, ends = {begin for begin, _ in parsed}, {end for _, end in parsed}
    assert {s.begin_ms for s in visible(said)} <= begins
    assert {s.end_ms for s in visible(said)} <= ends
    edges = {edge for s in said for w in s.words for edge in (w.begin_ms, w.end_ms, w.begin_ms + 1)}
    assert begins | ends <= edges | {edge for s in said for edge in (s.begin_ms, s.end_ms - 1, s.end_ms)}
    assert all(begin < end for begin, end in parsed)


@settings(deadline=None)
@given(sentences())
def test_vtt_parses_back_to_the_same_times_and_text(said: tuple[Sentence, ...]) -> None:
    captions = webvtt.from_string(transcript(said).to_vtt(), strict=True).captions
    text = "".join(html.unescape(c.text) for c in captions)
    assert_same_times([(milliseconds(c.start), milliseconds(c.end)) for c in captions], said)
    assert bare(text) == bare("".join(s.text for s in said))


@settings(deadline=None)
@given(sentences())
def test_srt_parses_back_to_the_same_times_and_text(said: tuple[Sentence, ...]) -> None:
    text = transcript(said).to_srt()
    blocks = [block.split("\n", 2) for block in text.rstrip("\n").split("\n\n")] if text else []
    assert [int(number) for number, _, _ in blocks] == list(range(1, len(blocks) + 1))
    times = [tuple(map(milliseconds, line.split(" --> "))) for _, line, _ in blocks]
    assert_same_times([(begin, end) for begin, end in times], said)
    assert bare("".join(lines for _, _, lines in blocks)) == bare("".join(s.text for s in said)).replace("-->", "→")


@settings(deadline=None)
@given(sentences(SOLID_WORDS))
def test_only_a_line_or_cue_without_any_space_exceeds_the_limits(said: tuple[Sentence, ...]) -> None:
    for cue in cues(transcript(said)):
        assert 1 <= len(cue.lines) <= LINES
        assert all(bare(line) for line in cue.lines)
        assert all(cell_len(line) <= COLUMNS or " " not in line for line in cue.lines)
        assert cue.end_ms - cue.begin_ms <= MAX_CUE_MS or (len(cue.lines) == 1 and " " not in cue.lines[0])
