"""Does a server count what happens, once, and tell it without anything that a client made up?"""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from durable import Home, cut_by_hand, patient_stop, run, shorten_waits, source, speech
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert, update

from dashscribe import usage
from dashscribe.db import now_ms, tables, writing
from dashscribe.errors import HostDiedError, RateLimitError
from dashscribe.errors.sources import SourceNotFoundError
from dashscribe.steps import expire
from dashscribe.telemetry import Telemetry, lookups, metrics
from dashscribe.telemetry.lookups import Rows, Scrape

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE_FILE = CHECKOUT / "docs" / "observability.md"
PAGE = PAGE_FILE.read_text(encoding="utf-8")

Values = dict[tuple[str, ...], float]


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)
    patient_stop(monkeypatch)
    # Rows that are slow to look at are kept for a while, and on a busy machine all of them are slow.
    monkeypatch.setattr(lookups, "KEPT_FROM_S", 3600.0)


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


def value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(f"dashscribe_{name}", labels)


def found(rows: Rows) -> dict[str, Values]:
    return {metric.name.removeprefix("dashscribe_"): dict(values) for metric, values in rows()}


def families(text: bytes) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    return {
        family.name: {tuple(sorted(s.labels.items())): s.value for s in family.samples}
        for family in text_string_to_metric_families(text.decode())
    }


# --- the table ------------------------------------------------------------------------------------------------------


def test_the_page_shows_the_table_of_the_code() -> None:
    assert metrics.table() in PAGE, "write `dashscribe.telemetry.metrics.table()` into docs/observability.md anew"


def test_the_chinese_page_has_the_same_rows() -> None:
    """Metrics, kinds and labels are those of the code; what they say is in Chinese."""
    page = PAGE_FILE.with_name("observability.zh.md").read_text(encoding="utf-8")

    def rows(text: str) -> list[list[str]]:
        return [line.split(" | ")[:3] for line in text.splitlines() if line.startswith("| `dashscribe_")]

    assert rows(page) == rows(metrics.table())


def test_every_name_in_the_examples_of_the_page_exists() -> None:
    told = {metric.name for metric in metrics.METRICS}
    told |= {
        f"{m.name}_{part}" for m in metrics.METRICS if m.kind == "histogram" for part in ("sum", "count", "bucket")
    }
    named = set(re.findall(r"dashscribe_[a-z_]+", PAGE))
    assert named >= {"dashscribe_queue_age_seconds", "dashscribe_child_ends_total"}
    assert named <= told


