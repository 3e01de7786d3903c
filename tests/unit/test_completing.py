"""What second models add to an engine's sentences: times that are nearer to the truth, and sounds; each fails alone."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dashscribe import ledger
from dashscribe.choice import lacks
from dashscribe.config import Settings
from dashscribe.engines import ENGINES
from dashscribe.engines.pocketsphinx import PocketsphinxEngine
from dashscribe.engines.sherpa.paraformer import ParaformerEngine
from dashscribe.engines.sherpa.sensevoice import SenseVoiceEngine
from dashscribe.hosts.completing import Completion
from dashscribe.types import Fate, Options, Outcome, Sentence, Span, Waveform, Word
from dashscribe.weights import find
from dashscribe.words import Heard, timed_sentence, written_words
from small_models import install

REFINED = Options(refine_times=True)
#: Silence around a sentence, in milliseconds, and where the piece begins.
AROUND_MS, BEGIN_MS = 300, 1_000
QUIET = np.zeros(16 * AROUND_MS, np.int16)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    models = install(tmp_path_factory.mktemp("models"), "sensevoice-small", "paraformer-small")
    return Settings(models_dir=models)


@pytest.fixture(scope="module")
def flite(spoken: ModuleType) -> Any:
    """Speak English with Flite, which prints when each phone is: samples and the words' true times."""
    if shutil.which("flite") is None:
        pytest.skip("flite is not installed (Debian: apt-get install flite)")
    assert spoken, "its fixture has the recipe's modules loaded"
    return sys.modules["speech"].flite


def piece_of(samples: NDArray[np.int16]) -> Waveform:
    return Waveform(np.concatenate([QUIET, samples, QUIET]), BEGIN_MS)


def errors_ms(sentence: Sentence, truth: Any) -> list[float]:
    """How far the beginning and the end of every word are from the true ones."""
    assert [word.text.strip().lower() for word in sentence.words] == [word.text for word in truth]
    zero_ms = BEGIN_MS + AROUND_MS
    pairs = list(zip(sentence.words, truth, strict=True))
    begins = [abs(word.begin_ms - zero_ms - true.begin_ms) for word, true in pairs]
    return [*begins, *(abs(word.end_ms - zero_ms - true.end_ms) for word, true in pairs)]


def compared(engine: Any, completion: Completion, recordings: Any, options: Options) -> tuple[float, float]:
    """Mean error of the engine's own times and of the refined ones, over the sentences that it reads."""
    own: list[float] = []
    refined: list[float] = []
    for samples, truth in recordings:
        piece = piece_of(samples)
        (heard,) = engine.recognize([piece], options)
        if heard.fate is not Fate.TRANSCRIBED:
            continue
        (sentence,) = heard.sentences
        if [word.text.strip().lower() for word in sentence.words] != [word.text for word in truth]:
            continue
        better = completion.complete(piece, heard, options)
        assert better.reason == ""
        assert ledger.admit(better, piece.span) == better
        own += errors_ms(sentence, truth)
        refined += errors_ms(better.sentences[0], truth)
    assert len(own) >= 40, "too few words were read to tell anything"
    return float(np.mean(own)), float(np.mean(refined))


ENGLISH = (
    ("the weather is good today", "rms"),
    ("please open the window", "slt"),
    ("please call my mother", "rms"),
    ("we will go to the hospital on monday", "slt"),
    ("the meeting is on friday", "rms"),
    ("send the report to my teacher", "slt"),
    ("they like coffee and milk", "rms"),
    ("i will call you tomorrow morning", "slt"),
)


@pytest.mark.parametrize("engine", [SenseVoiceEngine, ParaformerEngine])
def test_the_embedded_aligner_makes_english_times_better(settings: Settings, flite: Any, engine: Any) -> None:
    """Measured over 243 words (benchmarks/times.py): a mean of 56 ms before and of 17 ms after."""
    name = "sensevoice-small" if engine is SenseVoiceEngine else "paraformer-small"
    recordings = [flite(text, voice) for text, voice in ENGLISH]
    opened = engine(settings, find(settings.resolved_models_dir, name))
    own, refined = compared(opened, Completion(settings), recordings, replace(REFINED, languages=("en",)))
    assert refined < own / 2


