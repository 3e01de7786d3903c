"""Transcripts over the wire: read with words and times, edited by revisions, compared, exported, transcribed again."""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import Any
from urllib.parse import unquote

import docx
import httpx
import pytest
import webvtt
from review import SPOKEN, recording
from sqlalchemy import update
from wire_origin import Origin
from wire_servers import Desk, Server, assert_refused, checked

from dashscribe.db import tables, writing

ROOT = "/dashscribe/v1/recordings"


def read(desk: Desk, recording_id: str, **query: Any) -> dict[str, Any]:
    response = desk.http.get(f"{ROOT}/{recording_id}/transcript", params=query)
    assert response.status_code == 200, response.text
    return checked(response)


def edit(desk: Desk, recording_id: str, body: Any) -> httpx.Response:
    return desk.http.patch(f"{ROOT}/{recording_id}/transcript", json=body)


def edited(desk: Desk, recording_id: str, revision: int, *replace: Any, **more: Any) -> dict[str, Any]:
    response = edit(desk, recording_id, {"revision": revision, "replace": list(replace), **more})
    assert response.status_code == 200, response.text
    return checked(response)


# --- reading and editing ---------------------------------------------------------------------------------------------


def test_transcript_has_all_that_a_page_shows(desk: Desk) -> None:
    told = read(desk, recording(desk, tracks=2))
    assert (told["revision"], told["edited"], told["duration_ms"], told["channels"]) == (0, False, 4000, [0, 1])
    assert (told["speakers"], told["languages"], told["notes"]) == ({}, ["en", "zh"], ["a note"])
    assert [one["id"] for one in told["sentences"]] == ["0-0", "1-0", "0-1", "1-1", "0-2", "1-2"]
    first = told["sentences"][0]
    assert first["words"][0] == {"begin_ms": 0, "end_ms": 90, "text": "Good "}
    assert {name: first[name] for name in ("channel", "begin_ms", "end_ms", "text", "speaker", "language")} == {
        "channel": 0, "begin_ms": 0, "end_ms": 290, "text": SPOKEN[0], "speaker": 0, "language": "en"
    }  # fmt: skip
    assert told["ledger"][0] == {"channel": 0, "begin_ms": 0, "end_ms": 4000, "fate": "transcribed"}


def test_words_are_left_out_on_request(desk: Desk) -> None:
    told = read(desk, recording(desk), words="false")
    assert all("words" not in one for one in told["sentences"])


def test_edits_split_merge_rename_and_take_out(desk: Desk) -> None:
    one = recording(desk)
    told = edited(
        desk,
        one,
        0,
        {"ids": ["0-0"], "with": [{"text": "Good morning,"}, {"text": "all.", "speaker": 4}]},
        {"ids": ["0-2"], "with": [{"text": ""}]},
        speakers={"0": "  Anna\tLi ", "4": "Ben"},
    )
    assert (told["revision"], told["speakers"]) == (1, {"0": "Anna Li", "4": "Ben"})
    assert [[s["text"] for s in group["with"]] for group in told["replaced"]] == [["Good morning,", "all."], []]
    halves = told["replaced"][0]["with"]
    assert [(s["begin_ms"], s["end_ms"], s["speaker"], s["edited"]) for s in halves] == [
        (0, 190, 0, True),
        (200, 290, 4, True),
    ]
    now = read(desk, one)
    assert (now["revision"], now["edited"]) == (1, True)
    assert [s["text"] for s in now["sentences"]] == ["Good morning,", "all.", SPOKEN[1]]
    assert {"channel": 0, "begin_ms": 2000, "end_ms": 2890, "fate": "removed"} in now["ledger"]
    assert sum(e["end_ms"] - e["begin_ms"] for e in now["ledger"]) == 4000
    merged = edited(desk, one, 1, {"ids": [s["id"] for s in halves], "with": [{"text": SPOKEN[0]}]}, speakers={"4": ""})
    (whole,) = merged["replaced"][0]["with"]
    assert (whole["begin_ms"], whole["end_ms"]) == (0, 290)
    assert not any(word.get("approximate") for word in whole["words"])
    assert merged["speakers"] == {"0": "Anna Li"}
    original = read(desk, one, version="original")
    assert [s["text"] for s in original["sentences"]] == SPOKEN
    assert "edited" not in original["sentences"][0]
    assert checked(desk.http.delete(f"{ROOT}/{one}/edits"))["revision"] == 3
    back = read(desk, one)
    assert (back["revision"], back["edited"], back["speakers"]) == (3, False, {})
    assert [s["text"] for s in back["sentences"]] == SPOKEN