@pytest.mark.parametrize(("number", "kind"), [(0, "config"), (1, "rules")])
def test_prometheus_itself_reads_the_examples_of_the_page(tmp_path: Path, number: int, kind: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    example = tmp_path / "example.yml"
    example.write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[number], encoding="utf-8")
    done = subprocess.run([promtool, "check", kind, example], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_itself_finds_nothing_to_complain_of(telemetry: Telemetry) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    telemetry.worked("recognize", "standin", 1000, 0.1)
    text = Scrape(telemetry.registry, [lookups.of_build]).text()
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_kinds_and_names_go_together() -> None:
    families = {metric.name.removesuffix("_total") for metric in metrics.METRICS}
    assert len(families) == len(metrics.METRICS), "a counter's family has its name without _total"
    for metric in metrics.METRICS:
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric
        assert bool(metric.buckets) == (metric.kind == "histogram"), metric
        assert list(metric.buckets) == sorted(set(metric.buckets)), metric


# --- what is counted ------------------------------------------------------------------------------------------------


def test_servers_in_one_process_do_not_share_counters(telemetry: Telemetry) -> None:
    telemetry.refused("disk")
    assert value(telemetry, "refusals_total", reason="disk") == 1
    assert value(Telemetry(), "refusals_total", reason="disk") == 0


def test_a_task_is_counted_step_by_step(tmp_path: Path) -> None:
    home = Home(tmp_path, {"http://o/a": speech(2), "http://o/gone": SourceNotFoundError("o has none")})
    try:
        task = run(home, "http://o/a", "http://o/gone")
    finally:
        home.worker.stop()
    assert [subtask.code for subtask in task.subtasks] == ["", "InvalidFile.DownloadFailed"]
    counted = {
        (name, *labels.values()): value(home.telemetry, name, **labels)
        for name, labels in (
            ("steps_total", {"step": "fetch", "outcome": "done"}),
            ("steps_total", {"step": "fetch", "outcome": "source"}),
            ("steps_total", {"step": "cut", "outcome": "done"}),
            ("steps_total", {"step": "recognize", "outcome": "done"}),
            ("steps_total", {"step": "finish", "outcome": "done"}),
            ("fetches_total", {"outcome": "ok"}),
            ("fetches_total", {"outcome": "SourceNotFoundError"}),
            ("files_ended_total", {"outcome": "succeeded", "code": ""}),
            ("files_ended_total", {"outcome": "failed", "code": "InvalidFile.DownloadFailed"}),
            ("windows_ended_total", {"outcome": "done"}),
            ("windows_ended_total", {"outcome": "given_up"}),
            ("stage_seconds_count", {"stage": "fetch", "engine": ""}),
            ("stage_seconds_count", {"stage": "finish", "engine": ""}),
        )
    }
    expected = dict.fromkeys(counted, 1.0)
    expected["steps_total", "recognize", "done"] = expected["windows_ended_total", "done"] = 2.0
    expected["windows_ended_total", "given_up"] = 0.0
    assert counted == expected


def test_a_window_that_is_given_up_and_an_empty_file_are_counted(tmp_path: Path) -> None:
    home = Home(tmp_path, {"http://o/a": speech(1), "http://o/silent": source(duration_ms=2000)})

    def die(sound: str) -> None:
        raise HostDiedError("killed")

    home.hosts.on_recognize = die
    try:
        task = run(home, "http://o/a", "http://o/silent")
    finally:
        home.worker.stop()
    assert [s.code for s in task.subtasks] == ["InternalError.Algo", "SUCCESS_WITH_NO_VALID_FRAGMENT"]
    assert value(home.telemetry, "steps_total", step="recognize", outcome="host") == 3
    assert value(home.telemetry, "windows_ended_total", outcome="given_up") == 1
    for code in ("InternalError.Algo", "SUCCESS_WITH_NO_VALID_FRAGMENT"):
        assert value(home.telemetry, "files_ended_total", outcome="failed", code=code) == 1


def test_a_download_that_is_called_off_is_no_fault_of_its_source(telemetry: Telemetry) -> None:
    with pytest.raises(RuntimeError), telemetry.fetching():
        raise RuntimeError("the disk became full")
    assert value(telemetry, "fetches_total", outcome="aborted") == 1
    assert value(telemetry, "stage_seconds_count", stage="fetch", engine="") is None


def test_the_real_time_factor_is_work_per_speech(telemetry: Telemetry) -> None:
    telemetry.worked("recognize", "sensevoice", 30_000, 3.0)
    telemetry.worked("cut", "", 60_000, 0.5)
    assert value(telemetry, "real_time_factor_sum", engine="sensevoice") == pytest.approx(0.1)
    assert value(telemetry, "real_time_factor_bucket", engine="sensevoice", le="0.05") == 0
    assert value(telemetry, "real_time_factor_bucket", engine="sensevoice", le="0.2") == 1
    assert value(telemetry, "stage_audio_seconds_total", stage="recognize", engine="sensevoice") == 30
    assert value(telemetry, "stage_audio_seconds_total", stage="cut", engine="") == 60
    assert value(telemetry, "stage_seconds_sum", stage="cut", engine="") == 0.5


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RateLimitError("slow down"), "429"),
        (ZeroDivisionError(), "500"),
        (GeneratorExit(), "499"),
        (asyncio.CancelledError(), "canceled"),
    ],
)
def test_a_call_is_counted_by_what_came_of_it(telemetry: Telemetry, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), telemetry.calling("/route", "fun-asr-flash"):
        raise error
    assert value(telemetry, "calls_total", route="/route", model="fun-asr-flash", status=status) == 1
    assert value(telemetry, "call_seconds_count", model="fun-asr-flash") == 1
    assert value(telemetry, "call_first_sentence_seconds_count", model="fun-asr-flash") is None


