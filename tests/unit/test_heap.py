"""Python's collector while a server starts."""

from __future__ import annotations

import gc

import pytest

from dashscribe.heap import without_collector


def test_collector_rests_during_a_start_and_leaves_alone_what_was_there() -> None:
    with without_collector():
        assert not gc.isenabled()
        kept = [[] for _ in range(1000)]
    try:
        assert gc.isenabled()
        assert gc.get_freeze_count() >= len(kept)
    finally:
        gc.unfreeze()


def test_a_start_that_fails_has_the_collector_back() -> None:
    with pytest.raises(ValueError, match="port"), without_collector():
        raise ValueError("port")
    assert gc.isenabled()
