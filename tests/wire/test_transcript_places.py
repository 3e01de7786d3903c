"""Sentences that are put into a transcript where none stands."""

from __future__ import annotations

from typing import Any

import pytest
from review import SPOKEN, recording
from wire_servers import Desk, assert_refused, checked

ROOT = "/dashscribe/v1/recordings"


def put(channel: Any, begin_ms: int, end_ms: int, text: str = "x") -> dict[str, Any]:
    """Put a sentence where none stands."""
    return {"ids": [], "channel": channel, "begin_ms": begin_ms, "end_ms": end_ms, "with": [{"text": text}]}


def send(desk: Desk, recording_id: str, revision: int, *replace: Any) -> Any:
    body = {"revision": revision, "replace": list(replace)}
    return desk.http.patch(f"{ROOT}/{recording_id}/transcript", json=body)


def test_a_sentence_is_put_where_none_stands(desk: Desk) -> None:
    one = recording(desk, tracks=2)
    send(desk, one, 0, {"ids": ["1-0", "1-1", "1-2"], "with": []})
    answer = send(
        desk,
        one,
        1,
        put(1, 1000, 1490, SPOKEN[1]) | {"with": [{"text": SPOKEN[1], "speaker": 1}]},
        put(1, 0, 290, SPOKEN[0]),
        put(0, 300, 900, "In between."),
        {"ids": ["0-1"], "with": []},
    )
    told = checked(answer)
    assert [[s["text"] for s in group["with"]] for group in told["replaced"]] == [
        [SPOKEN[1]], [SPOKEN[0]], ["In between."], []
    ]  # fmt: skip
    now = checked(desk.http.get(f"{ROOT}/{one}/transcript"))
    found = [(s["channel"], s["begin_ms"], s["end_ms"], s["text"], s.get("speaker")) for s in now["sentences"]]
    assert found == [
        (0, 0, 290, SPOKEN[0], 0),
        (1, 0, 290, SPOKEN[0], None),
        (0, 300, 900, "In between.", None),
        (1, 1000, 1490, SPOKEN[1], 1),
        (0, 2000, 2890, SPOKEN[2], 0),
    ]
    assert len({s["id"] for s in now["sentences"]}) == 5
    assert all(word["approximate"] for word in now["sentences"][1]["words"])
    gone = [(e["channel"], e["begin_ms"], e["end_ms"]) for e in now["ledger"] if e["fate"] == "removed"]
    assert gone == [(0, 1000, 1490), (1, 290, 1000), (1, 1490, 2890)]
    assert "We begin" in desk.http.get(f"{ROOT}/{one}/export", params={"format": "srt"}).text


@pytest.mark.parametrize(
    ("replace", "parameter"),
    [
        ([{"ids": [], "channel": 0}], "replace[0].begin_ms"),
        ([put(True, 300, 400)], "replace[0].channel"),
        ([put(0, 400, 400)], "replace[0].end_ms"),
        ([put(0, 300, 400, "")], "replace[0].with"),
        ([put(0, 300, 400) | {"with": []}], "replace[0].with"),
        ([put(0, 300, 400) | {"ids": ["0-0"]}], "replace[0]"),
        ([put(1, 300, 400)], "replace"),
        ([put(0, 280, 400)], "replace"),
        ([put(0, 900, 1001)], "replace"),
        ([put(0, 3900, 4001)], "replace"),
        ([put(0, 300, 400), put(0, 399, 500)], "replace"),
        ([put(0, 300, 400), {"ids": ["0-0", "0-1"], "with": []}], "replace"),
    ],
)
def test_what_is_put_into_no_free_stretch_is_refused_by_name(desk: Desk, replace: list[Any], parameter: str) -> None:
    one = recording(desk)
    text = f"Required parameter({parameter}) missing or invalid"
    assert_refused(send(desk, one, 0, *replace), 400, "InvalidParameter", text)
    assert checked(desk.http.get(f"{ROOT}/{one}/transcript"))["revision"] == 0