def test_a_call_that_is_done_counts_as_such_whoever_leaves_after_it(telemetry: Telemetry) -> None:
    with pytest.raises(GeneratorExit), telemetry.calling("/route", "m") as progress:
        progress.sentence()
        progress.sentence()
        progress.done()
        raise GeneratorExit
    assert value(telemetry, "calls_total", route="/route", model="m", status="200") == 1
    assert value(telemetry, "call_first_sentence_seconds_count", model="m") == 1


# --- what is looked up ----------------------------------------------------------------------------------------------


def test_rows_tell_depth_age_and_waiting_sound(tmp_path: Path) -> None:
    home = Home(tmp_path, {"http://o/a": speech(3), "http://o/b": speech(1)})
    cut_by_hand(home, "http://o/a", owner="ann")
    home.submit("http://o/b", "http://o/b", owner="bob")
    with writing(home.engine) as connection:
        for owner, age_s in (("ann", 500), ("bob", 100)):
            row = tables.tasks.c.owner == owner
            connection.execute(update(tables.tasks).where(row).values(submitted_ms=now_ms() - age_s * 1000))
    told = found(Rows(home.engine, owners=False))
    assert told["tasks"] == {("PENDING",): 1, ("RUNNING",): 1}
    assert told["oldest_task_seconds"][("RUNNING",)] == pytest.approx(500, abs=30)
    assert told["oldest_task_seconds"][("PENDING",)] == pytest.approx(100, abs=30)
    assert told["files"] | {("waiting",): 2.0, ("recognizing",): 1.0} == told["files"]
    assert sum(told["files"].values()) == 3
    assert told["windows"] | {("ready",): 3.0} == told["windows"]
    assert sum(told["windows"].values()) == 3
    assert told["waiting_audio_seconds"] == {(): 90.0}
    ages = told["queue_age_seconds"]
    assert (ages[("cut",)], ages[("finish",)]) == (0.0, 0.0)
    assert ages[("fetch",)] == pytest.approx(100, abs=30)
    assert ages[("recognize",)] == pytest.approx(500, abs=30)
    assert told["database_up"] == {(): 1.0}


def test_usage_adds_up_over_days_owners_and_keys(tmp_path: Path) -> None:
    home = Home(tmp_path)
    day = datetime.now(UTC).date()
    with writing(home.engine) as connection:
        for ago, owner, key, model in (
            (400, "ann", "1", "a"),
            (1, "ann", "2", "a"),
            (0, "bob", "3", "a"),
            (0, "bob", "3", "b"),
        ):
            row = {"day": (day - timedelta(days=ago)).isoformat(), "owner": owner, "key_id": key, "model": model}
            connection.execute(insert(tables.usage).values(**row, files=2, duration_ms=1500))
    rows = Rows(home.engine, owners=False)
    assert found(rows)["usage_audio_seconds_total"] == {("a",): 4.5, ("b",): 1.5}
    assert found(rows)["usage_files_total"] == {("a",): 6, ("b",): 2}, "days that are over count once"
    with writing(home.engine) as connection:
        usage.book(connection, owner="bob", key_id="3", model="b", duration_ms=500)
    assert found(rows)["usage_audio_seconds_total"][("b",)] == 2.0
    by_owner = found(Rows(home.engine, owners=True))["usage_audio_seconds_total"]
    assert by_owner == {("a", "ann"): 3.0, ("a", "bob"): 1.5, ("b", "bob"): 2.0}
    text = Scrape(CollectorRegistry(), [Rows(home.engine, owners=True)]).text()
    assert (("model", "a"), ("owner", "ann")) in families(text)["dashscribe_usage_audio_seconds"]


