"""Any endpoint that speaks OpenAI's interface, as an engine: vLLM with Qwen3-ASR, another dashscribe, OpenAI itself.

Importing this package imports no HTTP library. ``engine`` makes requests of pieces and outcomes of answers,
``endpoint`` sends and judges them; whether it is worth asking at all is known in the parent (``hosts.breaker``).
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from dashscribe.engines.engine import EngineInfo
from dashscribe.types import Limits

if TYPE_CHECKING:
    from dashscribe.config import Settings

NAME = "openai"
#: Raised when this package makes other requests, or reads other words out of the same answers.
REVISION = 1


def infos(settings: Settings) -> list[EngineInfo]:
    """The engine that the settings describe; none where they name no endpoint."""
    if not settings.openai_url:
        return []
    info = EngineInfo(
        name=NAME,
        target="dashscribe.engines.openai.engine:OpenAIEngine",
        languages=languages_of(settings),
        # Whisper hears 30 s, which is what most endpoints are built around; below a second hardly a word is said.
        limits=Limits(max_piece_ms=30_000, min_piece_ms=1_000),
        version=_version(settings),
        package="httpx",
        summary=f"{settings.openai_model} at {settings.openai_url}",
        word_times=False,  # some endpoints measure them: those words are not marked as approximate
        punctuation=True,
        hotwords=True,
        context=True,
        remote=True,
        secret="openai_api_key",  # noqa: S106 (the name of a setting)
    )
    return [info]


def languages_of(settings: Settings) -> tuple[str, ...]:
    """Codes of the languages that the endpoint reads; none for any."""
    return tuple(code for part in settings.openai_languages.split(",") if (code := part.strip().lower()))


def _version(settings: Settings) -> str:
    """What tells results of one endpoint and model from those of others, as a file's name holds it."""
    identity = "\n".join((settings.openai_url, settings.openai_model, settings.openai_interface))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    host = re.sub("^[a-z]+://", "", settings.openai_url)
    return f"{REVISION}-{host[:40]}-{settings.openai_model[:40]}-{digest}"
