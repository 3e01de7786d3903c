"""How often an owner may call: the service's limits per owner and model, all keys together; off unless they are set.

Counted in this process, over a moving window, by the name that a call gives: an alias and its snapshot count apart, as
the service's table has them.
"""

from __future__ import annotations

import math
import re
import threading
import time
from typing import TYPE_CHECKING, Literal

from dashscribe.catalog import MODELS, Model, find_model
from dashscribe.config import Settings
from dashscribe.errors import ConfigError, ModelNotFoundError, RateLimitError

if TYPE_CHECKING:
    from limits import RateLimitItem

Kind = Literal["query", "list", "cancel", "upload", "hotwords"]

#: The service's limits of calls that do no recognition, per second and owner.
ASKS_PER_SECOND: dict[Kind, int] = {"query": 20, "list": 20, "cancel": 20, "upload": 100, "hotwords": 10}
#: Words in the setting: the service's own limits, and every model that has no rule of its own.
CLOUD, EVERY = "cloud", "*"
#: Counters whose calls have all left the window are forgotten this often, in seconds.
SWEEP_S = 60.0

_RULE = re.compile(r"(?P<name>[^=\s]+)\s*=\s*(?P<amount>[1-9][0-9]{0,5})\s*/\s*(?P<unit>second|minute|hour)")


class RateLimits:
    """The counters of one server. Raises RateLimitError with the seconds after which a call would be let through."""

    def __init__(self, settings: Settings) -> None:
        self._calls: dict[str, RateLimitItem] = {}
        self._asks: dict[Kind, RateLimitItem] = {}
        if not settings.rate_limits.strip():
            return
        # Takes a sixth of a second, which a server without limits need not spend at its start.
        from limits import RateLimitItemPerMinute, RateLimitItemPerSecond
        from limits.storage import MemoryStorage
        from limits.strategies import MovingWindowRateLimiter

        cloud, rules = _read(settings.rate_limits)
        if cloud:
            self._asks = {kind: RateLimitItemPerSecond(amount) for kind, amount in ASKS_PER_SECOND.items()}
            for model in MODELS.values():
                if model.submits_per_minute:
                    self._calls[model.name] = RateLimitItemPerMinute(model.submits_per_minute)
        if EVERY in rules:
            self._calls = dict.fromkeys(MODELS, rules.pop(EVERY))
        self._calls |= rules
        self._storage = MemoryStorage()
        self._limiter = MovingWindowRateLimiter(self._storage)
        self._guard = threading.Lock()
        self._swept = time.monotonic()

    def call(self, owner: str, model: Model) -> None:
        """Count a submit or a synchronous call."""
        if limit := self._calls.get(model.name):
            self._count(limit, owner, model.name)

    def ask(self, owner: str, kind: Kind) -> None:
        """Count a call that does no recognition."""
        if limit := self._asks.get(kind):
            self._count(limit, owner, kind)

    def _count(self, limit: RateLimitItem, owner: str, what: str) -> None:
        with self._guard:  # the library's own locks let two calls at a window's end both through
            self._sweep()
            if self._limiter.hit(limit, owner, what):
                return
            wait_s = self._limiter.get_window_stats(limit, owner, what).reset_time - time.time()
        raise RateLimitError(
            f"The limit of owner {owner} for {what} is {limit.amount} per {limit.GRANULARITY.name}; "
            f"the next call passes in {max(wait_s, 0):.1f} seconds.",
            max(1, math.floor(wait_s) + 1),
        )

    def _sweep(self) -> None:
        """Forget counters that are empty: the library takes calls out of them, but keeps them."""
        now = time.monotonic()
        if now - self._swept < SWEEP_S:
            return
        self._swept = now
        for key in [key for key, calls in self._storage.events.items() if not calls]:
            del self._storage.events[key]


def _read(text: str) -> tuple[bool, dict[str, RateLimitItem]]:
    """Whether the service's own limits hold, and the limits by model name that replace them. Raises ConfigError."""
    from limits import parse

    parts = [part for part in map(str.strip, text.split(",")) if part]
    rules: dict[str, RateLimitItem] = {}
    for part in parts:
        if part == CLOUD:
            continue
        found = _RULE.fullmatch(part)
        if not found:
            raise ConfigError(
                f"rate_limits={text!r}: {part!r} cannot be read; give {CLOUD}, or rules such as fun-asr=10/minute "
                "or *=5/second (1 to 999999 per second, minute or hour), separated by commas"
            )
        name = found["name"]
        try:
            rules[name if name == EVERY else find_model(name).name] = parse(f"{found['amount']}/{found['unit']}")
        except ModelNotFoundError as error:
            raise ConfigError(f"rate_limits={text!r}: {error.detail}") from error
    return CLOUD in parts, rules
