"""Uploads as the service has them: the credential, the form, the oss:// URL that tasks name."""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import anyio
import httpx
import pytest
from sqlalchemy import update
from wire_origin import Origin
from wire_servers import KEY, Desk, Server, assert_refused, checked, in_pieces, open_desk, poll

from dashscribe.db import tables, writing
from dashscribe.errors.sources import UploadGoneError
from dashscribe.wire import policies
from plain_http import loopback

SOUND = b"RIFF....not really"
NAMES = ["a.wav", "会议 录音.mp3", "große Datei (1).m4a", "a+b&c=d?e#f%20g.wav", "-rf", ".hidden", "😀.ogg"]


def credential(http: Any, model: str = "fun-asr") -> dict[str, Any]:
    return checked(http.get("/api/v1/uploads", params={"action": "getPolicy", "model": model}))["data"]


def credential_of(desk: Desk, owner: str) -> dict[str, Any]:
    """A credential of another owner's."""
    _, key = desk.parts.keys.create(owner)
    asked = {"action": "getPolicy", "model": "fun-asr"}
    return checked(desk.http.get("/api/v1/uploads", params=asked, headers={"Authorization": f"Bearer {key}"}))["data"]


def fields(data: dict[str, Any], name: str = "a.wav", **changes: str | None) -> dict[str, str]:
    """The form as the official clients fill it in; None leaves a field out."""
    form = {
        "OSSAccessKeyId": data["oss_access_key_id"],
        "Signature": data["signature"],
        "policy": data["policy"],
        "key": f"{data['upload_dir']}/{name}",
        "x-oss-object-acl": data["x_oss_object_acl"],
        "x-oss-forbid-overwrite": data["x_oss_forbid_overwrite"],
        "success_action_status": "200",
        "x-oss-content-type": "audio/wav",
    }
    return {name: value for name, value in (form | changes).items() if value is not None}


def send(http: Any, data: dict[str, Any], form: dict[str, str], content: bytes = SOUND) -> httpx.Response:
    """Post the form without a key, as clients do."""
    request = httpx.Request("POST", data["upload_host"], data=form, files={"file": ("file", content)})
    headers = {"Content-Type": request.headers["content-type"], "Authorization": ""}
    return http.post(urlsplit(data["upload_host"]).path, content=request.read(), headers=headers)


