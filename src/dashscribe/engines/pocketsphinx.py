"""The embedded engine: US English with the model that the pocketsphinx wheel carries, about 28 % word errors.

Owns decoding and telling speech from other sound by what the decoder made of it; cutting and punctuation lie elsewhere.
The decoder is reset before each piece and hears it as one utterance, so that the piece alone decides its words.
Hotwords are words of a second decoder, which is opened for their list (``listening``): calls without one never meet it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Protocol, cast

import numpy as np
import pocketsphinx

from dashscribe.config import Settings
from dashscribe.engines.listening import Term, Vocabulary, teach, terms_of
from dashscribe.types import RATE_HZ, SAMPLES_PER_MS, Fate, Options, Outcome, Sentence, Waveform, Word

#: Length of a decoder frame in milliseconds: its model was trained on 100 frames a second.
FRAME_MS = 10
#: Active HMMs per frame; the default is 30000. Over 1,730 words (22 clips, each at three speeds and with noise): 24.7 %
#: word errors in 27 % less time than the default's 24.2 %; at 3000 it was 26.0 %.
MAX_HMMS = 5000
#: Shorter pieces are filled up with silence: the decoder needs a few frames to begin with.
SHORTEST_MS = 200
#: Decoders that are kept open for lists of hotwords, the latest ones: each takes 90 MB, and half a second to open.
KEPT_OPEN = 2
#: A hotword in which the decoder believes less than this is not what was said: in speech of people in which nobody says
#: any of them, 486 names of places were met with .09, .19 and .60; of 43 that were said, 41 had .82 or more.
LEAST_BELIEF = 0.7
#: A word that takes longer than this per phone is stretched over something else than speech.
LONGEST_PHONE_MS = 200
#: Different words in a row, three of them known to the language model in this order, make a phrase, if the decoder
#: believes them; a pause up to this long does not break it.
PHRASE_WORDS = 3
KNOWN_TRIGRAM = 3
PAUSE_MS = 50
PHRASE_CONFIDENCE = 0.1
#: Music gives a short phrase now and then: only a long one counts alone, others if they are this share of the words.
LONG_PHRASE_WORDS = 6
PHRASE_SHARE = 0.25
#: The other signs of speech, in different phones per second of words, and in likely ones, which are weighted with their
#: confidence: (least words, least pace, least likely pace). Speech has a pace of 6 to 16, music and machines one of 0.2
#: to 7; birds are as quick as people, but the decoder does not believe its own words for them.
PACES = ((5, 7.5, 0.5), (1, 5.5, 1.8))


class _Segment(Protocol):
    """What is used of an entry of the native path; ``end_frame`` is inside, ``lback`` the length of the n-gram."""

    word: str
    start_frame: int
    end_frame: int
    prob: float
    lback: int


class _Decoder(Vocabulary, Protocol):
    """What is used of ``pocketsphinx.Decoder``, which carries no types itself."""

    def reinit_feat(self) -> None: ...
    def start_utt(self) -> None: ...
    def process_raw(self, data: bytes, *, full_utt: bool) -> int: ...
    def end_utt(self) -> None: ...
    def seg(self) -> Iterable[_Segment] | None: ...
    def lookup_word(self, word: str) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Heard:
    """One entry of the decoder's path: a word, or a pause or noise, which has no ``phones``; times in the piece.

    Words of a hotword are ``listed``; they have what stands behind them there as their ``tail``, and share its time.
    """

    text: str
    phones: int
    begin_ms: int
    end_ms: int
    confidence: float
    ngram: int
    tail: str = " "
    listed: bool = False
    approximate: bool = False

    @property
    def stretched(self) -> bool:
        """Whether the word lasts longer than anybody speaks it."""
        return self.end_ms - self.begin_ms > LONGEST_PHONE_MS * self.phones


@dataclass(frozen=True, slots=True)
class _Ear:
    """A decoder with the hotwords that it knows, by the names of their entries."""

    decoder: _Decoder
    terms: Mapping[str, Term] = field(default_factory=dict[str, Term])


class PocketsphinxEngine:
    """Recognizes pieces one by one, with a decoder for each list of hotwords; not thread-safe."""

    def __init__(self, settings: Settings) -> None:
        del settings
        self._plain = _Ear(_decoder())
        self._listening: OrderedDict[tuple[Term, ...], _Ear] = OrderedDict()

    def recognize(self, pieces: Sequence[Waveform], options: Options) -> list[Outcome]:
        """One outcome per piece: a sentence without punctuation, or non-speech with what was measured."""
        ear = self._ear(terms_of(options.hotwords))
        return [_outcome(self._heard(ear, piece), piece, options) for piece in pieces]

    def _heard(self, ear: _Ear, piece: Waveform) -> list[Heard]:
        """What is heard of a piece; in place of hotwords that are hardly believed, what is heard without the list."""
        # Zeros stand for sound that could not be decoded, or was never recorded; the decoder finds a word even there.
        if not piece.samples.any():
            return []
        heard = list(_decode(ear, piece))
        return without_doubt(heard, list(_decode(self._plain, piece))) if any(map(_is_doubtful, heard)) else heard

    def _ear(self, terms: tuple[Term, ...]) -> _Ear:
        """The decoder for these hotwords, opened if need be; the one that was not used for longest makes room."""
        if not terms:
            return self._plain
        if terms in self._listening:
            self._listening.move_to_end(terms)
            return self._listening[terms]
        while len(self._listening) >= KEPT_OPEN:
            self._listening.popitem(last=False)
        decoder = _decoder()
        ear = self._listening[terms] = _Ear(decoder, teach(decoder, terms))
        return ear


def _decoder() -> _Decoder:
    return cast("_Decoder", pocketsphinx.Decoder(loglevel="FATAL", samprate=RATE_HZ, maxhmmpf=MAX_HMMS))


def _outcome(heard: Sequence[Heard], piece: Waveform, options: Options) -> Outcome:
    words = [word for word in heard if word.phones]
    if not words:
        return Outcome(piece.span, Fate.NON_SPEECH)
    reason = not_speech(heard, 1 + (options.speech_noise_threshold or 0))
    if reason:
        return Outcome(piece.span, Fate.NON_SPEECH, reason=reason)
    return Outcome(piece.span, Fate.TRANSCRIBED, (_sentence(words, piece.begin_ms),))


def _decode(ear: _Ear, piece: Waveform) -> Iterator[Heard]:
    """The decoder's path through the piece, inside its bounds."""
    lacking = SHORTEST_MS * SAMPLES_PER_MS - len(piece.samples)
    samples = np.pad(piece.samples, (0, lacking)) if lacking > 0 else piece.samples
    decoder = ear.decoder
    decoder.reinit_feat()  # forgets the noise and the cepstral mean of earlier pieces
    decoder.start_utt()
    try:
        decoder.process_raw(samples.tobytes(), full_utt=True)
    finally:
        decoder.end_utt()
    for segment in decoder.seg() or ():
        begin_ms = segment.start_frame * FRAME_MS
        end_ms = min((segment.end_frame + 1) * FRAME_MS, piece.span.duration_ms)
        if begin_ms >= end_ms or segment.word in ("<s>", "</s>"):
            continue
        spoken = not segment.word.startswith(("<", "[", "+"))
        phones = len((decoder.lookup_word(segment.word) or "").split()) if spoken else 0
        text = segment.word.partition("(")[0]  # "the(2)" is a second way to pronounce "the"
        heard = Heard(text, phones, begin_ms, end_ms, min(max(segment.prob, 0.0), 1.0), segment.lback)
        yield from _words(heard, ear.terms[text]) if text in ear.terms else (heard,)


