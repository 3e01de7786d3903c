"""``dashscribe probe``: what a file or URL is, and which models' limits it breaks, with the way out.

Looks the way ``transcribe`` and a server would: the same fetch, the same native code in a child process.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dashscribe.catalog import MODELS, Model
from dashscribe.cli import reason, unwind_when_killed
from dashscribe.cli.sources import OnBytes, Source, expand, opened
from dashscribe.cli.times import shown
from dashscribe.errors import DashscribeError
from dashscribe.types import Media

if TYPE_CHECKING:
    from dashscribe.config import Settings
    from dashscribe.fetch import Probe
    from dashscribe.hosts import Hosts


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that the source breaks, the models that have it, and what to do."""

    limit: str
    models: tuple[str, ...]
    remedy: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one source; ``answer`` is what the origin of a URL said."""

    media: Media
    size_bytes: int
    answer: Probe | None
    breaches: tuple[Breach, ...]


def probe(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT", help="Files, folders, patterns, http(s) URLs.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON about each input.")] = False,
) -> None:
    """Say what files and URLs are: container, codec, rate, channels, length, size, and which models take them.

    The limits are those of the service's models; `dashscribe transcribe` itself takes up to 12 h of any size.

    Example: dashscribe probe recordings/ https://example.com/a.mp3
    """
    from dashscribe import config
    from dashscribe.cli.screen import Screen
    from dashscribe.hosts import Hosts

    settings = config.load()
    sources = expand(inputs)
    failed = 0
    unwind_when_killed()
    with (
        tempfile.TemporaryDirectory(prefix="dashscribe-", ignore_cleanup_errors=True) as folder,
        Hosts(settings, slots=1) as hosts,
        Screen(sources, None, quiet=False) as screen,
    ):
        for index, source in enumerate(sources):
            try:
                facts = _facts(source, settings, hosts, Path(folder), partial(screen.copied, index))
                screen.print(_line(_record(source, facts)) if as_json else _page(source, facts))
            except DashscribeError as error:
                failed += 1
                screen.warn(f"{source.label}: {reason(error)}")
                if as_json:
                    record = {"input": source.label, "status": "failed", "code": error.code, "error": str(error)}
                    screen.print(_line(record))
            screen.ended(index)
    raise typer.Exit(1 if failed else 0)


def _facts(source: Source, settings: Settings, hosts: Hosts, folder: Path, on_bytes: OnBytes) -> Facts:
    answer = None
    if source.is_url:
        from dashscribe.fetch import head

        answer = head(source.name, settings, trust_host=True)
    with opened(source, settings, folder, on_bytes) as path:
        media, size_bytes = hosts.probe(path, source.label), path.stat().st_size
    return Facts(media, size_bytes, answer, tuple(_breaches(media, size_bytes)))


def _breaches(media: Media, size_bytes: int) -> Iterator[Breach]:
    """The broken limits, one entry for all models that share one, retired models left out."""
    models = [model for model in MODELS.values() if not model.retired]
    fitting = [model.name for model in models if _fits(model, media, size_bytes)]
    instead = f"use {fitting[0]}, or " if fitting else ""
    for limit_bytes in sorted({model.max_bytes for model in models if 0 < model.max_bytes < size_bytes}):
        names = tuple(model.name for model in models if model.max_bytes == limit_bytes)
        remedy = f"{instead}make it smaller: ffmpeg -i INPUT -vn -ac 1 -ar 16000 -b:a 32k smaller.mp3"
        yield Breach(f"larger than {_megabytes(limit_bytes)}", names, remedy)
    for limit_ms in sorted(
        {model.max_duration_ms for model in models if 0 < model.max_duration_ms < media.duration_ms}
    ):
        names = tuple(model.name for model in models if model.max_duration_ms == limit_ms)
        remedy = f"{instead}cut it: ffmpeg -i INPUT -vn -f segment -segment_time {limit_ms // 1000} part-%03d.wav"
        yield Breach(f"longer than {shown(limit_ms)}", names, remedy)
    resampled = f"{instead}leave it: any rate is resampled here, only the cloud insists"
    for limit_hz in sorted({model.min_rate_hz for model in models if media.rate_hz < model.min_rate_hz}):
        names = tuple(model.name for model in models if model.min_rate_hz == limit_hz)
        yield Breach(f"below {limit_hz} Hz", names, resampled)
    for limit_hz in sorted({model.max_rate_hz for model in models if 0 < model.max_rate_hz < media.rate_hz}):
        names = tuple(model.name for model in models if model.max_rate_hz == limit_hz)
        yield Breach(f"above {limit_hz} Hz", names, resampled)


def _fits(model: Model, media: Media, size_bytes: int) -> bool:
    """Whether the source keeps the model's limits; 0 means that none is stated."""
    return (
        size_bytes <= (model.max_bytes or size_bytes)
        and media.duration_ms <= (model.max_duration_ms or media.duration_ms)
        and model.min_rate_hz <= media.rate_hz <= (model.max_rate_hz or media.rate_hz)
    )


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _record(source: Source, facts: Facts) -> dict[str, Any]:
    record: dict[str, Any] = {"input": source.label, "status": "ok"}
    if facts.answer:
        record["http"] = {name: value for name, value in asdict(facts.answer).items() if value is not None}
    media = {name: value for name, value in asdict(facts.media).items() if name != "url"}
    return record | media | {"size_bytes": facts.size_bytes, "breaches": [asdict(breach) for breach in facts.breaches]}


def _page(source: Source, facts: Facts) -> str:
    media = facts.media
    rows = {
        "container": media.container,
        "codec": media.codec,
        "rate": f"{media.rate_hz} Hz",
        "channels": str(media.channel_count),
        "duration": f"{shown(media.duration_ms)} ({media.duration_ms} ms)" if media.duration_ms else "not told",
        "size": f"{_megabytes(facts.size_bytes)} ({facts.size_bytes} bytes)",
    }
    if facts.answer:
        rows["http"] = f"{facts.answer.status} {facts.answer.content_type}".strip()
        if facts.answer.final_url != source.name:
            rows["leads to"] = facts.answer.final_url
    lines = [source.label, *(f"  {name:9} {value}" for name, value in rows.items())]
    if not facts.breaches:
        lines.append("  limits    within those of every model")
    for breach in facts.breaches:
        lines.append(f"  limits    {breach.limit}, beyond {', '.join(breach.models)}: {breach.remedy}")
    return "\n".join(lines) + "\n"


def _megabytes(size_bytes: int) -> str:
    """Binary megabytes, in which the service states its limits."""
    return f"{size_bytes / 1024**2:.1f} MB"
