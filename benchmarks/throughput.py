"""How much of raw pocketsphinx's throughput is left when the whole program runs around it.

    python benchmarks/throughput.py [--minutes 6] [--runs 3]

Both sides transcribe the same files on all cores, in turn: raw pocketsphinx (its own defaults, one process per core, a
fresh utterance per file, samples handed over ready-made) and ``dashscribe transcribe`` (start-up, decoding, detection,
ledger and rendering included). The figure is the ratio of wall times raw / dashscribe, run by run; the goal is 0.9.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from common import machine, recordings, table


def make_audio(folder: Path, minutes: float) -> list[Path]:
    """Mono 16 kHz WAV files of 20 to 60 s, the recordings in turn with half a second between, ``minutes`` in all."""
    clips = []
    for source in recordings():
        target = folder / "clip.wav"
        subprocess.run(
            ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-i", source, "-ac", "1", "-ar", "16000", target],
            check=True,
        )
        with wave.open(str(target)) as clip:
            clips.append(clip.readframes(clip.getnframes()) + bytes(16_000))
        target.unlink()
    files: list[Path] = []
    total_bytes, piece, turn = 0, b"", 0
    while total_bytes < minutes * 60 * 32_000:
        piece += clips[turn % len(clips)]
        turn += 1
        if len(piece) > (20 + 20 * (len(files) % 3)) * 32_000:
            files.append(folder / f"{len(files):03}.wav")
            with wave.open(str(files[-1]), "wb") as out:
                out.setnchannels(1)
                out.setsampwidth(2)
                out.setframerate(16_000)
                out.writeframes(piece)
            total_bytes, piece = total_bytes + len(piece), b""
    return files


_decoder = None


def load_raw() -> None:
    """Open the decoder once per process, as a user's own script would."""
    global _decoder
    from pocketsphinx import Decoder

    _decoder = Decoder(loglevel="FATAL")


def decode_raw(path: Path) -> str:
    """One whole file as one utterance."""
    assert _decoder is not None
    with wave.open(str(path)) as file:
        samples = file.readframes(file.getnframes())
    _decoder.start_utt()
    _decoder.process_raw(samples, full_utt=True)
    _decoder.end_utt()
    hypothesis = _decoder.hyp()
    return hypothesis.hypstr if hypothesis else ""


def run_raw(files: list[Path]) -> float:
    begin = time.perf_counter()
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"), initializer=load_raw) as pool:
        words = sum(len(text.split()) for text in pool.map(decode_raw, files))
    assert words
    return time.perf_counter() - begin


def run_dashscribe(files: list[Path], out: Path) -> float:
    begin = time.perf_counter()
    command = [sys.executable, "-m", "dashscribe", "transcribe", "--quiet", "-f", "txt", "-o", out, *files]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall_s = time.perf_counter() - begin
    assert all((out / f"{file.stem}.txt").stat().st_size for file in files)
    return wall_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DASHSCRIBE_HOME"] = str(Path(folder) / "home")
        files = make_audio(Path(folder), arguments.minutes)
        seconds = sum(file.stat().st_size for file in files) / 32_000
        print(f"{machine()}; {len(files)} files, {seconds:.0f} s of audio")
        rows = []
        for run in range(arguments.runs):
            raw_s, ours_s = run_raw(files), run_dashscribe(files, Path(folder) / f"out{run}")
            rows.append((run + 1, f"{raw_s:.1f}", f"{ours_s:.1f}", f"{seconds / ours_s:.1f}", f"{raw_s / ours_s:.2f}"))
        print(table(("run", "raw s", "dashscribe s", "x real time", "raw / dashscribe"), rows))
        print(f"median ratio {statistics.median(float(row[-1]) for row in rows):.2f} (goal 0.9)")


if __name__ == "__main__":
    main()