@pytest.mark.parametrize("engine", [SenseVoiceEngine, ParaformerEngine])
def test_an_installed_sensevoice_makes_chinese_times_better(
    settings: Settings, spoken: ModuleType, engine: Any
) -> None:
    """Measured over 501 characters (benchmarks/times.py): a mean of 46 ms before and of 23 ms after."""
    name = "sensevoice-small" if engine is SenseVoiceEngine else "paraformer-small"
    recordings = [spoken.sentence(text, "zh") for text in spoken.SENTENCES["zh"]]
    opened = engine(settings, find(settings.resolved_models_dir, name))
    completion = Completion(settings, "sensevoice-small")
    own, refined = compared(opened, completion, recordings, replace(REFINED, languages=("zh",)))
    assert refined < own * 0.7


def test_the_embedded_engines_own_times_would_not_get_better_and_that_is_said(settings: Settings, flite: Any) -> None:
    """Measured over 206 words (benchmarks/times.py): a mean of 15 ms before and after."""
    texts = ("the weather is good today", "they like coffee and milk", "i will call you tomorrow morning")
    recordings = [flite(text, voice) for text in texts for voice in ("rms", "slt")]
    own, refined = compared(PocketsphinxEngine(settings), Completion(settings), recordings, REFINED)
    assert refined > own - 5
    (note,) = lacks(ENGINES["pocketsphinx"], REFINED)
    assert note.startswith("timestamp_alignment_enabled had no effect: pocketsphinx takes its times from an alignment")


# --- by hand: what becomes of a sentence ---------------------------------------------------------------------------


def measured(text: str, *times: tuple[int, int], language: str = "en") -> Sentence:
    heard = [Heard(w.begin, w.end, *time) for w, time in zip(written_words(text), times, strict=True)]
    return timed_sentence(text, heard, Span(0, 10_000), language=language)


class Aligner:
    """Gives the times that it was made with, from the beginning of the sound that it gets."""

    def __init__(self, *times: list[tuple[int, int]] | Exception | None) -> None:
        self.times_ms, self.lengths_ms = list(times), list[int]()

    def times(self, samples: NDArray[np.int16], words: object, *, guess: bool) -> list[tuple[int, int]] | None:
        self.lengths_ms.append(len(samples) // 16)
        answer = self.times_ms.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def completed(sentences: tuple[Sentence, ...], options: Options = REFINED, **second: object) -> Outcome:
    """The outcome with these sentences completed by second models of the test's own."""
    completion = Completion(Settings(), *("some" if f"_{role}" in second else "" for role in ("annotator", "tagger")))
    for name, model in second.items():
        completion.__dict__[name] = model
    piece = Waveform(np.ones(4_000 * 16, np.int16), 0)
    outcome = completion.complete(piece, Outcome(piece.span, Fate.TRANSCRIBED, sentences), options)
    assert ledger.admit(outcome, piece.span) == outcome
    return outcome


def times_of(sentence: Sentence) -> list[tuple[int, int]]:
    return [(word.begin_ms, word.end_ms) for word in sentence.words]


def test_times_are_not_touched_unless_asked_for() -> None:
    sentence = measured("Good morning.", (500, 700), (800, 1_200))
    assert completed((sentence,), Options(), _aligner=Aligner(RuntimeError("never asked"))).sentences == (sentence,)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (RuntimeError("torn"), "an aligner failed: RuntimeError: torn"),
        (None, "the aligner for English does not find these words"),
        ([(500, 700), (1_600, 1_900)], "an alignment contradicts the engine's own times"),
    ],
)
def test_an_alignment_that_fails_or_contradicts_leaves_the_times_and_says_so(answer: Any, why: str) -> None:
    sentence = measured("Good morning.", (500, 700), (800, 1_200))
    outcome = completed((sentence,), _aligner=Aligner(answer))
    assert outcome.sentences == (sentence,)
    assert outcome.reason == f"times are not refined in places: {why}"


@pytest.mark.parametrize("language", ["de", "zh"])
def test_a_language_without_an_aligner_is_told(language: str) -> None:
    sentence = measured("Guten Morgen.", (500, 700), (800, 1_200), language=language)
    outcome = completed((sentence,), _aligner=Aligner(RuntimeError("never asked")))
    assert outcome.sentences == (sentence,)
    assert "no installed aligner reads it" in outcome.reason


def test_sentences_stay_in_order_and_each_has_the_room_between_its_neighbors() -> None:
    """The times of engines are late: the first word of a sentence may have begun before they say so."""
    first, second = measured("One.", (500, 900)), measured("Two three.", (1_500, 1_800), (2_000, 2_400))
    aligner = Aligner([(430, 1_000)], [(420, 700), (900, 1_500)])
    outcome = completed((first, second), _aligner=aligner)
    assert outcome.reason == ""
    assert aligner.lengths_ms == [1_500, 3_000]
    assert times_of(outcome.sentences[0]) == [(430, 1_000)]
    assert times_of(outcome.sentences[1]) == [(1_420, 1_700), (1_900, 2_500)]
    assert [(s.begin_ms, s.end_ms) for s in outcome.sentences] == [(430, 1_000), (1_420, 2_500)]


