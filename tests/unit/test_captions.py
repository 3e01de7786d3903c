"""Are captions what a viewer can read: long enough on the screen, broken where a reader would, and who speaks?"""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import typer

from dashscribe.cli.batch import Ended
from dashscribe.cli.captions import caption_style
from dashscribe.cli.report import Report
from dashscribe.cli.screen import Screen
from dashscribe.cli.sources import Source
from dashscribe.render import PRESETS, CaptionStyle, find_style
from dashscribe.render.captions import Cue, cues
from dashscribe.types import Media, Sentence, Span, Track, Transcript, Word
from dashscribe.words import timed_sentence

STYLE = PRESETS["default"]


def said(text: str, begin_ms: int, end_ms: int, speaker: int | None = None) -> Sentence:
    """A sentence as engines without times give it: the words of the text share its time by their length."""
    return replace(timed_sentence(text, (), Span(begin_ms, end_ms)), speaker=speaker)


def transcript(*channels: Sentence | tuple[Sentence, ...], duration_ms: int = 60_000) -> Transcript:
    """One channel of sentences, or several channels."""
    tracks = channels if channels and isinstance(channels[0], tuple) else (channels,)
    return Transcript(
        media=Media(
            url="a.wav", container="wav", codec="pcm_s16le", rate_hz=16_000, channel_count=1, duration_ms=duration_ms
        ),
        tracks=tuple(Track(channel=number, sentences=track, ledger=()) for number, track in enumerate(tracks)),
        model="fun-asr",
        engine="standin",
    )


def shown(*sentences: Sentence, style: CaptionStyle = STYLE, duration_ms: int = 60_000) -> list[tuple[int, int, str]]:
    found = cues(transcript(*sentences, duration_ms=duration_ms), style)
    return [(cue.begin_ms, cue.end_ms, "\n".join(cue.lines)) for cue in found]


def lines(text: str, columns: int = 42, **changes: int) -> list[str]:
    """The lines of a text that is spoken slowly enough for every cue."""
    style = replace(STYLE, columns=columns, max_ms=100_000, **changes)
    return [line for cue in cues(transcript(said(text, 0, 100 * len(text))), style) for line in cue.lines]


# --- one to seven seconds ------------------------------------------------------------------------------------------


def test_a_short_cue_stays_on_in_the_silence_behind_it() -> None:
    assert shown(said("Yes.", 5_000, 5_300), said("It is.", 9_000, 10_200)) == [
        (5_000, 6_000, "Yes."),
        (9_000, 10_200, "It is."),
    ]


def test_a_short_cue_comes_early_where_the_next_one_follows_at_once() -> None:
    first, second = said("Yes.", 5_000, 5_300, speaker=0), said("It is mine.", 5_300, 7_000, speaker=1)
    assert [cue[:2] for cue in shown(first, second)] == [(4_300, 5_300), (5_300, 7_000)]


def test_a_short_cue_ends_with_the_recording() -> None:
    assert shown(said("Bye.", 5_000, 5_300), duration_ms=5_500) == [(4_500, 5_500, "Bye.")]


def test_words_without_length_at_the_end_have_cues_within_the_recording() -> None:
    parts = [f"Supercalifragilistic{number} " for number in range(6)]
    words = tuple(Word(at, 60_000, part) for at, part in zip([59_000, *[60_000] * 5], parts, strict=True))
    sentence = Sentence(begin_ms=59_000, end_ms=60_000, text="".join(parts), words=words)
    found = shown(sentence, style=replace(STYLE, columns=24, lines=1))
    assert [text.strip() for _, _, text in found] == [part.strip() for part in parts]
    assert found[-1][1] == 60_000
    assert all(begin_ms < end_ms for begin_ms, end_ms, _ in found)
    assert all(left[1] <= right[0] for left, right in pairwise(found))


def test_short_cues_without_room_share_one() -> None:
    quick = [said(text, 5_000 + 400 * i, 5_400 + 400 * i) for i, text in enumerate(["Yes.", "No.", "Go on."])]
    assert shown(said("So he said it.", 3_000, 5_000), *quick) == [
        (3_000, 5_000, "So he said it."),
        (5_000, 6_200, "Yes. No. Go on."),
    ]


