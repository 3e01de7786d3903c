"""The utterances of training and of the test: drawn from a seed, rendered by two processes, kept as features.

Owns what is said by whom in which manner and over which background; the test is drawn first and its sentences never
occur in training. Utterances stay clean here: `augment.py` disturbs their features afresh in every epoch.
"""

from __future__ import annotations

import logging
import multiprocessing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import sounds
from emotions import MANNERS, express
from features import fbank
from numpy.typing import NDArray
from sentences import compose, words_of
from speech import RATE_HZ, Timed, cuts
from vocabulary import pieces_of, token_ids
from voices import say, seen_speaker, seen_voice, unseen_voice

log = logging.getLogger("training")

SEED = 20_260
ALWAYS_TRAINED = frozenset(("hello world", "这里是阿里巴巴语音实验室", "今天天气很好", "你好世界"))
EMOTIONAL_SHARE = 0.28
MUSIC_SHARE = 0.12
CHUNK, PATIENCE_S = 64, 30  # a chunk takes about half a second
# For each phase of training: sentences, sounds that are not speech, and the share of sentences strung of random words.
# The second is drawn afresh: what a network of this size fails at after the first are words in an unheard order.
DRAWS = ((40_000, 3_000, 1 / 3), (40_000, 1_500, 1 / 2))
EVENTS = tuple(name for name in sounds.EVENTS if name not in ("noise", "tone"))


