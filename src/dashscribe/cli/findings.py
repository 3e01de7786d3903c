"""What ``dashscribe doctor`` looks at and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from dashscribe.config import Settings
from dashscribe.hosts import Hosts

Status = Literal["ok", "warn", "fail"]
#: Longest wait for an endpoint, for whatever listens on the port, or for a lock, in seconds.
ASK_S = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, and what to do about it, empty if that is nothing."""

    name: str
    status: Status
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is looked at, and which checks have ``failed`` so far."""

    settings: Settings
    hosts: Hosts
    host: str
    port: int
    failed: set[str] = field(default_factory=set[str])


Check = Callable[[Patient], Iterator[Finding]]