def test_usage_survives_a_clock_that_jumps_ahead_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    rows = Rows(home.engine, owners=False)

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(days=1000)

    with writing(home.engine) as connection:
        usage.book(connection, owner="ann", key_id="1", model="a", duration_ms=1000)
    with monkeypatch.context() as patched:
        patched.setattr(lookups, "datetime", Ahead)
        assert found(rows)["usage_audio_seconds_total"] == {("a",): 1.0}
    with writing(home.engine) as connection:
        usage.book(connection, owner="ann", key_id="1", model="a", duration_ms=1000)
    assert found(rows)["usage_audio_seconds_total"] == {("a",): 2.0}


@pytest.mark.one_machine
def test_without_the_database_the_rest_is_still_told(tmp_path: Path, telemetry: Telemetry) -> None:
    home = Home(tmp_path)
    home.engine.dispose()
    for path in tmp_path.glob("dashscribe.db*"):
        path.unlink()
    telemetry.refused("disk")
    text = families(Scrape(telemetry.registry, [Rows(home.engine, owners=False), lookups.of_build]).text())
    assert text["dashscribe_database_up"] == {(): 0.0}
    assert "dashscribe_tasks" not in text
    assert text["dashscribe_refusals"][(("reason", "disk"),)] == 1
    assert list(text["dashscribe_build_info"].values()) == [1.0]


def test_a_disk_that_is_gone_is_left_out() -> None:
    def gone() -> int:
        raise FileNotFoundError("/store")

    assert [metric.name for metric, _ in lookups.of_disk(gone, 5)] == ["dashscribe_disk_reserve_bytes"]


def test_rows_that_take_long_to_look_at_are_looked_at_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "KEPT_FROM_S", 0.05)
    home, clock = Home(tmp_path, {"http://o/a": speech(1)}), [100.0]
    rows, took_s = Rows(home.engine, owners=False), [0.5]

    def slowly(connection: object) -> Iterator[tuple[metrics.Metric, lookups.Values]]:
        clock[0] += took_s[0]
        yield metrics.TASKS, {("PENDING",): clock[0]}

    monkeypatch.setattr(lookups, "_queue", slowly)
    monkeypatch.setattr(lookups.time, "monotonic", lambda: clock[0])
    assert found(rows)["tasks"] == {("PENDING",): 100.5}
    clock[0] = 109.9
    assert found(rows)["tasks"] == {("PENDING",): 100.5}
    clock[0], took_s[0] = 110.1, 0.01
    assert found(rows)["tasks"] == {("PENDING",): 110.11}
    assert found(rows)["tasks"] == {("PENDING",): 110.12}  # quickly found is found anew


def test_files_of_a_task_that_came_too_late_are_counted(tmp_path: Path) -> None:
    home = Home(tmp_path, {"http://o/a": speech(1)}, task_timeout_s=100)
    home.submit("http://o/a", "http://o/a")
    with writing(home.engine) as connection:
        connection.execute(update(tables.tasks).values(submitted_ms=now_ms() - 200_000))
    rounds = expire.Rounds(home.bench)
    rounds.tidy()
    rounds.tidy()
    assert value(home.telemetry, "files_ended_total", outcome="failed", code="InternalError.Timeout") == 2


def test_many_who_ask_at_once_cost_one_look(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[None] = []

    def look() -> Iterator[tuple[metrics.Metric, lookups.Values]]:
        asked.append(None)
        yield metrics.DATABASE_UP, {(): len(asked)}

    monkeypatch.setattr(lookups, "FRESH_S", 3600.0)
    scrape = Scrape(telemetry.registry, [look])
    first = scrape.text()
    telemetry.refused("disk")
    assert scrape.text() is first
    monkeypatch.setattr(lookups, "FRESH_S", -1.0)
    assert families(scrape.text())["dashscribe_database_up"] == {(): 2.0}


def test_instants_of_creation_are_left_out(telemetry: Telemetry) -> None:
    telemetry.worked("cut", "", 1000, 0.1)
    assert b"_created" in generate_latest(telemetry.registry), "else there is nothing to leave out any more"
    assert b"_created" not in Scrape(telemetry.registry, []).text()
