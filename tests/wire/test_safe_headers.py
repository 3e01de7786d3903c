"""What browsers are told: no guessing of types, no frames, no copies, no answers for pages of other origins."""

from __future__ import annotations

import base64
import hashlib
import re

import httpx
import pytest
from wire_servers import Desk

from dashscribe.wire.headers import HEADERS


def answers(desk: Desk) -> dict[str, httpx.Response]:
    """One answer of each kind."""
    task_id = desk.task()
    http = desk.http
    return {
        "json": http.get(f"/api/v1/tasks/{task_id}"),
        "refusal": http.get("/api/v1/tasks", headers={"Authorization": "Bearer wrong"}),
        "openai refusal": http.post("/v1/chat/completions", json={}),
        "no path": http.get("/nowhere"),
        "no method": http.delete("/healthz"),
        "xml": http.get("/results/x/0.json"),
        "upload": http.post("/oss-upload/x", files={"file": b"x"}),
        "tus": http.options("/v1/uploads"),
        "health": http.get("/healthz"),
        "metrics": http.get("/metrics"),
        "document": http.get("/openapi.json"),
        "page": http.get("/docs"),
        "script": http.get("/docs/assets/swagger-ui-bundle.js"),
        "broken": http.post("/api/v1/services/audio/asr/transcription", content=b"{"),
    }


def test_every_answer_has_the_headers(desk: Desk) -> None:
    for name, answer in answers(desk).items():
        headers = answer.headers
        assert headers["x-content-type-options"] == "nosniff", name
        assert "frame-ancestors 'none'" in headers["content-security-policy"], name
        assert "unsafe" not in headers["content-security-policy"], name
        assert headers["x-frame-options"] == "DENY", name
        assert headers["referrer-policy"] == "no-referrer", name
        if name not in ("page", "script"):
            assert headers["content-security-policy"] == HEADERS["content-security-policy"], name
        assert headers["cache-control"] == ("no-cache" if name == "script" else "no-store"), name


def test_an_unforeseen_failure_has_them_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object, **named: object) -> None:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr(type(desk.parts.tasks), "get", fail)
    answer = desk.http.get("/api/v1/tasks/0f1e9a60-5d0c-9e1f-8a55-1c2d3e4f5a6b")
    assert answer.status_code == 500
    assert "foresaw" not in answer.text
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def test_only_the_page_is_html(desk: Desk) -> None:
    kinds = {name: answer.headers.get("content-type", "") for name, answer in answers(desk).items()}
    assert [name for name, kind in kinds.items() if "html" in kind or "svg" in kind] == ["page"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1"])
def test_no_page_of_another_origin_may_read_anything(desk: Desk, origin: str) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    for path in ("/api/v1/tasks", "/v1/uploads", "/v1/chat/completions", "/healthz"):
        for answer in (desk.http.options(path, headers=asked), desk.http.get(path, headers=asked)):
            assert not [name for name in answer.headers if name.startswith("access-control-")], path


def test_policy_of_the_page_names_the_scripts_that_are_in_it_and_no_other_host(desk: Desk) -> None:
    page = desk.http.get("/docs")
    policy = page.headers["content-security-policy"]
    for script in re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.count("sha256") == 1
    assert "//" not in re.sub(r"'sha256-[^']*'", "", policy)
    assert not re.search(r"\son\w+=|style=", page.text), "attributes that the policy would not let through"