def test_sentences_of_enough_time_keep_a_cue_each() -> None:
    assert len(shown(said("Yes, it is.", 0, 1_000), said("No, it is not.", 1_000, 2_000))) == 2


@pytest.mark.parametrize("speakers", [None, False])
def test_voices_never_share_a_cue_even_when_they_are_not_shown(speakers: bool | None) -> None:
    quick = (
        said("真的？", 0, 400, speaker=0),
        said("真的。", 400, 800, speaker=1),
        said("好。", 800, 4_000, speaker=0),
    )
    found = shown(*quick, style=replace(STYLE, speakers=speakers))
    assert found == [(0, 400, "真的？"), (400, 800, "真的。"), (800, 4_000, "好。")]


def test_a_cue_stays_as_long_as_it_takes_to_read() -> None:
    text = "Thirty-nine columns, spoken in a second"
    assert shown(said(text, 0, 1_000)) == [(0, 1_858, text)]
    assert shown(said(text, 0, 1_000), style=replace(STYLE, columns_per_second=13)) == [(0, 3_000, text)]
    assert shown(said(text, 0, 1_000), said("Next, at once.", 1_500, 3_000))[0][:2] == (0, 1_500)
    assert shown(said("好" * 21, 0, 1_000))[0][:2] == (0, 2_000)


def test_no_cue_is_longer_than_seven_seconds_even_for_one_long_word() -> None:
    assert shown(said("Ooooooh!", 1_000, 20_000)) == [(1_000, 8_000, "Ooooooh!")]


def test_sentences_that_overlap_take_turns() -> None:
    found = shown(said("The one who speaks first.", 0, 5_000), said("The one who breaks in.", 3_000, 6_000))
    assert [cue[:2] for cue in found] == [(0, 3_000), (3_000, 6_000)]


# --- lines ---------------------------------------------------------------------------------------------------------


def test_a_long_text_without_words_is_cut_like_any_other() -> None:
    text = "When in the course of human events it becomes necessary, one people may dissolve the bands with another."
    with_words = cues(transcript(said(text, 0, 12_000)))
    without = cues(transcript(Sentence(begin_ms=0, end_ms=12_000, text=text)))
    assert [cue.lines for cue in without] == [cue.lines for cue in with_words]
    # Both share the time by length, one with the spaces: no more than that lies between them.
    assert abs(without[0].end_ms - with_words[0].end_ms) < 120
    chinese = "大家早上好，今天我们讨论三个问题，第一个是预算，第二个是时间安排，第三个是人员，请大家踊跃发言。"
    assert all(cue.end_ms <= 10_000 for cue in cues(transcript(Sentence(begin_ms=0, end_ms=10_000, text=chinese))))
    assert len(lines(chinese)) == 4


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        # Chinese words and their particles stay whole; a line does not end with a mark that opens.
        ("人工智能技术正在改变我们的生活", 16, ["人工智能技术正在", "改变我们的生活"]),
        ("他说：“《深度学习》这本书非常好！”", 20, ["他说：“《深度学习》", "这本书非常好！”"]),
        ("他说：“好极了，我去”", 12, ["他说：", "“好极了，", "我去”"]),
        ("总共花了¥128.00，不贵", 12, ["总共花了", "¥128.00，", "不贵"]),
        ("一共有2019年的3.5公斤", 12, ["一共有", "2019年的", "3.5公斤"]),
        ("这个API的response time很好", 16, ["这个API的", "response", "time很好"]),
        # Japanese phrases, small kana, Thai phrases.
        ("今日はとても良い天気ですね。", 16, ["今日はとても", "良い天気ですね。"]),
        ("วันนี้อากาศดีมากและเราจะไปเที่ยวทะเล", 16, ["วันนี้อากาศดีมากและ", "เราจะไปเที่ยวทะเล"]),
        # A number and its unit, a title and its name, a sign and its amount.
        ("It rose by 25 percent more", 16, ["It rose by", "25 percent more"]),
        ("They met Dr. Frankenstein", 16, ["They met", "Dr. Frankenstein"]),
        ("It costs about ($3.50) today", 15, ["It costs about", "($3.50) today"]),
        ('He shouted: "Go away, all"', 16, ["He shouted:", '"Go away, all"']),
        ("Il demande : « Pourquoi ? » encore", 21, ["Il demande :", "« Pourquoi ? » encore"]),
        # Right to left is the business of who shows it.
        ("مرحبا بكم في هذا البرنامج الجديد", 20, ["مرحبا بكم في هذا", "البرنامج الجديد"]),
        ("Well 👍🏽 done, e\u0301te\u0301!", 9, ["Well 👍🏽", "done,", "e\u0301te\u0301!"]),
    ],
)
def test_lines_break_where_a_reader_would(text: str, columns: int, expected: list[str]) -> None:
    assert lines(text, columns) == expected


