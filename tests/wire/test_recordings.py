"""Recordings over the wire: lists, searches, changes and deletions, on a desk and on a real server."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update
from test_results import finish
from wire_origin import Origin
from wire_servers import ASYNC, SUBMIT, Desk, Server, assert_refused, checked

from dashscribe.db import tables, writing
from dashscribe.search import Line, prepare, write
from media_files import write_wav

PATH = "/dashscribe/v1/recordings"


def listed(desk: Desk, **query: Any) -> list[dict[str, Any]]:
    return checked(desk.http.get(PATH, params=query))["recordings"]


def say(desk: Desk, task_id: str, *said: str, languages: tuple[str, ...] = ()) -> str:
    """Have a recording end with these sentences, as far as the index is concerned: its id."""
    file = tables.files
    with writing(desk.engine) as connection:
        row = connection.execute(select(file).where(file.c.task_id == task_id)).mappings().one()
        values = {"state": "succeeded", "transcript_key": "t", "indexed": "t#0"}
        connection.execute(update(file).where(file.c.id == row["id"]).values(values))
        ended = {"status": "SUCCEEDED", "ended_ms": int(time.time() * 1000), "open_files": 0}
        connection.execute(update(tables.tasks).where(tables.tasks.c.id == task_id).values(ended))
        lines = [Line(0, at * 1000, at * 1000 + 900, text) for at, text in enumerate(said)]
        write(connection, prepare(row["id"], row["owner"], "a.wav", lines, languages))
    return f"{task_id}.0"


# --- lists and searches -----------------------------------------------------------------------------------------------


def test_waiting_recording_is_told_with_what_is_known(desk: Desk) -> None:
    task_id = desk.task(parameters={"diarization_enabled": True, "language_hints": ["zh", "en"]})
    (told,) = listed(desk)
    instant = told.pop("submitted_at")
    assert abs(instant - time.time() * 1000) < 60_000
    assert told == {
        "id": f"{task_id}.0",
        "task_id": task_id,
        "file": 0,
        "title": "a.wav",
        "url": "https://media.example.net/a.wav",
        "model": "fun-asr",
        "status": "PENDING",
        "queue_position": 0,
        "kept": False,
        "languages": ["zh", "en"],
        "diarized": True,
    }


def test_recording_looked_at_alone_tells_what_was_asked_for(desk: Desk) -> None:
    words = {"filter_with_signed": {"word_list": ["机密"]}}
    asked = {"diarization_enabled": True, "speaker_count": 3, "special_word_filter": words, "channel_id": [0, 1]}
    task_id = desk.task(parameters=asked)
    told = checked(desk.http.get(f"{PATH}/{task_id}.0"))
    assert told["options"] == asked | {"special_word_filter": words | {"system_reserved_filter": True}}
    assert (told["revision"], told["notes"], told["stages"], told["deliveries"]) == (0, [], [], [])
    again = desk.task(parameters=told["options"])
    assert checked(desk.http.get(f"{PATH}/{again}.0"))["options"] == told["options"], "it can be sent as it is told"


def test_failed_stages_are_told_as_data(desk: Desk) -> None:
    task_id = desk.task()
    assert "failed_stages" not in checked(desk.http.get(f"{PATH}/{task_id}.0"))
    failed = [{"stage": "marks", "reasons": ["the model died", "the stage failed"]}]
    with writing(desk.engine) as connection:
        of_task = update(tables.files).where(tables.files.c.task_id == task_id)
        connection.execute(of_task.values(failed_stages=json.dumps(failed)))
    assert checked(desk.http.get(f"{PATH}/{task_id}.0"))["failed_stages"] == failed
    assert listed(desk)[0]["failed_stages"] == failed


def test_options_are_told_as_each_model_takes_them(desk: Desk) -> None:
    asked = {"language": "en", "enable_words": True, "corpus": {"text": "Kestrel Bridge"}}
    url = {"file_url": "https://a.example/a.wav"}
    task_id = desk.task(model="qwen3-asr-flash-filetrans", input=url, parameters=asked)
    told = checked(desk.http.get(f"{PATH}/{task_id}.0"))["options"]
    assert told["language"] == "en"
    assert told["enable_words"] is True
    assert {"text": "Kestrel Bridge"} in told.values() or "Kestrel Bridge" in told.values() or "corpus" not in told


def test_lists_are_filtered_and_come_in_pages(desk: Desk) -> None:
    first, second = desk.task(), desk.task(model="paraformer-v2")
    say(desk, first, "hello")
    assert [one["task_id"] for one in listed(desk)] == [second, first]
    assert [one["task_id"] for one in listed(desk, status="SUCCEEDED,FAILED")] == [first]
    assert [one["task_id"] for one in listed(desk, status="PENDING, RUNNING")] == [second]
    assert [one["task_id"] for one in listed(desk, model="paraformer-v2")] == [second]
    at = listed(desk)[0]["submitted_at"]
    assert [one["task_id"] for one in listed(desk, since=at)][:1] == [second]
    assert listed(desk, since=at + 1) == []
    page = checked(desk.http.get(PATH, params={"page_no": 2, "page_size": 1}))
    assert (page["total"], page["page_no"], page["page_size"]) == (2, 2, 1)
    assert [one["task_id"] for one in page["recordings"]] == [first]


def test_searches_show_where_it_was_said(desk: Desk) -> None:
    there = say(desk, desk.task(), "开场。", *["预算很紧。"] * 4, languages=("en", "zh", "zh", "zh", "zh"))
    say(desk, desk.task(), "别的。")
    (found,) = listed(desk, q="预算")
    assert (found["id"], found["hit_count"], found["languages"]) == (there, 4, ["zh", "en"])
    hit = {"begin_ms": 1000, "end_ms": 1900, "channel": 0, "text": "预算很紧。", "marks": [[0, 2]]}
    assert (found["hits"][0], len(found["hits"])) == (hit, 3)
    alone = checked(desk.http.get(f"{PATH}/{there}", params={"q": "预算"}))
    assert (alone["hit_count"], len(alone["hits"])) == (4, 4)
    assert listed(desk, q="A.WAV 预算")[0]["title_marks"] == [[0, 5]]
    assert listed(desk, q="预算", status="PENDING") == []


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"status": "DONE"}, 'status was "DONE"; give one or several of PENDING, RUNNING'),
        ({"since": "yesterday"}, 'since was "yesterday"; give a number'),
        ({"page_size": "101"}, 'page_size was "101"; give a number from 1 to 100'),
        ({"page_no": "0"}, 'page_no was "0"'),
        ({"q": "，。"}, "q was '，。'; give a letter"),
        ({"q": "x" * 201}, "q has 201 characters; give at most 200"),
    ],
)
def test_filters_that_cannot_be_are_refused(desk: Desk, query: dict[str, str], text: str) -> None:
    refused = assert_refused(desk.http.get(PATH, params=query), 400, "InvalidParameter", "")
    assert text in refused["message"]


# --- changes ----------------------------------------------------------------------------------------------------------


def test_recording_is_named_and_kept(desk: Desk) -> None:
    url = f"{PATH}/{desk.task()}.0"
    told = checked(desk.http.patch(url, json={"title": " Budget \n meeting ", "kept": True}))
    assert (told["title"], told["kept"]) == ("Budget meeting", True)
    assert checked(desk.http.patch(url, json={}))["title"] == "Budget meeting"
    assert [one["title"] for one in listed(desk, q="budget")] == ["Budget meeting"]
    assert checked(desk.http.patch(url, json={"title": "", "kept": False}))["title"] == "a.wav"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"name": "x"}, "'name' is no member of this call: title, kept."),
        ({"title": 3}, "title was 3; give a string of at most 300 characters."),
        ({"title": "x" * 301}, "give a string of at most 300 characters."),
        ({"kept": "yes"}, 'kept was "yes"; give true or false.'),
    ],
)
def test_changes_that_cannot_be_are_refused(desk: Desk, body: dict[str, Any], text: str) -> None:
    refused = assert_refused(desk.http.patch(f"{PATH}/{desk.task()}.0", json=body), 400, "InvalidParameter", "")
    assert text in refused["message"]


@pytest.mark.parametrize("value", ["true", "True", "false", ""])
def test_submit_keeps_if_it_is_told_to(desk: Desk, value: str) -> None:
    checked(desk.submit(headers={"X-Dashscribe-Keep": value}))
    assert listed(desk)[0]["kept"] is (value.lower() == "true")


def test_submit_with_another_word_for_keeping_is_refused(desk: Desk) -> None:
    refused = assert_refused(desk.submit(headers={"X-Dashscribe-Keep": "1"}), 400, "InvalidParameter", "")
    assert 'X-Dashscribe-Keep was "1"; give true or false' in refused["message"]


# --- deleting ---------------------------------------------------------------------------------------------------------


def test_deleted_recording_is_gone_here_and_at_the_service_s_routes(desk: Desk) -> None:
    result_url = finish(desk)
    (told,) = listed(desk)
    assert set(checked(desk.http.delete(f"{PATH}/{told['id']}"))) == {"request_id"}
    assert listed(desk) == []
    assert desk.query(told["task_id"])["output"]["task_status"] == "UNKNOWN"
    assert desk.http.get(result_url).status_code in (403, 404)
    missing = assert_refused(desk.http.delete(f"{PATH}/{told['id']}"), 404, "NotFound", "")
    assert told["id"] in missing["message"]
    assert_refused(desk.http.get(f"{PATH}/{told['id']}"), 404, "NotFound", "")
    assert_refused(desk.http.patch(f"{PATH}/{told['id']}", json={"kept": True}), 404, "NotFound", "")


def test_several_are_deleted_at_once(desk: Desk) -> None:
    urls = [f"https://a.example/{n}.wav" for n in range(3)]
    task_id = desk.task(input={"file_urls": urls})
    ids = [f"{task_id}.0", f"{task_id}.2"]
    done = checked(desk.http.post(f"{PATH}/delete", json={"ids": [*ids, "never"]}))
    assert (done["deleted"], done["not_found"]) == (ids, ["never"])
    assert [one["id"] for one in listed(desk)] == [f"{task_id}.1"]
    assert desk.query(task_id)["output"]["task_status"] == "PENDING"
    assert desk.woken


@pytest.mark.parametrize(
    "body", [{}, {"ids": []}, {"ids": "x"}, {"ids": [1]}, {"ids": ["x"] * 501}, {"ids": [], "a": 1}]
)
def test_lists_to_delete_that_cannot_be_are_refused(desk: Desk, body: dict[str, Any]) -> None:
    refused = assert_refused(desk.http.post(f"{PATH}/delete", json=body), 400, "InvalidParameter", "")
    assert 'give {"ids": […]} with 1 to 500 ids of recordings' in refused["message"]


# --- a real server ----------------------------------------------------------------------------------------------------


def until(query: Any, good: Any, within_s: float = 90) -> Any:
    deadline = time.monotonic() + within_s
    while not good(answer := query()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)
    return answer


def test_recording_of_a_server_is_found_played_with_and_deleted(server: Server, origin: Origin) -> None:
    import numpy as np

    write_wav(origin.folder / "library talk.wav", np.full((1, 16_000), 3000, np.int16))
    url = origin("library%20talk.wav")
    with server.http() as http:
        body = {"model": "fun-asr", "input": {"file_urls": [url]}}
        sent = checked(http.post(SUBMIT, json=body, headers=ASYNC | {"X-Dashscribe-Keep": "true"}))
        recording_id = f"{sent['output']['task_id']}.0"
        server.wait(sent["output"]["task_id"])
        told = checked(http.get(f"{PATH}/{recording_id}"))
        assert (told["title"], told["kept"]) == ("library talk.wav", True)
        assert told["ended_at"] >= told["started_at"] >= told["submitted_at"]

        def search() -> list[str]:
            found = checked(http.get(PATH, params={"q": '"library talk"'}))
            return [one["id"] for one in found["recordings"]]

        until(search, lambda found: recording_id in found)
        checked(http.delete(f"{PATH}/{recording_id}"))
        assert recording_id not in search()
        folder = server.home / "store" / "tasks" / sent["output"]["task_id"]
        walk = lambda: (name for _, _, names in os.walk(folder) for name in names)  # noqa: E731
        until(lambda: [name for name in walk() if name.endswith(".json")], lambda left: not left)


def test_keys_are_needed(desk: Desk) -> None:
    for method, path in (("GET", PATH), ("GET", f"{PATH}/t.0"), ("PATCH", f"{PATH}/t.0"), ("DELETE", f"{PATH}/t.0")):
        response: httpx.Response = desk.http.request(method, path, headers={"Authorization": ""})
        assert_refused(response, 401, "InvalidApiKey", "")