def test_words_without_measured_times_are_aligned_however_far_they_move() -> None:
    spread = timed_sentence("One two.", (), Span(0, 4_000), language="en")
    outcome = completed((spread,), _aligner=Aligner([(3_000, 3_300), (3_400, 3_900)]))
    assert times_of(outcome.sentences[0]) == [(3_000, 3_300), (3_400, 3_900)]
    assert not any(word.approximate for word in outcome.sentences[0].words)


class Reader:
    """An annotator that aligns all words but those with digits, 50 ms before where they were measured."""

    languages = ("zh", "en")

    def timed(self, piece: Waveform, sentence: Sentence, options: Options) -> Sentence:
        return sentence

    def tagged(self, piece: Waveform, sentence: Sentence, options: Options) -> Sentence:
        return sentence

    def aligned(self, piece: Waveform, sentence: Sentence, options: Options) -> Sentence:
        words = tuple(
            replace(w, begin_ms=w.begin_ms - 50, end_ms=w.end_ms - 50, approximate=w.text[0].isdigit())
            for w in sentence.words
        )
        return replace(sentence, words=words)


def test_what_cannot_be_aligned_keeps_the_time_that_was_measured() -> None:
    sentence = measured("号码527。", (500, 700), (700, 900), (900, 1_400), language="zh")
    outcome = completed((sentence,), _annotator=Reader())
    assert times_of(outcome.sentences[0]) == [(450, 650), (650, 850), (900, 1_400)]
    assert [word.approximate for word in outcome.sentences[0].words] == [False, False, False]


def test_english_that_the_embedded_aligner_does_not_find_goes_to_sensevoice() -> None:
    sentence = measured("Good morning.", (500, 700), (800, 1_200))
    for answer in (None, RuntimeError("torn")):
        outcome = completed((sentence,), _aligner=Aligner(answer), _annotator=Reader())
        assert times_of(outcome.sentences[0]) == [(450, 650), (750, 1_150)]
        assert outcome.reason == ""


@pytest.mark.parametrize("hints", [(), ("zh", "en"), ("en",)])
def test_latin_words_of_an_unknown_language_are_tried_as_english_if_they_may_be(hints: tuple[str, ...]) -> None:
    sentence = measured("Good morning.", (500, 700), (800, 1_200), language="")
    options = replace(REFINED, languages=hints)
    moved = completed((sentence,), options, _aligner=Aligner([(450, 640), (750, 1_150)])).sentences[0]
    assert times_of(moved) == [(450, 640), (750, 1_150)]


# --- events --------------------------------------------------------------------------------------------------------


class Ear:
    """A tagger that hears the same everywhere, and where it was asked."""

    def __init__(self, *events: str, error: str = "") -> None:
        self.heard, self.error, self.spans = events, error, list[Span]()

    def events(self, piece: Waveform, span: Span) -> tuple[str, ...]:
        self.spans.append(span)
        if self.error:
            raise RuntimeError(self.error)
        return self.heard


def test_each_sentence_is_tagged_by_its_own_sound_where_its_engine_tells_no_event() -> None:
    two = measured("One. Two.", (500, 700), (900, 1_200))
    told = replace(measured("Three.", (1_500, 1_900)), events=("Laughter",))
    ear = Ear("Speech", "BGM")
    outcome = completed((two, told), Options(events=True), _tagger=ear)
    assert [s.events for s in outcome.sentences] == [("Speech", "BGM"), ("Speech", "BGM"), ("Laughter",)]
    assert ear.spans == [Span(500, 700), Span(900, 1_200)]
    assert completed((two,), Options(), _tagger=ear).sentences[0].events == ()


def test_a_tagger_that_fails_takes_nothing_away() -> None:
    sentence = measured("Good morning.", (500, 700), (800, 1_200))
    outcome = completed((sentence,), Options(events=True), _tagger=Ear(error="torn"))
    assert outcome.sentences == (sentence,)
    assert outcome.reason == "sounds are not told in places, because that failed: RuntimeError: torn"


