"""The child process: ``python -m dashscribe.hosts.child``, started by ``parent``, one request at a time.

Owns the child's birth (isolation, life pipe) and its loop; what a role can do is in the module of its
name. The loop sends no heartbeats: native code may hold the interpreter for seconds, so the parent measures life by
the clock.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from dashscribe.heap import give_back_the_rest
from dashscribe.hosts import isolation
from dashscribe.hosts.protocol import (
    MAX_MESSAGE_BYTES,
    Cut,
    Describe,
    End,
    Isolation,
    Reply,
    Request,
    decode_request,
    encode,
    failure_of,
)

Answer = Callable[[Request], Iterator[Reply]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Give up what the role does not need, then answer requests until the parent goes away."""
    parser = argparse.ArgumentParser(
        description="A child process of dashscribe; it is not meant to be started by hand."
    )
    parser.add_argument("--role", choices=("media", "asr", "text", "speaker"), required=True)
    parser.add_argument("--parent", type=int, required=True, help="process id of the parent")
    parser.add_argument("--nice", type=int, default=0)
    for pipe in ("requests", "replies", "life"):
        parser.add_argument(f"--{pipe}", type=int, required=True, help="file descriptor of the pipe")
    parser.add_argument("--engine", default="", help="name of the engine, for the role asr")
    parser.add_argument("--engine-target", default="", help="where it is: module:callable")
    parser.add_argument("--models", type=Path, help="folder that stays readable, for the role media")
    args = parser.parse_args(arguments)

    # The order matters: namespaces want a single thread, and entering one clears the parent-death signal.
    measures = {"network": isolation.leave_network()} if args.role == "media" else {}
    measures["ends_with_parent"] = isolation.die_with(args.parent)
    measures["core_bytes"] = isolation.limit(resource.RLIMIT_CORE, 0)
    os.nice(args.nice)
    life = threading.Thread(target=_watch, args=(args.life,), name="life", daemon=True)
    requests = Connection(args.requests, writable=False)
    if args.role == "media":
        from dashscribe.hosts.media import MediaRole

        answer = MediaRole(requests).answer
        measures |= isolation.limit_media(args.models)
        measures["network"] = _network(measures)
        life.start()  # not before: the limits are for this thread and those that it starts
    else:
        life.start()
        answer = _answer(args)
    try:
        _serve(requests, Connection(args.replies, readable=False), answer, measures)
    except SystemExit as end:
        # Whoever gave up said why. An ordinary end takes native code apart, which can hang where a GPU is lost.
        sys.stderr.write(f"{end}\n")
        sys.stderr.flush()
        os._exit(1)


def _network(measures: dict[str, str]) -> str:
    """How far the network is out of reach: an empty one of its own, or no call that could open a socket."""
    unreachable = measures["network"] == "none" or measures["system_calls"] == "filtered"
    return "none" if unreachable else measures["network"]


def _answer(args: argparse.Namespace) -> Answer:
    """What a child with trusted input does."""
    if args.role == "text":
        from dashscribe.hosts.text import TextRole

        return TextRole().answer
    if args.role == "speaker":
        from dashscribe.hosts.speaker import SpeakerRole

        return SpeakerRole().answer
    from dashscribe.hosts.asr import EngineRole

    return EngineRole(args.engine, args.engine_target).answer


def _watch(life: int) -> None:
    """End this process when the parent's end of the pipe closes, whatever the other threads are doing."""
    os.read(life, 1)
    os._exit(1)


def _serve(requests: Connection, replies: Connection, answer: Answer, measures: dict[str, str]) -> None:
    while True:
        try:
            request = decode_request(requests.recv_bytes(MAX_MESSAGE_BYTES))
        except EOFError:
            return
        for message in _settle(request, answer, measures):
            replies.send_bytes(message)
        if isinstance(request, Cut):
            # Between two files a child may rest for minutes; an hour of sound leaves a dozen MiB or two behind it.
            give_back_the_rest()


def _settle(request: Request, answer: Answer, measures: dict[str, str]) -> Iterator[bytes]:
    """All messages in answer to one request, up to and with the End or Failure that closes it."""
    try:
        if isinstance(request, Describe):
            yield encode(Isolation(measures))
        else:
            for reply in answer(request):
                yield encode(reply)
    except Exception as error:
        # The door between processes: the parent raises the same class, the traceback stays in this child's stderr.
        traceback.print_exc()
        yield encode(failure_of(error))
    else:
        yield encode(End())


if __name__ == "__main__":
    main()
