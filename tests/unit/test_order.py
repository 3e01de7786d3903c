from pathlib import Path

import pytest
from durable import Home, source, speech, take
from sqlalchemy import Engine, func, insert, select, update

from dashscribe import files, order
from dashscribe.db import now_ms, open_database, reading, tables, writing
from dashscribe.db.tables import FileState
from dashscribe.errors.sources import DurationTooLongError
from dashscribe.library import Library
from dashscribe.order import MOST_MS, NOMINAL_MS
from dashscribe.steps import booking, prepare
from dashscribe.tasks import Task
from dashscribe.types import Media, Options
from laid_database import lay


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(lay(f"sqlite:///{tmp_path}/a.db"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, {"http://x/a": speech(2)})


def reserve(engine: Engine, owner: str, files: int, now_ms: int) -> list[int]:
    with writing(engine) as connection:
        return order.reserve(connection, owner, files, now_ms)


def test_files_of_one_owner_queue_one_behind_the_other(engine: Engine) -> None:
    assert reserve(engine, "a", 3, 1000) == [1000 + NOMINAL_MS, 1000 + 2 * NOMINAL_MS, 1000 + 3 * NOMINAL_MS]
    assert reserve(engine, "a", 1, 2000) == [1000 + 4 * NOMINAL_MS]


def test_owners_are_equal_once_nothing_waits_however_much_one_of_them_had(engine: Engine) -> None:
    first = reserve(engine, "a", 600, 0)
    assert reserve(engine, "b", 1, 0) == [first[-1] + NOMINAL_MS]  # nothing waits: these are numbers, no files
    assert reserve(engine, "c", 1, 10**9) == [first[-1] + 2 * NOMINAL_MS]


def test_owner_who_comes_later_begins_where_the_order_has_got_to(home: Home) -> None:
    home.submit(*["http://x/a"] * 10, owner="alice")
    for _ in range(4):
        last = files.claim(home.engine, FileState.WAITING)
    home.submit("http://x/a", "http://x/a", owner="bob")
    with reading(home.engine) as connection:
        rows = connection.execute(select(tables.files.c.tag_ms).where(tables.files.c.owner == "bob")).scalars().all()
    assert last is not None
    assert list(rows) == [last.tag_ms + 2 * NOMINAL_MS, last.tag_ms + 3 * NOMINAL_MS]


def test_short_work_goes_first_until_its_owner_has_had_hours_more_than_others(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(insert(tables.owners), [{"name": name, "tag_ms": 0} for name in ("a", "b")])
        order.charge(connection, "a", 1000)
        begin_ms = order.window_tag(connection, "a", 0)
        assert order.window_tag(connection, "a", 30_000) == begin_ms + 30_000
        assert order.window_tag(connection, "a", 30_000, express=True) == begin_ms
        connection.execute(update(tables.owners).where(tables.owners.c.name == "a").values(window_tag_ms=10**9))
        # Nothing waits, so that all begin with the one furthest ahead.
        assert order.window_tag(connection, "b", 30_000, express=True) == 10**9


def test_flood_of_short_work_queues_in_the_end(home: Home) -> None:
    home.submit("http://x/a", owner="alice")
    home.submit("http://x/a", owner="bob")
    prepare.fetch(home.bench, take(home, FileState.WAITING))
    prepare.cut(home.bench, take(home, FileState.FETCHED))  # alice's sound waits
    with writing(home.engine) as connection:
        now_ms = order.window_tag(connection, "bob", 0)
        assert order.window_tag(connection, "bob", 10_000, express=True) == now_ms
        order.charge(connection, "bob", order.AHEAD_MS + 60_000)
        assert order.window_tag(connection, "bob", 10_000, express=True) == now_ms + 70_000


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


@pytest.mark.parametrize("weight", [1, 2])
def test_windows_of_an_owner_follow_each_other_by_their_speech(engine: Engine, weight: int) -> None:
    with writing(engine) as connection:
        connection.execute(insert(tables.owners).values(name="a", tag_ms=0, weight=weight))
        tags: list[int] = []
        order.charge(connection, "a", 1000)  # virtual time has begun
        for speech_ms in (30_000, 20_000, 40_000):
            tags.append(order.window_tag(connection, "a", speech_ms))
            order.charge(connection, "a", speech_ms)
    assert [tag_ms - tags[0] for tag_ms in tags] == [0, 20_000 // weight, 60_000 // weight]


@pytest.mark.parametrize(
    ("duration_ms", "files", "express"),
    [(59_999, 1, True), (60_000, 1, False), (0, 1, False), (10_000, 3, True), (10_000, 100, False)],
)
def test_express_is_a_task_of_less_than_a_minute(duration_ms: int, files: int, express: bool) -> None:
    assert order.is_express(duration_ms, files) is express


def call_off(home: Home, task: Task, how: str) -> None:
    """End a task none of whose files was fetched."""
    if how == "cancel":
        assert home.book.cancel(task.owner, task.id) == len(task.subtasks)
    elif how == "delete":
        ids = [f"{task.id}.{subtask.index}" for subtask in task.subtasks]
        assert Library(home.engine, home.settings).delete(task.owner, ids).stopped == len(ids)
    else:
        with writing(home.engine) as connection:
            late = update(tables.tasks).where(tables.tasks.c.id == task.id)
            connection.execute(late.values(submitted_ms=tables.tasks.c.submitted_ms - 10_000))
        ended = files.time_out(home.engine, now_ms() - 5000, "InternalError.Timeout", "too late")
        assert len(ended) == len(task.subtasks)


@pytest.mark.parametrize("weight", [1, 3])
@pytest.mark.parametrize("how", ["cancel", "delete", "time out"])
def test_what_was_never_fetched_does_not_count_against_its_owner(home: Home, how: str, weight: int) -> None:
    order.set_weight(home.engine, "ann", weight)
    home.submit(*["http://x/a"] * 60, owner="bob")
    call_off(home, home.submit(*["http://x/a"] * 50, owner="ann"), how)
    home.submit("http://x/a", owner="ann")
    waits = tables.files.c.state == FileState.WAITING
    lowest = select(func.min(tables.files.c.tag_ms)).where(waits)
    with reading(home.engine) as connection:
        virtual_ms = connection.execute(lowest.where(tables.files.c.owner == "bob")).scalar_one()
        tag_ms = connection.execute(lowest.where(tables.files.c.owner == "ann")).scalar_one()
    assert tag_ms == virtual_ms + NOMINAL_MS // weight


def test_source_that_is_not_there_does_not_count_against_its_owner(home: Home) -> None:
    home.submit(*["http://x/a"] * 3, owner="bob")
    home.submit(*["http://x/a"] * 5, owner="ann")
    before_ms = tag_of(home, "ann")
    while (file := take(home, FileState.WAITING)).owner != "ann":
        pass
    assert files.failed(home.engine, file, "FILE_404_NOT_FOUND", "gone")
    assert tag_of(home, "ann") == before_ms - NOMINAL_MS


def test_what_was_fetched_counts_though_it_is_deleted(home: Home) -> None:
    home.submit(*["http://x/a"] * 3, owner="bob")
    task = home.submit(*["http://x/a"] * 5, owner="ann")
    while (file := take(home, FileState.WAITING)).owner != "ann":
        pass
    prepare.fetch(home.bench, file)
    before_ms = tag_of(home, "ann")
    library = Library(home.engine, home.settings)
    library.delete("ann", [f"{task.id}.0"])
    assert tag_of(home, "ann") == before_ms
    library.delete("ann", [f"{task.id}.1"])
    assert tag_of(home, "ann") == before_ms - NOMINAL_MS
    library.delete("ann", [f"{task.id}.1"])
    assert tag_of(home, "ann") == before_ms - NOMINAL_MS


def test_what_is_given_back_is_given_back_once(home: Home) -> None:
    home.submit(*["http://x/a"] * 3, owner="bob")
    task = home.submit(*["http://x/a"] * 3, owner="ann")
    before_ms = tag_of(home, "ann")
    Library(home.engine, home.settings).delete("ann", [f"{task.id}.1"])
    home.book.cancel("ann", task.id)
    assert tag_of(home, "ann") == before_ms - 3 * NOMINAL_MS


EVERY_CHANNEL = Options(channels=tuple(range(64)))
#: What a W64 of 16 KB can claim to last.
LIE_MS = 1_125_000_000_000_000_000


@pytest.mark.parametrize("weight", [1, 3])
def test_long_sound_of_many_channels_counts_on_every_database(home: Home, weight: int) -> None:
    """On PostgreSQL a number beside a column has the column's type, in which this sound has no room."""
    home.origin.sources["http://x/a"] = source([(0, 1000)], channels=64, duration_ms=36_000_000)
    order.set_weight(home.engine, "ann", weight)
    home.submit("http://x/a", owner="ann", options=EVERY_CHANNEL)
    before_ms = tag_of(home, "ann")
    prepare.fetch(home.bench, take(home, FileState.WAITING))
    assert tag_of(home, "ann") == before_ms + (64 * 36_000_000 - NOMINAL_MS) // weight


def test_so_do_many_files_that_are_called_off_together(home: Home) -> None:
    home.submit("http://x/a", owner="bob")
    home.submit("http://x/a", owner="ann")
    with writing(home.engine) as connection:
        ann = update(tables.owners).where(tables.owners.c.name == "ann")
        connection.execute(ann.values(tag_ms=tables.owners.c.tag_ms + 10**10))
    before_ms = tag_of(home, "ann")
    with writing(home.engine) as connection:
        order.give_back(connection, [("ann", FileState.WAITING)] * 40_000)
    assert tag_of(home, "ann") == before_ms - 40_000 * NOMINAL_MS


@pytest.mark.parametrize("options", [EVERY_CHANNEL, Options(channels=(0, 0)), Options(channels=(0, 1), mix=True)])
def test_channels_that_a_file_has_not_do_not_count(home: Home, options: Options) -> None:
    home.origin.sources["http://x/a"] = source([(0, 1000)], duration_ms=5000)
    home.submit("http://x/a", owner="ann", options=options)
    before_ms = tag_of(home, "ann")
    prepare.fetch(home.bench, take(home, FileState.WAITING))
    assert tag_of(home, "ann") == before_ms - NOMINAL_MS + 5000
    assert take(home, FileState.FETCHED).express


def test_claim_of_a_length_that_is_refused_does_not_move_the_order(home: Home) -> None:
    home.submit("http://x/a", owner="bob")
    home.origin.sources["http://x/a"] = source([(0, 1000)], duration_ms=LIE_MS)
    home.submit(*["http://x/a"] * 10, owner="ann")
    before_ms = tag_of(home, "ann")
    while (file := take(home, FileState.WAITING)).owner != "ann":
        assert files.release(home.engine, file, after_ms=60_000)  # it goes on waiting
    with pytest.raises(DurationTooLongError) as refused:
        prepare.fetch(home.bench, file)
    booking.book_file(home.bench, file, refused.value)
    assert tag_of(home, "ann") == before_ms - NOMINAL_MS
    assert home.submit("http://x/a", owner="bob").id


def test_no_claim_moves_the_order_by_more_than_the_longest_file_does(home: Home) -> None:
    """Nine such claims brought an owner's tag to the end of all numbers, and no submission was accepted any more."""
    home.submit(*["http://x/a"] * 10, owner="ann")
    before_ms = tag_of(home, "ann")
    lie = Media(url="", container="w64", codec="pcm", rate_hz=8000, channel_count=1, duration_ms=LIE_MS)
    for _ in range(10):
        assert files.fetched(home.engine, take(home, FileState.WAITING), lie, "standin", "1")
    assert tag_of(home, "ann") == before_ms + 10 * (MOST_MS - NOMINAL_MS)
    for owner in ("ann", "bob"):
        assert home.submit("http://x/a", owner=owner).id


def tag_of(home: Home, owner: str) -> int:
    with reading(home.engine) as connection:
        return connection.execute(select(tables.owners.c.tag_ms).where(tables.owners.c.name == owner)).scalar_one()
