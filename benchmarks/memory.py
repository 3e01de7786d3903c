"""Whether memory grows with the length of a source: 12 hours against 1 hour.

    python benchmarks/memory.py [--hours 12] [--format json]

Runs ``dashscribe transcribe`` with the stand-in engine (all else is the real program) over a file of repeated
recordings and samples the resident memory of the process and its children ten times a second. Goal: 1.2.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from common import machine, recordings, table


def make_long(folder: Path, hours: float) -> Path:
    """A mono Opus file of the recordings in turn, just below ``hours``: joined packets decode to a little more."""
    parts = folder / "parts.txt"
    if not parts.exists():
        for i, source in enumerate(recordings()):
            target = folder / f"{i:03}.ogg"
            encode = ["-ac", "1", "-ar", "16000", "-c:a", "libopus", "-b:a", "24k", target]
            subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-i", source, *encode], check=True)
        parts.write_text("".join(f"file '{file}'\n" for file in sorted(folder.glob("???.ogg"))), encoding="utf-8")
    target = folder / f"{hours:g}h.ogg"
    repeat = ["-f", "concat", "-safe", "0", "-stream_loop", "-1", "-i", parts, "-t", str(hours * 3580), "-c", "copy"]
    subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", *repeat, target], check=True)
    return target


def peak_mb(source: Path, out: Path, format_name: str) -> tuple[dict[str, float], float]:
    """Peak resident megabytes of the whole tree and of its largest process, by role; and the wall time in seconds."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "dashscribe", "transcribe", "--quiet", "-f", format_name, "-o", out, source]
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    peaks = {"all": 0.0, "parent": 0.0, "largest child": 0.0}
    while process.poll() is None:
        try:
            sizes = [p.memory_info().rss / 2**20 for p in (process, *process.children(recursive=True))]
        except psutil.NoSuchProcess:
            continue
        peaks["all"] = max(peaks["all"], sum(sizes))
        peaks["parent"] = max(peaks["parent"], sizes[0])
        peaks["largest child"] = max(peaks["largest child"], *sizes[1:], 0.0)
        time.sleep(0.1)
    assert process.returncode == 0
    return peaks, time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=12.0)
    parser.add_argument("--format", default="json", help="what is rendered: txt, json, srt, vtt or tsv")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= {"DASHSCRIBE_HOME": f"{name}/home", "DASHSCRIBE_ENGINE": "standin"}
        short, short_s = peak_mb(make_long(folder, arguments.hours / 12), folder / "out", arguments.format)
        long, long_s = peak_mb(make_long(folder, arguments.hours), folder / "out", arguments.format)
        print(f"{machine()}; {arguments.hours / 12:g} h in {short_s:.0f} s, {arguments.hours:g} h in {long_s:.0f} s")
        rows = [(who, f"{short[who]:.0f}", f"{long[who]:.0f}", f"{long[who] / short[who]:.2f}") for who in short]
        print(table(("peak MB", f"{arguments.hours / 12:g} h", f"{arguments.hours:g} h", "ratio (goal 1.2)"), rows))


if __name__ == "__main__":
    main()
