"""How tests run the program's commands: as a process, or in this one."""

import io
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from dashscribe import cli


def environment(**changes: str) -> dict[str, str]:
    """The test's own environment with the stand-in engine and two slots."""
    return {**os.environ, "DASHSCRIBE_ENGINE": "standin", "DASHSCRIBE_WORKERS": "2", **changes}


def program(*arguments: str | Path, stdin: bytes = b"", **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the program itself to its end; its output is decoded as UTF-8."""
    done = subprocess.run(
        [sys.executable, "-m", "dashscribe", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env=environment(**changes),
        timeout=120,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def dashscribe(*arguments: str | Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """The same in this process, which has imported everything already; its standard input is empty."""
    command = ["dashscribe", *map(str, arguments)]
    printed = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    said = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True)  # as Python's own
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(said):
        for name, value in environment(**changes).items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", command)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(), "utf-8"))
        try:
            with pytest.raises(SystemExit) as ended:
                cli.main()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    outputs = (stream.buffer.getvalue().decode() for stream in (printed, said))  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(command, int(ended.value.code or 0), *outputs)
