"""Whatever is sent to whichever route: an answer below 500, in the envelope, without nulls."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_servers import ASYNC, KEY, SUBMIT, Desk, checked, open_desk

from dashscribe.catalog import MODELS
from dashscribe.wire.params import ROWS
from sizes import size

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
FAMILIAR = st.sampled_from(
    ["fun-asr", "zh", "en", "https://a.example/b.wav", "a.wav", "0", "enable", "PENDING", "20260601120000"]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | FAMILIAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)
URLS = st.lists(FAMILIAR | TEXTS | JSON, max_size=4)
#: Bodies that are right but for a member or two.
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(sorted(MODELS)) | JSON,
        "input": st.fixed_dictionaries({}, optional={"file_urls": URLS | JSON, "file_url": FAMILIAR | JSON}) | JSON,
        "parameters": st.dictionaries(st.sampled_from(sorted(ROWS)) | TEXTS, JSON, max_size=4) | JSON,
        "resources": JSON,
    },
)
PATHS = st.one_of(
    st.sampled_from([SUBMIT, "/api/v1/tasks", "/api/v1/tasks/", "/healthz", "/readyz", "/docs", "/openapi.json"]),
    TEXTS.map(lambda text: f"/api/v1/tasks/{quote(text, safe='')}"),
    TEXTS.map(lambda text: f"/api/v1/tasks/{quote(text, safe='')}/cancel"),
    TEXTS.map(lambda text: f"/results/{quote(text, safe='')}/0.json"),
    TEXTS.map(lambda text: f"/{quote(text)}"),
)
QUERIES = st.dictionaries(
    st.sampled_from(
        ["start_time", "end_time", "page_no", "page_size", "status", "model_name", "task_id", "Expires", "Signature"]
    )
    | TEXTS,
    FAMILIAR | TEXTS | st.integers().map(str),
    max_size=4,
)
HEADER_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Authorization", "Content-Type", "Host", "Idempotency-Key", "X-DashScope-Async", "Accept", "Expect"]
    ),
    HEADER_VALUES,
    max_size=3,
)

many = settings(max_examples=size(50, 400))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("any")) as opened:
        yield opened


def assert_sound(response: httpx.Response) -> None:
    assert response.status_code < 500, response.text
    assert response.headers["x-request-id"]
    kind = response.headers["content-type"]
    if response.status_code >= 400 and kind != "application/xml":
        assert set(checked(response)) == {"request_id", "code", "message"}


@many
@given(body=NEARLY | JSON)
def test_any_json_posted_to_submit(desk: Desk, body: object):
    response = desk.http.post(SUBMIT, json=body, headers=ASYNC)
    assert_sound(response)
    if response.status_code == 200:
        assert checked(response)["output"]["task_status"] == "PENDING"


@many
@given(body=st.binary(max_size=300))
def test_any_bytes_posted_to_submit(desk: Desk, body: bytes):
    assert_sound(desk.http.post(SUBMIT, content=body, headers=ASYNC))


@many
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]),
    path=PATHS,
    params=QUERIES,
    headers=HEADERS,
    body=st.binary(max_size=50) | JSON.map(str).map(str.encode),
)
def test_any_request_to_any_route(
    desk: Desk, method: str, path: str, params: dict[str, str], headers: dict[str, str], body: bytes
):
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    encoded.setdefault("Authorization", f"Bearer {KEY}".encode())
    response = desk.http.request(method, path, params=params, headers=encoded, content=body, follow_redirects=False)
    if method == "HEAD":
        assert response.status_code < 500
        return
    assert_sound(response)
    assert response.status_code < 300 or response.status_code >= 400, "nothing redirects"


@many
@given(model=st.sampled_from(sorted(MODELS)), name=st.sampled_from(sorted(ROWS)), value=JSON)
def test_any_value_of_any_parameter_for_any_model(desk: Desk, model: str, name: str, value: object):
    key = "file_url" if MODELS[model].input_key == "file_url" else "file_urls"
    url = "https://a.example/b.wav"
    given_input = {key: url if key == "file_url" else [url]}
    response = desk.http.post(
        SUBMIT, json={"model": model, "input": given_input, "parameters": {name: value}}, headers=ASYNC
    )
    assert_sound(response)
    if response.status_code == 200:
        checked(desk.http.get(f"/api/v1/tasks/{response.json()['output']['task_id']}"))