def test_stale_revision_is_a_conflict_that_names_the_current_one(desk: Desk) -> None:
    one = recording(desk)
    edited(desk, one, 0, speakers={"0": "Anna"})
    refused = edit(desk, one, {"revision": 0, "speakers": {"0": "Ben"}})
    body = assert_refused(refused, 409, "Conflict", "The transcript was changed meanwhile.")
    assert "the current one is 1" in body["message"]


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({"revision": 0}, "replace"),
        ({"revision": -1, "speakers": {"0": "A"}}, "revision"),
        ({"revision": True, "speakers": {"0": "A"}}, "revision"),
        ({"speakers": {"0": "A"}}, "revision"),
        ({"revision": 0, "sentences": []}, "body"),
        ({"revision": 0, "replace": {}}, "replace"),
        ({"revision": 0, "replace": ["0-0"]}, "replace[0]"),
        ({"revision": 0, "replace": [{"ids": []}]}, "replace[0].ids"),
        ({"revision": 0, "replace": [{"ids": [0]}]}, "replace[0].ids"),
        ({"revision": 0, "replace": [{"ids": ["0-0"], "with": "x"}]}, "replace[0].with"),
        ({"revision": 0, "replace": [{"ids": ["0-0"], "with": [{}]}]}, "replace[0].with[0].text"),
        ({"revision": 0, "replace": [{"ids": ["0-0"], "with": [{"text": "x" * 10_001}]}]}, "replace[0].with[0].text"),
        (
            {"revision": 0, "replace": [{"ids": ["0-0"], "with": [{"text": "x", "speaker": 100}]}]},
            "replace[0].with[0].speaker",
        ),
        ({"revision": 0, "replace": [{"ids": ["0-0"], "with": [{"text": "x", "color": 1}]}]}, "replace[0].with[0]"),
        ({"revision": 0, "replace": [{"ids": ["9-9"], "with": []}]}, "replace"),
        ({"revision": 0, "replace": [{"ids": ["0-0", "0-2"], "with": []}]}, "replace"),
        ({"revision": 0, "speakers": ["A"]}, "speakers"),
        ({"revision": 0, "speakers": {"x": "A"}}, "speakers"),
        ({"revision": 0, "speakers": {"100": "A"}}, "speakers"),
        ({"revision": 0, "speakers": {"0": "A" * 101}}, "speakers.0"),
    ],
)
def test_wrong_edits_are_refused_by_name_and_change_nothing(desk: Desk, body: dict[str, Any], parameter: str) -> None:
    one = recording(desk)
    text = f"Required parameter({parameter}) missing or invalid"
    assert_refused(edit(desk, one, body), 400, "InvalidParameter", text)
    assert read(desk, one)["revision"] == 0


@pytest.mark.parametrize("query", [{"version": "latest"}, {"words": "yes"}])
def test_wrong_queries_are_refused_by_name(desk: Desk, query: dict[str, str]) -> None:
    (name,) = query
    response = desk.http.get(f"{ROOT}/{recording(desk)}/transcript", params=query)
    assert_refused(response, 400, "InvalidParameter", f"Required parameter({name}) missing or invalid")


@pytest.mark.parametrize("recording_id", ["nobody.0", "nobody", "a.b", "x.01", "%2e%2e.0", "x" * 200])
def test_what_is_no_recording_is_not_found(desk: Desk, recording_id: str) -> None:
    for path in ("transcript", "export", "peaks", "sound"):
        assert_refused(desk.http.get(f"{ROOT}/{recording_id}/{path}"), 404, "NotFound", "Not found!")


def test_a_recording_that_is_not_done_has_no_transcript_yet(desk: Desk) -> None:
    response = desk.http.get(f"{ROOT}/{desk.task()}.0/transcript")
    body = assert_refused(response, 409, "Conflict", "The recording has no transcript.")
    assert "PENDING" in body["message"]


def test_a_recording_of_a_deleted_row_is_gone_for_every_route(desk: Desk) -> None:
    one = recording(desk)
    with writing(desk.engine) as connection:
        connection.execute(update(tables.files).values(hidden=True))
    assert desk.http.get(f"{ROOT}/{one}/transcript").status_code == 404
    assert desk.http.get(f"{ROOT}/{one}/peaks").status_code == 404
    assert desk.http.post(f"{ROOT}/{one}/again").status_code == 404


# --- exports ----------------------------------------------------------------------------------------------------------


