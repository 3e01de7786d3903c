"""What several of these tests stand on: both databases, servers on loopback."""

from __future__ import annotations

import os
from collections.abc import Iterator

import durable
import pytest
from scripted_server import Script
from weight_files import Mirror

from postgres import Cluster

#: Test files that say by themselves which database a test is about, or that are not about any.
_CHOOSE_THEMSELVES = ("test_bucket", "test_database", "test_fleet", "test_itn")


#: Test files whose homes have a bucket beside PostgreSQL; elsewhere the tests that are marked ``bucket`` have one.
#: ``DURABLE_STORE=s3`` gives it to all of them, which takes long.
_ON_A_BUCKET = ("test_steps", "test_expire", "test_speaker_steps", "test_engine_down", "test_again")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whoever works with a whole home does so on both back ends, but for what only one machine has."""
    if getattr(metafunc.module, "Home", None) is durable.Home and metafunc.module.__name__ not in _CHOOSE_THEMSELVES:
        alone = metafunc.definition.get_closest_marker("one_machine")
        metafunc.parametrize("backend", ["sqlite"] if alone else ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(autouse=True)
def backend(request: pytest.FixtureRequest, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The database of every home that the test makes."""
    kind = getattr(request, "param", "sqlite")
    if kind == "postgresql":
        cluster: Cluster = request.getfixturevalue("cluster")
        monkeypatch.setenv("DASHSCRIBE_DATABASE_URL", cluster.new_database())
        chosen = request.module.__name__ in _ON_A_BUCKET or request.node.get_closest_marker("bucket")
        if chosen or os.environ.get("DURABLE_STORE") == "s3":
            monkeypatch.setenv("DASHSCRIBE_STORE_URL", request.getfixturevalue("bucket"))
    yield kind
    durable.close_homes()


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
