"""Trains the models of the tests that listen for other things than words: `python training/make_listeners.py`.

Renders a bank of talkers, trains speaker segmentation, speaker embedding and audio tagging, writes them to
`tests/models`, measures with sherpa-onnx and writes `RESULTS-listeners.md`. `--reuse` starts after the stages whose
results lie in the work folder.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import embedding
import segmentation
import segmentation_export
import sherpa_onnx
import speaker_report
import tagging
import tagging_report
import torch
from talkers import load, render, save, talkers

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent / "tests" / "models"
SEED = 20_261
log = logging.getLogger("training")
Net = TypeVar("Net", bound=torch.nn.Module)


class Stages:
    """Runs what is not there yet, and keeps what it took."""

    def __init__(self, work: Path, reuse: bool) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self._work, self._reuse, self._kept = work, reuse, work / "timings.json"
        self.timings_s: dict[str, float] = json.loads(self._kept.read_text()) if self._kept.exists() else {}

    def result(self, name: str, make: Callable[[Path], None]) -> Path:
        """The file of a stage, made now unless it may be used again."""
        path = self._work / name
        if not (self._reuse and path.exists()):
            started = time.monotonic()
            make(path)
            self.timings_s[path.stem] = time.monotonic() - started
            self._kept.write_text(json.dumps(self.timings_s))
        return path


def main() -> None:
    """Run the recipe."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    stages = Stages(options.work, options.reuse)
    heard = stages.result("train.npz", lambda path: save(render(talkers(held_out=False), SEED), path))
    others = stages.result("held_out.npz", lambda path: save(render(talkers(held_out=True), SEED + 1), path))
    bank = load(heard)

    def trained(name: str, network: Net, train: Callable[[], torch.nn.Module]) -> Net:
        path = stages.result(f"{name}.pt", lambda path: torch.save(train().state_dict(), path))
        network.load_state_dict(torch.load(path))
        network.eval()
        return network

    models: Path = options.models
    paths = [models / f"{name}-small" / "model.onnx" for name in ("segmentation", "speaker-embedding", "ced-tagging")]
    embedder = trained("embedding", embedding.Network(), lambda: embedding.train(bank, SEED + 3))
    embedding.write(embedder, paths[1])
    segmenter = trained("segmentation", segmentation.Network(), lambda: segmentation.train(bank, SEED + 2, embedder))
    segmentation_export.write(segmenter, paths[0])
    tagging.write(trained("tagging", tagging.Network(), lambda: tagging.train(bank, SEED + 4)), paths[2])
    took = ", ".join(f"{stage} {seconds / 60:.1f} min" for stage, seconds in stages.timings_s.items())
    lines = [
        "# Results of the models that listen for other things than words",
        "",
        "Written by `python training/make_listeners.py`, which trains on one thread; measured with sherpa-onnx "
        f"{sherpa_onnx.__version__}. Seed {SEED}. Time taken, on a busy machine: {took}.",
        "",
        *(f"- `{path.parent.name}/{path.name}` {path.stat().st_size:,} bytes" for path in paths),
        "",
        *speaker_report.lines(paths[0], paths[1], load(others), SEED),
        *tagging_report.lines(paths[2], load(others), SEED),
    ]
    options.results.write_text("\n".join(lines), encoding="utf-8")
    log.info("%s", "\n".join(lines))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    work = HERE.parent / "build" / "listeners"
    parser.add_argument("--work", type=Path, default=work, help="where stages leave results")
    parser.add_argument("--models", type=Path, default=MODELS, help="where the models go")
    parser.add_argument("--results", type=Path, default=HERE / "RESULTS-listeners.md", help="where the figures go")
    parser.add_argument("--reuse", action="store_true", help="go on from what is there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