def test_a_model_that_cannot_be_opened_is_a_note(tmp_path: Path) -> None:
    """Words, times and the other tags stay; whoever reads the notes finds the model."""
    sentence = replace(measured("Good morning.", (500, 700), (800, 1_200)), emotion="happy")
    piece = Waveform(np.ones(64_000, np.int16), 0)
    completion = Completion(Settings(models_dir=tmp_path), "gone", "gone-too")
    outcome = completion.complete(
        piece, Outcome(piece.span, Fate.TRANSCRIBED, (sentence,)), Options(emotion=True, events=True)
    )
    assert outcome.sentences == (sentence,)
    assert "no usable model 'gone-too' is installed" in outcome.reason
    guessed = replace(sentence, words=tuple(replace(word, approximate=True) for word in sentence.words))
    outcome = completion.complete(piece, Outcome(piece.span, Fate.TRANSCRIBED, (guessed,)), Options())
    assert outcome.sentences == (guessed,)
    assert outcome.reason.startswith("times are the engine's own")
    assert "no usable model 'gone' is installed" in outcome.reason


def test_words_that_a_hotword_was_made_of_do_not_cost_the_others_what_was_measured(tmp_path: Path) -> None:
    """Only what is approximate is timed by a second model, between what the engine measured."""
    sentence = measured(
        "They saw Kestrel Bridge today.", (150, 400), (400, 700), (700, 1_300), (700, 1_300), (1_300, 1_800)
    )
    words = [replace(word, confidence=0.9) for word in sentence.words]
    words[2] = replace(words[2], end_ms=1_000, approximate=True)
    words[3] = replace(words[3], begin_ms=1_000, approximate=True)
    sentence = replace(sentence, words=tuple(words))

    class Aligner:
        def aligned(self, piece: Waveform, sentence: Sentence, options: Options) -> Sentence:
            found = [(330, 500), (500, 760), (720, 1_080), (1_080, 1_360), (1_400, 1_800)]
            moved = [
                replace(word, begin_ms=begin, end_ms=end, confidence=None, approximate=False)
                for word, (begin, end) in zip(sentence.words, found, strict=True)
            ]
            return replace(sentence, words=tuple(moved))

        def tagged(self, piece: Waveform, sentence: Sentence, options: Options) -> Sentence:
            return sentence

    completion = Completion(Settings(models_dir=tmp_path), "there", "")
    completion.__dict__["_annotator"] = Aligner()
    piece = Waveform(np.ones(64_000, np.int16), 0)
    (told,) = completion.complete(piece, Outcome(piece.span, Fate.TRANSCRIBED, (sentence,)), Options()).sentences
    assert [(word.begin_ms, word.end_ms) for word in told.words] == [
        *((150, 400), (400, 700), (720, 1_080), (1_080, 1_300), (1_300, 1_800))
    ]
    assert [word.approximate for word in told.words] == [False, False, False, True, False]
    assert all(word.confidence == 0.9 for word in told.words)


def test_an_engine_that_is_its_own_annotator_opens_it_for_nothing_but_alignment(settings: Settings) -> None:
    """Its unknown emotion stays unknown: the same model would say the same again, for twice the memory."""
    sentence = measured("你好。", (500, 700), (700, 900), language="zh")
    piece = Waveform(np.ones(64_000, np.int16), 0)
    completion = Completion(settings, "sensevoice-small", own="sensevoice-small")
    outcome = Outcome(piece.span, Fate.TRANSCRIBED, (sentence,))
    assert completion.complete(piece, outcome, Options(emotion=True, events=True)) == outcome
    assert "_annotator" not in completion.__dict__
    completion.complete(piece, outcome, Options(refine_times=True))
    assert "_annotator" in completion.__dict__


def test_words_of_a_refined_sentence_never_overlap() -> None:
    """An alignment in which a word that keeps its time lies between two that move towards it."""
    sentence = measured("a 5 b", (1_000, 1_200), (1_200, 1_400), (1_400, 1_600), language="zh")

    class Squeezer(Reader):
        def aligned(self, piece: Waveform, sentence: Sentence, options: Options) -> Sentence:
            times = ((1_250, 1_380), (0, 0), (1_380, 1_500))
            words = [
                Word(begin, end, w.text, approximate=w.text[0] == "5")
                for w, (begin, end) in zip(sentence.words, times, strict=True)
            ]
            return replace(sentence, words=tuple(words))

    (moved,) = completed((sentence,), _annotator=Squeezer()).sentences
    assert all(left.end_ms <= right.begin_ms for left, right in pairwise(moved.words))
    assert moved.words[1].approximate
