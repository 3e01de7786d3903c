"""What an engine lacks, added where the sound is: exact times of words, language, emotion and events of sentences.

Second models do it, in the engine's own child; each is opened when it is first needed. Every addition fails alone: what
was there before stays, and the outcome's reason, which becomes a note of the result, says what was not added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from dashscribe import weights
from dashscribe.config import Settings
from dashscribe.types import SAMPLES_PER_MS, Fate, Options, Outcome, Sentence, Span, Waveform, Word, is_unspaced
from dashscribe.words import part_at_stops

if TYPE_CHECKING:
    from dashscribe.engines.english_aligner import EnglishAligner
    from dashscribe.engines.sherpa.annotator import Annotator
    from dashscribe.engines.sherpa.tagger import Tagger

#: Longest reason of an outcome, in characters; it stands in the notes of the result.
MAX_REASON = 300
#: An alignment that begins a word further from where its engine measured it than this has followed a text that was not
#: said so. Of 1,100 words that were read right none moved by more than 220 ms (docs/times-and-tags.md).
MOST_MOVED_MS = 300


class Completion:
    """The second models of one child, by the names of their weights; an empty name stands for none.

    An annotator that is the engine, whose weights ``own`` names, has told all it knows and is opened to align only.
    """

    def __init__(self, settings: Settings, annotator: str = "", tagger: str = "", *, own: str = "") -> None:
        self._settings, self._annotating, self._tagging = settings, annotator, tagger
        self._has_more_to_tell = bool(annotator) and annotator != own

    @cached_property
    def _annotator(self) -> Annotator:
        from dashscribe.engines.sherpa.annotator import Annotator

        return Annotator(self._settings, weights.find(self._settings.resolved_models_dir, self._annotating))

    @cached_property
    def _tagger(self) -> Tagger:
        from dashscribe.engines.sherpa.tagger import Tagger

        return Tagger(self._settings, weights.find(self._settings.resolved_models_dir, self._tagging))

    @cached_property
    def _aligner(self) -> EnglishAligner:
        from dashscribe.engines.english_aligner import EnglishAligner

        return EnglishAligner()

    def complete(self, piece: Waveform, outcome: Outcome, options: Options) -> Outcome:
        """The outcome with what its engine lacks of what was asked for, its sentences parted at their own marks."""
        if outcome.fate is not Fate.TRANSCRIBED:
            return outcome
        attempts = _Attempts(outcome.reason)
        sentences: list[Sentence] = []
        for whole, room in _with_room(piece, outcome.sentences):
            timed = attempts.make("times are the engine's own", self._timed, piece, whole, options)
            if options.refine_times:
                between = Span(max([room.begin_ms, *(s.end_ms for s in sentences[-1:])]), room.end_ms)
                refine = partial(self._refined, room=between)
                timed = attempts.make("times are not refined in places", refine, piece, timed, options)
            for part in part_at_stops(timed) if options.words else [timed]:
                told = attempts.make("sounds are not told in places", self._sounds, piece, part, options)
                sentences.append(attempts.make("tags are the engine's own", self._tagged, piece, told, options))
        return replace(outcome, sentences=tuple(sentences), reason=attempts.reason)

    def _timed(self, piece: Waveform, sentence: Sentence, options: Options) -> Sentence:
        """The sentence with times for words that its engine has not timed; those that it has stay as they are."""
        if not self._has_more_to_tell or not any(word.approximate for word in sentence.words):
            return sentence
        if all(word.approximate for word in sentence.words):
            return self._annotator.timed(piece, sentence, options)
        aligned = self._annotator.aligned(piece, sentence, options)
        if aligned is None or [word.text for word in aligned.words] != [word.text for word in sentence.words]:
            return sentence
        return replace(sentence, words=tuple(_filled_in(sentence, aligned.words)))

    def _tagged(self, piece: Waveform, sentence: Sentence, options: Options) -> Sentence:
        """The sentence with its language, emotion and event, where its engine does not tell them."""
        return self._annotator.tagged(piece, sentence, options) if self._has_more_to_tell else sentence

    def _sounds(self, piece: Waveform, sentence: Sentence, options: Options) -> Sentence:
        """The sentence with the events that the tagger hears, where its engine tells none."""
        if not self._tagging or not options.events or sentence.events:
            return sentence
        return replace(sentence, events=self._tagger.events(piece, Span(sentence.begin_ms, sentence.end_ms)))

    def _refined(self, piece: Waveform, sentence: Sentence, options: Options, *, room: Span) -> Sentence:
        """The sentence with the times of an alignment within ``room``. Raises _NothingAddedError if there is none."""
        if not sentence.words:
            return sentence
        why = "no installed aligner reads it (dashscribe models pull sensevoice: zh en yue ja ko)"
        for align in (self._english_times, self._annotator_times):
            try:
                times = align(piece, sentence, room, options)
                if times is not None:
                    return _moved(sentence, times)
            except _NothingAddedError as error:
                why = str(error)
            except Exception as error:
                why = f"an aligner failed: {reason_of(error)}"
        raise _NothingAddedError(why)

    def _english_times(
        self, piece: Waveform, sentence: Sentence, room: Span, options: Options
    ) -> list[tuple[int, int] | None] | None:
        """Begin and end of every word by the embedded aligner; None if the sentence is not in English."""
        language = _language_of(sentence, options)
        if not _may_be(language, options, ("en",)) or any(map(is_unspaced, sentence.text)):
            return None
        samples = piece.samples[_place(room.begin_ms, piece) : _place(room.end_ms, piece)]
        found = self._aligner.times(samples, [word.text for word in sentence.words], guess=language == "en")
        if found is None:
            raise _NothingAddedError("the aligner for English does not find these words")
        return [(room.begin_ms + begin_ms, room.begin_ms + end_ms) for begin_ms, end_ms in found]

    def _annotator_times(
        self, piece: Waveform, sentence: Sentence, room: Span, options: Options
    ) -> list[tuple[int, int] | None] | None:
        """Begin and end of every word that an installed SenseVoice can spell; None if it does not read the language."""
        if not self._annotating or not _may_be(_language_of(sentence, options), options, self._annotator.languages):
            return None
        within = replace(sentence, begin_ms=room.begin_ms, end_ms=room.end_ms)
        aligned = self._annotator.aligned(piece, within, options)
        if aligned is None or [word.text for word in aligned.words] != [word.text for word in sentence.words]:
            raise _NothingAddedError("SenseVoice does not find these words")
        return [None if word.approximate else (word.begin_ms, word.end_ms) for word in aligned.words]


class _NothingAddedError(Exception):
    """There is nothing to add, for the reason that is told."""


class _Attempts:
    """Additions to the sentences of one outcome, and why those that failed did."""

    def __init__(self, reason: str) -> None:
        self._reasons = dict.fromkeys([reason] if reason else [])

    @property
    def reason(self) -> str:
        """All reasons in one line."""
        return "; ".join(self._reasons)[:MAX_REASON]

    def make(
        self,
        loss: str,
        add: Callable[[Waveform, Sentence, Options], Sentence],
        piece: Waveform,
        sentence: Sentence,
        options: Options,
    ) -> Sentence:
        """The sentence with the addition, or as it is; ``loss`` says what the reader has to expect then."""
        try:
            return add(piece, sentence, options)
        except _NothingAddedError as error:
            self._reasons[f"{loss}: {error}"] = None
        except Exception as error:
            self._reasons[f"{loss}, because that failed: {reason_of(error)}"] = None
        return sentence


def reason_of(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}"[:MAX_REASON]


def _language_of(sentence: Sentence, options: Options) -> str:
    """The language that was heard, else the only one that was hinted at; empty if that is unknown."""
    return sentence.language or (options.languages[0] if len(options.languages) == 1 else "")


def _may_be(language: str, options: Options, known: Sequence[str]) -> bool:
    """Whether a sentence in this language, or in any that was hinted at, may be in one of those that are known."""
    candidates = (language,) if language else options.languages
    return not candidates or not set(candidates).isdisjoint(known)


def _place(at_ms: int, piece: Waveform) -> int:
    return (at_ms - piece.begin_ms) * SAMPLES_PER_MS


def _with_room(piece: Waveform, sentences: Sequence[Sentence]) -> Iterator[tuple[Sentence, Span]]:
    """Each sentence with the stretch in which its words may lie: between its neighbors, since times may be late."""
    for number, sentence in enumerate(sentences):
        begin_ms = sentences[number - 1].end_ms if number else piece.begin_ms
        end_ms = sentences[number + 1].begin_ms if number + 1 < len(sentences) else piece.span.end_ms
        yield sentence, Span(min(begin_ms, sentence.begin_ms), max(end_ms, sentence.end_ms))


def _filled_in(sentence: Sentence, aligned: Sequence[Word]) -> Iterator[Word]:
    """The words, approximate ones at their aligned times as far as the measured ones around them leave room."""
    floor_ms = sentence.begin_ms
    for number, (word, found) in enumerate(zip(sentence.words, aligned, strict=True)):
        if word.approximate:
            measured = (other.begin_ms for other in sentence.words[number + 1 :] if not other.approximate)
            ceiling_ms = max(floor_ms, next(measured, sentence.end_ms))
            begin_ms = min(max(found.begin_ms, floor_ms), ceiling_ms)
            end_ms = min(max(found.end_ms, begin_ms), ceiling_ms)
            squeezed = found.approximate or (begin_ms, end_ms) != (found.begin_ms, found.end_ms)
            word = replace(word, begin_ms=begin_ms, end_ms=end_ms, approximate=squeezed)
        floor_ms = max(floor_ms, word.end_ms)
        yield word


def _moved(sentence: Sentence, times: Sequence[tuple[int, int] | None]) -> Sentence:
    """The sentence with these times; words without one keep theirs as far as their neighbors leave room.

    Raises _NothingAddedError for times that contradict what was measured before.
    """
    pairs = list(zip(sentence.words, times, strict=True))
    if any(t and not w.approximate and abs(t[0] - w.begin_ms) > MOST_MOVED_MS for w, t in pairs):
        raise _NothingAddedError("an alignment contradicts the engine's own times")
    words: list[Word] = []
    floor_ms = 0
    for number, (word, time) in enumerate(pairs):
        following = next((t[0] for _, t in pairs[number + 1 :] if t), word.end_ms)
        begin_ms, end_ms = time or (min(word.begin_ms, following), min(word.end_ms, following))
        begin_ms = max(begin_ms, floor_ms)
        end_ms = max(end_ms, begin_ms)
        squeezed = time is None and (word.approximate or begin_ms == end_ms)
        words.append(replace(word, begin_ms=begin_ms, end_ms=end_ms, approximate=squeezed))
        floor_ms = end_ms
    if words[0].begin_ms == words[-1].end_ms:
        raise _NothingAddedError("an alignment left it no time")
    return replace(sentence, begin_ms=words[0].begin_ms, end_ms=words[-1].end_ms, words=tuple(words))
