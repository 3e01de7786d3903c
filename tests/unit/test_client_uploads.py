"""How the client sends local files: what it goes on with after a break, and what it does at servers without tus."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_server import SUBMITTED, Script

from dashscribe.client import TRIES, ApiError, Client
from dashscribe.client.sending import FRUITLESS_TRIES

CONTENT = b"0123456789"
TUS = {"Tus-Resumable": "1.0.0"}
YES = (204, b"", TUS)
NO = (404, {"code": "NotFound", "message": "Not found!"})
DONE = (204, b"", TUS | {"Upload-Offset": "10", "Dashscribe-Upload-Url": "oss://d/%E4%BC%9A.wav"})
BUSY = (423, {"code": "Conflict", "message": "Another request adds to this upload."})
BREAK = (0, None)


@pytest.fixture
def script() -> Iterator[Script]:
    server = Script()
    yield server
    server.close()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def client(script: Script, pauses: list[float]) -> Iterator[Client]:
    with Client(script.base_url, "sk-secret", sleep=pauses.append) as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "会.wav"
    path.write_bytes(CONTENT)
    return path


def made(script: Script) -> tuple[int, bytes, dict[str, str]]:
    return 201, b"", TUS | {"Location": script.base_url.replace("/api/v1", "/dashscribe/v1/uploads/d/x")}


def at(offset: int) -> tuple[int, bytes, dict[str, str]]:
    return 200, b"", TUS | {"Upload-Offset": str(offset)}


def test_file_is_announced_and_sent(script: Script, client: Client, file: Path) -> None:
    script.answers = [YES, made(script), DONE]
    seen: list[tuple[int, int]] = []
    assert client.upload(file, "paraformer-v2", lambda sent, total: seen.append((sent, total))) == "oss://d/会.wav"
    asked, announced, sent = script.seen
    assert asked[:2] == ("OPTIONS", "/dashscribe/v1/uploads")
    assert "authorization" not in asked[2]  # whose server it is, is not known yet
    assert announced[2]["upload-length"] == "10"
    metadata = dict(pair.split(" ") for pair in announced[2]["upload-metadata"].split(","))
    told = {name: base64.b64decode(value).decode() for name, value in metadata.items()}
    assert told == {"filename": "会.wav", "model": "paraformer-v2"}
    assert (sent[0], sent[1], sent[3]) == ("PATCH", "/dashscribe/v1/uploads/d/x", CONTENT)
    assert (sent[2]["upload-offset"], sent[2]["authorization"]) == ("0", "Bearer sk-secret")
    assert seen == [(10, 10)]


@pytest.mark.parametrize("failure", [BREAK, BUSY, (500, b""), (409, b""), (460, b""), (429, b"")])
def test_upload_goes_on_where_the_server_has_it(
    script: Script, client: Client, pauses: list[float], file: Path, failure: tuple
) -> None:
    script.answers = [YES, made(script), failure, at(4), failure, at(7), DONE]
    assert client.upload(file) == "oss://d/会.wav"
    pieces = [body for method, _, _, body in script.seen if method == "PATCH"]
    assert pieces == [CONTENT, CONTENT[4:], CONTENT[7:]]
    assert len(pauses) == 2


def test_upload_that_comes_no_further_is_given_up(
    script: Script, client: Client, pauses: list[float], file: Path
) -> None:
    script.answers = [YES, made(script), *[(423, b""), at(0)] * FRUITLESS_TRIES]
    with pytest.raises(ApiError, match="HTTP 423"):
        client.upload(file)
    assert sum(method == "PATCH" for method, *_ in script.seen) == FRUITLESS_TRIES
    assert sum(pauses) > 30  # longer than a server waits for a connection that is gone


@pytest.mark.parametrize("status", [400, 401, 404, 413])
def test_refused_upload_is_not_repeated(script: Script, client: Client, file: Path, status: int) -> None:
    script.answers = [YES, made(script), (status, {"code": "C", "message": "M"})]
    with pytest.raises(ApiError, match=rf"C \(HTTP {status}\): M"):
        client.upload(file)
    assert len(script.seen) == 3


def test_upload_whose_last_answer_was_lost_is_done(script: Script, client: Client, file: Path) -> None:
    script.answers = [YES, made(script), BREAK, (200, b"", DONE[2])]
    assert client.upload(file) == "oss://d/会.wav"


def test_a_file_whose_name_is_no_text_is_sent_under_one_that_is(script: Script, client: Client, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    path.write_bytes(CONTENT)
    script.answers = [YES, made(script), DONE]
    client.upload(path)
    assert base64.b64encode(b"caf?.wav").decode() in script.seen[1][2]["upload-metadata"]
    script.answers = [NO, credential(script), (200, b"")]
    assert client.upload(path) == "oss://dashscope-instant/d/caf?.wav"


# --- the service's form ----------------------------------------------------------------------------------------------


def credential(script: Script) -> tuple[int, dict]:
    data = {
        "policy": "p", "signature": "s", "upload_dir": "dashscope-instant/d", "oss_access_key_id": "k",
        "upload_host": script.base_url.replace("/api/v1", "/oss"), "x_oss_object_acl": "private",
        "x_oss_forbid_overwrite": "true", "expire_in_seconds": 300, "max_file_size_mb": 100,
    }  # fmt: skip
    return 200, {"request_id": "r", "data": data}


@pytest.mark.parametrize("unknown", [NO, (401, b""), (200, b"<html>")])
def test_server_without_tus_gets_the_form(script: Script, client: Client, file: Path, unknown: tuple) -> None:
    script.answers = [unknown, credential(script), (200, b"")]
    assert client.upload(file) == "oss://dashscope-instant/d/会.wav"
    _, asked, sent = script.seen
    assert asked[:2] == ("GET", "/api/v1/uploads?action=getPolicy&model=fun-asr")
    assert sent[:2] == ("POST", "/oss")
    assert "authorization" not in sent[2]
    assert sent[3].rstrip().endswith(b"--")
    assert sent[3].index(b'name="key"') < sent[3].index(b'name="file"') < sent[3].index(CONTENT)


def test_broken_form_is_sent_again_with_a_new_credential(script: Script, client: Client, file: Path) -> None:
    script.answers = [NO, credential(script), (503, b""), credential(script), (200, b"")]
    assert client.upload(file).startswith("oss://")
    assert CONTENT in script.seen[-1][3]


def test_form_is_given_up_after_a_few_tries(script: Script, client: Client, file: Path) -> None:
    script.answers = [NO, *[credential(script), (503, b"")] * TRIES]
    with pytest.raises(ApiError, match="HTTP 503"):
        client.upload(file)
    assert sum(method == "POST" for method, *_ in script.seen) == TRIES


def test_refused_form_tells_what_the_object_store_said(script: Script, client: Client, file: Path) -> None:
    xml = b"<Error><Code>AccessDenied</Code><Message>Policy expired.</Message></Error>"
    script.answers = [NO, credential(script), (403, xml)]
    with pytest.raises(ApiError, match="Policy expired"):
        client.upload(file)


def test_submit_of_an_upload_asks_for_it_to_be_resolved(script: Script, client: Client) -> None:
    script.answers = [SUBMITTED]
    client.submit("fun-asr", ["oss://d/a.wav", "https://media.example.net/b.wav"])
    client.submit("fun-asr", ["https://media.example.net/b.wav"])
    assert script.seen[0][2]["x-dashscope-ossresourceresolve"] == "enable"
    assert "x-dashscope-ossresourceresolve" not in script.seen[1][2]
