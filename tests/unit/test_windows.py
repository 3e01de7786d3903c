import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest
from durable import Home, speech, take
from sqlalchemy import func, select, update

from dashscribe import files, windows
from dashscribe.db import clock_ms, now_ms, reading, tables, writing
from dashscribe.db.tables import FileState, WindowState
from dashscribe.files import ClaimedFile
from dashscribe.hosts.protocol import CutEnd
from dashscribe.types import Media, Span, Window
from dashscribe.windows import ClaimedWindow, Effect
from sizes import size

MEDIA = Media(url="http://x/a", container="wav", codec="pcm", rate_hz=16_000, channel_count=1, duration_ms=300_000)
END = CutEnd(MEDIA, (0,), 0, 300_000, (), ())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, {"http://x/a": speech(2)})


def cutting(home: Home) -> ClaimedFile:
    """A file that is being cut."""
    home.submit("http://x/a")
    file = files.claim(home.engine, FileState.WAITING)
    assert file is not None
    assert files.fetched(home.engine, file, MEDIA, "standin", "1")
    claimed = files.claim(home.engine, FileState.FETCHED)
    assert claimed is not None
    return claimed


def window(number: int, length_ms: int = 10_000) -> Window:
    return Window(0, number, (Span(number * length_ms, (number + 1) * length_ms),), f"sound {number}".encode())


def hand_out(home: Home, file: ClaimedFile, *numbers: int) -> None:
    for number in numbers:
        cut = window(number)
        key = windows.audio_key(file, cut)
        assert windows.add(home.engine, file, cut, key, home.store.put(key, cut.audio), number, False)


def claim(home: Home) -> ClaimedWindow:
    claimed = windows.claim(home.engine)
    assert claimed is not None
    return claimed


def done(home: Home, claimed: ClaimedWindow) -> Effect:
    key = windows.result_key(claimed.audio_key, claimed.engine, claimed.engine_version)
    return windows.done(home.engine, claimed, key, home.store.put(key, b"[]").size_bytes)


def after(together: Barrier, act: Callable[..., object], *arguments: object) -> object:
    together.wait()
    return act(*arguments)


def file_row(home: Home) -> dict:
    with reading(home.engine) as connection:
        return dict(connection.execute(select(tables.files)).mappings().one())


def states(home: Home) -> list[str]:
    with reading(home.engine) as connection:
        return list(connection.execute(select(tables.windows.c.state).order_by(tables.windows.c.number)).scalars())


# --- the count of open windows ----------------------------------------------------------------------------------------


def test_last_window_of_a_file_that_is_cut_makes_it_ready_to_be_joined(home: Home) -> None:
    file = cutting(home)
    hand_out(home, file, 0, 1)
    first, second = claim(home), claim(home)
    assert done(home, first) is Effect.CHANGED
    assert files.cut_ended(home.engine, file, END)
    assert file_row(home)["state"] == FileState.RECOGNIZING
    assert done(home, second) is Effect.LAST
    assert file_row(home)["state"] == FileState.JOINING
    assert file_row(home)["recognized_ms"] == file_row(home)["speech_ms"] == 20_000


def test_cut_that_ends_after_all_windows_makes_the_file_ready_to_be_joined(home: Home) -> None:
    file = cutting(home)
    hand_out(home, file, 0)
    assert done(home, claim(home)) is Effect.CHANGED
    assert file_row(home)["state"] == FileState.CUTTING
    assert files.cut_ended(home.engine, file, END)
    assert file_row(home)["state"] == FileState.JOINING


def test_file_without_speech_is_ready_to_be_joined_at_once(home: Home) -> None:
    assert files.cut_ended(home.engine, cutting(home), END)
    assert file_row(home)["state"] == FileState.JOINING


