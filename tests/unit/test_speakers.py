"""Who speaks: clustering of voiceprints, whose each word is, and what becomes of sentences, with scripted voices."""

import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dashscribe.enrich.speakers import tell_apart
from dashscribe.enrich.speakers.assign import Assignment
from dashscribe.enrich.speakers.cluster import MOST, Space, speakers
from dashscribe.types import Fate, Options, Outcome, Sentence, Span, Turn, Utterance, Voices, Word

MEASURED = Space(measured=True)
SPECTRAL = Space(measured=False)


def voiceprints(who: Sequence[int], spread: float = 0.2, dim: int = 39) -> NDArray[np.float32]:
    """Voiceprints of voices that differ in every value by much more than one of them varies."""
    chance = np.random.default_rng(5)
    voices = chance.normal(size=(max(who) + 1, dim))
    return np.array([voices[i] + chance.normal(0, spread, dim) for i in who], np.float32)


def told(prints: NDArray[np.float32], durations_ms: list[int], space: Space, count: int | None) -> list[int]:
    return speakers([one.tobytes() for one in prints], durations_ms, space, count).tolist()


def labels(who: Sequence[int], space: Space, count: int | None, duration_ms: int = 1500) -> list[int]:
    return told(voiceprints(who), [duration_ms] * len(who), space, count)


@pytest.mark.parametrize("space", [MEASURED, SPECTRAL])
@pytest.mark.parametrize("who", [[0, 1, 0, 1, 1, 0], [0, 0, 1, 2, 1, 2, 0, 0], [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]])
def test_voices_are_told_apart_and_numbered_as_they_appear(space: Space, who: list[int]) -> None:
    assert labels(who, space, max(who) + 1) == who


@pytest.mark.parametrize(
    "who", [[0] * 20, [0, 1, 2, 2] * 6, [0, 1, 2, 3, 4] * 12, [0] * 6, [0, 1, 0, 1, 0, 1], [0, 1, 2, 0, 1, 2, 0, 1, 2]]
)
def test_models_tell_how_many_there_are(who: list[int]) -> None:
    assert labels(who, MEASURED, None) == who


def test_a_stray_utterance_is_no_speaker_of_its_own() -> None:
    who = [0, 1] * 40
    found = labels([*who, 2], MEASURED, None)
    assert found[:-1] == who
    assert found[-1] in (0, 1)


@pytest.mark.parametrize("count", [None, 2, 7])
def test_one_utterance_is_one_speaker_however_many_are_said_to_be_there(count: int | None) -> None:
    assert labels([0], MEASURED, count) == [0]
    assert labels([0], SPECTRAL, count) == [0]
    assert speakers([], [], MEASURED, count).tolist() == []


def test_what_is_too_short_to_tell_goes_to_the_nearest_voice() -> None:
    who = [0, 1, 0, 1, 0, 1]
    durations_ms = [1500, 1500, 1500, 1500, 100, 100]
    assert told(voiceprints(who), durations_ms, MEASURED, None) == who


