"""What an engine is: the protocol that a host child drives, and what can be known of an engine without loading it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dashscribe.types import Limits, Options, Outcome, Waveform


class Engine(Protocol):
    """What a host child drives. State must not carry over from one piece to the next: the piece decides its outcome."""

    def recognize(self, pieces: Sequence[Waveform], options: Options) -> list[Outcome]:
        """Recognize ``pieces`` (int16, 16 kHz, one channel each): one outcome per piece, in order.

        Sentences carry times on the file's clock and lie inside their piece.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """What can be known of an engine without loading it.

    ``target`` is ``module:callable``, imported by a host child and called with the settings, and with the installed
    model where the engine is one of ``weights``. ``languages`` empty means any. ``version`` is part of a result's
    identity: it changes when the same sound may give other words. ``batch`` is how many pieces it may get at once
    without any result changing.

    What it gives besides text: ``word_times`` of its own, ``emotion`` and language of what it heard, ``itn`` (numbers
    as digits) when asked for, ``punctuation``; what it listens to: ``hotwords``, ``context``. ``aligned`` says that its
    times come from an alignment already, so that another one would not help. ``annotator`` is an installed model that
    times words and tells language, emotion and event where this engine does not, ``tagger`` one that tells events;
    empty without one.

    ``remote`` says that it only asks somebody else, who may be down: see ``hosts.breaker``. ``secret`` names the
    setting with the key for that, which no other child gets.
    """

    name: str
    target: str
    languages: tuple[str, ...]
    limits: Limits
    version: str
    package: str
    summary: str
    family: str = ""
    weights: str = ""
    batch: int = 1
    word_times: bool = True
    emotion: bool = False
    itn: bool = False
    punctuation: bool = False
    hotwords: bool = False
    context: bool = False
    aligned: bool = False
    annotator: str = ""
    tagger: str = ""
    remote: bool = False
    secret: str = ""

    @property
    def kind(self) -> str:
        """What candidates of a model are named by: the family of the weights, or the engine's own name."""
        return self.family or self.name