def test_last_two_windows_done_at_once_pass_the_file_on_exactly_once_in_every_race(home: Home) -> None:
    with ThreadPoolExecutor(2) as pool:
        for _ in range(size(20, 200)):
            file = cutting(home)
            hand_out(home, file, 0, 1)
            assert files.cut_ended(home.engine, file, END)
            together = Barrier(2)
            ends = [pool.submit(after, together, windows.done, home.engine, claim(home), "key", 2) for _ in range(2)]
            assert {end.result() for end in ends} == {Effect.CHANGED, Effect.LAST}
            joining = files.claim(home.engine, FileState.JOINING)
            assert joining is not None
            assert joining.id == file.id
            assert files.claim(home.engine, FileState.JOINING) is None


def test_last_window_and_end_of_cut_at_once_pass_the_file_on_exactly_once_in_every_race(home: Home) -> None:
    with ThreadPoolExecutor(2) as pool:
        for _ in range(size(20, 200)):
            file = cutting(home)
            hand_out(home, file, 0)
            together = Barrier(2)
            last = pool.submit(after, together, windows.done, home.engine, claim(home), "key", 2)
            ended = pool.submit(after, together, files.cut_ended, home.engine, file, END)
            assert last.result() is not Effect.NONE
            assert ended.result()
            assert files.claim(home.engine, FileState.JOINING) is not None
            assert files.claim(home.engine, FileState.JOINING) is None


def test_window_that_is_done_twice_counts_once(home: Home) -> None:
    file = cutting(home)
    hand_out(home, file, 0, 1)
    claimed = claim(home)
    assert done(home, claimed) is Effect.CHANGED
    assert done(home, claimed) is Effect.NONE
    assert windows.give_up(home.engine, claimed, "too late") is Effect.NONE
    assert not windows.release(home.engine, claimed)
    assert file_row(home)["open"] == 1
    assert file_row(home)["recognized_ms"] == 10_000


def test_two_slots_never_hold_the_same_window(home: Home) -> None:
    hand_out(home, cutting(home), *range(40))
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: windows.claim(home.engine), range(50)))
    assert sorted(row.number for row in claimed if row) == list(range(40))


# --- claims that have passed on ---------------------------------------------------------------------------------------


def test_writer_whose_claim_has_passed_on_changes_nothing(home: Home) -> None:
    hand_out(home, cutting(home), 0)
    late = claim(home)
    assert windows.release(home.engine, late)
    now = claim(home)
    assert done(home, late) is Effect.NONE
    assert not windows.release(home.engine, late)
    assert states(home) == [WindowState.CLAIMED]
    assert done(home, now) is Effect.CHANGED


def test_writers_of_an_old_generation_change_no_row(home: Home) -> None:
    file = cutting(home)
    hand_out(home, file, 0, 1)
    late = claim(home)
    assert files.release(home.engine, file)
    again = files.claim(home.engine, FileState.FETCHED)
    assert again is not None
    assert again.generation == file.generation + 1

    def rows() -> tuple:
        with reading(home.engine) as connection:
            return (file_row(home), [tuple(row) for row in connection.execute(select(tables.windows))])

    before = rows()
    assert before[0]["open"] == 0
    assert done(home, late) is Effect.NONE
    assert windows.give_up(home.engine, late, "reason") is Effect.NONE
    assert not windows.release(home.engine, late)
    assert not windows.recut(home.engine, late)
    cut = window(5)
    assert not windows.add(home.engine, file, cut, "key", home.store.put("key", cut.audio), 0, False)
    left = windows.left_over(home.engine, file)[0, 0]
    assert not windows.keep(home.engine, file, window(0), left, 0, False)
    assert not files.cut_ended(home.engine, file, END)
    assert not files.failed(home.engine, file, "X", "x")
    assert rows() == before
    assert windows.claim(home.engine) is None  # what the old cut left is not worked on until the new one finds it


