"""What the program costs around a model that is quick: pipeline against bare parts, batches, first result.

    python benchmarks/open_weights.py [--minutes 60] [--runs 3]

The model is the small SenseVoice of ``tests/models``, so quick that everything else shows. The bare parts are one loop
in one process on one core: PyAV decodes and resamples, the program's own detector cuts, sherpa-onnx decodes each piece.
Then ``dashscribe transcribe`` does the same file on one core and on two. Figures are ratios of wall times within a run:
bare / one core (goal 0.85), one core / two cores (goal 1.8). Batches compare eight pieces at once, over windows of
several callers, with one at a time, two slots each. The first result is the wall time of a five second file, from the
command to its end, against that of loading the model alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import machine, recordings, table

MODEL = Path(__file__).resolve().parents[1] / "tests" / "models" / "sensevoice-small"

BARE = """
import sys, time
begin = time.perf_counter()
import av, numpy as np, sherpa_onnx
from dashscribe.segment import Segmenter
from dashscribe.types import Limits
model, path = sys.argv[1:]
recognizer = sherpa_onnx.OfflineRecognizer.from_sense_voice(
    model=f"{model}/model.int8.onnx", tokens=f"{model}/tokens.txt", use_itn=True)
segmenter = Segmenter(Limits(max_piece_ms=30_000, min_piece_ms=500))
words = 0
def decode(pieces):
    global words
    for piece in pieces:
        stream = recognizer.create_stream()
        stream.accept_waveform(16_000, piece.samples.astype(np.float32) / 32768)
        recognizer.decode_stream(stream)
        words += len(stream.result.tokens)
with av.open(path) as container:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
    for frame in container.decode(audio=0):
        for part in resampler.resample(frame):
            decode(segmenter.feed(part.to_ndarray()[0]))
decode(segmenter.finish())
assert words
"""

LOAD = """
import sys, sherpa_onnx
folder = sys.argv[1]
sherpa_onnx.OfflineRecognizer.from_sense_voice(model=f"{folder}/model.int8.onnx", tokens=f"{folder}/tokens.txt")
"""


def make_mp3(folder: Path, minutes: float) -> Path:
    """The recordings one after another, again and again, as an MP3 of 44.1 kHz stereo."""
    listing = folder / "list.txt"
    clips = []
    for number, source in enumerate(recordings()):
        clip = folder / f"{number:03}.wav"
        arguments = ["-ac", "2", "-ar", "44100", "-af", "apad=pad_dur=0.8", clip]
        subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-i", source, *arguments], check=True)
        clips.append(clip)
    listing.write_text("".join(f"file '{clip}'\n" for clip in clips) * 100, encoding="utf-8")
    target = folder / "hour.mp3"
    subprocess.run(
        [
            *("ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-f", "concat", "-safe", "0", "-i", listing),
            *("-t", str(minutes * 60), "-b:a", "128k", target),
        ],
        check=True,
    )
    return target


def timed(command: list[str | Path], cores: str, **variables: str) -> float:
    """Wall time of a command on these cores, in seconds."""
    begin = time.perf_counter()
    subprocess.run(
        ["taskset", "-c", cores, *command], check=True, stdout=subprocess.DEVNULL, env={**os.environ, **variables}
    )
    return time.perf_counter() - begin


def ours(path: Path, workers: int) -> float:
    command = [sys.executable, "-m", "dashscribe", "transcribe", "--quiet", "-f", "txt", path]
    return timed(command, "0" if workers == 1 else "0,1", DASHSCRIBE_WORKERS=str(workers))


def set_batch(home: Path, batch: int) -> None:
    card = home / "models" / MODEL.name / "model.toml"
    lines = [line for line in card.read_text(encoding="utf-8").splitlines() if not line.startswith("batch")]
    card.write_text("\n".join([f"batch = {batch}", *lines, ""]), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        os.environ["DASHSCRIBE_HOME"], os.environ["DASHSCRIBE_ENGINE"] = str(home), MODEL.name
        add = [sys.executable, "-m", "dashscribe", "models", "add", MODEL]
        subprocess.run(add, check=True, stdout=subprocess.DEVNULL)
        path = make_mp3(Path(folder), arguments.minutes)
        print(f"{machine()}; {arguments.minutes:g} minutes of MP3, 44.1 kHz stereo")
        rows = []
        for run in range(arguments.runs):
            set_batch(home, 1)
            bare_s = timed([sys.executable, "-c", BARE, MODEL, path], "0")
            one_s, two_s = ours(path, 1), ours(path, 2)
            set_batch(home, 8)
            batch_s = ours(path, 2)
            ratios = (bare_s / one_s, one_s / two_s, two_s / batch_s)
            rows.append(
                (run + 1, *(f"{s:.1f}" for s in (bare_s, one_s, two_s, batch_s)), *(f"{r:.2f}" for r in ratios))
            )
        heads = (
            "run",
            "bare s",
            "one core s",
            "two cores s",
            "two, batches s",
            "bare/one",
            "one/two",
            "single/batches",
        )
        print(table(heads, rows))
        for name, at, goal in (
            ("bare / one core", -3, 0.85),
            ("one core / two", -2, 1.8),
            ("single / batches", -1, 1.0),
        ):
            print(f"{name}: median {statistics.median(float(row[at]) for row in rows):.2f} (goal {goal})")
        print_first_result(Path(folder), path)


def print_first_result(folder: Path, path: Path) -> None:
    short = folder / "short.wav"
    subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-i", path, "-t", "5", short], check=True)
    load_s = statistics.median(timed([sys.executable, "-c", LOAD, MODEL], "0,1") for _ in range(5))
    first_s = statistics.median(ours(short, 2) for _ in range(5))
    print(f"loading the model alone {load_s:.2f} s, first result of a 5 s file {first_s:.2f} s")


if __name__ == "__main__":
    main()
