"""What a collector is sent and what the log tells, by a real server: one trace from a request to its end."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from wire_origin import Origin
from wire_servers import ASYNC, SUBMIT, Server, start_server, stop_server

SECRET_URL = "ftp://alice:hunter2hunter2@files.example/a.wav"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(ThreadingHTTPServer):
    """Takes spans over OTLP/HTTP."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        super().__init__(("127.0.0.1", 0), _Taking)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def take(self, data: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
            about = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            self.services.add(about["service.name"])
            for scope in resource.scope_spans:  # what was not acknowledged in time comes again
                known = {span.span_id for span in self.spans}
                self.spans.extend(span for span in scope.spans if span.span_id not in known)


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        self.server.take(self.rfile.read(int(self.headers["content-length"])))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass
class Traced:
    spans: list[Span]
    services: set[str]
    task_id: str
    request_id: str
    lines: list[dict[str, Any]]

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Span:
        (span,) = self.named(name)
        return span


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, origin: Origin) -> Iterator[Traced]:
    """A task of a good source, one that is gone and one that is no source, submitted here and worked on there."""
    collector, home = Collector(), tmp_path_factory.mktemp("traced") / "home"
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "DASHSCRIBE_LOG_FORMAT": "json",
    }
    server = start_server(home, "--no-worker", **settings)
    urls = [origin("a.wav"), origin("a.wav").rsplit("/", 1)[0] + "/404/gone.wav", SECRET_URL]
    body = {"model": "fun-asr", "input": {"file_urls": urls}}
    with server.http() as http:
        parent = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
        answer = http.post(SUBMIT, json=body, headers=ASYNC | parent)
    stop_server(server)
    lines = _log(server)
    task_id = answer.json()["output"]["task_id"]
    server = start_server(home, **settings)
    assert server.wait(task_id)["output"]["task_status"] == "SUCCEEDED"
    stop_server(server)
    collector.shutdown()
    yield Traced(collector.spans, collector.services, task_id, answer.json()["request_id"], lines + _log(server))


def _log(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]


def attributes(span: Span) -> dict[str, Any]:
    values = {pair.key: pair.value for pair in span.attributes}
    return {name: getattr(value, value.WhichOneof("value")) for name, value in values.items()}


def test_request_goes_on_with_the_callers_trace(traced: Traced):
    request = traced.one(f"POST {SUBMIT}")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, CALLER)
    assert request.kind == Span.SPAN_KIND_SERVER
    assert attributes(request)["http.response.status_code"] == 200
    assert attributes(request)["dashscribe.request_id"] == traced.request_id
    assert traced.services == {"dashscribe"}


def test_steps_belong_to_the_submit_call_whichever_process_does_them(traced: Traced):
    submit = traced.one("submit")
    assert submit.parent_span_id == traced.one(f"POST {SUBMIT}").span_id
    assert attributes(submit)["dashscribe.task_id"] == traced.task_id
    for name, count in {"fetch": 3, "cut": 1, "recognize": 1, "finish": 1}.items():
        found = traced.named(name)
        assert len(found) == count, name
        for span in found:
            assert (span.trace_id.hex(), span.parent_span_id) == (TRACE, submit.span_id)
            assert attributes(span)["dashscribe.task_id"] == traced.task_id
    assert attributes(traced.one("recognize"))["dashscribe.window"] == "0-0"
    assert attributes(traced.one("recognize"))["dashscribe.engine"] == "standin"
    fetches = {span.span_id for span in traced.named("fetch")}
    assert {span.parent_span_id for span in traced.named("download")} == fetches


def test_step_that_failed_says_why(traced: Traced):
    good, gone, _ = sorted(traced.named("fetch"), key=lambda span: attributes(span)["dashscribe.file"])
    assert attributes(good)["dashscribe.outcome"] == "done"
    assert attributes(gone)["dashscribe.outcome"] == "source"
    assert "404" in gone.status.message
    assert gone.events[0].name == "exception"


def test_secrets_of_urls_are_not_told_to_the_collector(traced: Traced):
    *_, refused = sorted(traced.named("fetch"), key=lambda span: attributes(span)["dashscribe.file"])
    (event,) = refused.events
    told = {pair.key: pair.value.string_value for pair in event.attributes}
    assert told["exception.type"] == "dashscribe.errors.sources.SourceUrlError"
    for text in (refused.status.message, told["exception.message"], told["exception.stacktrace"]):
        assert "ftp://alice:********@files.example" in text
    assert not [span.name for span in traced.spans if b"hunter2" in span.SerializeToString()]


def test_request_without_a_trace_begins_one(traced: Traced):
    query = traced.named("GET /api/v1/tasks/{task_id}")[0]
    assert not query.parent_span_id
    assert query.trace_id.hex() != TRACE


def test_lines_of_the_work_tell_request_task_file_and_owner(traced: Traced):
    lines = [line for line in traced.lines if "failed: InvalidFile.DownloadFailed" in line["message"]]
    gone, _ = sorted(lines, key=lambda line: line["file"])
    about = {"request_id": traced.request_id, "task_id": traced.task_id, "file": 1, "owner": "default"}
    assert about.items() <= gone.items()


def test_every_answered_request_has_a_line(traced: Traced):
    (line,) = [line for line in traced.lines if line.get("method") == "POST"]
    told = {"route": SUBMIT, "status": 200, "request_id": traced.request_id, "owner": "default", "level": "INFO"}
    assert told.items() <= line.items()
    assert line["ms"] >= 0
    assert not any(line.get("route") == "/readyz" for line in traced.lines)


def test_access_lines_can_be_switched_off(tmp_path: Path):
    running = start_server(tmp_path / "home", "--no-worker", DASHSCRIBE_ACCESS_LOG="false")
    with running.http() as http:
        assert http.get("/api/v1/tasks").status_code == 200
    stop_server(running)
    assert "/api/v1/tasks" not in running.log.read_text()


def test_nothing_of_it_is_imported_without_a_collector():
    program = (
        "import sys; from dashscribe.telemetry.tracing import open_traces, NoTraces; "
        "print(isinstance(open_traces(), NoTraces), any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