def export(desk: Desk, recording_id: str, wanted: str, **query: str) -> httpx.Response:
    response = desk.http.get(f"{ROOT}/{recording_id}/export", params={"format": wanted, **query})
    assert response.status_code == 200, response.text
    return response


@pytest.fixture
def named(desk: Desk) -> str:
    one = recording(desk)
    edited(desk, one, 0, {"ids": ["0-1"], "with": [{"text": "We begin with *the* budget."}]}, speakers={"0": "Anna"})
    return one


def test_every_format_says_what_was_edited_and_who_speaks(desk: Desk, named: str) -> None:
    assert export(desk, named, "txt").text == (
        "Anna: Good morning, all.\nSpeaker 2: We begin with *the* budget.\nAnna: 好的，我们开始吧。\n"
    )
    assert export(desk, named, "txt", times="true").text.startswith("[0:00] Anna: Good morning, all.\n[0:01] ")
    assert export(desk, named, "txt", speakers="false").text.startswith("Good morning, all. We begin")
    assert export(desk, named, "md").text == (
        "# Budget 会.wav\n\n`0:00` **Anna** Good morning, all.\n\n"
        "`0:01` **Speaker 2** We begin with \\*the\\* budget.\n\n`0:02` **Anna** 好的，我们开始吧。\n"
    )
    assert "Anna: Good morning, all." in export(desk, named, "srt").text
    cues = list(webvtt.from_string(export(desk, named, "vtt").text))
    assert [cue.voice for cue in cues] == ["Anna", "Speaker 2", "Anna"]
    assert "1000\t1490\t0\t1\tWe begin with *the* budget.\n" in export(desk, named, "tsv").text
    assert "\t0\tAnna\tGood morning" in export(desk, named, "tsv").text
    result = export(desk, named, "json").json()
    assert [s["text"] for s in result["transcripts"][0]["sentences"]][1] == "We begin with *the* budget."
    assert result["dashscribe"]["edited"] == {"revision": 1, "speaker_names": {"0": "Anna"}}
    document = docx.Document(io.BytesIO(export(desk, named, "docx").content))
    assert [p.text for p in document.paragraphs] == [
        "Budget 会.wav",
        "0:00  Anna: Good morning, all.",
        "0:01  Speaker 2: We begin with *the* budget.",
        "0:02  Anna: 好的，我们开始吧。",
    ]


def test_original_is_exported_as_it_was_recognized(desk: Desk, named: str) -> None:
    text = export(desk, named, "txt", version="original").text
    assert text == "".join(f"Speaker {n % 2 + 1}: {said}\n" for n, said in enumerate(SPOKEN))
    assert "edited" not in export(desk, named, "json", version="original").json()["dashscribe"]


def test_captions_take_a_preset(desk: Desk, named: str) -> None:
    social = webvtt.from_string(export(desk, named, "vtt", captions="social").text)
    assert all(cue.voice is None for cue in social)
    response = desk.http.get(f"{ROOT}/{named}/export", params={"format": "vtt", "captions": "loud"})
    assert_refused(response, 400, "InvalidParameter", "Required parameter(captions) missing or invalid")
    response = desk.http.get(f"{ROOT}/{named}/export", params={"format": "pdf"})
    assert "txt, md, srt, vtt, docx, tsv, json" in response.json()["message"]


def test_download_has_the_recording_s_name_in_any_writing(desk: Desk, named: str) -> None:
    header = export(desk, named, "srt").headers["content-disposition"]
    assert unquote(re.search(r"filename\*=UTF-8''(\S+)", header)[1]) == "Budget 会.srt"
    assert 'filename="Budget _.srt"' in header
    with writing(desk.engine) as connection:
        connection.execute(update(tables.files).values(title='../..\\x"y\r\nz: 1/2?\u202egpj'))
    header = export(desk, named, "txt").headers["content-disposition"]
    assert unquote(re.search(r"filename\*=UTF-8''(\S+)", header)[1]) == "x y z 1 2 gpj.txt"


def test_exports_of_many_come_as_one_zip(desk: Desk, named: str) -> None:
    second, waiting = recording(desk), f"{desk.task()}.0"
    body = {"ids": [named, second, waiting], "formats": ["txt", "docx"]}
    response = desk.http.post(f"{ROOT}/export", json=body)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    assert archive.testzip() is None
    assert archive.namelist() == [
        *("Budget 会.txt", "Budget 会.docx", "Budget 会 (2).txt", "Budget 会 (2).docx", "left-out.txt")
    ]
    assert archive.read("Budget 会.txt").decode().startswith("Anna: Good morning")
    assert archive.read("left-out.txt").decode().startswith(f"{waiting}: The recording has no transcript.")
    docx.Document(io.BytesIO(archive.read("Budget 会.docx")))


