from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select

from dashscribe import order
from dashscribe.db import open_database, reading, tables, writing
from dashscribe.order import NOMINAL_MS


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path}/a.db")


def reserve(engine: Engine, owner: str, files: int, now_ms: int) -> list[int]:
    with writing(engine) as connection:
        return order.reserve(connection, owner, files, now_ms)


def test_files_of_one_owner_queue_one_behind_the_other(engine: Engine) -> None:
    assert reserve(engine, "a", 3, 1000) == [1000 + NOMINAL_MS, 1000 + 2 * NOMINAL_MS, 1000 + 3 * NOMINAL_MS]
    assert reserve(engine, "a", 1, 2000) == [1000 + 4 * NOMINAL_MS]


def test_owner_who_queued_nothing_for_a_while_starts_at_the_clock(engine: Engine) -> None:
    reserve(engine, "a", 1, 0)
    assert reserve(engine, "a", 1, 10 * NOMINAL_MS) == [11 * NOMINAL_MS]


def test_other_owners_are_not_behind_a_long_queue(engine: Engine) -> None:
    long_queue = reserve(engine, "a", 100, 0)
    assert reserve(engine, "b", 1, 5000)[0] < long_queue[1]


def test_owner_of_twice_the_weight_gets_twice_the_share(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(insert(tables.owners).values(name="a", tag_ms=0, weight=2))
    assert reserve(engine, "a", 4, 0) == [NOMINAL_MS // 2 * count for count in (1, 2, 3, 4)]


@pytest.mark.parametrize("sound_ms", [1, 10_000, NOMINAL_MS, 3_600_000])
@pytest.mark.parametrize("weight", [1, 3])
def test_length_counts_as_it_is_once_it_is_known(engine: Engine, sound_ms: int, weight: int) -> None:
    with writing(engine) as connection:
        connection.execute(insert(tables.owners).values(name="a", tag_ms=0, weight=weight))
    reserve(engine, "a", 1, 0)
    with writing(engine) as connection:
        order.correct(connection, "a", sound_ms)
    with reading(engine) as connection:
        tag_ms = connection.execute(select(tables.owners.c.tag_ms)).scalar_one()
    assert abs(tag_ms - sound_ms / weight) <= 1


def test_windows_of_a_file_follow_each_other_by_their_speech() -> None:
    file_tag_ms = 5_000_000
    tags = [order.window_tag(file_tag_ms, 1, sound_ms) for sound_ms in (30_000, 60_000, 90_000)]
    assert tags == [file_tag_ms - 30_000, file_tag_ms, file_tag_ms + 30_000]
    assert order.window_tag(file_tag_ms, 2, 60_000) == file_tag_ms


@pytest.mark.parametrize(
    ("duration_ms", "files", "express"),
    [(59_999, 1, True), (60_000, 1, False), (0, 1, False), (10_000, 3, True), (10_000, 100, False)],
)
def test_express_is_a_task_of_less_than_a_minute(duration_ms: int, files: int, express: bool) -> None:
    assert order.is_express(duration_ms, files) is express
