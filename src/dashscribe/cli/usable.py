"""Settings that are read further than by their type, wherever they are used later: are they usable?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dashscribe.config import Settings
from dashscribe.enrich.censor import check_list
from dashscribe.errors import ConfigError
from dashscribe.fetch.address import Guard
from dashscribe.notify.targets import fixed_targets
from dashscribe.wire.limits import RateLimits

_READERS: tuple[Callable[[Settings], object], ...] = (
    lambda settings: Guard(settings.fetch_allow),
    lambda settings: check_list(settings.sensitive_words),
    fixed_targets,
    RateLimits,
)


def unusable(settings: Settings) -> Iterator[ConfigError]:
    """What is wrong with them: ``serve`` ends with the first of these, ``doctor`` tells them all."""
    for read in _READERS:
        try:
            read(settings)
        except ConfigError as error:
            yield error