def test_names_in_a_zip_are_good_on_every_system_and_each_there_once(desk: Desk) -> None:
    titles = {
        "left-out.wav": "left-out (2)",  # the name of what tells which ones are not there
        "../../etc/passwd": "etc passwd",
        "/etc/cron.d/x": "etc cron.d x",
        "C:\\Windows\\x.mp3": "C Windows x",
        "CON.wav": "_CON",
        "aux.tar.gz": "_aux.tar.gz",
        "Com1": "_Com1",
        "a\u0000b\u001b[31m": "a b [31m",
        "\u202etxt.exe": "txt.exe",
        "caf\u00e9": "caf\u00e9",
        "CAFE\u0301": "CAFE\u0301 (2)",  # the same name to disks of macOS
        "...": "recording",
        " ": "recording (2)",
        "会" * 200: "会" * 66,
        "trailing. .": "trailing",
    }
    ids = [recording(desk, "Some words.") for _ in titles]
    with writing(desk.engine) as connection:
        for one, title in zip(ids, titles, strict=True):
            mine = tables.files.c.task_id == one.partition(".")[0]
            connection.execute(update(tables.files).where(mine).values(title=title.replace("\u0000", "\u0001")))
    waiting = f"{desk.task()}.0"
    response = desk.http.post(f"{ROOT}/export", json={"ids": [*ids, waiting], "formats": ["txt"]})
    names = zipfile.ZipFile(io.BytesIO(response.content)).namelist()
    assert names == [*(f"{name}.txt" for name in titles.values()), "left-out.txt"]


@pytest.mark.parametrize("title", ["\ud800", "a\udfffb"])
def test_half_a_character_is_no_title(desk: Desk, title: str) -> None:
    sent = json.dumps({"title": title})
    response = desk.http.patch(f"{ROOT}/{recording(desk)}", content=sent)
    assert (response.status_code, checked(response)["code"]) == (400, "BadRequest.IllegalInput")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": []},
        {"ids": "x.0"},
        {"ids": [1]},
        {"ids": ["x.0"] * 501},
        {"ids": ["x.0"], "formats": ["pdf"]},
        {"ids": ["x.0"], "formats": []},
        {"ids": ["x.0"], "version": "last"},
        {"ids": ["x.0"], "times": "true"},
        {"ids": ["x.0"], "captions": 7},
        {"ids": ["x.0"], "form": "zip"},
    ],
)
def test_wrong_wishes_for_a_zip_are_refused(desk: Desk, body: dict[str, Any]) -> None:
    response = desk.http.post(f"{ROOT}/export", json=body)
    assert_refused(response, 400, "InvalidParameter", "Required parameter(")


def test_a_zip_of_what_is_not_there_is_refused_before_it_begins(desk: Desk, named: str) -> None:
    response = desk.http.post(f"{ROOT}/export", json={"ids": [named, "nobody.0"], "formats": ["txt"]})
    assert_refused(response, 404, "NotFound", "Not found!")
    response = desk.http.post(f"{ROOT}/export", json={"ids": [f"{desk.task()}.0"]})
    assert_refused(response, 409, "Conflict", "The recording has no transcript.")


# --- comparing --------------------------------------------------------------------------------------------------------


def test_two_transcripts_are_compared_by_word_and_by_character(desk: Desk) -> None:
    left = recording(desk)
    right = recording(desk, "Good morning all!", "We began with a budget", "好吧，我们现在开始。")
    told = checked(desk.http.get(f"{ROOT}/{left}/compare", params={"with": right}))
    runs = [
        (pair["kind"], "".join(w["text"] for w in pair["left"]), "".join(w["text"] for w in pair["right"]))
        for pair in told["pairs"]
    ]
    assert ("replaced", "begin ", "began ") in runs
    assert ("replaced", "the ", "a ") in runs
    assert ("inserted", "", "现在") in runs
    assert told["figures"]["words"] == 8 + 7
    assert told["figures"]["changed"] == sum(told["figures"][kind] for kind in ("replaced", "inserted", "deleted"))
    assert told["pairs"][0]["left"][0] == {"begin_ms": 0, "end_ms": 90, "text": "Good "}
    same = checked(desk.http.get(f"{ROOT}/{left}/compare", params={"with": left}))
    assert same["figures"]["changed"] == 0
    assert_refused(desk.http.get(f"{ROOT}/{left}/compare", params={"with": "nobody.0"}), 404, "NotFound", "Not found!")