def _words(heard: Heard, term: Term) -> Iterator[Heard]:
    """The words of a term that was heard; several share its time and its phones."""
    shares = [0.0, *accumulate(term.shares())]
    edges = [heard.begin_ms + round(share * (heard.end_ms - heard.begin_ms)) for share in shares]
    phones = [round(share * heard.phones) for share in shares]
    for at, word in enumerate(term.words):
        yield replace(
            heard,
            text=word.text,
            tail=word.tail,
            phones=max(phones[at + 1] - phones[at], 1),
            begin_ms=edges[at],
            end_ms=edges[at + 1],
            listed=True,
            approximate=len(term.words) > 1,
        )


def _is_doubtful(word: Heard) -> bool:
    return word.listed and word.confidence < LEAST_BELIEF


def without_doubt(heard: Sequence[Heard], plain: Sequence[Heard]) -> list[Heard]:
    """A path with what the ``plain`` one has around each doubtful hotword, up to the next words that both have."""
    places = {(word.text, word.begin_ms, word.end_ms): at for at, word in enumerate(plain)}
    result: list[Heard] = []
    left = 0  # of the plain path, the first entry behind the last one that both have
    run: list[Heard] = []
    for word in heard:
        at = places.get((word.text, word.begin_ms, word.end_ms), -1)
        if at < left or word.listed:
            run.append(word)
            continue
        result += plain[left:at] if any(map(_is_doubtful, run)) else run
        result.append(word)
        left, run = at + 1, []
    return result + list(plain[left:] if any(map(_is_doubtful, run)) else run)


