"""Who speaks: from the voices that were heard in each window to sentences and turns with their speakers.

Voices are compared over the whole channel, so this is done once all of it has been heard. It comes before every other
enricher: no sentence that they see is said by two.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dashscribe.enrich.speakers.assign import Assignment
from dashscribe.enrich.speakers.cluster import Space, speakers
from dashscribe.enrich.spoken import Spoken
from dashscribe.types import Fate, Keep, Options, Outcome, Sentence, Span, Turn, Utterance, Voices, in_memory

#: Utterances of one speaker that are this near are one turn, in milliseconds.
JOINED_MS = 500
REMEDY = "dashscribe models pull pyannote-segmentation campplus-zh-en"


def tell_apart(
    channel: int,
    outcomes: Sequence[Outcome],
    voices: Sequence[Voices],
    options: Options,
    *,
    channel_count: int = 1,
    keep: Keep = in_memory,
) -> Spoken:
    """The speakers of one of ``channel_count`` channels, whose outcomes are in order of time, as ``keep`` keeps them.

    Whatever fails costs the speakers, not the text: a note tells. Raises OSError where ``keep`` does.
    """
    try:
        if options.speaker_per_channel:
            return _one_speaker(channel, outcomes, options, keep)
        spoken = _by_voice(outcomes, voices, options, keep)
        if channel_count > 1 and spoken.turns:
            several = "speakers are counted from 0 in each channel; the same person may be in several"
            spoken = replace(spoken, notes=(*spoken.notes, several))
        return spoken
    except OSError:  # the disk's fault, not the sound's: the step is done again
        raise
    except Exception as error:
        reason = f"speakers are not told: {type(error).__name__}: {error}"
        return Spoken(outcomes, (), (reason,), (reason,))


def _one_speaker(channel: int, heard: Sequence[Outcome], options: Options, keep: Keep) -> Spoken:
    """Everything is said by the one who has this channel."""
    outcomes = keep(
        Outcome, (_with(outcome, (replace(s, speaker=channel) for s in outcome.sentences)) for outcome in heard)
    )
    said = ((s.begin_ms, s.end_ms, channel) for outcome in outcomes for s in outcome.sentences)
    notes = ("speaker_count had no effect: each channel is one speaker",) if options.speaker_count else ()
    return Spoken(outcomes, tuple(_turns(said)), notes)


def _with(outcome: Outcome, sentences: Iterable[Sentence]) -> Outcome:
    return replace(outcome, sentences=tuple(sentences))


def _by_voice(heard: Sequence[Outcome], voices: Sequence[Voices], options: Options, keep: Keep) -> Spoken:
    reasons = (v.reason for v in voices if v.reason)
    failures = list(dict.fromkeys(f"speakers are not told in places: {reason}" for reason in reasons))
    kinds = [_kind(v) for v in voices if v.utterances]
    if any(kind != kinds[-1] for kind in kinds):
        failures.append("speakers are not told in places: other models were installed meanwhile")
    notes = list(failures)
    said = _said([outcome.span for outcome in heard if outcome.fate is not Fate.NON_SPEECH], voices, kinds[-1:], keep)
    if said is None:
        notes = notes or ["speakers are not told: no voice was heard for long enough"]
        return Spoken(heard, (), tuple(notes), tuple(failures))
    if said.unsegmented:
        notes.append("people who talk at once are taken for one in places: the segmentation ended its process there")
    durations_ms = said.times[:, 1] - said.times[:, 0]
    labels = speakers(said.voiceprints, durations_ms, said.space, options.speaker_count)
    in_time = np.lexsort((said.times[:, 1], said.times[:, 0]))
    said_by = zip(said.times[in_time], labels[in_time], strict=True)
    turns = list(_turns((int(begin_ms), int(end_ms), int(label)) for (begin_ms, end_ms), label in said_by))
    assignment = Assignment(turns)
    outcomes = keep(Outcome, (_with(outcome, assignment.parted(outcome.sentences)) for outcome in heard))
    spoken = _numbered(outcomes, turns, keep)
    notes += _doubts(spoken.turns, said.space.measured, options)
    return replace(spoken, notes=tuple(notes), failures=tuple(failures))


@dataclass(frozen=True, slots=True)
class _Kind:
    """What two voiceprints have in common that can be compared."""

    measured: bool
    size_bytes: int


def _kind(voices: Voices) -> _Kind:
    return _Kind(voices.measured, len(voices.utterances[0].voiceprint))


@dataclass(frozen=True, slots=True)
class _Said:
    """The utterances of a channel: when, shape (n, 2), and the voiceprints, float32."""

    times: NDArray[np.int64]
    voiceprints: Sequence[bytes]
    space: Space
    unsegmented: bool


def _said(spans: Sequence[Span], voices: Sequence[Voices], kinds: Sequence[_Kind], keep: Keep) -> _Said | None:
    """Those that lie in spans and can be compared, which are those of the last models; None where there are none.

    Voiceprints stay where ``keep`` keeps them: twelve hours of them take as much as all other stages.
    """
    bounds_ms = array("q")

    def voiceprints() -> Iterator[bytes]:
        for heard in _of_kind(voices, kinds):
            for utterance in heard.utterances:
                if _is_in(spans, utterance):
                    bounds_ms.extend((utterance.begin_ms, utterance.end_ms))
                    yield utterance.voiceprint

    kept = keep(bytes, voiceprints())
    if not kept:
        return None
    first = next(_of_kind(voices, kinds))
    unsegmented = any(heard.unsegmented for heard in _of_kind(voices, kinds))
    times = np.array(bounds_ms, np.int64).reshape(-1, 2)
    return _Said(times, kept, Space(first.measured, first.same_speaker), unsegmented)


def _of_kind(voices: Sequence[Voices], kinds: Sequence[_Kind]) -> Iterator[Voices]:
    return (heard for heard in voices if heard.utterances and _kind(heard) in kinds)


def _is_in(spans: Sequence[Span], utterance: Utterance) -> bool:
    """Whether most of an utterance lies in spans, which are in order: noise and music have no speaker."""
    inside_ms = 0
    for span in spans[max(0, bisect_right(spans, utterance.begin_ms, key=lambda span: span.begin_ms) - 1) :]:
        if span.begin_ms >= utterance.end_ms:
            break
        inside_ms += max(0, min(span.end_ms, utterance.end_ms) - max(span.begin_ms, utterance.begin_ms))
    return 2 * inside_ms > utterance.end_ms - utterance.begin_ms


def _turns(stretches: Iterable[tuple[int, int, int]]) -> Iterator[Turn]:
    """Stretches of speakers, in order of their begin, as turns: what one says without another in between is joined."""
    turns: list[Turn] = []
    latest: dict[int, int] = {}  # where the latest turn of each speaker stands
    for begin_ms, end_ms, speaker in stretches:
        at = latest.get(speaker)
        if at is not None:
            near_ms = JOINED_MS if at == len(turns) - 1 else 0
            if begin_ms - turns[at].end_ms <= near_ms:
                turns[at] = replace(turns[at], end_ms=max(turns[at].end_ms, end_ms))
                continue
        latest[speaker] = len(turns)
        turns.append(Turn(begin_ms, end_ms, speaker))
    return iter(turns)


def _numbered(outcomes: Sequence[Outcome], turns: Sequence[Turn], keep: Keep) -> Spoken:
    """The same with speakers numbered as they first say something that was written down; silent ones come last."""
    said = (s.speaker for outcome in outcomes for s in outcome.sentences if s.speaker is not None)
    order = dict.fromkeys(said) | dict.fromkeys(turn.speaker for turn in turns)
    numbers = {old: new for new, old in enumerate(order)}

    def renumbered(sentence: Sentence) -> Sentence:
        return sentence if sentence.speaker is None else replace(sentence, speaker=numbers[sentence.speaker])

    return Spoken(
        keep(Outcome, (_with(outcome, map(renumbered, outcome.sentences)) for outcome in outcomes)),
        tuple(replace(turn, speaker=numbers[turn.speaker]) for turn in turns),
    )


def _doubts(turns: Sequence[Turn], measured: bool, options: Options) -> Iterator[str]:
    """What a reader has to know before believing who said what."""
    count = len({turn.speaker for turn in turns})
    if not measured:
        yield (
            "speakers were told apart by pitch and spectrum alone, which does for two or three clearly different "
            f"voices: no speaker models are installed ({REMEDY})"
        )
    if options.speaker_count is None and not measured:
        yield f"the number of speakers, {count}, is unreliable without speaker models: give it if you know it"
    elif options.speaker_count is not None and count < options.speaker_count:
        yield f"{count} of {options.speaker_count} speakers were found: there are no more utterances to tell apart"
    if together_ms := _together_ms(turns):
        yield f"several people speak at once for {together_ms} ms; its words belong to the one who spoke before"


def _together_ms(turns: Sequence[Turn]) -> int:
    """Milliseconds in which more than one speaks."""
    until_ms = total_ms = 0
    for turn in turns:
        total_ms += max(0, min(until_ms, turn.end_ms) - turn.begin_ms)
        until_ms = max(until_ms, turn.end_ms)
    return total_ms
