"""Native code in child processes only: decoding and engines may crash, hang or leak without taking the program along.

``Hosts`` is all that the rest of the program sees. It owns who may work at once; children are in ``pool``, one child
in ``parent``, the far side in ``child``, ``media`` and ``asr``. Importing this package imports no native library.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace as change
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec
from msgspec.structs import replace

from dashscribe import weights
from dashscribe.engines import EngineInfo, find_engine, is_installed
from dashscribe.errors import EngineUnavailableError
from dashscribe.hosts.bounds import Bounds
from dashscribe.hosts.breaker import Breaker
from dashscribe.hosts.decoding import Decoding, unexpected
from dashscribe.hosts.gather import Alone, Gatherer, Ticket, alike, share
from dashscribe.hosts.installed import engine_kind, speaker_kind
from dashscribe.hosts.observing import Activity, Observer, Stopwatch, Unobserved
from dashscribe.hosts.parent import Host, Kind
from dashscribe.hosts.permits import BATCH_NICE, EXPRESS_NICE, Permits
from dashscribe.hosts.pool import Pool
from dashscribe.hosts.protocol import (
    Listen,
    Load,
    Normalize,
    OutcomeReply,
    Punctuate,
    Recognize,
    RecognizeTogether,
    Reply,
    TextReply,
    TextsReply,
    UtterancesReply,
)
from dashscribe.types import Options, Outcome, Utterance, Voices, Window, total_ms

if TYPE_CHECKING:
    from dashscribe.config import Settings

R = TypeVar("R", bound=Reply)

NORMALIZER = Kind(role="text", nice=EXPRESS_NICE)


class Hosts(Decoding):
    """All child processes of this process: a context manager, usable from any thread.

    ``slots`` recognitions run at once, whatever their engines, and ``express_slots`` more that only express calls may
    take. Media children are as many as there are callers. Of engines that ask somebody else, as many work at once as
    ``openai_concurrency`` says; the last of those places is for express calls, if there are such slots.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        slots: int,
        express_slots: int = 0,
        bounds: Bounds | None = None,
        observer: Observer | None = None,
    ) -> None:
        bounds, observer = bounds or Bounds(), observer or Unobserved()
        pool = Pool(
            self._load,
            idle_s=settings.host_idle_s,
            age_s=bounds.age_s,
            memory_bytes=settings.host_memory_mb * 1024**2,
            observer=observer,
        )
        super().__init__(settings, pool, bounds, observer)
        self.slots = slots
        self._permits = Permits(slots, express_slots)
        reserved = min(express_slots, 1, settings.openai_concurrency - 1)
        self._remote_permits = Permits(settings.openai_concurrency - reserved, reserved)
        self._breakers: dict[str, Breaker] = {}  # of engines that ask somebody else, by name
        self._guard = threading.Lock()
        self._gatherer = Gatherer()
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all children at once; calls that are waiting or running get a HostError."""
        atexit.unregister(self.close)
        self._permits.close()
        self._remote_permits.close()
        self._pool.close()

    def down(self) -> dict[str, str]:
        """Why engines that ask somebody else are not worth a call now, by name; the next ones do their work."""
        with self._guard:
            breakers = dict(self._breakers)
        return {name: reason for name, breaker in breakers.items() if (reason := breaker.reason)}

    def activity(self) -> Activity:
        """What children do now, how many slots are free, and which engines that ask somebody else are down."""
        batch, express = self._permits.places()
        remote = self._remote_permits.places()[0]
        down = self.down()
        with self._guard:
            breakers = {name: name in down for name in self._breakers}
        return Activity(self._pool.count(), {"batch": batch, "express": express, "remote": remote}, breakers)

    def recognize(
        self,
        engine: str,
        window: Window,
        options: Options,
        *,
        express: bool = False,
        first: int = 0,
        batch: int = 0,
        strict: bool = False,
        stop: threading.Event | None = None,
        on_ready: Callable[[], None] | None = None,
    ) -> Generator[Outcome]:
        """One outcome per span of the window, in order, each as it becomes ready; waits for a free slot before.

        Spans before number ``first`` are left out. ``batch`` pieces are decoded at once, 0 as many as the engine may;
        ``strict``, it is an error where they cannot be, and they are not decoded one by one instead. ``on_ready`` is
        called when slot and child are there and nothing is recognized yet, in a call of the window's own; what it
        raises is the end of it.
        Raises EngineUnavailableError when the engine cannot be opened,
        InvariantError when the window's audio does not fit its spans, HostDiedError and HostTimeoutError when the child
        does not survive it, HostError soon after ``stop`` was set, even if it was still waiting, EngineDownError when
        the engine asks somebody else in vain, or did so a short while ago.
        """
        info = find_engine(engine, self._settings)
        if not is_installed(info):
            raise EngineUnavailableError(
                f"the engine {engine!r} needs the package {info.package!r}: pip install {info.package}"
            )
        if info.aligned:
            options = change(options, refine_times=False)
        # Whoever waits for the first sentence is not to wait for its neighbors.
        request = Recognize(window, options, first, batch=1 if express else batch or info.batch, strict=strict)
        if request.batch > 1 and on_ready is None:
            yield from self._together(info, request, stop)
        else:
            yield from self._alone(info, request, express=express, stop=stop, on_ready=on_ready)

    def _alone(
        self,
        info: EngineInfo,
        request: Recognize,
        *,
        express: bool,
        stop: threading.Event | None,
        on_ready: Callable[[], None] | None = None,
    ) -> Generator[Outcome]:
        """The outcomes of one window in a call of its own."""
        with (
            self._remote_place(info, express=express, stop=stop),
            self._permits.held(express=express, stop=stop) as nice,
            self._watched(info, stop) as answered,
            closing(self._answers(info, nice, request, self._limit_s(info, [request]), stop, on_ready)) as replies,
        ):
            for reply in replies:
                answered()
                yield reply.outcome

    def _together(self, info: EngineInfo, request: Recognize, stop: threading.Event | None) -> Generator[Outcome]:
        """The outcomes of one window, in a call with others that wait for a slot and want the same; see ``gather``."""
        ticket, key = Ticket(request), (engine_kind(info, BATCH_NICE), alike(request))
        with (
            self._gatherer.waiting(key, ticket),
            self._permits.held(express=False, stop=stop, unless=ticket.taken) as nice,
        ):
            company = self._gatherer.company(key, ticket)
            if company:
                self._permits.wake()  # those who come along need no slot any more
                requests = [other.request for other in company]
                # Nobody's departure may end the work of the others.
                leave = stop if len(company) == 1 else None
                limit_s = self._limit_s(info, requests)
                share(company, self._answers(info, nice, RecognizeTogether(tuple(requests)), limit_s, leave))
        brought = 0
        try:
            for outcome in ticket.outcomes(stop):
                brought += 1
                yield outcome
        except Alone:
            rest = replace(request, first=request.first + brought)
            yield from self._alone(info, rest, express=False, stop=stop)

    def _answers(
        self,
        info: EngineInfo,
        nice: int,
        request: Recognize | RecognizeTogether,
        limit_s: float,
        stop: threading.Event | None,
        on_ready: Callable[[], None] | None = None,
    ) -> Generator[OutcomeReply]:
        """What a child of the engine answers."""
        kind, watch = engine_kind(info, nice), Stopwatch()
        with self._pool.borrowed(kind, stop) as host:
            if on_ready:
                on_ready()
            with closing(host.call(request, limit_s, stop)) as replies:
                for reply in watch.over(replies):
                    if not isinstance(reply, OutcomeReply):
                        raise unexpected(reply)
                    yield reply
        requests = request.requests if isinstance(request, RecognizeTogether) else (request,)
        speech_ms = sum(total_ms(one.window.spans[one.first :]) for one in requests)
        self._observer.worked("recognize", info.name, speech_ms, watch.seconds)

    def _limit_s(self, info: EngineInfo, requests: Sequence[Recognize]) -> float:
        """How long a child may take for its next answer, in seconds: some of the longest spans may come at once."""
        longest_ms = max((span.duration_ms for r in requests for span in r.window.spans), default=0)
        at_once = min(requests[0].batch, self._bounds.at_once)
        limit_s = self._bounds.speech_s + self._bounds.per_speech_s * at_once * longest_ms / 1000
        if info.remote:
            limit_s += 2 * self._settings.openai_timeout_s  # what is heard as nothing is asked for twice
        return limit_s

    @contextmanager
    def _remote_place(self, info: EngineInfo, *, express: bool, stop: threading.Event | None) -> Generator[None]:
        """A place among the engines that ask somebody else, waited for before a slot is, which any engine may use."""
        if not info.remote:
            yield
            return
        with self._remote_permits.held(express=express, stop=stop):
            self._breaker(info).check(stop)
            yield

    def _watched(self, info: EngineInfo, stop: threading.Event | None) -> AbstractContextManager[Callable[[], None]]:
        """Keep book of whether the engine answers, if it asks somebody else; yields what to call with each answer."""
        return self._breaker(info).asking(stop) if info.remote else nullcontext(lambda: None)

    def _breaker(self, info: EngineInfo) -> Breaker:
        with self._guard:
            return self._breakers.setdefault(info.name, Breaker(info.name, self._settings.openai_pause_s))

    def punctuator(self) -> Callable[[str], str] | None:
        """What puts marks into bare text: an installed model in a child of its own; None if there is none.

        The callable raises HostError when the child fails, WeightsError when the model is damaged.
        """
        model = weights.find_task(self._settings.resolved_models_dir, "punctuation")
        if model is None:
            return None
        kind = Kind(role="text", weights=model.name, version=model.digest, nice=EXPRESS_NICE)

        def punctuate(text: str) -> str:
            with self._pool.borrowed(kind) as host, closing(host.call(Punctuate(text), self._bounds.text_s)) as replies:
                reply = next(replies, None)
            if not isinstance(reply, TextReply):
                raise unexpected(reply)
            return reply.text

        return punctuate

    def normalizer(self) -> Callable[[Sequence[str], str], Sequence[str]]:
        """What writes the numbers of texts in a language, ``zh`` or ``en``, as digits: in a child of its own.

        The child starts with the first call. The callable raises HostError when it fails.
        """

        def normalize(texts: Sequence[str], language: str) -> Sequence[str]:
            request = Normalize(tuple(texts), language)
            with (
                self._pool.borrowed(NORMALIZER) as host,
                closing(host.call(request, self._bounds.text_s)) as replies,
            ):
                reply = next(replies, None)
            if not isinstance(reply, TextsReply) or len(reply.texts) != len(texts):
                raise unexpected(reply)
            return reply.texts

        return normalize

    def voices_version(self) -> str:
        """What would tell voices apart now: part of a result's identity, as an engine's version is."""
        return speaker_kind(self._settings).version

    def voices(
        self, window: Window, *, express: bool = False, segmented: bool = True, stop: threading.Event | None = None
    ) -> Voices:
        """Who is heard in a window, by installed models or else by pitch and spectrum; waits for a free slot before.

        Not ``segmented``, a segmentation is left out: utterances end at pauses then.

        Raises HostError when the child fails, WeightsError when a model is damaged.
        """
        limit_s = self._bounds.speech_s + self._bounds.per_speech_s * window.speech_ms / 1000
        utterances, same_speaker = list[Utterance](), Voices().same_speaker
        with self._permits.held(express=express, stop=stop):
            kind = speaker_kind(self._settings, segmented=segmented)
            request, watch = Listen(window), Stopwatch()
            with self._pool.borrowed(kind, stop) as host, closing(host.call(request, limit_s, stop)) as replies:
                for reply in watch.over(replies):
                    if not isinstance(reply, UtterancesReply):
                        raise unexpected(reply)
                    utterances += reply.utterances
                    same_speaker = reply.same_speaker
            self._observer.worked("listen", "", window.speech_ms, watch.seconds)
        left_out = bool(speaker_kind(self._settings).annotator) and not kind.annotator
        return Voices(tuple(utterances), bool(kind.weights), same_speaker, unsegmented=left_out)

    def _load(self, host: Host, stop: threading.Event | None) -> None:
        """Make a new child ready: engine and text children open their model."""
        if host.kind.role != "media":
            load = Load(self._settings_for(host.kind), host.kind.weights, host.kind.annotator, host.kind.tagger)
            for reply in host.call(load, self._bounds.load_s, stop):
                raise unexpected(reply)

    def _settings_for(self, kind: Kind) -> bytes:
        """The settings as JSON, without any secret but the one that the engine works with."""
        from pydantic import SecretStr  # here, since this side loads quickly; settings bring it along anyway

        secrets = {name: value.get_secret_value() for name, value in self._settings if isinstance(value, SecretStr)}
        told = self._settings.model_dump(mode="json", exclude=set(secrets))
        return msgspec.json.encode(told | {name: value for name, value in secrets.items() if name == kind.secret})
