"""For any sentences: captions keep their limits, parse back to the same milliseconds, and lose nothing of the text.

WebVTT is read by webvtt-py in its strict mode, SubRip by that and by a reader that takes nothing but the documented
form. What a cue may not be, and when it may be too short all the same, is written down in docs/captions.md.
"""

import html
import io
import re
from dataclasses import replace
from itertools import accumulate, pairwise

import rjieba
import webvtt
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from dashscribe.render import PRESETS, CaptionStyle
from dashscribe.render.captions import Cue, cues
from dashscribe.types import Media, Sentence, Track, Transcript, Word

#: Ordinary text of several writings, what is special to either format, white space of all kinds, control characters.
ALPHABET = (
    "abc DEF 123 äß 汉字，。「」 かなーっ한글 กข่ عر e\u0301 👍🏽 <>&;-–—→{}\\#:.!?$¥% NOTE WEBVTT "
    "\t\n\r\x0b\x0c\x85\u2028\u3000\x00\x1b\x7f"
)
HOSTILE = ["-->", "00:00:01,000", "NOTE", "<v A>", "&amp;", "<script>alert(1)</script>", "{\\an8}", "\n\n1\n"]
WORDS = st.text(ALPHABET, min_size=1, max_size=12) | st.sampled_from(HOSTILE)
SOLID_WORDS = WORDS.map(lambda text: re.sub(r"\s", "", text)[:12] or "x")
SPOKEN_WORDS = SOLID_WORDS.filter(lambda text: any(map(str.isalnum, text)))
STYLES = st.sampled_from(list(PRESETS.values())) | st.builds(
    CaptionStyle,
    columns=st.integers(24, 60),
    lines=st.integers(1, 4),
    min_ms=st.integers(1, 2_000),
    max_ms=st.integers(2_000, 10_000),
    columns_per_second=st.integers(5, 40),
    speakers=st.sampled_from([None, True, False]),
)
CHINESE = (
    "我们",
    "今天",
    "讨论",
    "人工智能",
    "的",
    "问题",
    "，",
    "第一",
    "预算",
    "。",
    "踊跃发言",
    "！",
    "研究院",
    "医疗领域",
)


def spelled(texts: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, str]]:
    """A word and what follows it."""
    return st.tuples(texts, st.sampled_from(["", " ", ", ", "。", " (", " “"]))


@st.composite
def sentences(
    draw: st.DrawFn, texts: st.SearchStrategy[str] = WORDS, *, least_ms: int = 0, disjoint: bool = True
) -> tuple[Sentence, ...]:
    """Sentences whose words, with pauses between them, rebuild the text: in order of time unless not ``disjoint``."""
    at_ms = draw(st.sampled_from([0, 359_000_000]))
    result: list[Sentence] = []
    for drawn in draw(st.lists(st.lists(spelled(texts), min_size=1, max_size=20), max_size=5)):
        words: list[Word] = []
        for text, punctuation in drawn:
            begin_ms = at_ms + draw(st.sampled_from([0, 0, 0, 100, 3_000]))
            at_ms = begin_ms + draw(st.integers(least_ms, 500) | st.just(2_000))
            words.append(Word(begin_ms, at_ms, text, punctuation))
        at_ms = max(at_ms, words[0].begin_ms + 1)
        text = "".join(word.text + word.punctuation for word in words)
        speaker = draw(st.sampled_from([None, 0, 0, 1]))
        said = Sentence(begin_ms=words[0].begin_ms, end_ms=at_ms, text=text, words=tuple(words), speaker=speaker)
        result.append(said)
        if not disjoint:
            at_ms = max(0, at_ms - draw(st.integers(0, 5_000)))
    return tuple(result)


def transcript(*channels: tuple[Sentence, ...]) -> Transcript:
    media = Media(url="a.wav", container="wav", codec="pcm_s16le", rate_hz=16_000, channel_count=1, duration_ms=60_000)
    tracks = tuple(Track(channel=number, sentences=said, ledger=()) for number, said in enumerate(channels))
    return Transcript(media=media, tracks=tracks, model="fun-asr", engine="")


def milliseconds(clock: str) -> int:
    hours, minutes, seconds, ms = map(int, re.split(r"[:.,]", clock))
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms


def bare(text: str) -> str:
    """The text without white space and control characters, the only things that captions may change."""
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]", "", text)


def text_of(result: list[Cue]) -> str:
    return bare("".join(line for cue in result for line in cue.lines))


def times_of(result: list[Cue]) -> list[tuple[int, int]]:
    return [(cue.begin_ms, cue.end_ms) for cue in result]


@given(st.lists(sentences(), min_size=1, max_size=2), STYLES)
def test_vtt_parses_back_to_the_same_times_and_text(said: list[tuple[Sentence, ...]], style: CaptionStyle) -> None:
    expected = cues(transcript(*said), style)
    captions = webvtt.from_string(transcript(*said).to_vtt(style), strict=True).captions
    assert [(milliseconds(c.start), milliseconds(c.end)) for c in captions] == times_of(expected)
    assert bare("".join(html.unescape(c.text) for c in captions)) == text_of(expected)
    assert [html.unescape(c.voice or "") for c in captions] == [cue.voice for cue in expected]


