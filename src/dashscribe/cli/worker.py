"""``dashscribe worker``: does the work of a database that many machines share, and answers no clients."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from types import FrameType

    from dashscribe.config import Settings

logger = logging.getLogger(__name__)

#: How long a stop waits for answers about health that are being sent, in seconds.
PROBE_GRACE_S = 2


def worker(
    workers: Annotated[
        int | None, typer.Option(min=1, help="Parallel recognitions; default: DASHSCRIBE_WORKERS, the cores.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Force one engine for every model; DASHSCRIBE_ENGINE.")] = None,
    host: Annotated[str, typer.Option(help="Address of the page of health; 0.0.0.0 for all of this machine.")] = (
        "127.0.0.1"
    ),
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port for /healthz, /readyz and /metrics; none if left out.")
    ] = None,
) -> None:
    """Work on the tasks of a shared database, beside any number of others. SIGTERM hands back what does not end soon.

    All that use one database need the same DASHSCRIBE_DATABASE_URL, DASHSCRIBE_STORE_URL and settings; models may
    differ: a file goes to workers that have what it was begun with. With SQLite `dashscribe serve` does the work.

    Example: DASHSCRIBE_DATABASE_URL=postgresql://… dashscribe worker --port 9100
    """
    from dashscribe.heap import without_collector

    with ExitStack() as stack:
        with without_collector():
            from dashscribe.cli import logs
            from dashscribe.config import load

            settings = load(workers=workers, engine=engine)
            logs.set_up(settings.log_format)
            wait = _composed(settings, host, port, stack)
        wait()
        logger.info("stopping; what is not done goes on elsewhere, or with the next start")


def _composed(settings: Settings, host: str, port: int | None, stack: ExitStack) -> Callable[[], object]:
    """The worker, at work, until ``stack`` takes it apart; what waits for the first signal that comes from now on.

    Meanwhile the page of health is there, if there is to be one.
    """
    from dashscribe.cli.compose import compose
    from dashscribe.cli.serve import http_server, listen
    from dashscribe.engines.sherpa import provider_problem
    from dashscribe.wire.app import create_probe_app

    listener = None if port is None else stack.enter_context(listen(host, port))
    parts, worker = compose(settings, stack, with_worker=True)
    wait = partial(http_server(create_probe_app(parts), PROBE_GRACE_S).run, [listener]) if listener else _signaled()
    assert worker is not None
    where = f"; health on http://{host}:{listener.getsockname()[1]}" if listener else ""
    name = f" {worker.member.id}" if worker.member.id else ""
    problem = provider_problem(settings)
    work = f"{settings.workers} recognitions at once on {settings.provider}" + (f" ({problem})" if problem else "")
    typer.echo(f"worker{name}: {work}{where}")
    return wait


def _signaled() -> Callable[[], None]:
    """What waits for the first signal; the second one ends the program on the spot."""
    ended = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(number, signal.SIG_DFL)
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

    def wait() -> None:
        # One that comes just before the thread begins to wait does not wake it.
        while not ended.wait(5.0):
            pass

    return wait
