"""Who speaks: from the voices that were heard in each window to sentences and turns with their speakers.

Voices are compared over the whole channel, so this is done once all of it has been heard. It comes before every other
enricher: no sentence that they see is said by two.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dashscribe.enrich.speakers.assign import Assignment
from dashscribe.enrich.speakers.cluster import Space, speakers
from dashscribe.types import Fate, Options, Outcome, Sentence, Span, Turn, Utterance, Voices

#: Utterances of one speaker that are this near are one turn, in milliseconds.
JOINED_MS = 500
REMEDY = "dashscribe models pull pyannote-segmentation campplus-zh-en"


@dataclass(frozen=True, slots=True)
class Spoken:
    """The outcomes of one channel with the speakers of their sentences, who spoke when, and what to know of that."""

    outcomes: Mapping[Span, Outcome]
    turns: tuple[Turn, ...]
    notes: tuple[str, ...] = ()


def tell_apart(
    channel: int, outcomes: Iterable[Outcome], voices: Sequence[Voices], options: Options, *, channel_count: int = 1
) -> Spoken:
    """The speakers of one of ``channel_count`` channels, whose outcomes are in order of time.

    Whatever fails costs the speakers, not the text: a note tells.
    """
    heard = {outcome.span: outcome for outcome in outcomes}
    try:
        if options.speaker_per_channel:
            return _one_speaker(channel, heard, options)
        spoken = _by_voice(heard, voices, options)
        if channel_count > 1 and spoken.turns:
            several = "speakers are counted from 0 in each channel; the same person may be in several"
            spoken = replace(spoken, notes=(*spoken.notes, several))
        return spoken
    except Exception as error:
        return Spoken(heard, (), (f"speakers are not told: {type(error).__name__}: {error}",))


def _one_speaker(channel: int, heard: Mapping[Span, Outcome], options: Options) -> Spoken:
    """Everything is said by the one who has this channel."""
    outcomes = {
        span: replace(outcome, sentences=tuple(replace(s, speaker=channel) for s in outcome.sentences))
        for span, outcome in heard.items()
    }
    said = [s for outcome in outcomes.values() for s in outcome.sentences]
    notes = ("speaker_count had no effect: each channel is one speaker",) if options.speaker_count else ()
    return Spoken(outcomes, tuple(_turns((s.begin_ms, s.end_ms, channel) for s in said)), notes)


def _by_voice(heard: Mapping[Span, Outcome], voices: Sequence[Voices], options: Options) -> Spoken:
    notes = list(dict.fromkeys(f"speakers are not told in places: {v.reason}" for v in voices if v.reason))
    voices, others = _of_one_kind(voices)
    if others:
        notes.append("speakers are not told in places: other models were installed meanwhile")
    spans = [span for span, outcome in heard.items() if outcome.fate is not Fate.NON_SPEECH]
    said = sorted((u for v in voices for u in v.utterances if _is_in(spans, u)), key=lambda u: (u.begin_ms, u.end_ms))
    if not said:
        return Spoken(heard, (), tuple(notes or ["speakers are not told: no voice was heard for long enough"]))
    if any(v.unsegmented for v in voices):
        notes.append("people who talk at once are taken for one in places: the segmentation ended its process there")
    space = Space(voices[0].measured, voices[0].same_speaker)
    durations_ms = [u.end_ms - u.begin_ms for u in said]
    labels = speakers([u.voiceprint for u in said], durations_ms, space, options.speaker_count)
    turns = list(_turns((u.begin_ms, u.end_ms, int(label)) for u, label in zip(said, labels, strict=True)))
    assignment = Assignment(turns)
    outcomes = {
        span: replace(outcome, sentences=tuple(assignment.parted(outcome.sentences))) for span, outcome in heard.items()
    }
    spoken = _numbered(outcomes, turns)
    notes += _doubts(spoken.turns, space.measured, options)
    return replace(spoken, notes=tuple(notes))


def _of_one_kind(voices: Sequence[Voices]) -> tuple[list[Voices], int]:
    """The voices that can be compared, which are those of the last models; how many are left out."""

    def kind(heard: Voices) -> tuple[bool, int]:
        return heard.measured, len(heard.utterances[0].voiceprint)

    told = [heard for heard in voices if heard.utterances]
    kept = [heard for heard in told if kind(heard) == kind(told[-1])]
    return kept, len(told) - len(kept)


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


def _numbered(outcomes: Mapping[Span, Outcome], turns: Sequence[Turn]) -> Spoken:
    """The same with speakers numbered as they first say something that was written down; silent ones come last."""
    said = (s.speaker for outcome in outcomes.values() for s in outcome.sentences if s.speaker is not None)
    numbers = {old: new for new, old in enumerate(dict.fromkeys([*said, *(turn.speaker for turn in turns)]))}

    def renumbered(sentence: Sentence) -> Sentence:
        return sentence if sentence.speaker is None else replace(sentence, speaker=numbers[sentence.speaker])

    return Spoken(
        {span: replace(o, sentences=tuple(map(renumbered, o.sentences))) for span, o in outcomes.items()},
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
