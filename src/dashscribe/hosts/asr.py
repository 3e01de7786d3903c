"""What an engine child does: open one engine, then recognize windows span by span.

Runs in a child process only. The span is the unit: each is recognized alone, so that its outcome does not depend on
its neighbors, can be sent when it is ready, and fails alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pkgutil import resolve_name

from dashscribe.config import Settings
from dashscribe.decode import decode_flac
from dashscribe.engines import Engine
from dashscribe.errors import DashscribeError, EngineUnavailableError, HostError, InvariantError
from dashscribe.hosts.protocol import Load, OutcomeReply, Recognize, Reply, Request
from dashscribe.types import SAMPLES_PER_MS, Fate, Options, Outcome, Waveform, Window, total_ms

#: Longest reason of a failed span, in characters; it stands in the ledger of the result.
MAX_REASON = 300


class EngineRole:
    """The engine of this child; ``target`` is ``module:callable``, called with the settings."""

    def __init__(self, name: str, target: str) -> None:
        self._name, self._target = name, target
        self._engine: Engine | None = None

    def answer(self, request: Request) -> Iterator[Reply]:
        """The replies to Load and Recognize."""
        match request:
            case Load(settings):
                self._engine = self._open(Settings.model_validate_json(settings))
            case Recognize(window, options, first) if self._engine is not None:
                for outcome in recognize(self._engine, window, options, first):
                    yield OutcomeReply(outcome)
            case _:
                raise HostError(f"an engine child cannot answer {type(request).__name__} now")

    def _open(self, settings: Settings) -> Engine:
        try:
            return resolve_name(self._target)(settings)
        except DashscribeError:
            raise
        except ImportError as error:
            raise EngineUnavailableError(f"the engine {self._name!r} cannot be imported: {error}") from error
        except Exception as error:
            raise EngineUnavailableError(
                f"the engine {self._name!r} failed to load: {type(error).__name__}: {error}"
            ) from error


def recognize(engine: Engine, window: Window, options: Options, first: int = 0) -> Iterator[Outcome]:
    """One outcome per span from number ``first`` on, in order.

    Raises InvariantError when the audio is not as long as the spans together.
    """
    samples = decode_flac(window.audio)
    if len(samples) != window.speech_ms * SAMPLES_PER_MS:
        raise InvariantError(
            f"window {window.index} of channel {window.channel} holds {len(samples)} samples, "
            f"its spans need {window.speech_ms * SAMPLES_PER_MS}"
        )
    begin = total_ms(window.spans[:first]) * SAMPLES_PER_MS
    for span in window.spans[first:]:
        end = begin + span.duration_ms * SAMPLES_PER_MS
        yield _recognize_span(engine, Waveform(samples[begin:end], span.begin_ms), options)
        begin = end


def _recognize_span(engine: Engine, piece: Waveform, options: Options) -> Outcome:
    try:
        (outcome,) = engine.recognize([piece], options)
        if outcome.fate is Fate.NON_SPEECH and not outcome.reason:
            # The detector heard a voice here and the engine gives no reason for hearing none: a decode may have gone
            # wrong without a word (runtimes catch and log), so it has a second chance.
            (outcome,) = engine.recognize([piece], options)
    except Exception as error:
        # An engine may raise anything; the span is booked as failed with it and the others go on.
        return Outcome(piece.span, Fate.FAILED, reason=f"{type(error).__name__}: {error}"[:MAX_REASON])
    return outcome
