"""What was heard of a file, kept beside its result: everything that a stage is done again from.

Recognition is what costs; its outcomes are kept as the engine gave them, the voices of each window with them. So are
the answers of the models behind the text stages, so that doing one stage again leaves the others as they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct, field

from dashscribe import pipeline
from dashscribe.engines import engines
from dashscribe.enrich import Enrichment
from dashscribe.enrich.itn import Normalizer
from dashscribe.enrich.punctuate import Punctuator
from dashscribe.files import ClaimedFile
from dashscribe.steps.bench import Bench
from dashscribe.store import Store
from dashscribe.types import Keep, Options, Outcome, Transcript, Voices

T = TypeVar("T")

#: The lowest claim of a file that can be one to finish it: others have fetched and cut it.
_FIRST_TO_FINISH = 3


@dataclass(frozen=True, slots=True)
class Keys:
    """Where the blobs of a finished file lie. ``version`` is of one claim alone: nobody's blobs replace another's."""

    file_prefix: str
    version: str

    @property
    def result(self) -> str:
        """The result as the service words it."""
        return self._key("result")

    @property
    def transcript(self) -> str:
        """The transcript as we know it."""
        return self._key("transcript")

    @property
    def heard(self) -> str:
        """What it was made from."""
        return self._key("heard")

    @property
    def all(self) -> tuple[str, str, str]:
        """Every key."""
        return self.result, self.transcript, self.heard

    def _key(self, what: str) -> str:
        return f"{self.file_prefix}/{what}-{self.version}.json"


def first_keys(file_prefix: str, claim: int) -> Keys:
    """Where a file's first result lies, if it was finished with this claim of the file."""
    return Keys(file_prefix, f"c{claim}")


def redo_keys(file_prefix: str, generation: int, claim: int) -> Keys:
    """Where the result lies of a stage that was done again with this claim of the redo."""
    return Keys(file_prefix, f"{generation}.{claim}")


def every_first_key(file_prefix: str, generation: int, claim: int) -> Iterator[str]:
    """The keys under which anybody may have put a first result, up to these of the file.

    That is whoever could have held it to finish it; older programs named it by the generation alone.
    """
    claims = range(_FIRST_TO_FINISH, claim + 1) if generation else range(0)
    for one in claims:
        yield from first_keys(file_prefix, one).all
    for one in range(1, generation + 1) if claims else ():
        yield from Keys(file_prefix, str(one)).all


def redo_prefix(file_prefix: str) -> str:
    """Under which it lies who was heard in the windows of a file while a stage of it is done again."""
    return f"{file_prefix}/redo"


class Heard(Struct, frozen=True, kw_only=True):
    """Outcomes and voices by channel, each in order of time.

    ``notes`` are those that no stage makes. ``speaker_count`` is the one that was last given. ``punctuated`` says that
    there was a punctuation model, ``numbered`` that numbers were for a stage to write as digits, not for the engine.
    ``marks`` and ``numbers`` hold what models made of texts, the latter by language.
    """

    outcomes: Mapping[int, Sequence[Outcome]]
    voices: Mapping[int, Sequence[Voices]]
    notes: list[str]
    speaker_count: int | None = None
    punctuated: bool = False
    numbered: bool = False
    marks: dict[str, str] = field(default_factory=dict[str, str])
    numbers: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])

    def transcript(self, file: ClaimedFile, enrichment: Enrichment, keep: Keep) -> Transcript:
        """The transcript that this comes to, its sentences where ``keep`` keeps them. Raises InvariantError."""
        assert file.cut is not None, "a file is heard after it has been cut"
        return pipeline.finish(file.cut, self.outcomes, enrichment, file.engine, self.notes, self.voices, keep)

    def enrichment(self, bench: Bench, options: Options, before: Heard | None = None) -> Enrichment:
        """The enrichers, whose models' answers are kept here; what ``before`` knows is not asked for again."""
        marks, numbers = (before.marks, before.numbers) if before else ({}, {})
        enrichment = Enrichment(options, sensitive_words=bench.settings.sensitive_words)
        if self.punctuated:
            enrichment.punctuator = _remembering_marks(bench.hosts.punctuator(), marks, self.marks)
        if self.numbered:
            enrichment.normalizer = _remembering_numbers(bench.hosts.normalizer(), numbers, self.numbers)
        return enrichment


def writes_numbers(bench: Bench, file: ClaimedFile) -> bool:
    """Whether numbers are wanted as digits and the file's engine has not written them so."""
    info = engines(bench.settings).get(file.engine)
    return file.options.itn and info is not None and not info.itn


class _Stored(Heard, frozen=True, kw_only=True):
    """The same as it lies in the store, its long lists not looked into."""

    outcomes: dict[int, list[Raw]]  # pyright: ignore[reportIncompatibleVariableOverride]
    voices: dict[int, list[Raw]]  # pyright: ignore[reportIncompatibleVariableOverride]


def read_heard(store: Store, key: str, keep: Keep) -> Heard | None:
    """What was kept under a key, its long lists where ``keep`` keeps them; None where it is missing or damaged."""
    if not key:
        return None
    try:
        stored = msgspec.json.decode(store.read(key), type=_Stored)
        outcomes = {channel: _decoded(Outcome, raws, keep) for channel, raws in stored.outcomes.items()}
        voices = {channel: _decoded(Voices, raws, keep) for channel, raws in stored.voices.items()}
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    members = msgspec.structs.asdict(stored)
    members |= {"outcomes": outcomes, "voices": voices}
    return Heard(**members)


def _decoded(kind: type[T], raws: Iterable[Raw], keep: Keep) -> Sequence[T]:
    decode = msgspec.json.Decoder(kind).decode
    return keep(kind, (decode(raw) for raw in raws))


def _remembering_marks(ask: Punctuator | None, known: dict[str, str], kept: dict[str, str]) -> Punctuator:
    def punctuate(text: str) -> str:
        if text in known:
            kept[text] = known[text]
        elif ask is not None:
            kept[text] = ask(text)
        return kept.get(text, text)

    return punctuate


def _remembering_numbers(
    ask: Normalizer, known: dict[str, dict[str, str]], kept: dict[str, dict[str, str]]
) -> Normalizer:
    def normalize(texts: Sequence[str], language: str) -> Sequence[str]:
        mine = kept.setdefault(language, {})
        mine |= {text: known[language][text] for text in texts if text in known.get(language, ())}
        unknown = [text for text in dict.fromkeys(texts) if text not in mine]
        if unknown:
            mine |= zip(unknown, ask(unknown, language), strict=True)
        return [mine[text] for text in texts]

    return normalize
