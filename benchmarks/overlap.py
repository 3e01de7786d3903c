"""Whether what can happen at the same time does: downloads behind recognition, decoding and detection beside it.

    python benchmarks/overlap.py [--minutes 30] [--download 20]

The real server with one slot; the stand-in engine waits instead of computing, so that recognition takes a known time
on a machine of any speed. Each figure is a ratio of wall times:

- prefetch: a file whose recognition takes as long as the download of another one from a slow origin. Alone, alone, and
  both at once: 1 if the download is hidden, 2 if one comes after the other.
- overlap: a file whose recognition takes about as long as cutting it, from the submission to the end, over the longer
  of the two by the server's own metrics: 1 if recognition runs beside decoding and detection, 2 if it waits for them.
- first piece: when it is recognized, as a share of the time that cutting the whole file takes.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from common import machine, table
from running import await_task, make_long, origin, running, submit


def speech_s(log: Path) -> float:
    """Seconds of sound that the stand-in was given, by its own log."""
    spans = [line.split() for line in log.read_text(encoding="ascii").splitlines()]
    return sum(int(end) - int(begin) for _, begin, end in spans) / 1000


@dataclass
class Run:
    """Tasks that ran at once in a server of their own: wall seconds, by stage, and the sound that was recognized."""

    wall_s: float
    first_s: float  # to the first piece recognized
    speech_s: float
    stages: dict[str, float]


def run(folder: Path, urls: list[str], delay_ms: float = 0.0) -> Run:
    """Submit tasks at once and wait for all."""
    home = Path(tempfile.mkdtemp(dir=folder)) / "home"
    home.mkdir()
    log = home / "pieces"
    settings = {"DASHSCRIBE_ENGINE": "standin", "DASHSCRIBE_STANDIN_LOG": str(log)}
    settings["DASHSCRIBE_STANDIN_DELAY_MS"] = f"{delay_ms:.6f}"
    with running(home, "serve", "--workers", "1", **settings) as server, server.client() as client:
        begin_s, first_s = time.perf_counter(), 0.0
        tasks = [submit(client, url) for url in urls]
        while not log.exists():
            time.sleep(0.01)
        first_s = time.perf_counter() - begin_s
        for task in tasks:
            await_task(client, task, 0.05)
        wall_s = time.perf_counter() - begin_s
        text = client.get("/metrics").text
        found = re.findall(r'^dashscribe_stage_seconds_sum\{.*?stage="(\w+)".*?\} (\S+)', text, re.MULTILINE)
        return Run(wall_s, first_s, speech_s(log), {stage: float(value) for stage, value in found})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="length of the file")
    parser.add_argument("--download", type=float, default=20.0, help="seconds that the slow download takes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        long, short = make_long(folder, options.minutes / 60), make_long(folder, 1 / 60)
        rate = short.stat().st_size / options.download
        with origin(folder) as quick, origin(folder, rate) as slow:
            here, away = f"{quick}/{long.name}", f"{slow}/{short.name}"
            alone = run(folder, [here])
            beside = run(folder, [here], 1000 * alone.stages["cut"] / alone.speech_s)
            delay_ms = 1000 * options.download / alone.speech_s
            one_s, other_s = (run(folder, *given).wall_s for given in (([here], delay_ms), ([away],)))
            both_s = run(folder, [here, away], delay_ms).wall_s
    print(f"{machine()}; {options.minutes:g} minutes of sound, load {psutil.getloadavg()[0]:.0f}")
    cut_s, heard_s = beside.stages["cut"], beside.stages["recognize"]
    rows = [
        ("prefetch: recognition here, download there", f"{one_s:.1f}, {other_s:.1f}", f"{both_s:.1f}"),
        ("overlap: cutting, recognition", f"{cut_s:.1f}, {heard_s:.1f}", f"{beside.wall_s:.1f}"),
        ("first piece recognized", f"{cut_s:.1f}", f"{beside.first_s:.1f}"),
    ]
    ratios = (both_s / max(one_s, other_s), beside.wall_s / max(cut_s, heard_s), beside.first_s / cut_s)
    goals = ("1.1", "1.2", "")
    heads = ("wall seconds", "alone", "together", "ratio", "goal")
    print(table(heads, [(*row, f"{ratio:.2f}", goal) for row, ratio, goal in zip(rows, ratios, goals, strict=True)]))


if __name__ == "__main__":
    main()