@given(st.lists(sentences(), min_size=1, max_size=2), STYLES)
def test_srt_parses_back_to_the_same_times_and_text(said: list[tuple[Sentence, ...]], style: CaptionStyle) -> None:
    expected = cues(transcript(*said), style, labels=True)
    text = transcript(*said).to_srt(style)
    blocks = [block.split("\n", 2) for block in text.rstrip("\n").split("\n\n")] if text else []
    assert [int(number) for number, _, _ in blocks] == list(range(1, len(blocks) + 1))
    times = [tuple(map(milliseconds, line.split(" --> "))) for _, line, _ in blocks]
    assert times == times_of(expected)
    shown = "\n".join(lines for _, _, lines in blocks)
    assert bare(shown).replace("\u2060", "") == text_of(expected).replace("-->", "→")
    assert not re.search(r"<[A-Za-z/!?]|\{\\|-->", shown)
    if text:
        captions = webvtt.from_buffer(io.StringIO(text), format="srt").captions
        assert [(milliseconds(c.start), milliseconds(c.end)) for c in captions] == times_of(expected)


@given(sentences() | sentences(disjoint=False), STYLES)
def test_nothing_is_lost_and_no_two_cues_of_a_channel_overlap(said: tuple[Sentence, ...], style: CaptionStyle) -> None:
    result = cues(transcript(said), style)
    in_order = sorted(said, key=lambda sentence: (sentence.begin_ms, sentence.end_ms))
    assert text_of(result) == bare("".join(sentence.text for sentence in in_order))
    assert all(0 <= cue.begin_ms < cue.end_ms for cue in result)
    assert all(left.end_ms <= right.begin_ms for left, right in pairwise(result))
    assert all(1 <= len(cue.lines) <= style.lines and all(map(bare, cue.lines)) for cue in result)


@given(sentences(SOLID_WORDS), STYLES)
def test_only_a_line_without_a_place_to_break_is_too_wide(said: tuple[Sentence, ...], style: CaptionStyle) -> None:
    for cue in cues(transcript(said), style):
        for line in cue.lines:
            assert cell_len(line) <= style.columns or not re.search(r"\w\S* \w", line)


@given(sentences(SPOKEN_WORDS, least_ms=1), STYLES)
def test_cues_show_their_words_while_they_are_spoken(said: tuple[Sentence, ...], style: CaptionStyle) -> None:
    words = iter([word for sentence in said for word in sentence.words])
    held = ""
    for cue in cues(transcript(said), style):
        length = len(bare("".join(cue.lines)))
        while len(held) < length and (word := next(words, None)):
            held += bare(word.text + word.punctuation)
            assert cue.begin_ms <= word.begin_ms or len(held) > length, "a cue comes after its word"
            assert word.end_ms <= cue.end_ms or len(held) > length or cue.end_ms - cue.begin_ms == style.max_ms
        # Marks that open may have gone to the next cue.
        held = held[length:]


@given(sentences(SOLID_WORDS), STYLES)
def test_cues_are_long_enough_unless_they_touch_both_neighbors_and_fit_neither(
    said: tuple[Sentence, ...], style: CaptionStyle
) -> None:
    result = cues(transcript(said), replace(style, speakers=True))
    end_ms = max([60_000, *(sentence.end_ms for sentence in said)])
    neighbors = [None, *result, None]
    for before, cue, behind in zip(neighbors, result, neighbors[2:], strict=False):
        assert cue.end_ms - cue.begin_ms <= style.max_ms
        if cue.end_ms - cue.begin_ms < style.min_ms:
            assert cue.begin_ms == (before.end_ms if before else 0)
            assert cue.end_ms == (behind.begin_ms if behind else end_ms)
            assert not (before and fit(before, cue, style))
            assert not (behind and fit(cue, behind, style))


def fit(left: Cue, right: Cue, style: CaptionStyle) -> bool:
    """Whether two cues could be one for sure: of one line, in the time that there is for one."""
    text = " ".join([*left.lines, *right.lines])
    is_short = right.end_ms - left.begin_ms <= style.max_ms
    return is_short and cell_len(text) <= style.columns and left.voice == right.voice


@given(sentences(SOLID_WORDS), STYLES)
def test_no_cue_or_line_breaks_inside_a_word(said: tuple[Sentence, ...], style: CaptionStyle) -> None:
    lines = [bare(line) for cue in cues(transcript(said), style) for line in cue.lines]
    breaks = set(accumulate(map(len, lines), initial=0))
    at = 0
    for word in (word for sentence in said for word in sentence.words):
        text = bare(word.text + word.punctuation)
        spoken = [i for i, character in enumerate(text) if character.isalnum()]
        if spoken and cell_len(text) <= style.columns:
            inside = range(at + spoken[0] + 1, at + spoken[-1] + 1)
            assert not breaks.intersection(inside), f"{word.text!r} is broken"
        at += len(text)


@given(st.lists(st.sampled_from(CHINESE), min_size=1, max_size=60), st.integers(16, 60))
def test_no_cue_or_line_breaks_inside_a_chinese_word(texts: list[str], columns: int) -> None:
    text = "".join(texts)
    words = tuple(Word(i * 200, i * 200 + 200, character) for i, character in enumerate(text))
    said = Sentence(begin_ms=0, end_ms=len(text) * 200, text=text, words=words)
    lines = [line for cue in cues(transcript((said,)), CaptionStyle(columns=columns)) for line in cue.lines]
    starts = {begin for _, begin, _ in rjieba.tokenize(text)} | {len(text)}
    assert set(accumulate(map(len, lines))) <= starts
    assert not [line for line in lines[1:] if line[0] in "，。！"]