def test_a_line_does_not_end_with_a_word_that_leans_on_the_next() -> None:
    assert lines("and dedicated to the proposition that all men are created", 34) == [
        "and dedicated to the proposition",
        "that all men are created",
    ]


def test_an_abbreviation_ends_no_clause() -> None:
    assert lines("We were there for approx. thirty days", 30) == ["We were there", "for approx. thirty days"]
    assert lines("We were there for lunch. Thirty days", 30) == ["We were there for lunch.", "Thirty days"]


def test_a_pause_ends_a_clause_where_no_mark_does() -> None:
    style = replace(STYLE, columns=40, lines=1)
    text, rest = "we all went home ", "early then he came back to us again"
    before, after = said(text + "x", 0, 2_000).words[:-1], said(rest, 2_000, 6_000).words
    for pause_ms, first in ((0, "we all went home early then"), (300, "we all went home")):
        words = before + tuple(replace(w, begin_ms=w.begin_ms + pause_ms, end_ms=w.end_ms + pause_ms) for w in after)
        sentence = Sentence(begin_ms=0, end_ms=words[-1].end_ms, text=text + rest, words=words)
        assert shown(sentence, style=style)[0][2] == first


def test_a_phrase_wider_than_a_line_is_broken_between_characters_but_not_before_small_kana_and_marks() -> None:
    found = [line for columns in range(6, 14) for line in lines("チェックアウトマネージャー", columns)]
    assert len(found) > 20
    assert not [line for line in found if line[0] in "ェッャー"]
    voiced = tuple(Word(i * 1_000, i * 1_000 + 1_000, character) for i, character in enumerate("か\u3099き\u3099"))
    sentence = Sentence(begin_ms=0, end_ms=4_000, text="か\u3099き\u3099", words=voiced)
    assert cues(transcript(sentence), replace(STYLE, columns=2))[0].lines == ("か\u3099", "き\u3099")


def test_styles_of_one_and_of_three_lines() -> None:
    text = transcript(said("one two three four five six seven eight nine ten", 0, 7_000))
    assert [cue.lines for cue in cues(text, replace(STYLE, columns=18, lines=3))] == [
        ("one two three four", "five six seven", "eight nine ten")
    ]
    assert [cue.lines for cue in cues(text, replace(STYLE, columns=26, lines=1))] == [
        ("one two three four five",),
        ("six seven eight nine ten",),
    ]


# --- who speaks ----------------------------------------------------------------------------------------------------


def dialogue() -> Transcript:
    return transcript(
        said("Who is there?", 0, 2_000, speaker=0),
        said("It is me.", 3_000, 5_000, speaker=1),
        said("Let me in.", 6_000, 8_000, speaker=1),
    )


def test_several_speakers_are_named_where_they_change() -> None:
    assert dialogue().to_srt().split("\n")[2::4] == ["Speaker 1: Who is there?", "Speaker 2: It is me.", "Let me in."]
    assert dialogue().to_vtt().split("\n")[3::3] == [
        "<v Speaker 1>Who is there?",
        "<v Speaker 2>It is me.",
        "<v Speaker 2>Let me in.",
    ]


