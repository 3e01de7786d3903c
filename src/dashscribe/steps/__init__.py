"""What is done to a task's files: fetch, cut, recognize, finish, redo, deliver, index, expire; each may run twice.

A step takes a row that is claimed, does its work with blobs first and rows last, and rings for the next one. When and
where it runs is the queue's matter. ``open_worker`` puts the two together.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from dashscribe.choice import choose_engine
from dashscribe.config import Settings
from dashscribe.db import secret
from dashscribe.fetch import fetch
from dashscribe.notify import targets
from dashscribe.notify.sending import Sender
from dashscribe.notify.signing import SigningKeys
from dashscribe.queue.slots import Stage
from dashscribe.queue.worker import Steps, Worker
from dashscribe.signed_urls import SECRET
from dashscribe.steps import booking, deliver, expire, finish, index, prepare, recognize, redo
from dashscribe.steps.bench import Bench, ChooseEngine, Fetch
from dashscribe.steps.late import leaving_nothing
from dashscribe.steps.measuring import measured, told
from dashscribe.store import Store
from dashscribe.telemetry import Telemetry
from dashscribe.uploads import UploadBook

if TYPE_CHECKING:
    from dashscribe.hosts import Hosts


def open_worker(
    engine: Engine,
    store: Store,
    hosts: Hosts,
    settings: Settings,
    *,
    fetch: Fetch = fetch,
    choose_engine: ChooseEngine = choose_engine,
    telemetry: Telemetry | None = None,
) -> Worker:
    """A worker that does every step, not yet started. ``hosts`` must outlive it."""
    worker, telemetry = Worker(engine, store, settings), telemetry or Telemetry()
    secret(engine, SECRET)  # there before an event needs it
    targets.keep_fixed(engine, settings)
    sender = Sender(settings, SigningKeys(engine))
    bench = Bench(
        engine=engine,
        store=store,
        uploads=UploadBook(engine, store, settings),
        hosts=hosts,
        settings=settings,
        worker=worker,
        fetch=fetch,
        choose_engine=choose_engine,
        telemetry=telemetry,
    )
    worker.staff(
        Steps(
            fetch=measured(telemetry, Stage.FETCH, leaving_nothing(bench, partial(prepare.fetch, bench))),
            cut=measured(telemetry, Stage.CUT, leaving_nothing(bench, partial(prepare.cut, bench))),
            recognize=measured(telemetry, Stage.RECOGNIZE, leaving_nothing(bench, partial(recognize.recognize, bench))),
            finish=measured(telemetry, Stage.FINISH, leaving_nothing(bench, partial(finish.finish, bench))),
            redo=measured(telemetry, Stage.REDO, leaving_nothing(bench, partial(redo.redo, bench))),
            deliver=measured(telemetry, Stage.DELIVER, partial(deliver.deliver, bench, sender)),
            book_file=told(partial(booking.book_file, bench)),
            book_window=told(partial(booking.book_window, bench)),
            book_redo=told(partial(redo.book, bench)),
            book_delivery=told(partial(deliver.book, bench)),
            tidy=expire.Rounds(bench).tidy,
            index=index.Indexing(bench).sweep,
        )
    )
    return worker