def test_new_cut_keeps_what_is_the_same_and_replaces_what_is_not(home: Home) -> None:
    file = cutting(home)
    hand_out(home, file, 0, 1, 2, 3)
    done(home, claim(home))  # 0
    windows.give_up(home.engine, claim(home), "it kills every host")  # 1
    claim(home)  # 2 is being worked on
    files.release(home.engine, file)
    again = files.claim(home.engine, FileState.FETCHED)
    assert again is not None
    left = windows.left_over(home.engine, again)
    assert sorted(left) == [(0, 0), (0, 1), (0, 2), (0, 3)]
    for number in (0, 1, 2):
        assert windows.keep(home.engine, again, window(number), left[0, number], number, False)
    assert file_row(home)["open"] == 1
    other = replace(window(3), spans=(Span(30_000, 35_000),))
    key = windows.audio_key(again, other)
    assert key != left[0, 3].audio_key
    assert windows.add(home.engine, again, other, key, home.store.put(key, b"other"), 3, False)
    assert files.cut_ended(home.engine, again, END)
    assert states(home) == [WindowState.DONE, WindowState.GIVEN_UP, WindowState.READY, WindowState.READY]
    assert (file_row(home)["open"], file_row(home)["speech_ms"], file_row(home)["recognized_ms"]) == (2, 35_000, 20_000)
    assert [done(home, claim(home)), done(home, claim(home))] == [Effect.CHANGED, Effect.LAST]


def test_new_cut_drops_windows_that_it_does_not_find_again(home: Home) -> None:
    file = cutting(home)
    hand_out(home, file, 0, 1, 2)
    files.release(home.engine, file)
    again = files.claim(home.engine, FileState.FETCHED)
    assert again is not None
    assert windows.keep(home.engine, again, window(0), windows.left_over(home.engine, again)[0, 0], 0, False)
    assert files.cut_ended(home.engine, again, END)
    assert states(home) == [WindowState.READY]
    assert done(home, claim(home)) is Effect.LAST


def test_result_of_another_engine_version_does_not_count(home: Home) -> None:
    file = cutting(home)
    hand_out(home, file, 0)
    done(home, claim(home))
    files.release(home.engine, file)
    again = files.claim(home.engine, FileState.FETCHED)
    assert again is not None
    assert files.pin_engine(home.engine, again, again.engine, "2")
    again = replace(again, engine_version="2")
    assert windows.keep(home.engine, again, window(0), windows.left_over(home.engine, again)[0, 0], 0, False)
    assert states(home) == [WindowState.READY]
    assert file_row(home)["open"] == 1


# --- failures, interruptions, loss ------------------------------------------------------------------------------------


def test_released_window_waits_for_its_time(home: Home) -> None:
    hand_out(home, cutting(home), 0)
    assert windows.release(home.engine, claim(home), 60_000, failed_once=True)
    assert windows.claim(home.engine) is None
    assert not windows.due(home.engine)
    with writing(home.engine) as connection:
        # A millisecond before now: SQLite makes its time of a fraction of days, and cuts it off.
        connection.execute(update(tables.windows).values(due_ms=now_ms() - 2))
    assert windows.due(home.engine)
    assert claim(home).failures == 1


@pytest.mark.parametrize("wrong_ms", [3_600_000, -3_600_000])
def test_pauses_are_as_long_whatever_the_clocks_of_workers_say(
    home: Home, monkeypatch: pytest.MonkeyPatch, wrong_ms: int
) -> None:
    hand_out(home, cutting(home), 0)
    home.submit("http://x/a")
    right_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: right_ns() + wrong_ms * 1_000_000)
    for room, taken in ((windows, claim(home)), (files, take(home, FileState.WAITING))):
        assert room.release(home.engine, taken, 60_000)
    monkeypatch.undo()
    assert not windows.due(home.engine)
    assert not files.due(home.engine)
    monkeypatch.setattr(time, "time_ns", lambda: right_ns() + wrong_ms * 1_000_000)
    assert windows.claim(home.engine) is None
    assert files.claim(home.engine, FileState.WAITING) is None
    with writing(home.engine) as connection:
        for table in (tables.windows, tables.files):
            connection.execute(update(table).values(due_ms=clock_ms(connection)))
    assert windows.claim(home.engine) is not None
    assert files.claim(home.engine, FileState.WAITING) is not None


