"""``/metrics`` over HTTP: who may read it, and what a server tells after some work."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families
from wire_origin import Origin
from wire_servers import KEY, Desk, Server, assert_refused, open_desk, start_server, stop_server

from dashscribe.catalog import MODELS
from dashscribe.telemetry.metrics import METRICS
from dashscribe.wire.turns import WAITING_PER_TURN
from plain_http import loopback

SYNC = "/api/v1/services/aigc/multimodal-generation/generation"
ASYNC_ROUTE = "/api/v1/services/audio/asr/transcription"
NO_KEY = (401, "InvalidApiKey", "")
#: What the process itself is told by the client library, not by us.
PROCESS = re.compile(r"process_[a-z_]+")


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> Iterator[Server]:
    """A server that has worked: a task, synchronous calls, refusals, nonsense."""
    server = start_server(tmp_path_factory.mktemp("busy") / "home", DASHSCRIBE_RATE_LIMITS="paraformer-v1=1/hour")
    try:
        task = server.submit("fun-asr", f"{origin.url}/a.wav", f"{origin.url}/404/secret-name.wav")
        server.wait(task)
        with server.http() as http:
            for path, model in (("a.wav", "qwen3-asr-flash"), ("404/secret-name.wav", "qwen3-asr-flash")):
                content = [{"audio": f"{origin.url}/{path}"}]
                body = {"model": model, "input": {"messages": [{"role": "user", "content": content}]}}
                http.post(SYNC, json=body)
                with http.stream("POST", SYNC, json=body, headers={"X-DashScope-SSE": "enable"}) as stream:
                    stream.read()
            for _ in range(3):
                body = {"model": "paraformer-v1", "input": {"file_urls": [f"{origin.url}/a.wav"]}}
                http.post(ASYNC_ROUTE, json=body, headers={"X-DashScope-Async": "enable"})
            http.get("/secret/path?key=secret-query")
            http.get(f"/api/v1/tasks/{task}")
            http.request("BREW", "/healthz")
        yield server
    finally:
        stop_server(server)


@pytest.fixture(scope="module")
def told(busy: Server) -> dict[str, Family]:
    answer = loopback.get(f"{busy.url}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def samples(family: Family) -> dict[frozenset[tuple[str, str]], float]:
    return {frozenset(sample.labels.items()): sample.value for sample in family.samples}


def at(told: dict[str, Family], name: str, **labels: str) -> float:
    found = samples(told[f"dashscribe_{name}"])
    assert frozenset(labels.items()) in found, sorted(map(sorted, found))
    return found[frozenset(labels.items())]


def count(told: dict[str, Family], name: str, **labels: str) -> float:
    """Of a histogram."""
    family = told[f"dashscribe_{name}"]
    return next(s.value for s in family.samples if s.name.endswith("_count") and s.labels == labels)


# --- what is told ---------------------------------------------------------------------------------------------------


def test_a_task_shows_in_every_stage(told: dict[str, Family]) -> None:
    assert at(told, "files_ended", outcome="succeeded", code="") >= 1
    assert at(told, "files_ended", outcome="failed", code="InvalidFile.DownloadFailed") == 1
    assert at(told, "fetches", outcome="SourceNotFoundError") == 3, "one of the task, two of calls"
    assert at(told, "fetches", outcome="ok") >= 3
    for stage, engine in (("fetch", ""), ("cut", ""), ("recognize", "standin"), ("finish", "")):
        assert count(told, "stage_seconds", stage=stage, engine=engine) >= 1, stage
    assert at(told, "stage_audio_seconds", stage="cut", engine="") >= 3 * 3.8
    assert at(told, "stage_audio_seconds", stage="recognize", engine="standin") > 0
    assert count(told, "real_time_factor", engine="standin") >= 3
    assert at(told, "usage_audio_seconds", model="fun-asr") == pytest.approx(3.8)
    assert at(told, "usage_files", model="qwen3-asr-flash") == 2


def test_calls_show_with_model_and_status(told: dict[str, Family]) -> None:
    assert at(told, "calls", route=SYNC, model="qwen3-asr-flash", status="200") == 2
    assert at(told, "calls", route=SYNC, model="qwen3-asr-flash", status="400") == 2
    assert count(told, "call_seconds", model="qwen3-asr-flash") == 4
    assert count(told, "call_first_sentence_seconds", model="qwen3-asr-flash") == 1


def test_requests_show_by_route_and_refusals_by_reason(told: dict[str, Family]) -> None:
    assert at(told, "http_requests", method="GET", route="/api/v1/tasks/{task_id}", status="200") >= 1
    assert at(told, "http_requests", method="GET", route="other", status="404") == 1
    assert at(told, "http_requests", method="other", route="/healthz", status="400") == 1
    assert at(told, "http_requests", method="POST", route=ASYNC_ROUTE, status="429") == 2
    assert at(told, "refusals", reason="rate_limit") == 2
    assert at(told, "refusals", reason="admission") == 0


def test_children_slots_disk_and_database_show(told: dict[str, Family], busy: Server) -> None:
    assert count(told, "child_start_seconds", role="asr", engine="standin") >= 1
    assert sum(samples(told["dashscribe_children"]).values()) >= 2
    slots = samples(told["dashscribe_slots"])
    assert sum(v for labels, v in slots.items() if ("kind", "batch") in labels) == 2
    assert at(told, "disk_free_bytes") > 0
    assert at(told, "database_up") == 1
    assert len(told["dashscribe_build_info"].samples) == 1
    assert at(told, "calls_limit") == 4


def test_every_family_is_in_the_table_with_just_these_labels(told: dict[str, Family]) -> None:
    rows = {metric.name.removesuffix("_total"): metric for metric in METRICS}
    for name, family in told.items():
        if PROCESS.fullmatch(name):
            continue
        assert family.type == rows[name].kind, name
        assert family.documentation == rows[name].text, name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(rows[name].labels), sample


def test_no_label_holds_what_a_client_made_up(busy: Server, told: dict[str, Family]) -> None:
    text = loopback.get(f"{busy.url}/metrics").text
    for secret in ("secret", "127.0.0.1", KEY, KEY[:8], ".wav", "BREW", str(busy.home)):
        assert secret not in text, secret
    models = {sample.labels.get("model") for family in told.values() for sample in family.samples}
    assert models - {None} <= set(MODELS)


def test_a_second_look_finds_the_first_one_counted(busy: Server) -> None:
    loopback.get(f"{busy.url}/metrics")
    again = {f.name: f for f in text_string_to_metric_families(_fresh(busy))}
    assert at(again, "http_requests", method="GET", route="/metrics", status="200") >= 1


def _fresh(server: Server) -> str:
    import time

    time.sleep(1.1)  # the text is kept for a second
    return loopback.get(f"{server.url}/metrics").text


# --- who may read it ------------------------------------------------------------------------------------------------


def test_a_program_here_needs_no_key_and_others_do(busy: Server) -> None:
    assert loopback.get(f"{busy.url}/metrics").status_code == 200
    name = busy.url.replace("127.0.0.1", "localhost")
    assert loopback.get(f"{name}/metrics").status_code == 200
    for headers in (
        {"Host": "evil.example"},
        {"Host": "[::1"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=203.0.113.9"},
        {"X-Real-IP": "127.0.0.1"},
        {"Authorization": "Bearer wrong"},
    ):
        answer = loopback.get(f"{busy.url}/metrics", headers=headers)
        assert answer.status_code == 401, headers
        assert "dashscribe_" not in answer.text
        with_key = {**headers, "Authorization": f"Bearer {KEY}"}
        assert loopback.get(f"{busy.url}/metrics", headers=with_key).status_code == 200


def test_another_address_of_this_machine_needs_a_key(tmp_path: Path) -> None:
    address = _own_address()
    server = start_server(tmp_path / "home", "--host", "0.0.0.0")
    try:
        url = server.url.replace("127.0.0.1", address)
        assert_refused(loopback.get(f"{url}/metrics"), *NO_KEY)
        assert loopback.get(f"{url}/metrics", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    finally:
        stop_server(server)


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address but its loopback")
        address = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no address but its loopback")
    return address


def test_keys_of_other_owners_and_temporary_ones_are_refused(desk: Desk) -> None:
    """The test client is no program of this machine."""
    anonymous = {"Authorization": ""}
    assert_refused(desk.http.get("/metrics", headers=anonymous), *NO_KEY)
    assert desk.http.get("/metrics").status_code == 200
    _, other = desk.parts.keys.create("lab")
    _, own = desk.parts.keys.create()
    lent = desk.http.post("/api/v1/tokens").json()["token"]
    for key, status in ((other, 403), (lent, 403), (own, 200), ("sk-none", 401)):
        assert desk.http.get("/metrics", headers={"Authorization": f"Bearer {key}"}).status_code == status


@pytest.mark.parametrize(
    ("setting", "anonymous", "with_key"), [("open", 200, 200), ("off", 404, 404), ("key", 401, 200)]
)
def test_the_setting_decides(tmp_path: Path, setting: str, anonymous: int, with_key: int) -> None:
    with open_desk(tmp_path, metrics=setting) as desk:
        assert desk.http.get("/metrics", headers={"Authorization": ""}).status_code == anonymous
        assert desk.http.get("/metrics").status_code == with_key


def test_key_means_local_programs_too(tmp_path: Path) -> None:
    server = start_server(tmp_path / "home", DASHSCRIBE_METRICS="key")
    try:
        assert loopback.get(f"{server.url}/metrics").status_code == 401
        assert loopback.get(f"{server.url}/metrics", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    finally:
        stop_server(server)


def test_applications_in_one_process_count_apart(tmp_path: Path) -> None:
    with open_desk(tmp_path / "one") as one, open_desk(tmp_path / "two") as two:
        one.http.get("/healthz")
        names = [d.parts.telemetry.registry.get_sample_value for d in (one, two)]
        labels = {"method": "GET", "route": "/healthz", "status": "200"}
        assert [get("dashscribe_http_requests_total", labels) for get in names] == [1.0, None]


def test_too_many_calls_at_once_show_as_such(tmp_path: Path) -> None:
    with open_desk(tmp_path, calls=1, call_wait_s=0.0) as desk:
        desk.app.state.turns.places.taken = WAITING_PER_TURN  # bodies are coming in
        body = {"model": "qwen3-asr-flash", "input": {"messages": []}}
        assert desk.http.post(SYNC, json=body).status_code == 429
        families = {f.name: f for f in text_string_to_metric_families(desk.http.get("/metrics").text)}
        assert at(families, "refusals", reason="admission") == 1
        assert at(families, "calls_in_progress", state="waiting") == WAITING_PER_TURN