def not_speech(heard: Sequence[Heard], strictness: float) -> str:
    """Why the sound behind a decoder's path is no speech, with what was measured; empty if it is speech.

    A decoder that is made to find words in music spreads few, long or repeated ones over it, and hardly any that follow
    each other as people say them. Any one sign of speech is enough, so that a sentence over music is not lost with it.
    ``strictness`` scales what is asked for: 0 takes everything for speech.
    """
    words = [word for word in heard if word.phones]
    phrases = [count for run in _runs(heard) if (count := _phrase_words(run, strictness))]
    if max(phrases, default=0) >= LONG_PHRASE_WORDS or sum(phrases) >= max(strictness * PHRASE_SHARE * len(words), 1):
        return ""
    different: dict[str, int] = {}
    likely: dict[str, float] = {}
    for word in words:
        different[word.text] = word.phones
        if not word.stretched:
            likely[word.text] = max(likely.get(word.text, 0.0), word.phones * word.confidence)
    spoken_s = sum(word.end_ms - word.begin_ms for word in words) / 1000
    pace, likely_pace = sum(different.values()) / spoken_s, sum(likely.values()) / spoken_s
    for least_words, least_pace, least_likely_pace in PACES:
        quick = pace >= strictness * least_pace and likely_pace >= strictness * least_likely_pace
        if quick and len(different) >= least_words:
            return ""
    return (
        f"no speech: {sum(phrases)} of {len(words)} words in phrases, "
        f"{pace:.1f} different phones a second of words, {likely_pace:.1f} of them likely"
    )


def _runs(heard: Iterable[Heard]) -> Iterator[list[Heard]]:
    """Words in a row that nobody needs to stretch, up to the next stretched or repeated word or pause."""
    run: list[Heard] = []
    for entry in heard:
        spoken = entry.phones and not entry.stretched
        pause = not entry.phones and entry.end_ms - entry.begin_ms <= PAUSE_MS
        if not pause and (not spoken or (run and run[-1].text == entry.text)):
            yield run
            run = []
        if spoken:
            run.append(entry)
    yield run


def _phrase_words(run: Sequence[Heard], strictness: float) -> int:
    """How many different words the run holds if it is a phrase, else 0."""
    different = len({word.text for word in run})
    if different < PHRASE_WORDS or all(word.ngram < KNOWN_TRIGRAM for word in run):
        return 0
    believed = sum(word.confidence for word in run) >= strictness * PHRASE_CONFIDENCE * len(run)
    return different if believed else 0


def _sentence(words: Sequence[Heard], begin_ms: int) -> Sentence:
    timed = [Word(begin_ms + w.begin_ms, begin_ms + w.end_ms, *_written(w), w.confidence, w.approximate) for w in words]
    timed[-1] = replace(timed[-1], text=timed[-1].text.rstrip(), punctuation=timed[-1].punctuation.rstrip())
    return Sentence(
        begin_ms=timed[0].begin_ms,
        end_ms=timed[-1].end_ms,
        text="".join(word.text + word.punctuation for word in timed),
        words=tuple(timed),
        language="en",
    )


def _written(word: Heard) -> tuple[str, str]:
    """Text and punctuation of a word: the space behind it belongs to the text unless a mark stands before it."""
    tail = word.tail.rstrip() + " "
    return (word.text, tail) if tail != " " else (word.text + tail, "")
