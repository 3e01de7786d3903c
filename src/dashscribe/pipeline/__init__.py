"""From one source to one transcript: cut, recognize, listen for speakers, finish.

``parts`` is what the durable steps use with the database between them; ``whole`` runs the same parts in memory, for the
library, the command line and synchronous calls.
"""

from dashscribe.pipeline.parts import (
    MAX_FAILURES,
    enrichment_for,
    finish,
    give_up,
    listen,
    listens,
    recognize,
    refuse_empty,
)
from dashscribe.pipeline.whole import Progress, settle_channels, transcribe

__all__ = [
    "MAX_FAILURES",
    "Progress",
    "enrichment_for",
    "finish",
    "give_up",
    "listen",
    "listens",
    "recognize",
    "refuse_empty",
    "settle_channels",
    "transcribe",
]
