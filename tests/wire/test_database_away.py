"""A database that ends the session of a request that runs: the answer says so, and when to ask again."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from wire_servers import Desk, assert_refused, open_desk

from postgres import Cluster

TEXT = "An internal error has occured, please try again later or contact service support. The database does not answer"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Desk]:
    """A desk on a PostgreSQL."""
    with open_desk(tmp_path_factory.mktemp("away"), database_url=cluster.new_database()) as opened:
        yield opened


def be_silent(connection: Connection, cluster: Cluster) -> None:
    """For longer than PostgreSQL waits for this connection, and for this one alone."""
    number = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 100")
    while cluster.execute(f"SELECT 1 FROM pg_stat_activity WHERE pid = {number}"):
        time.sleep(0.05)


def shut_down(connection: Connection, cluster: Cluster) -> None:
    number = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    cluster.execute(f"SELECT pg_terminate_backend({number}, 5000)")


@pytest.fixture(params=[be_silent, shut_down])
def cut(request: pytest.FixtureRequest, shared: Desk, cluster: Cluster) -> Iterator[Callable[[str], None]]:
    """Have the session cut once, before the next statement that has these words."""
    words: list[str] = []

    def before(connection: Connection, cursor: Any, statement: str, *others: object) -> None:
        if words and words[0] in statement:
            words.clear()
            request.param(connection, cluster)

    event.listen(shared.engine, "before_cursor_execute", before)
    yield words.append
    event.remove(shared.engine, "before_cursor_execute", before)
    assert not words, "nobody said that"


def test_submission_says_when_to_come_again_and_has_left_nothing(shared: Desk, cut: Callable[[str], None]) -> None:
    before = shared.http.get("/api/v1/tasks").json()["total"]
    cut("INSERT INTO files")
    refused = shared.submit()
    assert_refused(refused, 503, "InternalError", TEXT)
    assert refused.headers["retry-after"] == "1"
    assert shared.http.get("/api/v1/tasks").json()["total"] == before
    assert shared.submit().status_code == 200


def test_poll_is_not_told_503_after_which_java_asks_without_a_pause(shared: Desk, cut: Callable[[str], None]) -> None:
    task_id = shared.task()
    cut("FROM files")
    assert_refused(shared.http.get(f"/api/v1/tasks/{task_id}"), 500, "InternalError", TEXT)
    assert shared.query(task_id)["output"]["task_id"] == task_id


def test_client_of_openai_is_told_to_try_again(shared: Desk, cut: Callable[[str], None]) -> None:
    cut("FROM keys")
    refused = shared.http.get("/v1/models", headers={"Authorization": "Bearer sk-unknown"})
    assert refused.status_code == 503
    assert refused.json()["error"]["message"].startswith(TEXT)
    assert (refused.headers["x-should-retry"], refused.headers["retry-after"]) == ("true", "1")


def test_error_of_another_kind_stays_one_of_ours(shared: Desk, caplog: pytest.LogCaptureFixture) -> None:
    def spoil(connection: Connection, cursor: Any, statement: str, parameters: Any, *others: object) -> Any:
        return statement.replace("FROM tasks", "FROM tusks"), parameters

    event.listen(shared.engine, "before_cursor_execute", spoil, retval=True)
    try:
        answer = shared.http.get("/api/v1/tasks")
    finally:
        event.remove(shared.engine, "before_cursor_execute", spoil)
    assert_refused(answer, 500, "InternalError", "An internal error")
    assert "does not answer" not in answer.text
    assert "unexpected error" in caplog.text
