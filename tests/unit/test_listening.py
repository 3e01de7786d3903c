"""Hotwords as words of the embedded engine: heard by their sound, by their weight, and by nobody else's call."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dashscribe.config import load
from dashscribe.decode import Decoder
from dashscribe.engines.listening import MOST_WAYS, terms_of
from dashscribe.engines.pocketsphinx import KEPT_OPEN, Heard, PocketsphinxEngine, without_doubt
from dashscribe.pronunciation import parts, ways_to_say
from dashscribe.types import Fate, Hotword, Options, Outcome, Waveform

Read = Callable[[str, str], Waveform]


@pytest.fixture(scope="module")
def engine() -> PocketsphinxEngine:
    return PocketsphinxEngine(load())


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Have a voice of flite read a text."""
    flite = shutil.which("flite")
    if flite is None:
        pytest.skip("flite is not installed (Debian: apt-get install flite)")

    def said(voice: str, text: str) -> Waveform:
        path: Path = tmp_path_factory.mktemp("said") / "said.wav"
        subprocess.run([flite, "-voice", voice, "-t", text, "-o", path], check=True)
        samples = np.concatenate(list(Decoder(path, url="said.wav", channels=(0,), stretch=None)), axis=1)[0]
        return Waveform(samples, 0)

    return said


def listed(*terms: str | tuple[str, int]) -> Options:
    return Options(hotwords=tuple(Hotword(*term) if isinstance(term, tuple) else Hotword(term) for term in terms))


def text_of(outcome: Outcome) -> str:
    return " ".join(sentence.text for sentence in outcome.sentences)


def one(engine: PocketsphinxEngine, piece: Waveform, options: Options) -> Outcome:
    (outcome,) = engine.recognize([piece], options)
    return outcome


def test_new_words_are_heard_in_the_spelling_of_the_list(engine: PocketsphinxEngine, read: Read) -> None:
    piece = read("rms", "the dashscribe server sends a letter to every client")
    without = text_of(one(engine, piece, Options()))
    assert "scribe" in without and "DashScribe" not in without
    assert text_of(one(engine, piece, listed("DashScribe"))) == "the DashScribe server sends a letter to every client"


def test_a_term_of_several_words_is_heard_as_a_whole_and_its_words_share_its_time(
    engine: PocketsphinxEngine, read: Read
) -> None:
    piece = read("rms", "they crossed the kestrel bridge in the morning")
    (sentence,) = one(engine, piece, listed("Kestrel Bridge")).sentences
    assert sentence.text == "they crossed the Kestrel Bridge in the morning"
    assert "".join(word.text + word.punctuation for word in sentence.words) == sentence.text
    assert [word.text.strip() for word in sentence.words if word.approximate] == ["Kestrel", "Bridge"]
    assert all(word.begin_ms < word.end_ms for word in sentence.words)
    assert all(left.end_ms <= right.begin_ms for left, right in pairwise(sentence.words))
    (marked,) = one(engine, piece, listed("Kestrel, Bridge")).sentences
    kestrel = next(word for word in marked.words if word.text == "Kestrel")
    assert kestrel.punctuation == ", " and "Kestrel, Bridge in" in marked.text


def test_the_weight_decides_whether_a_word_is_heard(engine: PocketsphinxEngine, read: Read) -> None:
    piece = read("slt", "our team won the game in saskatoon on sunday")
    plain = one(engine, piece, Options())
    assert one(engine, piece, listed(("Saskatoon", -6))) == plain
    assert "Saskatoon" not in text_of(one(engine, piece, listed(("Saskatoon", 1))))
    for weight in (5, 50):
        assert "Saskatoon" in text_of(one(engine, piece, listed(("Saskatoon", weight)))), weight


def test_a_list_counts_for_its_own_calls_only_and_whatever_was_heard_before(
    engine: PocketsphinxEngine, read: Read
) -> None:
    piece = read("rms", "the dashscribe of mister vandersloot")
    lists = [Options(), listed("DashScribe"), listed("Vandersloot"), listed("DashScribe", "Vandersloot")]
    first = [one(engine, piece, options) for options in lists]
    assert len(set(map(text_of, first))) == 4
    noise = Waveform(np.random.default_rng(4).integers(-9_000, 9_000, 16_000).astype(np.int16), 0)
    for options, outcome in [*zip(lists, first, strict=True)][::-1]:
        assert engine.recognize([noise, piece, piece], options)[1:] == [outcome, outcome]
    assert one(PocketsphinxEngine(load()), piece, lists[3]) == first[3]


def test_only_so_many_lists_stay_open(engine: PocketsphinxEngine, read: Read) -> None:
    piece = Waveform(read("rms", "good morning").samples, 0)
    for term in ("Vandersloot", "Kowalczyk", "Paraformer", "Madagascar"):
        one(engine, piece, listed(term))
        assert len(engine._listening) <= KEPT_OPEN  # pyright: ignore[reportPrivateUsage]


