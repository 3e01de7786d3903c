"""Engines that misbehave on command. ``Options.context`` is the command; without one they answer who recognized."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import struct
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from dashscribe.config import Settings
from dashscribe.engines import ENGINES, EngineInfo
from dashscribe.types import Fate, Limits, Options, Outcome, Sentence, Waveform


class FaultEngine:
    """Says "<pid> <niceness> <first sample>" for a span, after it has done what the command asks for."""

    def __init__(self, settings: Settings) -> None:
        self.home = settings.home
        self.hoard: list[bytearray] = []

    def recognize(self, pieces: Sequence[Waveform], options: Options) -> list[Outcome]:
        command, _, argument = options.context.partition(" ")
        if command == "nothing":
            return []
        if command == "tally":
            return self.tally(argument, pieces)
        if command:
            getattr(self, command)(argument, pieces[0])
        return [self.outcome(piece) for piece in pieces]

    def tally(self, argument: str, pieces: Sequence[Waveform]) -> list[Outcome]:
        """Note how many pieces came at once; die of one whose first sample is poison; wait while a file is there."""
        folder, poison = argument.split(" ")
        with Path(folder, "calls").open("a", encoding="ascii") as calls:
            calls.write(f"{len(pieces)}\n")
        while Path(folder, "hold").exists():
            time.sleep(0.02)
        if any(piece.samples[0] == int(poison) for piece in pieces):
            os.kill(os.getpid(), signal.SIGKILL)
        return [self.outcome(piece) for piece in pieces]

    def outcome(self, piece: Waveform) -> Outcome:
        text = f"{os.getpid()} {os.nice(0)} {piece.samples[0]}"
        span = piece.span
        return Outcome(span, Fate.TRANSCRIBED, (Sentence(begin_ms=span.begin_ms, end_ms=span.end_ms, text=text),))

    def say_home(self, argument: str, piece: Waveform) -> None:
        raise RuntimeError(str(self.home))

    def die(self, argument: str, piece: Waveform) -> None:
        """By a signal, as native code does, with a word on stderr before."""
        os.write(2, b"the native library is sorry\n")
        os.kill(os.getpid(), getattr(signal, argument))
        time.sleep(60)

    def read_null(self, argument: str, piece: Waveform) -> None:
        ctypes.string_at(0)

    def give_up(self, argument: str, piece: Waveform) -> None:
        raise SystemExit("the GPU is lost")

    def leave(self, argument: str, piece: Waveform) -> None:
        os._exit(int(argument))

    def hang(self, argument: str, piece: Waveform) -> None:
        time.sleep(600)

    def hold(self, argument: str, piece: Waveform) -> None:
        """Hang and never let another thread of this process run."""
        Path(argument).touch()
        ctypes.PyDLL(None).sleep(600)

    def fail_at(self, argument: str, piece: Waveform) -> None:
        if piece.begin_ms == int(argument):
            raise ValueError("this span is not to my taste")

    def eat(self, argument: str, piece: Waveform) -> None:
        self.hoard.append(bytearray(os.urandom(1)) * (int(argument) * 1024**2))

    def shout(self, argument: str, piece: Waveform) -> None:
        sys.stdout.write("x" * 500_000)
        sys.stdout.flush()
        sys.stderr.write("y" * 500_000)

    def meet(self, argument: str, piece: Waveform) -> None:
        """Leave a mark in the folder, then wait until the door of this span is there."""
        folder = Path(argument)
        (folder / f"at-{os.getpid()}").touch()
        until_s = time.monotonic() + 60
        while not (folder / f"door-{piece.begin_ms}").exists() and time.monotonic() < until_s:
            time.sleep(0.02)

    def write_reply(self, argument: str, piece: Waveform) -> None:
        """Write bytes of its own into the pipe to the parent: a length that is announced, then what is sent."""
        announced, sent = argument.split()
        command_line = Path("/proc/self/cmdline").read_text().replace("\0", " ")
        match = re.search(r"--replies=(\d+)", command_line)
        assert match
        os.write(int(match[1]), struct.pack("!i", int(announced)) + b"\xc1" * int(sent))
        time.sleep(600)


def fail(settings: Settings) -> FaultEngine:
    raise RuntimeError("the weights are torn")


def vanish(settings: Settings) -> FaultEngine:
    """What a native library does with weights that it does not understand."""
    os.write(2, b"vocab_size is missing in the metadata\n")
    os._exit(255)


def dawdle(settings: Settings) -> FaultEngine:
    time.sleep(600)
    return FaultEngine(settings)


def lack(settings: Settings) -> FaultEngine:
    import_module("a_library_that_is_not_installed")
    return FaultEngine(settings)


FACTORIES: dict[str, Callable[[Settings], FaultEngine]] = {
    "fault": FaultEngine,
    "fault-two": FaultEngine,
    "fail": fail,
    "vanish": vanish,
    "dawdle": dawdle,
    "lack": lack,
}


def engine_infos() -> dict[str, EngineInfo]:
    """The engines above, as they stand in ``ENGINES``."""
    return {
        name: EngineInfo(
            name=name,
            target=f"{__name__}:{factory.__name__}",
            languages=(),
            limits=Limits(),
            version="1",
            package=__name__,
            summary="misbehaves on command",
        )
        for name, factory in FACTORIES.items()
    }


def register() -> None:
    """Make the engines known in this process."""
    ENGINES.update(engine_infos())
