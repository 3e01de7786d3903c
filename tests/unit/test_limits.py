"""Rate limits: what the setting means, whom a limit counts together, and when the next call passes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dashscribe.catalog import MODELS, find_model
from dashscribe.config import Settings
from dashscribe.errors import ConfigError, RateLimitError
from dashscribe.wire.limits import ASKS_PER_SECOND, RateLimits

FUN_ASR = find_model("fun-asr")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of day that counting sees, as its only item."""
    now = [1_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def limits(text: str) -> RateLimits:
    return RateLimits(Settings(home=Path("unused"), rate_limits=text))


def passed(limits: RateLimits, count: int, owner: str = "ann", model: str = "fun-asr") -> int:
    """How many of so many calls pass."""
    done = 0
    for _ in range(count):
        try:
            limits.call(owner, find_model(model))
            done += 1
        except RateLimitError:
            break
    return done


@pytest.mark.parametrize("text", ["", "  ", ",", " , "])
def test_without_a_setting_nothing_is_limited(text: str) -> None:
    off = limits(text)
    assert passed(off, 5000) == 5000
    for _ in range(500):
        off.ask("ann", "hotwords")


@pytest.mark.parametrize("text", ["cloud", " cloud ,"])
def test_cloud_means_the_figures_of_the_catalog(text: str, clock: list[float]) -> None:
    cloud = limits(text)
    for model in ("fun-asr", "paraformer-v2", "qwen3-asr-flash"):
        assert passed(cloud, 2000, model=model) == MODELS[model].submits_per_minute
    assert passed(cloud, 3000, model="qwen-audio-asr") == 3000  # the service states none
    for kind, most in ASKS_PER_SECOND.items():
        for _ in range(most):
            cloud.ask("ann", kind)
        with pytest.raises(RateLimitError):
            cloud.ask("ann", kind)
        cloud.ask("bob", kind)


def test_owners_and_models_count_apart_and_an_alias_apart_from_its_snapshot(clock: list[float]) -> None:
    some = limits("*=2/minute")
    assert passed(some, 5) == 2
    assert passed(some, 5, owner="bob") == 2
    assert passed(some, 5, model="fun-asr-2025-11-07") == 2
    assert passed(some, 5) == 0


def test_rule_of_a_model_comes_before_every_and_every_before_cloud(clock: list[float]) -> None:
    some = limits("fun-asr=1/minute,cloud,*=3/hour")
    assert passed(some, 9) == 1
    assert passed(some, 9, model="paraformer-v2") == 3
    some = limits("cloud, fun-asr = 10 / minute")
    assert passed(some, 99) == 10
    assert passed(some, 9999, model="paraformer-v2") == 1200


def test_rules_alone_limit_no_other_model_and_no_other_call(clock: list[float]) -> None:
    some = limits("fun-asr=1/second")
    assert passed(some, 50, model="paraformer-v2") == 50
    for _ in range(50):
        some.ask("ann", "query")


@pytest.mark.parametrize(("unit", "window_s"), [("second", 1), ("minute", 60), ("hour", 3600)])
def test_call_passes_after_the_seconds_that_the_refusal_names(unit: str, window_s: int, clock: list[float]) -> None:
    some = limits(f"fun-asr=2/{unit}")
    some.call("ann", FUN_ASR)
    clock[0] += window_s * 0.25
    some.call("ann", FUN_ASR)
    with pytest.raises(RateLimitError) as caught:
        some.call("ann", FUN_ASR)
    wait_s = caught.value.retry_after_s
    assert window_s * 0.75 <= wait_s <= window_s * 0.75 + 1
    assert wait_s >= 1
    clock[0] += window_s * 0.75 - 0.001
    assert passed(some, 1) == 0
    clock[0] += wait_s - window_s * 0.75 + 0.001
    assert passed(some, 2) >= 1


def test_refusal_says_who_what_and_how_many(clock: list[float]) -> None:
    some = limits("fun-asr=1/minute")
    some.call("ann", FUN_ASR)
    with pytest.raises(RateLimitError) as caught:
        some.call("ann", FUN_ASR)
    assert caught.value.message.startswith("Requests rate limit exceeded, please try again later. ")
    for told in ("owner ann", "fun-asr", "1 per minute", "60.0 seconds"):
        assert told in caught.value.message


def test_refused_calls_do_not_count(clock: list[float]) -> None:
    some = limits("fun-asr=1/minute")
    assert passed(some, 1) == 1
    for _ in range(30):
        clock[0] += 2.0
        if passed(some, 1):
            break
    assert 1_000_060.0 <= clock[0] <= 1_000_062.0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("clouds", "clouds"),
        ("fun-asr", "fun-asr=10/minute"),
        ("fun-asr=0/minute", "fun-asr=0/minute"),
        ("fun-asr=-1/minute", "fun-asr=-1/minute"),
        ("fun-asr=10/day", "hour"),
        ("fun-asr=10", "fun-asr=10"),
        ("fun-asr=1.5/minute", "1.5"),
        ("fun-asr=1000000/minute", "999999"),
        ("fun-asrr=10/minute", "did you mean fun-asr"),
        ("cloud;fun-asr=1/minute", "cloud;"),
        ("cloud,nonsense", "nonsense"),
    ],
)
def test_unusable_setting_is_told_at_the_start(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        limits(text)
    assert "rate_limits" in str(caught.value)
    assert told in str(caught.value)


def test_counters_that_ran_out_are_forgotten(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashscribe.wire.limits.SWEEP_S", 0.0)
    some = limits("*=5/second")
    for number in range(200):
        some.call(f"owner-{number}", FUN_ASR)
    clock[0] += 2.0
    deadline = time.monotonic() + 10
    while len(some._storage.events) > 5:  # the library empties them in a thread of its own
        assert time.monotonic() < deadline
        some.call("ann", FUN_ASR)
        clock[0] += 0.3
        time.sleep(0.02)
