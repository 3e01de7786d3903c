"""How much of a bare engine's throughput is left when the whole program runs around it, on one core and on two.

    python benchmarks/throughput.py [--minutes 6] [--runs 3] [--engine pocketsphinx|small|full] [--cores 0 0,1]

All sides work on the same files on the same cores, in turn: the bare engine, one process per core; ``dashscribe
transcribe`` (start-up, decoding, detection, ledger and rendering included); a server that runs, from the first submit
to the end of the last task. Bare pocketsphinx has its own defaults, a fresh utterance per file and samples handed over
ready-made. SenseVoice, which cannot take whole files, has the program's own detector before it: ``small`` is that of
``tests/models``, ``full`` one of SenseVoice-Small's size with weights of 8 bits (``full_size``).

Figures are bare / dashscribe: of wall times, which others on the machine disturb, and of processor times, which are the
share of a saturated core that goes into recognition. The goal is 0.9.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from common import machine, recordings, table
from full_size import SMALL, make_model
from running import MODELS, await_task, environment, family, install, origin, running, submit

FULL = "sensevoice-full"


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


BARE = {
    "pocketsphinx": """
import sys, wave
from pocketsphinx import Decoder
decoder, words = Decoder(loglevel="FATAL"), 0
for path in sys.argv[1:]:
    with wave.open(path) as file:
        samples = file.readframes(file.getnframes())
    decoder.start_utt()
    decoder.process_raw(samples, full_utt=True)
    decoder.end_utt()
    words += len(decoder.hyp().hypstr.split()) if decoder.hyp() else 0
assert words
""",
    "sensevoice": """
import sys, wave
import numpy as np, sherpa_onnx
from dashscribe.segment import Segmenter
from dashscribe.types import Limits
model, *paths = sys.argv[1:]
recognizer = sherpa_onnx.OfflineRecognizer.from_sense_voice(
    model=f"{model}/model.int8.onnx", tokens=f"{model}/tokens.txt", use_itn=True)
words = 0
for path in paths:
    segmenter = Segmenter(Limits(max_piece_ms=30_000, min_piece_ms=500))
    with wave.open(path) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    for piece in [*segmenter.feed(samples), *segmenter.finish()]:
        stream = recognizer.create_stream()
        stream.accept_waveform(16_000, piece.samples.astype(np.float32) / 32768)
        recognizer.decode_stream(stream)
        words += len(stream.result.tokens)
assert words
""",
}

Spent = tuple[float, float]


def timed(work: Callable[[], object]) -> Spent:
    """Wall and processor seconds of work that child processes do and end with."""
    begin_s, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begin_s, used_s


def run_bare(engine: str, model: Path | None, files: list[Path], cores: str) -> Spent:
    """One process per core, each with its part of the files."""
    script, given = (BARE["sensevoice"], [model]) if model else (BARE[engine], [])
    count = len(cores.split(","))

    def some(number: int) -> None:
        # One core each, so that runtimes start one thread as the program's do.
        pinned = ["taskset", "-c", cores.split(",")[number]]
        subprocess.run([*pinned, sys.executable, "-c", script, *given, *files[number::count]], check=True)

    with ThreadPoolExecutor(count) as pool:
        return timed(lambda: list(pool.map(some, range(count))))


def run_command(engine: str, files: list[Path], cores: str, home: Path) -> Spent:
    """``dashscribe transcribe`` over all files."""
    out = home / "out"
    command = ["taskset", "-c", cores, sys.executable, "-m", "dashscribe", "transcribe"]
    command += ["--quiet", "--force", "-f", "txt"]
    env = environment(home, DASHSCRIBE_ENGINE=engine)
    spent = timed(lambda: subprocess.run([*command, "-o", out, *files], check=True, stdout=subprocess.DEVNULL, env=env))
    assert all((out / f"{file.stem}.txt").stat().st_size for file in files)
    return spent


def run_server(engine: str, files: list[Path], cores: str, home: Path) -> Spent:
    """A task for each file, all at once, in a server whose children have done some before."""
    with (
        origin(files[0].parent) as base,
        running(home, cores=cores, DASHSCRIBE_ENGINE=engine) as server,
        server.client() as client,
    ):
        warm = [submit(client, f"{base}/{files[0].name}") for _ in range(2 + len(cores.split(",")))]
        for task in warm:  # as many as engines run at once, that for short tasks among them
            await_task(client, task)
        before_s, begin_s = cpu_s(server.process), time.perf_counter()
        for task in [submit(client, f"{base}/{file.name}") for file in files]:
            await_task(client, task)
        return time.perf_counter() - begin_s, cpu_s(server.process) - before_s


def cpu_s(root: psutil.Process) -> float:
    """Processor seconds of a process and its children so far."""
    times = [process.cpu_times() for process in family(root)]
    return sum(each.user + each.system for each in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engine", choices=("pocketsphinx", "small", "full"), default="pocketsphinx")
    parser.add_argument("--cores", nargs="+", default=["0", "0,1"], help="sets of cores, as for taskset")
    arguments = parser.parse_args()
    engine = {"small": SMALL, "full": FULL}.get(arguments.engine, arguments.engine)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        home.mkdir()
        model = None
        if engine != "pocketsphinx":
            model = MODELS / SMALL if engine == SMALL else make_model(Path(name) / FULL, int8=True)
            install(home, model)
        files = make_audio(Path(name), arguments.minutes)
        seconds = sum(file.stat().st_size for file in files) / 32_000
        print(f"{machine()}; {engine}, {len(files)} files, {seconds:.0f} s of audio; load {psutil.getloadavg()[0]:.0f}")
        rows = []
        for cores in arguments.cores:
            for run in range(arguments.runs):
                bare = run_bare(engine, model, files, cores)
                for way, act in (("command", run_command), ("server", run_server)):
                    ours = act(engine, files, cores, home)
                    ratios = [f"{theirs / own:.2f}" for theirs, own in zip(bare, ours, strict=True)]
                    rows.append((f"cores {cores}, {way}", run + 1, *(f"{s:.1f}" for s in (*bare, *ours)), *ratios))
                    print("  ".join(map(str, rows[-1])), file=sys.stderr, flush=True)
    print(table(("", "run", "bare wall", "bare cpu", "wall s", "cpu s", "ratio wall", "ratio cpu (goal 0.9)"), rows))
    for what in dict.fromkeys(row[0] for row in rows):
        found = [[float(cell) for cell in row[-2:]] for row in rows if row[0] == what]
        wall, cpu = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{what}: median ratio of wall times {wall:.2f}, of processor times {cpu:.2f}")


if __name__ == "__main__":
    main()