def test_recovery_counts_an_interruption_and_a_release_does_not(home: Home) -> None:
    file = cutting(home)
    hand_out(home, file, 0, 1)
    assert windows.release(home.engine, claim(home))
    held = claim(home)
    assert held.interrupted == 0
    assert (files.recover(home.engine), windows.recover(home.engine)) == (1, 1)
    assert states(home) == [WindowState.READY] * 2
    assert sorted([claim(home).interrupted, claim(home).interrupted]) == [0, 1]
    assert done(home, held) is Effect.NONE
    again = files.claim(home.engine, FileState.FETCHED)
    assert again is not None
    assert again.interrupted == 1


def test_windows_whose_results_are_lost_are_opened_again(home: Home) -> None:
    file = cutting(home)
    hand_out(home, file, 0, 1, 2)
    files.cut_ended(home.engine, file, END)
    for _ in range(3):
        done(home, claim(home))
    joining = files.claim(home.engine, FileState.JOINING)
    assert joining is not None
    closed = windows.of_file(home.engine, joining)
    assert [row.number for row in closed] == [0, 1, 2]
    assert windows.reopen(home.engine, joining, closed[1:])
    assert not windows.reopen(home.engine, joining, closed[1:])
    assert states(home) == [WindowState.DONE, WindowState.READY, WindowState.READY]
    row = file_row(home)
    assert (row["state"], row["open"], row["recognized_ms"]) == (FileState.RECOGNIZING, 2, 10_000)
    assert [done(home, claim(home)), done(home, claim(home))] == [Effect.CHANGED, Effect.LAST]


# --- order and back-pressure ------------------------------------------------------------------------------------------


def test_windows_are_claimed_by_tag_and_express_slots_take_express_only(home: Home) -> None:
    file = cutting(home)
    for number, (tag_ms, express) in enumerate([(30, False), (10, False), (20, True)]):
        cut = window(number)
        assert windows.add(home.engine, file, cut, "key", home.store.put("key", cut.audio), tag_ms, express)
    express = windows.claim(home.engine, express_only=True)
    assert express is not None
    assert express.number == 2
    assert windows.claim(home.engine, express_only=True) is None
    assert [claim(home).number, claim(home).number] == [1, 0]


@pytest.mark.parametrize(
    ("limit_ms", "brim"), [(0, 0), (9_999, 0), (10_000, 1), (25_000, 2), (39_999, 3), (40_000, None)]
)
def test_brim_is_where_enough_speech_waits_before(home: Home, limit_ms: int, brim: int | None) -> None:
    hand_out(home, cutting(home), 0, 1, 2, 3)
    assert windows.brim(home.engine, limit_ms) == brim


def test_brim_counts_only_what_waits(home: Home) -> None:
    hand_out(home, cutting(home), 0, 1, 2, 3)
    done(home, claim(home))
    claim(home)
    assert windows.brim(home.engine, 19_999) == 3
    assert windows.brim(home.engine, 20_000) is None


def test_result_key_names_the_generation_and_the_engine_version(home: Home) -> None:
    file = cutting(home)
    key = windows.audio_key(file, window(7))
    assert key == f"tasks/{file.task_id}/0/windows/1/0-7.flac"
    assert windows.result_key(key, "standin", "1") != windows.result_key(key, "standin", "2")
    home.store.put(windows.result_key(key, "other/engine", "1.0 beta"), b"")  # any name makes a key


@pytest.fixture(autouse=True)
def no_row_is_left_without_its_file(home: Home) -> Iterator[None]:
    yield
    orphans = (
        select(func.count())
        .select_from(tables.windows)
        .where(tables.windows.c.file_id.not_in(select(tables.files.c.id)))
    )
    with reading(home.engine) as connection:
        assert connection.execute(orphans).scalar() == 0