# --- again ------------------------------------------------------------------------------------------------------------


def submitted(desk: Desk, answer: dict[str, Any]) -> Any:
    task = desk.parts.tasks.get("default", answer["task_id"])
    assert task is not None
    return task


def test_again_asks_for_what_was_asked_for_before(desk: Desk) -> None:
    one = recording(desk)
    with writing(desk.engine) as connection:
        options = json.dumps({"model": "fun-asr", "languages": ["en"], "diarize": True, "drop_fillers": True})
        connection.execute(update(tables.tasks).values(options=options))
    response = desk.http.post(f"{ROOT}/{one}/again")
    assert response.status_code == 202
    told = checked(response)
    assert (told["id"], told["status"], told["model"]) == (f"{told['task_id']}.0", "PENDING", "fun-asr")
    task = submitted(desk, told)
    assert (task.options.languages, task.options.diarize) == (("en",), True)
    assert task.subtasks[0].file_url == f"recording://{one}/Budget%20%E4%BC%9A.wav"
    other = submitted(desk, checked(desk.http.post(f"{ROOT}/{one}/again", json={"model": "qwen3-asr-flash-filetrans"})))
    assert (other.model, other.shape) == ("qwen3-asr-flash-filetrans", "file_url")
    assert any("diarize of the earlier task had no effect" in note for note in other.notes)
    fresh = submitted(desk, checked(desk.http.post(f"{ROOT}/{one}/again", json={"parameters": {"channel_id": [1]}})))
    assert (fresh.options.channels, fresh.options.diarize) == ((1,), False)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "qwen3-asr-flash"}, 400, "InvalidParameter"),
        ({"model": 7}, 400, "InvalidParameter"),
        ({"model": "nothing-of-the-kind"}, 404, "ModelNotFound"),
        ({"parameters": []}, 400, "InvalidParameter"),
        ({"parameters": {"channel_id": "x"}}, 400, "InvalidParameter"),
        ({"file_urls": []}, 400, "InvalidParameter"),
    ],
)
def test_wrong_wishes_for_again_are_refused(desk: Desk, body: dict[str, Any], status: int, code: str) -> None:
    response = desk.http.post(f"{ROOT}/{recording(desk)}/again", json=body)
    assert (response.status_code, checked(response)["code"]) == (status, code)


def test_again_recognizes_the_kept_source_and_only_the_owner_s(server: Server, origin: Origin) -> None:
    (origin.folder / "once.wav").write_bytes((origin.folder / "a.wav").read_bytes())
    task_id = server.submit("fun-asr", origin("once.wav"))
    first = server.wait(task_id)
    (origin.folder / "once.wav").unlink()
    with server.http() as http:
        made = checked(http.post(f"{ROOT}/{task_id}.0/again", json={"model": "paraformer-v2"}))
        answer = server.wait(made["task_id"])
        assert answer["output"]["task_status"] == "SUCCEEDED", answer
        assert answer["output"]["results"][0]["file_url"].endswith("/once.wav")
        texts = [http.get(f"{ROOT}/{one}.0/export").text for one in (task_id, made["task_id"])]
        assert texts[0] == texts[1] != ""
        peaks = checked(http.get(f"{ROOT}/{task_id}.0/peaks"))
        assert (peaks["rate_hz"], peaks["begin_ms"], peaks["channel_numbers"]) == (20, 0, [0])
        (channel,) = peaks["channels"]
        assert len(channel) == 76  # 3.8 s
        assert max(channel[:9]) == 0 < max(channel[12:60]) <= 127
    assert first["output"]["task_status"] == "SUCCEEDED"


def test_a_recording_as_a_source_is_nobody_else_s(server: Server, origin: Origin) -> None:
    task_id = server.submit("fun-asr", origin("a.wav"))
    server.wait(task_id)
    failed = server.wait(server.submit("fun-asr", "recording://7c3a1f52-2f44-4c1e-9d0b-6a5b4c3d2e1f.0/a.wav"))
    own = server.wait(server.submit("fun-asr", f"recording://{task_id}.0/a.wav"))
    assert own["output"]["task_status"] == "SUCCEEDED"
    assert failed["output"]["results"][0]["code"] == "InvalidFile.DownloadFailed"
    assert "has no recording" in failed["output"]["results"][0]["message"]