def test_twelve_hours_of_utterances_are_clustered_in_bounded_memory() -> None:
    chance = np.random.default_rng(1)
    who = [0, 1, 2, *chance.integers(0, 3, 12 * 3600 // 3).tolist()]
    assert len(who) > 10 * MOST
    array = voiceprints(who, dim=192)
    given_prints = [one.tobytes() for one in array]  # as a spool has them on disk
    for count in (None, 100):
        tracemalloc.start()
        found = speakers(given_prints, [1500] * len(who), MEASURED, count)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 100 or found.tolist() == who
        # A block of them and the sums of the blocks before; all pairs at once would be 800 MB.
        assert peak_bytes < array.nbytes, peak_bytes / array.nbytes


def test_spectral_voiceprints_without_pitch_count_as_of_middling_pitch() -> None:
    prints = np.repeat(np.eye(2, 39, dtype=np.float32), 3, axis=0)
    prints[0, -1] = np.nan
    assert told(prints, [1500] * 6, SPECTRAL, 2) == [0, 0, 0, 1, 1, 1]


# --- whose each word is ---------------------------------------------------------------------------------------------


def sentence(*words: tuple[int, int, str]) -> Sentence:
    said = tuple(Word(begin, end, text) for begin, end, text in words)
    return Sentence(
        begin_ms=words[0][0], end_ms=words[-1][1], text="".join(word.text for word in said), words=said, language="en"
    )


def parted(turns: list[Turn], *sentences: Sentence) -> list[tuple[int | None, str]]:
    return [(part.speaker, part.text) for part in Assignment(turns).parted(sentences)]


def test_a_sentence_is_parted_where_the_speaker_changes() -> None:
    said = sentence(
        (0, 400, "how "), (400, 800, "are "), (800, 1200, "you "), (1250, 1600, "fine "), (1600, 2000, "thanks")
    )
    assert parted([Turn(0, 1220, 0), Turn(1240, 2000, 1)], said) == [(0, "how are you"), (1, "fine thanks")]


def test_a_change_moves_to_the_pause_that_is_close_to_it() -> None:
    said = sentence(
        (0, 400, "how "), (400, 800, "are "), (800, 1200, "you "), (1500, 1900, "fine "), (1900, 2300, "thanks")
    )
    assert parted([Turn(0, 1000, 0), Turn(1000, 2300, 1)], said) == [(0, "how are you"), (1, "fine thanks")]
    assert parted([Turn(0, 1700, 0), Turn(1700, 2300, 1)], said) == [(0, "how are you"), (1, "fine thanks")]


def test_where_two_speak_at_once_the_one_who_was_speaking_goes_on() -> None:
    said = sentence((0, 500, "one "), (500, 1000, "two "), (1000, 1500, "three "), (1500, 2000, "four"))
    assert parted([Turn(0, 1500, 0), Turn(500, 2000, 1)], said) == [(0, "one two three"), (1, "four")]


def test_a_short_reply_keeps_its_speaker_though_pauses_are_close_to_it() -> None:
    said = sentence(
        *((0, 300, "so "), (300, 600, "we "), (600, 900, "agree "), (1000, 1100, "yes "), (1300, 1500, "right ")),
        *((1520, 1800, "good "), (1800, 2000, "then")),
    )
    for last in (0, 2):
        found = parted([Turn(0, 950, 0), Turn(950, 1510, 1), Turn(1510, 2000, last)], said)
        assert [speaker for speaker, _ in found] == [0, 1, last]


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(50, 400)), min_size=6, max_size=20), st.data())
def test_nobody_who_has_a_word_loses_the_last_one(gaps: list[tuple[int, int]], data: st.DataObject) -> None:
    at, said = 0, []
    for gap, length in gaps:
        said.append((at + gap, at + gap + length, "w "))
        at += gap + length
    borders = sorted(data.draw(st.sets(st.integers(1, len(said) - 1), min_size=1, max_size=4)))
    groups = [said[a:b] for a, b in zip([0, *borders], [*borders, len(said)], strict=True)]
    turns = [Turn(words[0][0], words[-1][1], number % 3) for number, words in enumerate(groups)]
    assert [speaker for speaker, _ in parted(turns, sentence(*said))] == [turn.speaker for turn in turns]


def test_words_close_to_a_turn_go_with_it_and_others_are_nobodys() -> None:
    said = sentence(
        (3_000, 3_200, "so "), (5_000, 5_200, "yes "), (7_000, 7_100, "well "), (3_600_000, 3_600_500, "hm")
    )
    assert parted([Turn(4_000, 6_000, 1)], said) == [(1, "so yes well"), (None, "hm")]
    assert parted([], said) == [(None, "so yes well hm")]


def test_a_sentence_without_words_goes_to_who_speaks_most_of_it() -> None:
    whole = Sentence(begin_ms=0, end_ms=1000, text="how are you")
    assert parted([Turn(0, 300, 0), Turn(300, 1000, 1)], whole) == [(1, "how are you")]


def test_words_without_length_are_no_sentence_of_their_own() -> None:
    said = sentence((0, 500, "one "), (500, 500, "two "), (500, 1000, "three"))
    turns = [Turn(0, 500, 0), Turn(499, 501, 1), Turn(501, 1000, 0)]
    assert all(part.end_ms > part.begin_ms for part in Assignment(turns).parted([said]))


words = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 600), st.sampled_from(["one ", "two ", "三", "four, "])),
    min_size=1,
    max_size=12,
)
stretches = st.lists(st.tuples(st.integers(0, 8_000), st.integers(1, 3_000), st.integers(0, 3)), max_size=12)


@given(words, stretches)
def test_no_word_is_lost_or_moved_whatever_the_turns(
    gaps: list[tuple[int, int, str]], given_: list[tuple[int, int, int]]
) -> None:
    at, said = 0, []
    for gap, length, text in gaps:
        said.append((at + gap, at + gap + length, text))
        at += gap + length
    if at == said[0][0]:
        return  # no sentence is without length
    whole = sentence(*said)
    turns = sorted((Turn(begin, begin + length, who) for begin, length, who in given_), key=lambda turn: turn.begin_ms)
    parts = Assignment(turns).parted([whole])
    assert [w.text.rstrip() for p in parts for w in p.words] == [w.text.rstrip() for w in whole.words]
    assert [(w.begin_ms, w.end_ms) for p in parts for w in p.words] == [(w.begin_ms, w.end_ms) for w in whole.words]
    for part in parts:
        assert part.end_ms > part.begin_ms
        assert "".join(word.text + word.punctuation for word in part.words) == part.text
        assert part.language == "en"


# --- a whole channel ------------------------------------------------------------------------------------------------


