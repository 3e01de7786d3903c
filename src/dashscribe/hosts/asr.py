"""What an engine child does: open one engine, then recognize windows span by span.

Runs in a child process only. The span is the unit: its outcome does not depend on its neighbors, can be sent when it is
ready, and fails alone. What the engine lacks, ``completing`` adds.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from itertools import islice
from pkgutil import resolve_name

from dashscribe import weights
from dashscribe.config import Settings
from dashscribe.engines import Engine
from dashscribe.errors import DashscribeError, EngineDownError, EngineUnavailableError, HostError
from dashscribe.hosts.completing import Completion, reason_of
from dashscribe.hosts.pieces import pieces
from dashscribe.hosts.protocol import Load, OutcomeReply, Recognize, RecognizeTogether, Reply, Request
from dashscribe.types import Fate, Options, Outcome, Waveform


class EngineRole:
    """The engine of this child; ``target`` is ``module:callable``, called with the settings and its installed model."""

    def __init__(self, name: str, target: str) -> None:
        self._name, self._target = name, target
        self._engine: Engine | None = None
        self._completion: Completion | None = None

    def answer(self, request: Request) -> Iterator[Reply]:
        """The replies to Load, Recognize and RecognizeTogether."""
        match request:
            case Load():
                self._load(request)
            case Recognize() if self._engine is not None:
                yield from recognize(self._engine, self._completion, [request])
            case RecognizeTogether(requests) if self._engine is not None:
                yield from recognize(self._engine, self._completion, requests)
            case _:
                raise HostError(f"an engine child cannot answer {type(request).__name__} now")

    def _load(self, request: Load) -> None:
        settings = Settings.model_validate_json(request.settings)
        try:
            models = [weights.find(settings.resolved_models_dir, request.weights)] if request.weights else []
            self._engine = resolve_name(self._target)(settings, *models)
            self._completion = Completion(settings, request.annotator, request.tagger, own=request.weights)
        except DashscribeError:
            raise
        except ImportError as error:
            raise EngineUnavailableError(f"the engine {self._name!r} cannot be imported: {error}") from error
        except Exception as error:
            raise EngineUnavailableError(
                f"the engine {self._name!r} failed to load: {type(error).__name__}: {error}"
            ) from error


def recognize(engine: Engine, completion: Completion | None, requests: Sequence[Recognize]) -> Iterator[OutcomeReply]:
    """One reply per span of each window from number ``first`` on, window after window; all options are alike.

    Raises InvariantError when the audio of a window is not as long as its spans together.
    """
    options = requests[0].options
    numbered = ((place, piece) for place, r in enumerate(requests) for piece in pieces(r.window, r.first))
    for batch in _batches(numbered, max(1, requests[0].batch)):
        outcomes = _recognize_batch(engine, [piece for _, piece in batch], options, strict=requests[0].strict)
        for (place, piece), outcome in zip(batch, outcomes, strict=True):
            yield OutcomeReply(completion.complete(piece, outcome, options) if completion else outcome, place)


def _batches(pieces: Iterator[tuple[int, Waveform]], size: int) -> Iterator[tuple[tuple[int, Waveform], ...]]:
    while batch := tuple(islice(pieces, size)):
        yield batch


def _recognize_batch(
    engine: Engine, pieces: Sequence[Waveform], options: Options, *, strict: bool
) -> Sequence[Outcome]:
    """The outcomes of pieces that are decoded at once; whatever goes wrong with them is left to each alone.

    ``strict``, it is raised.
    """
    if len(pieces) > 1:
        try:
            outcomes = engine.recognize(pieces, options)
        except Exception:
            if strict:
                raise
            traceback.print_exc()  # pieces one by one are slow, and nothing else would tell why
            outcomes = []
        if len(outcomes) == len(pieces):
            pairs = zip(pieces, outcomes, strict=True)
            return [o if _is_settled(o) else _recognize_alone(engine, piece, options) for piece, o in pairs]
    return [_recognize_alone(engine, piece, options) for piece in pieces]


def _is_settled(outcome: Outcome) -> bool:
    """Whether there is no doubt: the detector heard a voice, so nothing heard and no reason for it is doubtful.

    A decode may have gone wrong without a word, since runtimes catch and log.
    """
    return outcome.fate is Fate.TRANSCRIBED or (outcome.fate is Fate.NON_SPEECH and bool(outcome.reason))


def _recognize_alone(engine: Engine, piece: Waveform, options: Options) -> Outcome:
    try:
        (outcome,) = engine.recognize([piece], options)
        if outcome.fate is Fate.NON_SPEECH and not outcome.reason:
            (outcome,) = engine.recognize([piece], options)  # a second chance
    except EngineDownError:
        raise  # no matter of this span
    except Exception as error:
        # An engine may raise anything; the span is booked as failed with it and the others go on.
        return Outcome(piece.span, Fate.FAILED, reason=reason_of(error))
    return outcome
