"""Whether memory grows with the length of a source: 12 hours against 1 hour, in every process.

    python benchmarks/memory.py [--hours 12] [--through cli|serve] [--engine small|standin] [--format json]

``small`` is the small SenseVoice of ``tests/models`` with the small punctuation, speaker and tagging models, and
speakers are told apart; ``standin`` says made-up words, and all else is the real program. A process' memory is its own
(USS), that of all together counts shared pages once (the sum of PSS); both are looked at five times a second. Goals:
no process more than 1.2 times as large for 12 hours as for one, and below 700 MB in all with the small models.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from common import machine, table
from running import Peaks, await_task, environment, install, make_long, origin, running, submit, watching

SMALL = ("sensevoice-small", "punctuation-tiny", "segmentation-small", "speaker-embedding-small", "ced-tagging-small")
GOAL, GOAL_MB = 1.2, 700


def by_command(home: Path, source: Path, settings: dict[str, str], format_name: str) -> tuple[Peaks, float]:
    """Peaks and wall seconds of ``dashscribe transcribe``."""
    begin_s = time.perf_counter()
    out = home.parent / "out"
    speakers = ["--diarize"] if settings["DASHSCRIBE_ENGINE"] != "standin" else []
    command = [sys.executable, "-m", "dashscribe", "transcribe", "--quiet", *speakers, "-f", format_name, "-o", out]
    process = psutil.Popen([*command, source], stdout=subprocess.DEVNULL, env=environment(home, **settings))
    with watching(process) as peaks:
        assert process.wait() == 0
    return peaks, time.perf_counter() - begin_s


def by_server(home: Path, source: Path, settings: dict[str, str]) -> tuple[Peaks, float]:
    """Peaks and wall seconds of a new server and one task, whose result is read, too."""
    with origin(source.parent) as base, running(home, **settings) as server, server.client() as client:
        begin_s = time.perf_counter()
        with watching(server.process) as peaks:
            speakers = {"diarization_enabled": True} if settings["DASHSCRIBE_ENGINE"] != "standin" else {}
            output = await_task(client, submit(client, f"{base}/{source.name}", **speakers), 0.5)
            (result,) = output["results"]  # type: ignore[misc]
            assert httpx.get(result["transcription_url"], timeout=60).json()["transcripts"]
        return peaks, time.perf_counter() - begin_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=12.0)
    parser.add_argument("--through", choices=("cli", "serve"), default="serve")
    parser.add_argument("--engine", choices=("small", "standin"), default="small")
    parser.add_argument("--format", default="json", help="what the command writes: txt, json, srt, vtt or tsv")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = {"DASHSCRIBE_ENGINE": "standin" if arguments.engine == "standin" else SMALL[0]}
        found: list[tuple[Peaks, float]] = []
        for hours in (arguments.hours / 12, arguments.hours):
            home = folder / f"home-{hours:g}"
            home.mkdir()
            if arguments.engine == "small":
                install(home, *SMALL)
            source = make_long(folder, hours)
            if arguments.through == "cli":
                found.append(by_command(home, source, settings, arguments.format))
            else:
                found.append(by_server(home, source, settings))
    (short, short_s), (long, long_s) = found
    print(f"{machine()}; {arguments.hours / 12:g} h in {short_s:.0f} s, {arguments.hours:g} h in {long_s:.0f} s")
    ratios = {role: long.own[role] / short.own.get(role, long.own[role]) for role in long.own}
    rows = [(role, f"{short.own.get(role, 0):.0f}", f"{long.own[role]:.0f}", f"{ratios[role]:.2f}") for role in ratios]
    together = long.together / short.together
    rows.append(("all together", f"{short.together:.0f}", f"{long.together:.0f}", f"{together:.2f}"))
    print(table(("peak MiB", f"{arguments.hours / 12:g} h", f"{arguments.hours:g} h", f"ratio (goal {GOAL})"), rows))
    larger = [role for role, ratio in ratios.items() if ratio > GOAL]
    if larger or (arguments.engine == "small" and long.together * 1.048576 > GOAL_MB):
        raise SystemExit(f"beyond the goal: {', '.join(larger) or f'more than {GOAL_MB} MB'}")


if __name__ == "__main__":
    main()