def refused(response: httpx.Response, status: int, code: str) -> str:
    """The message of an error in the object store's form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/xml")
    error = ElementTree.fromstring(response.text)
    assert error.tag == "Error"
    assert [child.tag for child in error] == ["Code", "Message", "RequestId"]
    assert error.findtext("Code") == code
    assert error.findtext("RequestId") == response.headers["x-request-id"]
    return error.findtext("Message") or ""


def uploaded(desk: Desk, name: str = "a.wav", content: bytes = SOUND) -> str:
    """Upload and give the URL."""
    data = credential(desk.http)
    assert send(desk.http, data, fields(data, name), content).status_code == 200
    return f"oss://{data['upload_dir']}/{name}"


# --- the credential ---------------------------------------------------------------------------------------------------


def test_credential_has_the_documented_members(desk: Desk):
    answer = checked(desk.http.get("/api/v1/uploads?action=getPolicy&model=fun-asr"))
    assert set(answer) == {"request_id", "data"}  # Java takes data only where there is no output
    data = answer["data"]
    assert re.fullmatch(r"dashscope-instant/[0-9a-f]{32}/\d{4}-\d\d-\d\d/[0-9a-f]{32}", data["upload_dir"])
    assert data["upload_host"].startswith("http://testserver/oss-upload/")
    assert data["x_oss_forbid_overwrite"] == "true"
    assert (data["x_oss_object_acl"], data["expire_in_seconds"], data["max_file_size_mb"]) == ("private", 300, 2048)
    policy = json.loads(base64.b64decode(data["policy"]))
    left_s = (datetime.fromisoformat(policy["expiration"]) - datetime.now(UTC)).total_seconds()
    assert 200 < left_s <= 301
    assert ["starts-with", "$key", data["upload_dir"] + "/"] in policy["conditions"]


def test_each_credential_has_a_folder_of_its_own_that_does_not_tell_the_owner(desk: Desk):
    folders = {credential(desk.http)["upload_dir"] for _ in range(3)}
    assert len(folders) == 3
    assert not any("default" in folder for folder in folders)


def test_public_url_is_where_uploads_go(tmp_path: Path):
    with open_desk(tmp_path, public_url="https://asr.example.org/speech/") as desk:
        assert credential(desk.http)["upload_host"].startswith("https://asr.example.org/speech/oss-upload/")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("action=getPolicy", 400, "InvalidParameter"),
        ("action=getPolicy&model=", 400, "InvalidParameter"),
        ("model=fun-asr", 400, "InvalidParameter"),
        ("action=remove&model=fun-asr", 400, "InvalidParameter"),
        ("action=getPolicy&model=fun-asrr", 404, "ModelNotFound"),
    ],
)
def test_bad_request_for_a_credential(desk: Desk, query: str, status: int, code: str):
    assert_refused(desk.http.get(f"/api/v1/uploads?{query}"), status, code, "")


def test_credential_needs_a_key(desk: Desk):
    response = desk.http.get("/api/v1/uploads?action=getPolicy&model=fun-asr", headers={"Authorization": "Bearer no"})
    assert_refused(response, 401, "InvalidApiKey", "Invalid API-key provided.")


# --- the form ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_uploaded_file_is_found_under_its_url(desk: Desk, name: str):
    data = credential(desk.http)
    response = send(desk.http, data, fields(data, name))
    assert (response.status_code, response.content) == (200, b"")
    upload = desk.parts.uploads.find("default", f"oss://{data['upload_dir']}/{name}")
    assert (upload.name, upload.model, upload.size_bytes) == (name, "fun-asr", len(SOUND))
    with desk.parts.uploads.path(upload) as path:
        assert path.read_bytes() == SOUND


@pytest.mark.parametrize(("asked", "status"), [("200", 200), ("201", 201), ("204", 204), ("302", 204), (None, 204)])
def test_status_of_success_is_what_the_form_asks_for(desk: Desk, asked: str | None, status: int):
    data = credential(desk.http)
    response = send(desk.http, data, fields(data, success_action_status=asked))
    assert response.status_code == status
    if status == 201:
        key = ElementTree.fromstring(response.text).findtext("Key")
        assert key == f"{data['upload_dir']}/a.wav"
    else:
        assert response.content == b""


def test_one_credential_serves_several_files(each_desk: Desk):
    data = credential(each_desk.http)
    for name in ("a.wav", "b.wav"):
        assert send(each_desk.http, data, fields(data, name), name.encode()).status_code == 200
    for name in ("a.wav", "b.wav"):
        with each_desk.parts.uploads.path(
            each_desk.parts.uploads.find("default", f"oss://{data['upload_dir']}/{name}")
        ) as path:
            assert path.read_bytes() == name.encode()


def test_file_that_exists_is_not_overwritten(each_desk: Desk):
    data = credential(each_desk.http)
    assert send(each_desk.http, data, fields(data)).status_code == 200
    refused(send(each_desk.http, data, fields(data), b"other"), 409, "FileAlreadyExists")
    with each_desk.parts.uploads.path(
        each_desk.parts.uploads.find("default", f"oss://{data['upload_dir']}/a.wav")
    ) as path:
        assert path.read_bytes() == SOUND


@pytest.mark.parametrize(
    "key",
    [
        "{dir}/../a.wav",
        "{dir}/../../../../../etc/passwd",
        "{dir}/..",
        "{dir}/.",
        "{dir}/",
        "{dir}/a//b.wav",
        "{dir}/..\\..\\a.wav",
        "{dir}/a\tb.wav",
        "{dir}/" + "海" * 400,
    ],
)
def test_key_that_is_no_good_name_is_refused(desk: Desk, key: str):
    data = credential(desk.http)
    form = fields(data, key=key.replace("{dir}", data["upload_dir"]))
    refused(send(desk.http, data, form), 400, "InvalidObjectName")


@pytest.mark.parametrize("key", ["/etc/passwd", "a.wav", "dashscope-instant/x/2026-01-01/y/a.wav", "{dir}x/a.wav", ""])
def test_key_outside_of_the_folder_is_refused(desk: Desk, key: str):
    data = credential(desk.http)
    response = send(desk.http, data, fields(data, key=key.replace("{dir}", data["upload_dir"])))
    assert "Policy Condition failed" in refused(response, 403, "AccessDenied")


@pytest.mark.parametrize(
    "change", [{"x-oss-forbid-overwrite": "false"}, {"x-oss-object-acl": "public-read"}, {"key": None}]
)
def test_form_that_asks_for_more_than_its_policy_gives_is_refused(desk: Desk, change: dict[str, Any]):
    data = credential(desk.http)
    assert "Policy Condition failed" in refused(send(desk.http, data, fields(data, **change)), 403, "AccessDenied")


def test_changed_policy_or_signature_is_refused(desk: Desk):
    data = credential(desk.http)
    policy = json.loads(base64.b64decode(data["policy"]))
    wider = base64.b64encode(json.dumps(policy | {"owner": "somebody else"}).encode()).decode()
    for change in ({"policy": wider}, {"Signature": "c2lnbmF0dXJl"}, {"Signature": None}, {"policy": None}):
        refused(send(desk.http, data, fields(data, **change)), 403, "SignatureDoesNotMatch")


def test_expired_policy_is_refused_before_the_file_is_read(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(policies, "LIFETIME", -policies.LIFETIME)
    data = credential(desk.http)
    message = refused(send(desk.http, data, fields(data)), 403, "AccessDenied")
    assert message == "Invalid according to Policy: Policy expired."


def test_expired_policy_is_refused_at_an_address_that_is_fresh(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr(policies, "LIFETIME", -timedelta(days=1))
        old = {"default": credential(desk.http), "ann": credential_of(desk, "ann")}
    for owner, data in old.items():
        form = fields(data)
        message = refused(send(desk.http, credential(desk.http), form), 403, "AccessDenied")
        assert message == "Invalid according to Policy: Policy expired."
        with pytest.raises(UploadGoneError):
            desk.parts.uploads.find(owner, f"oss://{form['key']}")


def test_policy_and_address_belong_together(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    while True:
        given = credential(desk.http), credential(desk.http), credential_of(desk, "ann")
        if len({urlsplit(data["upload_host"]).path.split("-")[1] for data in given}) == 1:
            break  # all expire at the same second
    mine, another, ann = given
    monkeypatch.setattr(policies, "LIFETIME", policies.LIFETIME + timedelta(seconds=60))
    longer = credential(desk.http)
    for policy, address in ((ann, mine), (mine, ann), (mine, longer), (longer, mine)):
        message = refused(send(desk.http, address, fields(policy)), 403, "AccessDenied")
        assert "belongs to another policy" in message
    assert send(desk.http, another, fields(mine)).status_code == 200
    assert send(desk.http, ann, fields(ann)).status_code == 200


def test_upload_that_began_in_time_may_take_as_long_as_it_takes(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    data = credential(desk.http)
    form = fields(data)
    request = httpx.Request("POST", data["upload_host"], data=form, files={"file": ("file", SOUND)})
    sent, begun_s = request.read(), time.time()
    pieces = iter([sent[:100], sent[100:]])

    async def receive() -> dict[str, Any]:
        piece = next(pieces)
        monkeypatch.setattr(time, "time", lambda: begun_s + 7200)  # two hours later
        return {"type": "http.request", "body": piece, "more_body": piece == sent[:100]}

    path, kind = urlsplit(data["upload_host"]).path, request.headers["content-type"]
    answer = anyio.run(partial(in_pieces, desk, "POST", path, receive, content_type=kind))
    monkeypatch.undo()
    assert answer.status_code == 200
    assert desk.parts.uploads.find("default", f"oss://{form['key']}").size_bytes == len(SOUND)


@pytest.mark.parametrize("ticket", ["x", "99999999999-x", "1-%E6%B5%B7", "-", "9" * 400])
def test_stranger_is_turned_away_at_the_address(desk: Desk, ticket: str):
    refused(desk.http.post(f"/oss-upload/{ticket}", content=b"x" * 10), 403, "AccessDenied")


def test_form_without_a_file_or_that_is_no_form(desk: Desk):
    data = credential(desk.http)
    path = urlsplit(data["upload_host"]).path
    plain = httpx.Request("POST", data["upload_host"], files={"policy": (None, data["policy"]),
                                                              "Signature": (None, data["signature"])})  # fmt: skip
    headers = {"Content-Type": plain.headers["content-type"]}
    refused(desk.http.post(path, content=plain.read(), headers=headers), 400, "IncorrectNumberOfFilesInPOSTRequest")
    for body, kind in ((b"{}", "application/json"), (b"nonsense", "multipart/form-data; boundary=x"), (b"", "")):
        response = desk.http.post(path, content=body, headers={"Content-Type": kind})
        refused(response, 400, "MalformedPOSTRequest")


def test_nothing_is_left_of_refused_forms(desk: Desk):
    data = credential(desk.http)
    refused(send(desk.http, data, fields(data, key="a.wav"), b"x" * 3_000_000), 403, "AccessDenied")
    home = desk.parts.settings.home
    left = [path for folder in ("receiving", "store") for path in (home / folder).rglob("*") if path.is_file()]
    assert [path for path in left if path.stat().st_size] == []


def test_file_beyond_the_limit_is_refused(tmp_path: Path):
    with open_desk(tmp_path, max_file_bytes=1000) as desk:
        data = credential(desk.http)
        assert data["max_file_size_mb"] == 1
        assert "1000 bytes" in refused(send(desk.http, data, fields(data), b"x" * 1001), 413, "EntityTooLarge")
        assert send(desk.http, data, fields(data), b"x" * 1000).status_code == 200


def test_full_disk_takes_no_more(tmp_path: Path):
    with open_desk(tmp_path, disk_reserve_bytes=10**18) as desk:
        data = credential(desk.http)
        assert data["capacity_limit_mb"] == 0
        refused(send(desk.http, data, fields(data)), 507, "InsufficientStorage")


def test_disk_that_fills_up_meanwhile_ends_an_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with open_desk(tmp_path) as desk:
        data, left = credential(desk.http), iter([10**12, 10**12])
        monkeypatch.setattr(desk.parts.store, "free_bytes", lambda: next(left, 0))
        text = refused(send(desk.http, data, fields(data), b"x" * 5_000_000), 507, "InsufficientStorage")
        assert "DASHSCRIBE_DISK_RESERVE_BYTES" in text
        received = [path for path in (tmp_path / "receiving").rglob("*") if path.is_file()]
        assert [path for path in received if path.stat().st_size] == []


def test_too_large_upload_is_answered_before_all_of_it_was_sent(server: Server):
    with server.http() as http:
        data = credential(http)
    parts = urlsplit(data["upload_host"])
    with socket.create_connection((parts.hostname, parts.port), 60) as connection:
        head = f"POST {parts.path} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        connection.sendall(f"{head}Content-Length: {10**12}\r\n\r\n--b\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")


# --- oss:// as a source -----------------------------------------------------------------------------------------------


def transcribed(server: Server, url: str, **headers: str) -> dict[str, Any]:
    body = {"model": "fun-asr", "input": {"file_urls": [url]}, "parameters": {}}
    with server.http() as http:
        path = "/api/v1/services/audio/asr/transcription"
        task = checked(http.post(path, json=body, headers={"X-DashScope-Async": "enable", **headers}))
        return poll(lambda: checked(http.get(f"/api/v1/tasks/{task['output']['task_id']}")))


@pytest.mark.parametrize("name", ["a.wav", "会议 1.wav"])
def test_upload_is_transcribed(server: Server, origin: Origin, name: str):
    with server.http() as http:
        data = credential(http)
        content = (origin.folder / "a.wav").read_bytes()
        assert send(http, data, fields(data, name), content).status_code == 200
    url = f"oss://{data['upload_dir']}/{name}"
    for headers in ({}, {"X-DashScope-OssResourceResolve": "enable"}):
        (result,) = transcribed(server, url, **headers)["output"]["results"]
        assert (result["subtask_status"], result["file_url"]) == ("SUCCEEDED", url)
    stored = loopback.get(result["transcription_url"]).json()
    assert stored["file_url"] == url
    assert stored["transcripts"][0]["text"]


def test_unknown_upload_fails_its_subtask(server: Server):
    url = "oss://dashscope-instant/0a1b2c/2026-06-01/3d4e5f/a.wav"
    (result,) = transcribed(server, url)["output"]["results"]
    assert result["code"] == "InvalidFile.DownloadFailed"
    assert result["message"].startswith("The audio file cannot be downloaded.")
    assert "48 hours" in result["message"]
    output = server.wait(server.submit("qwen3-asr-flash-filetrans", url))["output"]
    assert output["code"] == "FILE_DOWNLOAD_FAILED"


def test_upload_of_another_owner_does_not_exist(desk: Desk):
    url = uploaded(desk)
    _, secret = desk.parts.keys.create("alice")
    mine = desk.http.get("/dashscribe/v1/uploads").json()["uploads"]
    theirs = desk.http.get("/dashscribe/v1/uploads", headers={"Authorization": f"Bearer {secret}"}).json()
    assert [upload["url"] for upload in mine] == [url]
    assert (theirs["total"], theirs["uploads"]) == (0, [])


def test_upload_named_by_a_task_survives_its_time(desk: Desk):
    """Received 47 h 59 min ago, named by a task that is still waiting two hours later."""
    url = uploaded(desk)
    now = _move(desk, hours=47.99)
    desk.task(input={"file_urls": [url]})
    with writing(desk.engine) as connection:
        connection.execute(update(tables.uploads).values(used_ms=0))
    desk.parts.uploads.expire(now + 2 * 3600 * 1000, lambda: None)
    assert desk.parts.uploads.find("default", url)


def _move(desk: Desk, hours: float) -> int:
    """Set all uploads back in time."""
    back_ms = int(hours * 3600 * 1000)
    with writing(desk.engine) as connection:
        connection.execute(update(tables.uploads).values(created_ms=tables.uploads.c.created_ms - back_ms))
    return int(datetime.now(UTC).timestamp() * 1000)


# --- the clients ------------------------------------------------------------------------------------------------------

SDK = """
import json, sys
import dashscope
from dashscope.utils.oss_utils import OssUtils, check_and_upload_local
one, certificate = OssUtils.upload(model="fun-asr", file_path=sys.argv[1], api_key=sys.argv[3])
_, two, same = check_and_upload_local("fun-asr", "file://" + sys.argv[2], sys.argv[3], certificate)
assert same is certificate
print(json.dumps([one, two]))
"""


def test_official_client_uploads_files(server: Server, origin: Origin, tmp_path: Path):
    files = [tmp_path / "a.wav", tmp_path / "会议 记录.wav"]
    for file in files:
        file.write_bytes((origin.folder / "a.wav").read_bytes())
    command = [sys.executable, "-c", SDK, *map(str, files), KEY]
    env = {"DASHSCOPE_HTTP_BASE_URL": server.api, "PATH": ""}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    urls = json.loads(done.stdout)
    assert urls[1].endswith("/会议 记录.wav")
    answer = server.wait(server.submit("fun-asr", *urls))
    assert [result["subtask_status"] for result in answer["output"]["results"]] == ["SUCCEEDED"] * 2


def test_curl_uploads_as_the_guide_has_it(server: Server, origin: Origin, curl: Callable[..., str]):
    policy = f"{server.api}/uploads?action=getPolicy&model=qwen3-asr-flash-filetrans"
    key = ("-H", f"Authorization: Bearer {server.key}")
    data = json.loads(curl("-X", "GET", policy, *key, "-H", "Content-Type: application/json"))["data"]
    form = fields(data, "curl.wav", **{"x-oss-content-type": None})
    arguments = [part for name, value in form.items() for part in ("--form", f"{name}={value}")]
    status = curl("-X", "POST", data["upload_host"], *arguments, "--form", f"file=@{origin.folder / 'a.wav'}",
                  "-w", "%{http_code}")  # fmt: skip
    assert status == "200"
    answer = server.wait(server.submit("qwen3-asr-flash-filetrans", f"oss://{form['key']}"))
    assert answer["output"]["task_status"] == "SUCCEEDED"
