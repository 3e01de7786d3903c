"""Result URLs: open, signed, stable, good for a day; errors in the form of the object store that they imitate."""

from __future__ import annotations

import json
import re
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import httpx
import pytest
from sqlalchemy import update
from wire_servers import TAMPERED, Desk, checked, open_desk

from dashscribe.db import tables, writing
from dashscribe.wire.results import pseudonym, signature

RESULT = json.dumps({"file_url": "https://a.example/海.wav", "transcripts": []}, ensure_ascii=False).encode()


def finish(desk: Desk, *, ended_ago_s: float = 0, blob: bytes | None = RESULT) -> str:
    """Make a task that has ended with one result, whatever wrote it: the URL of its result."""
    task_id = desk.task()
    if blob is not None:
        desk.parts.store.put("results/of-a-test", blob)
    with writing(desk.engine) as connection:
        connection.execute(
            update(tables.tasks).values(status="SUCCEEDED", ended_ms=int((time.time() - ended_ago_s) * 1000))
        )
        connection.execute(update(tables.files).values(state="succeeded", result_key="results/of-a-test"))
    return desk.query(task_id)["output"]["results"][0]["transcription_url"]


def fetch(desk: Desk, url: str, method: str = "GET") -> httpx.Response:
    """Ask without any key, as the official samples do."""
    return desk.http.request(method, url, headers={"Authorization": ""}, follow_redirects=False)


def changed(url: str, **query: str) -> str:
    parts = urlsplit(url)
    members = {name: values[0] for name, values in parse_qs(parts.query).items()} | query
    return urlunsplit(parts._replace(query=urlencode({n: v for n, v in members.items() if v})))


def assert_xml(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/xml"
    error = ElementTree.fromstring(response.text)
    assert error.tag == "Error"
    assert error.findtext("Code") == code
    assert error.findtext("Message")
    assert error.findtext("RequestId") == response.headers["x-request-id"]


def test_result_is_sent_as_stored_to_whoever_holds_the_url(each_desk: Desk):
    response = fetch(each_desk, finish(each_desk))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.content == RESULT
    assert int(response.headers["content-length"]) == len(RESULT)


def test_a_large_result_comes_whole(desk: Desk):
    blob = b'{"x":"' + bytes(range(97, 123)) * 100_000 + b'"}'
    response = fetch(desk, finish(desk, blob=blob))
    assert response.content == blob


def test_head_tells_size_and_type_without_a_body(desk: Desk):
    response = fetch(desk, finish(desk), "HEAD")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert int(response.headers["content-length"]) == len(RESULT)
    assert response.content == b""


def test_url_is_the_same_in_every_query(desk: Desk):
    url = finish(desk)
    task_id = urlsplit(url).path.split("/")[2]
    again = desk.http.post(f"/api/v1/tasks/{task_id}").json()
    assert again["output"]["results"][0]["transcription_url"] == url


@pytest.mark.parametrize("query", [*TAMPERED, {"OSSAccessKeyId": "somebody"}, {"OSSAccessKeyId": ""}])
def test_url_that_was_changed_is_refused(desk: Desk, query: dict[str, str]):
    assert_xml(fetch(desk, changed(finish(desk), **query)), 403, "AccessDenied")


def test_signature_of_one_result_opens_no_other(desk: Desk):
    url = finish(desk)
    for path in ("/results/x/0.json", urlsplit(url).path.replace("/0.json", "/1.json"), "/results/x/0.txt"):
        assert_xml(fetch(desk, urlunsplit(urlsplit(url)._replace(path=path))), 403, "AccessDenied")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_expired_url_is_refused(desk: Desk, method: str):
    task_id = desk.task()
    expires = int(time.time()) - 1
    query = urlencode(
        {
            "Expires": expires,
            "OSSAccessKeyId": "default",
            "Signature": signature(desk.parts.secret, "default", task_id, 0, expires),
        }
    )
    response = fetch(desk, f"/results/{task_id}/0.json?{query}", method)
    assert response.status_code == 403
    if method == "GET":
        assert_xml(response, 403, "AccessDenied")


def test_result_whose_blob_is_gone_answers_no_such_key(desk: Desk):
    url = finish(desk)
    desk.parts.store.delete("results/of-a-test")
    assert_xml(fetch(desk, url), 404, "NoSuchKey")


def test_result_that_is_replaced_while_it_is_looked_for_is_the_new_one(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    url, keys = finish(desk), ["results/replaced", "results/of-a-test"]
    monkeypatch.setattr(type(desk.parts.tasks), "result_key", lambda *_: keys.pop(0))
    assert fetch(desk, url).content == RESULT


@pytest.mark.parametrize("index", [0, 1, 9999])
def test_result_that_never_was_answers_no_such_key(desk: Desk, index: int):
    task_id = desk.task()
    expires = int(time.time()) + 60
    query = urlencode(
        {
            "Expires": expires,
            "OSSAccessKeyId": "default",
            "Signature": signature(desk.parts.secret, "default", task_id, index, expires),
        }
    )
    assert_xml(fetch(desk, f"/results/{task_id}/{index}.json?{query}"), 404, "NoSuchKey")


def test_urls_survive_a_restart(tmp_path: Path):
    with open_desk(tmp_path) as first:
        url = finish(first)
    with open_desk(tmp_path) as second:
        assert fetch(second, url).content == RESULT


def test_owner_of_any_name_gets_a_working_url_that_does_not_tell_it(desk: Desk):
    owner = "Zoë & co/海?#"
    _, key = desk.parts.keys.create(owner, "k")
    desk.http.headers["Authorization"] = f"Bearer {key}"
    url = finish(desk)
    assert fetch(desk, url).content == RESULT
    assert re.fullmatch(r"[0-9a-f]{16}", parse_qs(urlsplit(url).query)["OSSAccessKeyId"][0])


def test_urls_of_one_owner_name_the_same_access_key_and_those_of_two_do_not():
    assert pseudonym("secret", "default") == pseudonym("secret", "default")
    assert len({pseudonym("secret", "default"), pseudonym("secret", "other"), pseudonym("another", "default")}) == 3


def test_result_of_a_task_that_no_longer_answers_is_gone_whatever_the_url_says(desk: Desk):
    url = finish(desk)
    with writing(desk.engine) as connection:
        connection.execute(update(tables.tasks).values(removed=True))
    assert_xml(fetch(desk, url), 404, "NoSuchKey")


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({"Host": "asr.example.org:8443"}, "http://asr.example.org:8443/"),
        ({"Host": "[::1]:8000"}, "http://[::1]:8000/"),
        ({"Host": "evil.example/path?"}, "http://testserver:80/"),
        ({"Host": "a b"}, "http://testserver:80/"),
    ],
)
def test_base_of_urls_is_the_host_of_the_request(desk: Desk, headers: dict[str, str], base: str):
    task_id = urlsplit(finish(desk)).path.split("/")[2]
    told = checked(desk.http.get(f"/api/v1/tasks/{task_id}", headers=headers))
    assert told["output"]["results"][0]["transcription_url"].startswith(f"{base}results/")


def test_base_of_urls_is_the_configured_one_where_there_is_one(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    settings = desk.parts.settings.model_copy(update={"public_url": "https://asr.example.org/speech/"})
    monkeypatch.setattr(desk.app.state, "parts", replace(desk.parts, settings=settings))
    assert finish(desk).startswith("https://asr.example.org/speech/results/")