@dataclass(frozen=True, slots=True)
class Utterance:
    """What is to be rendered; `text` is empty for a sound that is not speech."""

    seed: int
    text: str
    language: str
    speaker: str
    emotion: str = "NEUTRAL"
    event: str = "Speech"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A recording with its words; `words` is empty where nobody speaks."""

    utterance: Utterance
    samples: NDArray[np.int16]
    words: list[Timed]


@dataclass(frozen=True, slots=True)
class Example:
    """What the network learns from: features (frames, 80) float16, tokens, their extents in ms, and the tags."""

    features: NDArray[np.float16]
    tokens: NDArray[np.int64]
    begins_ms: NDArray[np.float32]
    ends_ms: NDArray[np.float32]
    language: str
    emotion: str
    event: str


@dataclass(slots=True)
class Plan:
    """Everything to be rendered, by purpose; `train` has a list for each phase."""

    train: list[list[Utterance]] = field(default_factory=list)
    seen: list[Utterance] = field(default_factory=list)
    unseen: list[Utterance] = field(default_factory=list)
    emotions: list[Utterance] = field(default_factory=list)
    events: list[Utterance] = field(default_factory=list)


def plan() -> Plan:
    """Draw the test, then the utterances of training, half of the sentences in each language."""
    chance = np.random.default_rng(SEED)
    drawn = Plan()
    taken: set[str] = set(ALWAYS_TRAINED)
    for language in ("en", "zh"):
        for _ in range(200):
            text = _fresh(language, taken, chance)
            drawn.seen.append(Utterance(_seed(chance), text, language, seen_speaker(language, chance)))
        for _ in range(100):
            text = _fresh(language, taken, chance)
            drawn.unseen.append(Utterance(_seed(chance), text, language, unseen_voice(language, chance)))
        for emotion in MANNERS:
            for _ in range(20):
                text = _fresh(language, taken, chance)
                voice = seen_voice(language, chance)
                drawn.emotions.append(Utterance(_seed(chance), text, language, voice, emotion))
        for _ in range(30):
            text, voice = _fresh(language, taken, chance), seen_voice(language, chance)
            drawn.events.append(Utterance(_seed(chance), text, language, voice, event="BGM"))
    drawn.events += [_sound(event, chance) for event in (*EVENTS, "noise", "tone", "silence") for _ in range(20)]
    for place, counts in enumerate(DRAWS, 1):
        drawn.train.append(_training(*counts, taken - ALWAYS_TRAINED, np.random.default_rng(SEED + place)))
    return drawn


def _training(
    sentence_count: int, sound_count: int, strung: float, kept_out: set[str], chance: np.random.Generator
) -> list[Utterance]:
    utterances = []
    while len(utterances) < sentence_count:
        language = "en" if len(utterances) % 2 else "zh"
        text = compose(language, chance, strung)
        if text in kept_out:
            continue
        event = "BGM" if chance.random() < MUSIC_SHARE else "Speech"
        if chance.random() < EMOTIONAL_SHARE:
            emotion = str(chance.choice([name for name in MANNERS if name != "NEUTRAL"]))
            voice = seen_voice(language, chance)
        else:
            emotion, voice = "NEUTRAL", seen_speaker(language, chance)
        utterances.append(Utterance(_seed(chance), text, language, voice, emotion, event))
    return utterances + [_sound(str(chance.choice([*EVENTS, "noise", "tone"])), chance) for _ in range(sound_count)]


def _fresh(language: str, taken: set[str], chance: np.random.Generator) -> str:
    text = compose(language, chance)
    while text in taken:
        text = compose(language, chance)
    taken.add(text)
    return text


def _seed(chance: np.random.Generator) -> int:
    return int(chance.integers(2**31))


def _sound(event: str, chance: np.random.Generator) -> Utterance:
    return Utterance(_seed(chance), "", "nospeech", "", "EMO_UNKNOWN", event)


def render(utterance: Utterance) -> Rendered | None:
    """Make the recording; None for the rare one whose words the synthesizer does not time one by one."""
    chance = np.random.default_rng(utterance.seed)
    if not utterance.text:
        seconds, level = chance.uniform(1, 5), 10 ** chance.uniform(2.2, 3.6)
        if utterance.event == "silence":
            samples = np.zeros(round(seconds * RATE_HZ), np.int16)
        else:
            samples = sounds.render(utterance.event, seconds, chance, level)
        return Rendered(utterance, samples, [])
    try:
        if utterance.emotion == "NEUTRAL":
            samples, words = say(utterance.text, utterance.speaker, chance)
        else:
            samples, words = express(utterance.text, utterance.emotion, utterance.speaker, chance)
    except ValueError:
        return None
    if [word.text for word in words] != words_of(utterance.text, utterance.language):
        return None
    if utterance.event == "BGM":
        samples = _over_music(samples, chance)
    return Rendered(utterance, samples, words)


def _over_music(samples: NDArray[np.int16], chance: np.random.Generator) -> NDArray[np.int16]:
    """Lay music under speech, 5 to 16 dB below it."""
    speech = samples.astype(np.float32) * 0.7
    level = np.sqrt(np.mean(speech**2)) * 10 ** (-chance.uniform(5, 16) / 20)
    return np.clip(np.rint(speech + sounds.music(len(samples), chance) * level), -32768, 32767).astype(np.int16)


def example(rendered: Rendered) -> Example:
    """Turn a recording into features and timed tokens."""
    numbers, begins, ends = [], [], []
    for word in rendered.words:
        pieces = pieces_of(word.text)
        places = cuts(len(word.phones_ms), [len(piece.strip("\u2581")) for piece in pieces]) if len(pieces) > 1 else []
        bounds = [word.begin_ms, *(word.phones_ms[place] for place in places), word.end_ms]
        for piece, begin_ms, end_ms in zip(pieces, bounds[:-1], bounds[1:], strict=True):
            numbers.append(token_ids()[piece])
            begins.append(begin_ms)
            ends.append(end_ms)
    utterance = rendered.utterance
    event = "Event_UNK" if utterance.event in ("noise", "tone", "silence") else utterance.event
    return Example(
        fbank(rendered.samples).astype(np.float16),
        np.array(numbers, np.int64),
        np.array(begins, np.float32),
        np.array(ends, np.float32),
        utterance.language,
        utterance.emotion,
        event,
    )


def _render_chunk(utterances: list[Utterance]) -> list[Example]:
    made = (render(utterance) for utterance in utterances)
    return [example(one) for one in made if one is not None and len(one.samples) > RATE_HZ // 10]


def render_examples(utterances: list[Utterance], processes: int = 2) -> list[Example]:
    """Render utterances to examples, in their order; what cannot be rendered or timed is missing."""
    chunks = [utterances[begin : begin + CHUNK] for begin in range(0, len(utterances), CHUNK)]
    made = []
    # Spawned, not forked: each process needs a synthesizer library of its own, with its global state untouched.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for waiting in [pool.apply_async(_render_chunk, (chunk,)) for chunk in chunks]:
            try:
                made += waiting.get(PATIENCE_S)
            except multiprocessing.TimeoutError:  # the synthesizer now and then takes its process down with it
                log.warning("lost up to %d utterances to a crash of the synthesizer", CHUNK)
    return made


def save(made: list[Example], folder: Path) -> None:
    """Write examples to a folder: the features as one array that several processes may map."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "features.npy", np.concatenate([example.features for example in made]))
    np.savez(
        folder / "rest.npz",
        frames=[len(example.features) for example in made],
        counts=[len(example.tokens) for example in made],
        tokens=np.concatenate([example.tokens for example in made]),
        begins_ms=np.concatenate([example.begins_ms for example in made]),
        ends_ms=np.concatenate([example.ends_ms for example in made]),
        tags=np.array([(example.language, example.emotion, example.event) for example in made]),
    )


def load(folder: Path) -> list[Example]:
    """Read what `save` wrote; features stay on disk until they are used."""
    features = np.load(folder / "features.npy", mmap_mode="r")
    rest = dict(np.load(folder / "rest.npz"))
    frame_ends, token_ends = np.cumsum(rest["frames"]), np.cumsum(rest["counts"])
    made = []
    for frames, frame_end, count, token_end, tags in zip(
        rest["frames"], frame_ends, rest["counts"], token_ends, rest["tags"], strict=True
    ):
        spoken = slice(token_end - count, token_end)
        timed = (rest[name][spoken] for name in ("tokens", "begins_ms", "ends_ms"))
        made.append(Example(features[frame_end - frames : frame_end], *timed, *(str(name) for name in tags)))
    return made
