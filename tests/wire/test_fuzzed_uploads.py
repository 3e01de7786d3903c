"""Where a description of requests is too shallow for a fuzzer: multipart bodies, resumable uploads, deep JSON.

``FUZZ_CALLS=20000 pytest -n 0 tests/wire/test_fuzzed_uploads.py`` makes as many calls of each kind as a tenth of that.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from test_upload_routes import credential, fields
from wire_servers import ASYNC, SUBMIT, Desk, open_desk

EXAMPLES = int(os.environ.get("FUZZ_CALLS", "500")) // 10
SEED = int(os.environ.get("FUZZ_SEED", "1"))
many = settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
UPLOADS = "/dashscribe/v1/uploads"
NUMBERS = st.sampled_from(
    ["0", "1", "5", "10", "-1", "1e3", "0x1", "9" * 15, "9" * 16, "9" * 400, "٣", " 3", "3 ", "", "+5"]
)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("uploads"), max_file_bytes=1000) as opened:
        yield opened


def sound(answer: httpx.Response) -> None:
    """An answer that is no fault of the server's, and tells nothing of its inside."""
    assert answer.status_code < 500 or answer.status_code == 507, answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["x-request-id"]


PART = st.tuples(
    st.sampled_from(["policy", "Signature", "key", "file", "success_action_status", "model", "language", "", "x" * 300])
    | VALUES,
    st.sampled_from(
        ["", '; filename="a.wav"', "; filename=", "; filename*=utf-8''a", '; filename="' + "x" * 5000 + '"', ";;"]
    ),
    st.sampled_from(
        [
            "",
            "Content-Type: audio/wav\r\n",
            "Content-Transfer-Encoding: base64\r\n",
            "X: " + "y" * 9000 + "\r\n",
            "broken\r\n",
        ]
    ),
    st.binary(max_size=200) | st.sampled_from([b"--b", b"\r\n--b--", b"\r\n", b"x" * 3000]),
)


@seed(SEED)
@many
@given(
    parts=st.lists(PART, max_size=12),
    boundary=st.sampled_from(["b", "b b", "", "-" * 70, "b" * 300, "ü"]),
    ending=st.sampled_from([b"--b--\r\n", b"--b", b"", b"--b--" + b"x" * 100, b"\r\n\r\n"]),
    path=st.sampled_from(["form", "/v1/audio/transcriptions", "/v1/audio/translations"]),
)
def test_any_multipart_body(
    desk: Desk, parts: list[tuple[str, str, str, bytes]], boundary: str, ending: bytes, path: str
) -> None:
    lines = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n{more}\r\n'.encode() + content + b"\r\n"
        for name, file, more, content in parts
    ]
    kind = f"multipart/form-data; boundary={boundary}".encode()
    if path == "form":
        path = credential(desk.http)["upload_host"].partition("testserver")[2]
    sound(desk.http.post(path, content=b"".join(lines) + ending, headers={"Content-Type": kind}))


@seed(SEED)
@many
@given(
    changes=st.dictionaries(
        st.sampled_from(
            ["policy", "Signature", "key", "x-oss-object-acl", "x-oss-forbid-overwrite", "success_action_status"]
        ),
        VALUES
        | st.just(None)
        | st.sampled_from(["../x", "a/../../b", "/etc/passwd", "a\0b", "x" * 2000, "200", "201", "204"]),
        max_size=3,
    ),
    content=st.binary(max_size=1200),
)
def test_any_change_of_a_good_form(desk: Desk, changes: dict[str, str | None], content: bytes) -> None:
    data = credential(desk.http)
    form = fields(data, **changes)
    path = data["upload_host"].partition("testserver")[2]
    answer = desk.http.post(path, data=form, files={"file": ("file", content)}, headers={"Authorization": ""})
    sound(answer)
    if answer.status_code < 300:
        assert {"policy", "Signature"} & set(changes) == set()
        assert form["key"].startswith(data["upload_dir"])


@seed(SEED)
@many
@given(
    length=NUMBERS,
    steps=st.lists(
        st.tuples(
            st.sampled_from(["PATCH", "HEAD", "GET", "DELETE", "POST", "PUT"]),
            NUMBERS,
            st.binary(max_size=30),
            st.sampled_from(["", "sha1 AAAA", "md5 " + base64.b64encode(bytes(16)).decode(), "sha1 ???", "none x"])
            | VALUES,
        ),
        max_size=5,
    ),
    metadata=st.sampled_from(["", "filename YS53YXY=", "filename", "filename ????", "a b,c d,,,", "model eA=="])
    | VALUES,
    version=st.sampled_from(["1.0.0", "1.0.0", "1.0.0", "0.2", ""]),
)
def test_any_course_of_a_resumable_upload(
    desk: Desk, length: str, steps: list[tuple[str, str, bytes, str]], metadata: str, version: str
) -> None:
    def header(**given: str) -> dict[str, bytes]:
        return {name.replace("_", "-"): value.encode("utf-8") for name, value in given.items() if value}

    begun = desk.http.post(
        UPLOADS, headers=header(Tus_Resumable=version, Upload_Length=length, Upload_Metadata=metadata)
    )
    sound(begun)
    place = begun.headers.get("location", f"{UPLOADS}/none").partition("testserver")[2] or f"{UPLOADS}/none"
    for method, offset, content, checksum in steps:
        headers = header(
            Tus_Resumable="1.0.0",
            Upload_Offset=offset,
            Upload_Checksum=checksum,
            Content_Type="application/offset+octet-stream",
        )
        answer = desk.http.request(method, place, headers=headers, content=content)
        sound(answer)
        if "upload-offset" in answer.headers:
            assert 0 <= int(answer.headers["upload-offset"]) <= int(length)


@seed(SEED)
@many
@given(
    depth=st.sampled_from([1, 30, 100, 1000, 100_000]),
    opening=st.sampled_from(["[", '{"a":', '{"input":', '[{"messages":[']),
    inner=st.sampled_from(
        ["", "1", "1e999", "-0", "1" * 5000, '"\\ud800"', "NaN", "nul", '"' + "x" * 9000 + '"', "\0"]
    ),
    closed=st.booleans(),
    path=st.sampled_from(
        [SUBMIT, "/v1/chat/completions", "/api/v1/services/aigc/multimodal-generation/generation", "/api/v1/fine-tunes"]
    ),
)
def test_any_depth_of_json(desk: Desk, depth: int, opening: str, inner: str, closed: bool, path: str) -> None:
    close = "".join({"[": "]", "{": "}"}.get(sign, "") for sign in reversed(opening))
    text = opening * depth + inner + (close * depth if closed else "")
    answer = desk.http.post(path, content=text.encode("utf-8", "surrogatepass"), headers=ASYNC)
    sound(answer)
    assert answer.status_code >= 400
