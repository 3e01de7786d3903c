"""Recordings that accepted tasks have yet to fetch, over the wire: deletions of them are refused, with what helps."""

from __future__ import annotations

from typing import Any

import pytest
from review import recording
from sqlalchemy import update
from wire_servers import Desk, assert_refused, checked

from dashscribe.db import tables, writing
from dashscribe.library import Library

ROOT = "/dashscribe/v1/recordings"


def again(desk: Desk, recording_id: str) -> str:
    """Have a recording transcribed again: the id of the new one, which waits."""
    response = desk.http.post(f"{ROOT}/{recording_id}/again")
    assert response.status_code == 202, response.text
    return checked(response)["id"]


def delete(desk: Desk, *ids: str) -> Any:
    return desk.http.post(f"{ROOT}/delete", json={"ids": list(ids)})


def listed(desk: Desk) -> set[str]:
    return {one["id"] for one in checked(desk.http.get(ROOT))["recordings"]}


def test_deleting_what_a_task_has_yet_to_fetch_is_a_conflict_that_names_it(desk: Desk) -> None:
    one = recording(desk)
    waiting = again(desk, one)
    task_id = waiting.partition(".")[0]
    for refused in (desk.http.delete(f"{ROOT}/{one}"), delete(desk, one, "never")):
        told = assert_refused(refused, 409, "Conflict", "The request conflicts with an earlier one.")
        for text in (f"Task {task_id} has yet to fetch", one, "wait until it has, or cancel it", waiting):
            assert text in told["message"]
    assert listed(desk) == {one, waiting}
    checked(desk.http.post(f"/api/v1/tasks/{task_id}/cancel"))
    assert desk.http.delete(f"{ROOT}/{one}").status_code == 200
    assert_refused(desk.http.delete(f"{ROOT}/{one}"), 404, "NotFound", "")


def test_once_it_is_fetched_it_can_be_deleted(desk: Desk) -> None:
    one = recording(desk)
    waiting = again(desk, one)
    with writing(desk.engine) as connection:
        of_task = update(tables.files).where(tables.files.c.task_id == waiting.partition(".")[0])
        connection.execute(of_task.values(state="fetching"))
    assert desk.http.delete(f"{ROOT}/{one}").status_code == 409
    with writing(desk.engine) as connection:
        connection.execute(of_task.values(source_key="there"))
    assert desk.http.delete(f"{ROOT}/{one}").status_code == 200


def test_of_several_the_others_are_deleted(desk: Desk) -> None:
    one, two, three = (recording(desk) for _ in range(3))
    waiting = again(desk, one)
    again(desk, three)
    done = checked(delete(desk, one, two, "never"))
    assert (done["deleted"], done["not_found"]) == ([two], ["never"])
    assert done["awaited"] == [{"id": one, "task_id": waiting.partition(".")[0]}]
    told = assert_refused(delete(desk, one, three), 409, "Conflict", "")
    assert "the same with 1 more" in told["message"]
    done = checked(delete(desk, one, waiting))
    assert (set(done["deleted"]), done["awaited"]) == ({one, waiting}, [])


@pytest.mark.parametrize("how", ["deleted", "expired"])
def test_again_that_comes_too_late_is_not_accepted(desk: Desk, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    one = recording(desk)
    submit = desk.parts.tasks.submit

    def too_late(submission: Any) -> Any:
        if how == "deleted":
            Library(desk.engine, desk.parts.settings).delete("default", [one])
        else:
            with writing(desk.engine) as connection:
                connection.execute(update(tables.files).values(source_key=""))
        return submit(submission)

    monkeypatch.setattr(desk.parts.tasks, "submit", too_late)
    told = assert_refused(desk.http.post(f"{ROOT}/{one}/again"), 404, "NotFound", "")
    assert (one if how == "deleted" else "is not kept any more") in told["message"]
    assert listed(desk) == ({one} if how == "expired" else set())
    assert desk.parts.tasks.open_files() == 0
