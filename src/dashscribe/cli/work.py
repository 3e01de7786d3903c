"""Who transcribes for the command line: this machine, or a server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dashscribe import pipeline
from dashscribe.cli.sources import Source, opened
from dashscribe.config import Settings
from dashscribe.types import Options, Progress, Sentence, Transcript

if TYPE_CHECKING:
    from dashscribe.client import Client
    from dashscribe.hosts import Hosts

#: How many recordings a server is given at once by one command; it has an order of its own.
TASKS_AT_ONCE = 4
#: How long a command that ends waits, in seconds, until a server has nothing of it any more.
LEAVE_S = 5.0


class StoppedError(Exception):
    """The program is ending: whoever notices stops where it is."""


class Watcher(Protocol):
    """Sees how far one source is; what it raises ends the work on it."""

    def copied(self, received_bytes: int, total_bytes: int | None) -> None:
        """So many bytes were moved."""
        ...

    def moved(self, progress: Progress) -> None:
        """Recognition came further."""
        ...

    def said(self, sentence: Sentence) -> None:
        """The next sentence is settled."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How sources become transcripts, ``at_once`` of them; ``transcribe`` raises what is wrong with a source.

    ``stopped`` is set when nobody wants them any more; ``leave_s`` is how long the threads are then waited for at most.
    """

    at_once: int
    transcribe: Callable[[Source, Watcher], Transcript]
    stopped: threading.Event = field(default_factory=threading.Event)
    leave_s: float = 0.0


def here(options: Options, *, settings: Settings, hosts: Hosts, folder: Path) -> Work:
    """On this machine; ``options.channels`` empty means all channels of each source. ``folder`` takes copies."""

    def transcribe(source: Source, watcher: Watcher) -> Transcript:
        with opened(source, settings, folder, watcher.copied) as path:
            settled, notes = pipeline.settle_channels(options, path, source.label, hosts)
            streams = len(settled.channels) == 1 and not settled.diarize
            made = pipeline.transcribe(
                path,
                settled,
                settings=settings,
                hosts=hosts,
                on_progress=watcher.moved,
                notes=notes,
                on_sentence=(lambda _, said: watcher.said(said)) if streams else None,
            )
        return replace(made, media=replace(made.media, url=source.label))

    # One input more than there are slots, so that one is fetched and cut while the others are recognized.
    return Work(at_once=hosts.slots + 1, transcribe=transcribe)


def pause(stopped: threading.Event, seconds: float) -> None:
    """How the client of ``there`` sleeps: until it is stopped; what it then takes back may take its time."""
    if stopped.is_set():
        time.sleep(seconds)
    elif stopped.wait(seconds):
        raise StoppedError


def there(options: Options, *, settings: Settings, client: Client, folder: Path, stopped: threading.Event) -> Work:
    """By a server: files and pipes are uploaded, URLs are fetched by the server itself."""
    from dashscribe.client.whole import transcribe as ask

    def transcribe(source: Source, watcher: Watcher) -> Transcript:
        def on_progress(progress: Progress) -> None:
            if progress.moved_bytes:
                watcher.copied(progress.moved_bytes, progress.total_bytes)
            else:
                watcher.moved(progress)

        if source.is_url:
            made = ask(client, source.name, options, on_progress=on_progress)
        else:
            with opened(source, settings, folder, watcher.copied) as path:
                made = ask(client, path, options, on_progress=on_progress)
        return replace(made, media=replace(made.media, url=source.label))

    return Work(at_once=TASKS_AT_ONCE, transcribe=transcribe, stopped=stopped, leave_s=LEAVE_S)
