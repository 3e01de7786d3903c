"""What every step works with."""

from __future__ import annotations

import threading
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Engine

from dashscribe.catalog import Model, find_model
from dashscribe.config import Settings
from dashscribe.engines import EngineInfo
from dashscribe.fetch import Fetched, OnBytes
from dashscribe.queue.slots import PutBack
from dashscribe.queue.worker import Worker
from dashscribe.store import Store
from dashscribe.telemetry import Telemetry
from dashscribe.types import Options
from dashscribe.uploads import UploadBook

if TYPE_CHECKING:
    from dashscribe.hosts import Hosts


class ChooseEngine(Protocol):
    """As ``dashscribe.choice.choose_engine``."""

    def __call__(
        self,
        model: Model,
        languages: Sequence[str],
        settings: Settings,
        without: Container[str] = (),
        among: Collection[EngineInfo] | None = None,
    ) -> EngineInfo:
        """Raises ModelNotFoundError."""
        ...


class Fetch(Protocol):
    """Brings a source to a new file in a folder; raises SourceError."""

    def __call__(self, url: str, directory: Path, *, settings: Settings, on_bytes: OnBytes | None = None) -> Fetched:
        """As ``dashscribe.fetch.fetch``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The rooms below, and the worker that the steps run in."""

    engine: Engine
    store: Store
    uploads: UploadBook
    hosts: Hosts
    settings: Settings
    worker: Worker
    fetch: Fetch
    choose_engine: ChooseEngine
    telemetry: Telemetry = field(default_factory=Telemetry)
    #: Looks into sources at once. Downloads are many because they wait; each look keeps a decoder process busy.
    looks: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(2))

    def can_replace(self, engine: str, options: Options, why_down: str = "") -> bool:
        """Whether that engine is down, or was a moment ago (``why_down``), and another one can do its work."""
        down = self.hosts.down() | ({engine: why_down} if why_down else {})
        if engine not in down:
            return False
        return self.choose(find_model(options.model), options.languages, down).name not in down

    def choose(self, model: Model, languages: Sequence[str], down: Container[str]) -> EngineInfo:
        """The best engine that this worker has, or, where work is shared, that any of the workers has."""
        offers = self.worker.offers
        among = (
            (list(offers.engines().values()) or None) if offers else None
        )  # before any worker was seen: what is here
        return self.choose_engine(model, languages, self.settings, down, among)

    def queue_of(self, info: EngineInfo) -> str:
        """Which workers can go on with a file that is for this engine; empty for any."""
        worker = self.worker
        return worker.offers.queue_of(info, worker.member.queues or ()) if worker.offers else ""

    def pause(self, seconds: float = 0.0) -> None:
        """Wait, or only look up; raises PutBack when the worker is about to stop."""
        if self.worker.stopping.wait(seconds):
            raise PutBack