def test_speakers_have_names_when_given_and_none_when_not_wanted() -> None:
    names = {0: "Ada & <Co>", 1: "Bob\x00\n"}
    assert dialogue().to_srt(speakers=names).split("\n")[2::4] == [
        "Ada & <\u2060Co>: Who is there?",
        "Bob: It is me.",
        "Let me in.",
    ]
    assert "<v Ada &amp; &lt;Co&gt;>Who is there?" in dialogue().to_vtt(speakers=names)
    assert "Speaker" not in dialogue().to_srt(speakers=False) + dialogue().to_vtt(speakers=False)


def test_one_speaker_is_named_on_request_only() -> None:
    alone = transcript(said("Who is there?", 0, 2_000, speaker=0))
    assert "Speaker" not in alone.to_srt()
    assert "Speaker 1: Who is there?" in alone.to_srt(speakers=True)
    assert ": " not in transcript(said("Who is there?", 0, 2_000)).to_srt(speakers=True)


def test_channels_are_named_in_every_cue_because_their_cues_overlap() -> None:
    text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    both = transcript((said(text, 0, 9_000),), (said(text, 0, 9_000),))
    labels = [line.split(":")[0] for line in both.to_srt().split("\n") if line.startswith("Channel")]
    assert len(labels) == len(cues(both)) == 4
    assert set(labels) == {"Channel 0", "Channel 1"}


def test_the_name_counts_among_the_columns() -> None:
    style = CaptionStyle(columns=24)
    found = cues(dialogue(), style, labels=True)
    assert found[0] == Cue(0, 2_000, ("Speaker 1: Who is there?",), "Speaker 1")
    assert cues(dialogue(), replace(style, columns=23), labels=True)[0].lines == ("Speaker 1: Who", "is there?")


# --- styles --------------------------------------------------------------------------------------------------------


def test_a_preset_changes_what_captions_look_like() -> None:
    text = "Four score and seven years ago our fathers brought forth on this continent a new nation."
    widths = {name: max(map(len, spoken_lines(text, name))) for name in PRESETS}
    assert widths["social"] <= 24 < widths["broadcast"] <= 32 < widths["default"] <= 42


def spoken_lines(text: str, preset: str) -> list[str]:
    rendered = transcript(said(text, 0, 6_000)).to_srt(preset)
    return [line for line in rendered.split("\n") if line and "-->" not in line and not line.isdigit()]


def test_a_preset_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'tv' is no caption preset; known: default, chinese, broadcast, social"):
        transcript().to_srt("tv")


@pytest.mark.parametrize(
    "limits",
    [{"columns": 1}, {"lines": 0}, {"columns_per_second": 0}, {"min_ms": 0}, {"min_ms": 8_000}, {"max_ms": 500}],
)
def test_limits_that_no_cue_can_keep_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"captions need|cues cannot last"):
        CaptionStyle(**limits)


def test_a_style_of_ones_own_is_taken_as_it_is() -> None:
    style = CaptionStyle(columns=30, lines=1)
    assert find_style(style) is style
    assert find_style(style, speakers=False) == replace(style, speakers=False)


def test_options_of_the_command_line_change_parts_of_a_preset() -> None:
    assert caption_style("", None, None, None, ("txt",)) == PRESETS["default"]
    assert caption_style("broadcast", 37, 3, False, ("txt", "vtt")) == replace(
        PRESETS["broadcast"], columns=37, lines=3, speakers=False
    )


def test_the_command_line_prints_and_writes_captions_in_the_style(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoken, sources = dialogue(), [Source("a.wav")]
    expected = spoken.to_srt("social")
    assert expected != spoken.to_srt()
    screen = Screen(sources, None, quiet=True)
    for place in (None, lambda index: (tmp_path, "a")):
        Report(sources, ("srt",), place, screen, as_json=False, style=PRESETS["social"]).take(Ended(0, spoken, 1.0))
    assert capsys.readouterr().out == (tmp_path / "a.srt").read_text(encoding="utf-8") == expected


@pytest.mark.parametrize(
    ("options", "formats"),
    [(("tv", None, None, None), ("srt",)), (("social", None, None, None), ("txt",)), (("", 30, None, None), ("tsv",))],
)
def test_options_without_an_effect_are_refused(options: tuple[object, ...], formats: tuple[str, ...]) -> None:
    with pytest.raises(typer.BadParameter):
        caption_style(*options, formats)
