"""Texts that PostgreSQL does not know: whoever sends one is answered as with SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from wire_servers import Desk, open_desk

from postgres import Cluster

CALLBACKS, UPLOADS = "/dashscribe/v1/callbacks", "/dashscribe/v1/uploads"
CALLS: dict[str, tuple[int, Callable[[Desk], httpx.Response]]] = {
    "delivery of a task": (200, lambda desk: desk.http.get(f"{CALLBACKS}/deliveries?task_id=%00")),
    "delivery to a target": (200, lambda desk: desk.http.get(f"{CALLBACKS}/deliveries?target_id=%00")),
    "target": (404, lambda desk: desk.http.get(f"{CALLBACKS}/targets/%00")),
    "tasks of a model": (200, lambda desk: desk.http.get("/api/v1/tasks/?model_name=%00")),
    "tasks of a key": (200, lambda desk: desk.http.get("/api/v1/tasks/?api_key_id=%00")),
    "upload": (404, lambda desk: desk.http.get(f"{UPLOADS}/a%00b")),
    "source": (200, lambda desk: desk.submit(input={"file_urls": ["oss://dashscope-instant/a%00b"]})),
}


@pytest.fixture(scope="module")
def postgres_desk(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("odd"), database_url=cluster.new_database()) as desk:
        yield desk


@pytest.mark.parametrize("call", CALLS)
def test_nul_is_no_fault_of_the_server(postgres_desk: Desk, call: str) -> None:
    status, send = CALLS[call]
    assert send(postgres_desk).status_code == status