def heard(*sentences: Sentence) -> list[Outcome]:
    span = Span(sentences[0].begin_ms, sentences[-1].end_ms)
    return [Outcome(span, Fate.TRANSCRIBED, sentences)]


def utterances(*who: tuple[int, int, int]) -> Voices:
    prints = voiceprints([speaker for *_, speaker in who])
    return Voices(tuple(Utterance(b, e, p.tobytes()) for (b, e, _), p in zip(who, prints, strict=True)), measured=True)


SAID = sentence(*((i * 1000, i * 1000 + 900, f"w{i} ") for i in range(6)))


def test_speakers_are_numbered_as_they_first_say_something() -> None:
    # The first voice says nothing that was written down.
    silent = Outcome(Span(0, 2000), Fate.FAILED, reason="poison")
    said = sentence((2000, 2900, "yes "), (3000, 3900, "no"))
    voices = utterances((0, 2000, 1), (2000, 2950, 0), (3000, 3900, 2))
    spoken = tell_apart(0, [silent, *heard(said)], [voices], Options(diarize=True, speaker_count=3))
    assert [(s.speaker, s.text) for s in spoken.outcomes[1].sentences] == [(0, "yes"), (1, "no")]
    assert [turn.speaker for turn in spoken.turns] == [2, 0, 1]


def test_what_is_no_speech_has_no_speaker() -> None:
    noise = Outcome(Span(6_000, 9_000), Fate.NON_SPEECH, reason="music")
    voices = utterances((0, 2950, 0), (3000, 5900, 1), (6000, 7500, 2), (7500, 9000, 2))
    spoken = tell_apart(0, [*heard(SAID), noise], [voices], Options(diarize=True))
    assert [turn.speaker for turn in spoken.turns] == [0, 1]


def test_overlaps_are_told() -> None:
    voices = utterances((0, 3500, 0), (3000, 5900, 1))
    spoken = tell_apart(0, heard(SAID), [voices], Options(diarize=True, speaker_count=2))
    assert spoken.turns == (Turn(0, 3500, 0), Turn(3000, 5900, 1))
    assert [note for note in spoken.notes if "several people speak at once for 500 ms" in note]


def test_a_channel_per_speaker_needs_no_voices() -> None:
    spoken = tell_apart(1, heard(SAID), (), Options(diarize=True, speaker_per_channel=True, channels=(0, 1)))
    assert {s.speaker for s in spoken.outcomes[0].sentences} == {1}
    assert not spoken.notes


def test_what_is_uncertain_is_told() -> None:
    degraded = Voices((Utterance(0, 3000, np.zeros(39, np.float32).tobytes()),))
    spoken = tell_apart(0, heard(SAID), [degraded], Options(diarize=True))
    assert any("no speaker models are installed" in note for note in spoken.notes)
    assert any("the number of speakers, 1, is unreliable" in note for note in spoken.notes)
    spoken = tell_apart(0, heard(SAID), [utterances((0, 5900, 0))], Options(diarize=True, speaker_count=2))
    assert any("1 of 2 speakers were found" in note for note in spoken.notes)
    spoken = tell_apart(0, heard(SAID), [utterances((0, 5900, 0))], Options(diarize=True), channel_count=2)
    assert any("counted from 0 in each channel" in note for note in spoken.notes)


def test_voices_of_models_that_were_exchanged_meanwhile_are_left_out() -> None:
    old = Voices((Utterance(0, 2950, np.ones(39, np.float32).tobytes()),))
    spoken = tell_apart(0, heard(SAID), [old, utterances((3000, 5900, 0))], Options(diarize=True))
    assert [turn.begin_ms for turn in spoken.turns] == [3000]
    assert any("other models were installed meanwhile" in note for note in spoken.notes)


def test_the_number_of_speakers_of_a_call_is_that_of_its_channels() -> None:
    options = Options(diarize=True, speaker_per_channel=True, channels=(0, 1), speaker_count=5)
    assert any("speaker_count had no effect" in note for note in tell_apart(1, heard(SAID), (), options).notes)


def test_full_disk_costs_nobody_the_speakers() -> None:
    def full(kind: type, values: object) -> tuple[()]:
        raise OSError(28, "No space left on device")

    voices = utterances((0, 2950, 0), (3000, 5900, 1))
    with pytest.raises(OSError, match="No space"):
        tell_apart(0, heard(SAID), [voices], Options(diarize=True), keep=full)


@pytest.mark.parametrize(
    "voices", [Voices(reason="the child died"), Voices((Utterance(0, 10, b"abc"),)), Voices((Utterance(0, 10, b""),))]
)
def test_whatever_fails_leaves_the_text_with_a_note(voices: Voices) -> None:
    spoken = tell_apart(0, heard(SAID), [voices], Options(diarize=True))
    assert spoken.outcomes[0].sentences == (SAID,)
    assert any("speakers are not told" in note for note in spoken.notes)
