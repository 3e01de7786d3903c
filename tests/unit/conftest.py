"""Servers on loopback that several of these tests talk to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scripted_server import Script
from weight_files import Mirror


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reach loopback directly whatever proxy the machine has."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """A server that models are pulled from."""
    server = Mirror()
    yield server
    server.close()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """A server that answers by script, asked again without delay."""
    monkeypatch.setattr("dashscribe.client.FIRST_POLL_S", 0.01)
    server = Script()
    yield server
    server.close()
