"""``dashscribe serve``: puts the rooms together into one process that answers HTTP and does the work.

Everything heavy is imported when the command runs. The port is bound first, so that a taken one is noticed before
anything else happens; the first signal ends the server as soon as calls under way have ended, or after
``DASHSCRIBE_STOP_GRACE_S``, the second one at once.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from types import FrameType

    from fastapi import FastAPI
    from uvicorn import Server

    from dashscribe.config import Settings
    from dashscribe.wire.parts import Parts

logger = logging.getLogger(__name__)

#: Clients poll every 5 s at most; a shorter life would close connections under their hands.
KEEP_ALIVE_S = 75


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Whether to do the work here or only to answer HTTP.")
    ] = True,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Parallel recognitions; default: DASHSCRIBE_WORKERS, the cores.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Force one engine for every model; DASHSCRIBE_ENGINE.")] = None,
) -> None:
    """Run the HTTP service. The first start prints an API key, once.

    Example: dashscribe serve --port 8000
    """
    from dashscribe.heap import without_collector

    with ExitStack() as stack:
        with without_collector():
            from dashscribe.cli import logs
            from dashscribe.config import load

            settings = load(workers=workers, engine=engine)
            logs.set_up(settings.log_format)
            listener = stack.enter_context(listen(host, port))
            server = _composed(settings, listener, stack, with_worker=worker)
        server.run(sockets=[listener])
        logger.info("stopping; unfinished tasks go on with the next start")


def _composed(settings: Settings, listener: socket.socket, stack: ExitStack, *, with_worker: bool) -> Server:
    """The server with all its parts, which ``stack`` takes apart again in reverse order; says where it listens."""
    from dashscribe.cli.compose import compose
    from dashscribe.wire.app import create_app

    summary = "\n".join(_engine_lines(settings))
    parts, _ = compose(settings, stack, with_worker=with_worker)
    server = http_server(create_app(parts), settings.stop_grace_s)
    typer.echo(_greeting(parts, listener, summary, with_worker=with_worker))
    return server


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; raises ConfigError saying what is wrong with the address."""
    from dashscribe.errors import ConfigError

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: f"port {port} is taken by another program; --port names another one",
            errno.EACCES: f"port {port} needs the rights of an administrator; --port names another one",
            errno.EADDRNOTAVAIL: "this machine has no such address; --host names another one",
        }
        reason = reasons.get(error.errno or 0, str(error))
        raise ConfigError(f"cannot listen on {host} port {port}: {reason}") from error
    # asyncio does this only for sockets that carry a protocol number, which create_server leaves at 0; connections
    # inherit it. With Nagle's algorithm every answer would wait some 40 ms for the client's delayed acknowledgment.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def http_server(app: FastAPI, grace_s: int) -> Server:
    """The HTTP server, stopped by the first SIGTERM or SIGINT; the second one ends the process on the spot.

    A stop waits so many seconds for answers that are under way; a worker's own grace comes on top.
    """
    import uvicorn

    class OurSignals(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Generator[None]:
            """Leave the handlers alone: uvicorn's would repeat the signal at the end, which kills the process."""
            yield

    server = OurSignals(
        uvicorn.Config(
            app,
            # h11 bounds the head of a request; httptools would keep all of an endless one in memory, and with uvloop
            # saves no more than a tenth of a submission's processor time.
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=grace_s,
        )
    )

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        if server.should_exit:
            # Nothing is lost: what counts is on disk, and children end with their parent.
            os._exit(128 + number)
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return server


def _engine_lines(settings: Settings) -> list[str]:
    """What would run for the models without language hints; then what to expect of each engine, and what helps.

    Models of one engine, with weights of their own or without, share a line.
    """
    from dashscribe.catalog import MODELS
    from dashscribe.choice import standing

    groups: dict[tuple[str, str], list[str]] = {}
    summaries: dict[str, str] = {}
    for model in MODELS.values():
        stand = standing(model, (), settings)
        engine = stand.engine.name if stand.engine else "none"
        how = "for"
        if stand.engine:
            summaries[engine] = stand.engine.summary
            how = "for" if settings.engine or stand.engine.kind == model.own_kind else "stands in for"
        groups.setdefault((engine, how), []).append(model.name)
    lines = [f"{engine} {how} {_several(names)}" for (engine, how), names in groups.items()]
    lines += [f"{engine} is {summary}" for engine, summary in summaries.items()]
    if any(engine == "none" or how == "stands in for" for engine, how in groups):
        lines.append("better ones: `dashscribe models ls`, `dashscribe models pull`")
    return [lines[0], *(f"{'':16}{line}" for line in lines[1:])]


def _several(names: list[str], shown: int = 2) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _greeting(parts: Parts, listener: socket.socket, engine_lines: str, *, with_worker: bool) -> str:
    """What stands in the terminal after the start; the first key is made, and shown, here."""
    from importlib.metadata import version

    from dashscribe.engines.sherpa import provider_problem

    settings = parts.settings
    address, port = listener.getsockname()[:2]
    everywhere = address in ("0.0.0.0", "::")  # noqa: S104 (compared, not bound)
    name = "127.0.0.1" if everywhere else f"[{address}]" if ":" in address else address
    secret = parts.keys.ensure_first()
    if secret:
        key = f"{secret}  (shown this once; `dashscribe keys create` makes others)"
    elif settings.api_key:
        key = "the one in DASHSCRIBE_API_KEY, and those of `dashscribe keys ls`"
    else:
        key = "the one shown at the first start; `dashscribe keys create` makes others"
    problem = provider_problem(settings)
    if parts.offers:
        work = f"done by `dashscribe worker`, wherever it uses this database; {parts.offers.seen()}"
    else:
        work = "done by another server of this home"
    if with_worker:
        work = f"{settings.workers} recognitions at once on {settings.provider}" + (f"; {problem}" if problem else "")
    reach = ", at every address of this machine" if everywhere else ""
    lines = [
        f"dashscribe {version('dashscribe')} listens on http://{name}:{port}{reach}",
        f"  official SDK  export DASHSCOPE_HTTP_BASE_URL=http://{name}:{port}/api/v1",
        f"  OpenAI's SDK  export OPENAI_BASE_URL=http://{name}:{port}/v1",
        f"  API key       {key}",
        f"  engines       {engine_lines}",
        f"  work          {work}",
        f"  data          {settings.home}",
        f"  in a browser  http://{name}:{port}/  (the interface: /docs)",
    ]
    return "\n".join(lines)