def test_no_term_is_heard_in_silence_noise_or_tones(engine: PocketsphinxEngine) -> None:
    rng = np.random.default_rng(6)
    at_s = np.arange(48_000) / 16_000
    tones = sum(np.sin(2 * np.pi * hz * at_s) for hz in (220, 277, 330, 440)) * 3_000
    sounds = [np.zeros(48_000), rng.standard_normal(48_000) * 30, rng.standard_normal(48_000) * 3_000, tones]
    pieces = [Waveform(sound.astype(np.int16), 0) for sound in sounds]
    options = listed(*((term, 50) for term in ("Kestrel Bridge", "Ushuaia", "Saskatoon", "Paraformer", "Zimbabwe")))
    assert [outcome.fate for outcome in engine.recognize(pieces, options)] == [Fate.NON_SPEECH] * 4


@pytest.mark.parametrize(
    "hotword",
    [
        *(Hotword("海拉尔"), Hotword("Кестрел"), Hotword("Rome"), Hotword("GMT"), Hotword("..."), Hotword(" ")),
        *(Hotword("kestral", 4, "de"), Hotword("Kestrel", -1), Hotword("x" * 5_000), Hotword("2026年")),
    ],
)
def test_what_the_decoder_cannot_be_given_is_left_out(hotword: Hotword) -> None:
    assert terms_of((hotword,)) == ()


def test_terms_of_any_spelling_do_no_harm(engine: PocketsphinxEngine, read: Read) -> None:
    piece = read("rms", "we met at the harbor last week")
    some = (
        "the(2) harbor(3)",
        "<s> sentence",
        "[noise] noises",
        "a\tb\nCharlie",
        "O'Brien-Smith",
        "naïve Café",
        "C++ 20",
    )
    assert len(terms_of(listed(*some).hotwords)) >= 5
    assert text_of(one(engine, piece, listed(*some))) == text_of(one(engine, piece, Options()))


def test_the_longest_list_is_taken(engine: PocketsphinxEngine, read: Read) -> None:
    piece = read("rms", "the dashscribe server sends a letter to every client")
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    draw = np.random.default_rng(1)
    words = {"".join(draw.choice(syllables, 4)).title() for _ in range(2_000)}
    assert "DashScribe" in text_of(one(engine, piece, listed(*sorted(words), "DashScribe")))


def path(*words: tuple[str, float] | str) -> list[Heard]:
    """A word for each 100 ms; those with a belief are of a list."""
    given = [word if isinstance(word, tuple) else (word, 0.0) for word in words]
    return [
        Heard(text, 3, at * 100, at * 100 + 100, belief, 3, listed=belief > 0)
        for at, (text, belief) in enumerate(given)
        if text
    ]


@pytest.mark.parametrize(
    ("heard", "plain", "expected"),
    [
        (path("we", ("Oslo", 0.69), "go"), path("we", "also", "go"), "we also go"),
        (path("we", ("Oslo", 0.7), "go"), path("we", "also", "go"), "we Oslo go"),
        (path("a", ("Oslo", 0.9), "b", ("Rome", 0.1), "c"), path("a", "x", "b", "y", "c"), "a Oslo b y c"),
        (path("a", ("Oslo", 0.9), "q", ("Rome", 0.1), "c"), path("a", "x", "b", "y", "c"), "a x b y c"),
        (
            path(
                ("Oslo", 0.1),
            ),
            path("also"),
            "also",
        ),
        (path("a", ("Oslo", 0.1)), path("b", "also"), "b also"),
        (path("a", "", ("Oslo", 0.1)), path("a", "b"), "a b"),
    ],
)
def test_in_place_of_a_doubtful_term_stands_what_is_heard_without_it(
    heard: list[Heard], plain: list[Heard], expected: str
) -> None:
    assert " ".join(word.text for word in without_doubt(heard, plain)) == expected


def test_a_word_is_said_as_a_whole_by_its_parts_or_by_rules() -> None:
    assert parts("bridge") == [("bridge", (("B", "R", "IH", "JH"),))]
    assert [part for part, _ in parts("DashScribe2")] == ["Dash", "Scribe", "2"]
    assert parts("Ω") == parts("12345") == parts("") == []
    english, foreign, *_ = ways_to_say(["Lofoten"], 4)
    assert english == ("L", "AA", "F", "AA", "T", "EH", "N")
    assert foreign == ("L", "OW", "F", "OW", "T", "EH", "N")
    assert len(ways_to_say(["Lofoten", "Kestrel", "either"], MOST_WAYS)) == MOST_WAYS
    assert ways_to_say(["Kestrel", "桥"], 4) == ()
