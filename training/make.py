"""Trains the two small models of the tests from synthesized speech: `python training/make.py`.

Renders the data, trains, exports to `tests/models`, measures with sherpa-onnx and writes `RESULTS.md`. The stages
leave their results in a work folder; `--reuse` starts after those that are there.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataset import SEED, plan, render_examples, save
from export import write_paraformer, write_sense_voice
from report import report
from train import PHASES, data_folder, load_network, phases_done, train

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent / "tests" / "models"

log = logging.getLogger("training")


def main() -> None:
    """Run the recipe."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes started below: one thread each
    kept = options.work / "timings.json"  # for results written after a stage was skipped
    timings_s: dict[str, float] = json.loads(kept.read_text()) if options.reuse and kept.exists() else {}
    drawn = plan()
    for place, utterances in enumerate(drawn.train):
        if not (options.reuse and (data_folder(options.work, place) / "rest.npz").exists()):
            with _timed("data", timings_s):
                save(render_examples(utterances), data_folder(options.work, place))
    if not options.reuse:
        (options.work / "network.pt").unlink(missing_ok=True)
    if phases_done(options.work) < len(PHASES):
        with _timed("training", timings_s):
            train(options.work, SEED)
    network, normalization = load_network(options.work)
    write_sense_voice(network, normalization, options.models / "sensevoice-small")
    write_paraformer(network, normalization, options.models / "paraformer-small")
    kept.write_text(json.dumps(timings_s))
    started = time.monotonic()
    text = report(drawn, options.models / "sensevoice-small", options.models / "paraformer-small", timings_s)
    log.info("evaluation: %.0f s", time.monotonic() - started)
    options.results.write_text(text, encoding="utf-8")
    log.info("%s", text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--work", type=Path, default=HERE.parent / "build" / "training", help="where stages leave results"
    )
    parser.add_argument("--models", type=Path, default=MODELS, help="where the models go")
    parser.add_argument("--results", type=Path, default=HERE / "RESULTS.md", help="where the figures go")
    parser.add_argument("--reuse", action="store_true", help="go on from what is there")
    return parser.parse_args()


@contextmanager
def _timed(stage: str, timings_s: dict[str, float]) -> Iterator[None]:
    started = time.monotonic()
    yield
    timings_s[stage] = timings_s.get(stage, 0.0) + time.monotonic() - started
    log.info("%s: %.0f s", stage, timings_s[stage])


if __name__ == "__main__":
    main()
