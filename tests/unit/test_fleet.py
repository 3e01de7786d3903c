"""Workers of one PostgreSQL as rows: who may take what, who has gone, and what becomes of files that nobody serves."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from durable import Home, close_homes, run, speech, take, within
from sqlalchemy import insert, select, text, update

from dashscribe import files, fleet, order, redos, windows
from dashscribe.catalog import find_model
from dashscribe.choice import choose_engine
from dashscribe.config import Settings
from dashscribe.db import clock_ms, open_database, reading, tables, writing
from dashscribe.db.tables import FileState, Status, WindowState
from dashscribe.engines import ENGINES
from dashscribe.enrich import StageName
from dashscribe.errors import ModelNotFoundError, NotRetriedError
from dashscribe.errors.sources import SourceNotFoundError
from dashscribe.fleet import Member, Offers
from dashscribe.keys import Keys
from dashscribe.notify import targets
from dashscribe.notify.targets import Target, TargetBook
from dashscribe.steps import open_worker, prepare
from dashscribe.types import Media
from ports import free_port
from postgres import Cluster

STANDIN, SPHINX = ENGINES["standin"], ENGINES["pocketsphinx"]
MEDIA = Media(url="http://x/a", container="wav", codec="pcm", rate_hz=16_000, channel_count=1, duration_ms=90_000)


@pytest.fixture
def home(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("DASHSCRIBE_DATABASE_URL", cluster.new_database())
    yield Home(tmp_path, {"http://x/a": speech(3), "http://x/b": speech(3)}, lease_s=30)
    close_homes()


def member(home: Home, name: str, *infos: fleet.EngineInfo, lease_s: float = 30) -> Member:
    """A worker that has just said that it runs these."""
    engines = {f"{info.name}@{info.version}+bare": info for info in infos}
    who = Member(name, tuple(engines))
    fleet.beat(home.engine, who, engines, home.settings.model_copy(update={"lease_s": lease_s}))
    return who


def fetched(home: Home, queue: str, url: str = "http://x/a") -> None:
    """A file that waits to be cut in a queue."""
    home.submit(url)
    prepare.fetch(home.bench, take(home, FileState.WAITING))
    with writing(home.engine) as connection:
        connection.execute(update(tables.files).where(tables.files.c.state == FileState.FETCHED).values(queue=queue))


def grow_old(home: Home, name: str, by_ms: int) -> None:
    with writing(home.engine) as connection:
        row = update(tables.workers).where(tables.workers.c.id == name)
        connection.execute(row.values(seen_ms=clock_ms(connection) - by_ms))


def file_states(home: Home) -> list[tuple[str, str]]:
    with reading(home.engine) as connection:
        return [tuple(row) for row in connection.execute(select(tables.files.c.state, tables.files.c.queue))]


def test_a_file_goes_only_to_those_who_can_go_on_with_it(home: Home) -> None:
    gpu, cpu = member(home, "gpu", STANDIN), member(home, "cpu", SPHINX)
    fetched(home, gpu.queues[0])
    assert files.claim(home.engine, FileState.FETCHED, cpu) is None
    taken = files.claim(home.engine, FileState.FETCHED, gpu)
    assert taken is not None
    assert taken.queue == gpu.queues[0]


def test_windows_of_a_file_go_where_the_file_may_go(home: Home) -> None:
    gpu, cpu = member(home, "gpu", STANDIN), member(home, "cpu", SPHINX)
    fetched(home, gpu.queues[0])
    bench = home.bench
    bench.worker.member = gpu
    file = files.claim(home.engine, FileState.FETCHED, gpu)
    assert file is not None
    prepare.cut(bench, file)
    assert windows.claim(home.engine, cpu) is None
    claimed = [windows.claim(home.engine, gpu) for _ in range(3)]
    assert [window.number for window in claimed if window] == [0, 1, 2]
    with reading(home.engine) as connection:
        assert set(connection.execute(select(tables.windows.c.worker)).scalars()) == {"gpu"}


def test_the_most_urgent_of_several_queues_comes_first(home: Home) -> None:
    both = member(home, "both", STANDIN, SPHINX)
    fetched(home, both.queues[0])
    file = files.claim(home.engine, FileState.FETCHED, both)
    assert file is not None
    bench = home.bench
    bench.worker.member = both
    prepare.cut(bench, file)
    with writing(home.engine) as connection:
        last = update(tables.windows).where(tables.windows.c.number == 2)
        connection.execute(last.values(queue=both.queues[1], tag_ms=1))
    first = windows.claim(home.engine, both)
    assert first is not None
    assert first.number == 2


def waiting_windows(home: Home, queue: str, first_tag_ms: int, url: str = "http://x/a") -> None:
    """A file whose three windows wait in a queue, tagged from there on."""
    fetched(home, queue, url)
    bench = home.bench
    bench.worker.member = Member("cutter", (queue,))
    file = files.claim(home.engine, FileState.FETCHED, bench.worker.member)
    assert file is not None
    prepare.cut(bench, file)
    with writing(home.engine) as connection:
        rows = update(tables.windows).where(tables.windows.c.file_id == file.id)
        connection.execute(rows.values(queue=queue, tag_ms=first_tag_ms + tables.windows.c.number))


def test_what_waits_for_slow_engines_gives_no_other_worker_a_rest(home: Home) -> None:
    fast, slow = member(home, "fast", STANDIN), member(home, "slow", SPHINX)
    waiting_windows(home, slow.queues[0], 1000)
    assert windows.brim(home.engine, 60_000, slow) == 1002  # three windows of 30 s
    assert windows.brim(home.engine, 60_000, fast) is None
    both = member(home, "both", STANDIN, SPHINX)
    assert windows.brim(home.engine, 60_000, both) == 1002


def test_newcomer_begins_where_the_order_has_got_to_among_the_same_workers(home: Home) -> None:
    """Hours behind, what waits for a slow engine would give him those hours before all who are at work here."""
    fast, slow = member(home, "fast", STANDIN), member(home, "slow", SPHINX)
    waiting_windows(home, slow.queues[0], 1000)
    waiting_windows(home, fast.queues[0], 9_000_000, "http://x/b")
    home.submit("http://x/a", owner="new")
    with reading(home.engine) as connection:
        tags = [order.window_tag(connection, "new", 500, queues) for queues in (fast.queues, slow.queues, None)]
    assert tags == [9_000_500, 1500, 1500]
    with writing(home.engine) as connection:
        order.charge(connection, "new", 500, fast.queues)
    with reading(home.engine) as connection:
        assert order.window_tag(connection, "new", 500, fast.queues) == 9_001_000


def test_what_nobody_waits_for_is_for_everybody(home: Home) -> None:
    cpu = member(home, "cpu", SPHINX)
    fetched(home, "")
    assert files.claim(home.engine, FileState.FETCHED, cpu) is not None


@pytest.mark.parametrize("recover", [files.recover, windows.recover])
def test_only_rows_of_those_who_are_gone_are_freed(home: Home, recover: Callable[..., int]) -> None:
    gone, here = member(home, "gone", STANDIN), member(home, "here", STANDIN)
    for who in (gone, here):
        if recover is files.recover:
            home.submit("http://x/a")
            assert files.claim(home.engine, FileState.WAITING, who) is not None
        else:
            fetched(home, who.queues[0])
            cut = files.claim(home.engine, FileState.FETCHED, who)
            assert cut is not None
            bench = home.bench
            bench.worker.member = who
            prepare.cut(bench, cut)
            assert windows.claim(home.engine, who) is not None
    assert recover(home.engine) == 0
    grow_old(home, "gone", 31_000)
    assert recover(home.engine) == 1
    assert recover(home.engine) == 0
    table = tables.files if recover is files.recover else tables.windows
    with reading(home.engine) as connection:
        freed = connection.execute(select(table.c.worker).where(table.c.interrupted == 1)).scalars().all()
    assert freed == ["gone"]


def test_worker_that_left_holds_nothing_any_more(home: Home) -> None:
    who = member(home, "w", STANDIN)
    home.submit("http://x/a")
    assert files.claim(home.engine, FileState.WAITING, who) is not None
    fleet.leave(home.engine, who)
    assert files.recover(home.engine) == 1
    assert not fleet.workers(home.engine)[0].is_alive


def test_late_writer_whose_claim_was_freed_changes_nothing(home: Home) -> None:
    slow = member(home, "slow", STANDIN)
    home.submit("http://x/a")
    file = files.claim(home.engine, FileState.WAITING, slow)
    assert file is not None
    grow_old(home, "slow", 60_000)
    assert files.recover(home.engine) == 1
    assert not files.fetched(home.engine, file, MEDIA, "standin", "1")
    member(home, "slow", STANDIN)  # it woke up and says that it lives
    again = files.claim(home.engine, FileState.WAITING, slow)
    assert again is not None
    assert not files.fetched(home.engine, file, MEDIA, "standin", "1")
    assert files.fetched(home.engine, again, MEDIA, "standin", "1")


def test_files_of_a_queue_that_nobody_serves_are_cut_anew_by_whoever_is_there(home: Home) -> None:
    gpu, cpu = member(home, "gpu", STANDIN), member(home, "cpu", SPHINX)
    fetched(home, gpu.queues[0])
    grow_old(home, "gpu", 60_000)
    assert fleet.release_unserved(home.engine) == 0  # it may only be restarting
    grow_old(home, "gpu", fleet.ABSENT_MS + 1000)
    assert fleet.release_unserved(home.engine) == 1
    assert file_states(home) == [("fetched", "")]
    assert files.claim(home.engine, FileState.FETCHED, cpu) is not None


def test_worker_that_comes_back_with_another_engine_leaves_its_files_to_others_at_once(home: Home) -> None:
    fetched(home, member(home, "w", STANDIN).queues[0])
    member(home, "w", replace(STANDIN, version="2"))
    assert fleet.release_unserved(home.engine) == 1


def test_offers_are_those_of_all_and_choose_among_them(home: Home) -> None:
    offers = Offers(home.engine)
    assert offers.engines() == {}
    gpu = member(home, "gpu", replace(SPHINX, name="paraformer-zh", family="paraformer", languages=("zh",)))
    member(home, "cpu", SPHINX)
    offers = Offers(home.engine)
    found = list(offers.engines().values())
    assert {info.name for info in found} == {"paraformer-zh", "pocketsphinx"}
    assert offers.alive() == 2
    settings = Settings()
    model = find_model("paraformer-v2")
    assert choose_engine(model, ("zh",), settings, (), found).name == "paraformer-zh"
    with pytest.raises(ModelNotFoundError):
        choose_engine(model, ("zh",), settings)  # nothing here can
    assert offers.queue_of(next(info for info in found if info.name == "paraformer-zh"), ()) == gpu.queues[0]


def test_while_nobody_is_there_what_the_last_ones_had_is_accepted_for_a_day(home: Home) -> None:
    """That all workers are away for a while is no reason to say that a model does not exist."""
    member(home, "long ago", SPHINX)
    member(home, "last", STANDIN)
    for away_ms, names in ((30_000, ["standin"]), (3_600_000, ["standin"]), (25 * 3_600_000, [])):
        grow_old(home, "last", away_ms)
        grow_old(home, "long ago", away_ms + fleet.ABSENT_MS + 1000)
        assert [info.name for info in Offers(home.engine).engines().values()] == names
    member(home, "new", SPHINX)
    assert [info.name for info in Offers(home.engine).engines().values()] == ["pocketsphinx"]


def test_two_workers_of_one_home_have_roles_of_their_own(home: Home, tmp_path: Path) -> None:
    second = home.new_worker()
    home.worker.start()
    second.start()
    try:
        assert home.worker.member.id != second.member.id
        assert home.worker.scratch != second.scratch
        task = home.submit("http://x/a", "http://x/b")
        home.worker.wake()
        assert home.wait(task).status == "SUCCEEDED"
    finally:
        second.stop()
    first_id = home.worker.member.id
    home.worker.stop()
    third = home.new_worker()
    third.start()
    try:
        assert third.member.id == first_id  # so that what it held before is its own again at once
    finally:
        third.stop()


def test_wake_up_reaches_another_process_within_moments(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from dashscribe.queue import worker as room
    from dashscribe.queue.slots import Stage
    from dashscribe.queue.wakeups import Wakeups

    monkeypatch.setattr(room, "SHARED_SWEEP_S", 600.0)
    home.worker.start()
    sender = Wakeups(home.engine, "server")
    sender.start()
    listening = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND state = 'idle' AND query = 'LISTEN dashscribe'"
    )

    def is_heard() -> bool:
        with home.engine.connect() as connection:
            return bool(connection.execute(listening).scalar())

    within(60, is_heard)
    task = home.submit("http://x/a")
    sender.ring(Stage.FETCH)
    assert home.wait(task).status == "SUCCEEDED"
    sender.stop()


def test_state_words_fit_the_columns() -> None:
    assert max(len(state) for state in (*FileState, *WindowState)) <= 16


def test_who_was_away_with_the_database_waits_a_lease_before_taking_from_others() -> None:
    here = fleet.Presence(lease_s=30)
    assert not here.may_judge(0)
    here.seen(100)
    assert here.may_judge(100)  # it has just begun: those that ended before it are gone
    here.seen(125)
    assert here.may_judge(155)
    assert not here.may_judge(156)  # it is away itself, as all may be
    here.seen(170)
    assert not here.may_judge(170)
    here.seen(195)
    assert not here.may_judge(199)
    assert here.may_judge(200)


def test_worker_lives_on_while_it_cannot_tell_which_models_are_installed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(settings: Settings) -> dict[str, fleet.EngineInfo]:
        raise OSError("the folder of models does not answer")

    home.worker = Home.new_worker(home)
    monkeypatch.setattr(home.worker, "_settings", home.settings.model_copy(update={"lease_s": 0.6}))
    home.worker.start()
    queues = home.worker.member.queues
    monkeypatch.setattr(fleet, "offered", away)
    grow_old(home, home.worker.member.id, 60_000)
    within(60, lambda: fleet.workers(home.engine)[0].is_alive)
    assert home.worker.member.queues == queues


def test_worker_lives_on_while_its_work_holds_all_connections(home: Home) -> None:
    home.settings = home.settings.model_copy(update={"lease_s": 0.6})
    engine = open_database(home.settings.resolved_database_url, connections=2)
    worker = open_worker(engine, home.store, home.hosts, home.settings, fetch=home.origin)
    worker.start()
    try:
        with engine.connect(), engine.connect():
            grow_old(home, worker.member.id, 60_000)
            within(60, lambda: fleet.workers(home.engine)[0].is_alive)
    finally:
        worker.stop()
        engine.dispose()


def test_stage_is_done_again_by_a_worker_with_the_models_of_the_file_while_there_is_one(home: Home) -> None:
    """One without a model for marks would take the marks away."""
    gpu, cpu = member(home, "gpu", STANDIN), member(home, "cpu", SPHINX)
    task = home.submit("http://x/a")
    with writing(home.engine) as connection:
        ended = {"state": FileState.SUCCEEDED, "heard_key": "kept", "queue": gpu.queues[0]}
        connection.execute(update(tables.files).values(ended))
    redos.ask(home.engine, "default", task.id, StageName.MARKS)
    assert redos.claim(home.engine, (), cpu) is None
    claimed = redos.claim(home.engine, (), gpu)
    assert claimed is not None
    redos.release(home.engine, claimed)
    grow_old(home, "gpu", fleet.ABSENT_MS + 1000)
    assert redos.claim(home.engine, (), cpu) is not None


def test_workers_that_start_at_once_make_each_thing_of_the_installation_once(home: Home) -> None:
    """Twice the target of the settings would be every event twice, for good."""
    settings = home.settings.model_copy(update={"callback_url": "https://events.example.net/in"})
    keys = Keys(home.engine, home.settings)
    at_once = threading.Barrier(8)

    def start(_: int) -> str | None:
        at_once.wait(20)
        targets.keep_fixed(home.engine, settings)
        return keys.ensure_first()

    with ThreadPoolExecutor(8) as threads:
        first_keys = [secret for secret in threads.map(start, range(8)) if secret]
    assert [target.url for target in TargetBook(home.engine).list("", operates=True)] == [settings.callback_url]
    assert len(first_keys) == 1


def test_changes_of_a_target_at_once_are_all_kept(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    book = TargetBook(home.engine)
    target = book.add(Target(owner="a", url="https://events.example.net/in"))
    find, both = targets._find, threading.Barrier(2)

    def find_together(*args: object, **named: object) -> Target:
        found = find(*args, **named)
        with suppress(threading.BrokenBarrierError):  # who has to wait for the other one does not get here with him
            both.wait(1)
        return found

    monkeypatch.setattr(targets, "_find", find_together)
    with ThreadPoolExecutor(2) as threads:
        changes = [{"paused": True}, {"name": "new"}]
        list(threads.map(lambda change: book.change("a", target.id, change, operates=False), changes))
    monkeypatch.undo()
    changed = book.get("a", target.id, operates=False)
    assert (changed.paused, changed.name) == (True, "new")


def test_wake_up_of_a_kind_that_only_a_newer_program_knows_is_passed_over(home: Home) -> None:
    home.worker._hear("transmogrify")


def test_request_that_waited_for_another_one_sees_what_that_one_asked_for(home: Home) -> None:
    task = home.submit("http://x/a")
    with writing(home.engine) as connection:
        connection.execute(update(tables.files).values(state=FileState.SUCCEEDED, heard_key="kept"))

    def ask(stage: StageName) -> object:
        return redos.ask(home.engine, "default", task.id, stage)

    with ThreadPoolExecutor(1) as other:
        with writing(home.engine) as connection:
            file_id = connection.execute(select(tables.files.c.id).with_for_update()).scalar_one()
            waiting = other.submit(ask, StageName.SPEAKERS)
            wait_for_a_lock(home)
            row = {"owner": "default", "stage": StageName.MARKS, "speaker_count": None, "state": Status.PENDING}
            connection.execute(insert(tables.redos).values(file_id=file_id, asked_ms=1, **row))
        with pytest.raises(NotRetriedError, match="marks is being done again"):
            waiting.result(20)


def wait_for_a_lock(home: Home) -> None:
    """Until some other transaction waits for one."""
    until = time.monotonic() + 20
    while True:
        with home.engine.connect() as connection:
            if connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar():
                return
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def bouncer(cluster: Cluster) -> Iterator[str]:
    """The address of a PgBouncer before the cluster, in session mode, as Debian installs it."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed (Debian: apt-get install pgbouncer)")
    port = free_port()
    settings = cluster.folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host=127.0.0.1 port={cluster.port} user=test\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        "auth_type = any\npool_mode = session\ndefault_pool_size = 60\n"
    )
    settings.chmod(0o644)
    user = "postgres" if os.getuid() == 0 else None
    running = subprocess.Popen([program, "-q", str(settings)], user=user, cwd="/", stderr=subprocess.DEVNULL)
    yield f"127.0.0.1:{port}"
    running.kill()
    running.wait()


def test_workers_work_through_pgbouncer(
    tmp_path: Path, cluster: Cluster, bouncer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = cluster.new_database().replace(f"127.0.0.1:{cluster.port}", bouncer)
    monkeypatch.setenv("DASHSCRIBE_DATABASE_URL", url)
    home = Home(tmp_path, {"http://x/a": speech(3)})
    try:
        with reading(home.engine) as connection:
            assert connection.execute(text("SHOW lock_timeout")).scalar() == "15s"
        assert run(home, "http://x/a").status is Status.SUCCEEDED
    finally:
        close_homes()


def test_error_of_a_hostile_source_ends_its_file_whatever_it_says(home: Home) -> None:
    """PostgreSQL takes no NUL: to book it again and again kept the slot from everybody else."""
    home.origin.sources["http://x/a"] = SourceNotFoundError("x answered \0 404")
    task = run(home, "http://x/a")
    assert task.status is Status.FAILED
    assert "x answered \ufffd 404" in task.subtasks[0].message
