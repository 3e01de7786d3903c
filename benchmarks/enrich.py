"""What 100,000 sensitive words cost: text through the enrichers with and without them.

    python benchmarks/enrich.py [--hours 1]

The text is made up of the sample's vocabulary and of Chinese, as much as is said in that time. Prints the time to build
what finds the words, which happens once for each list, and the ratio of the time for the text.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import machine, table
from dashscribe.enrich import Enrichment
from dashscribe.types import Censor, Fate, Options, Outcome, Span
from dashscribe.words import timed_sentence

WORDS = 100_000
ROUNDS = 5
SENTENCE_MS = 5_000
LATIN = ("we", "choose", "the", "harbor", "in", "this", "decade", "and", "do", "other", "things", "not", "because")
HAN = "我们在这个港口等了很久后来他们才把货物从船上搬下来一切都很顺利"


def heard(hours: float) -> list[Outcome]:
    """Sentences of five seconds, every other one Chinese."""
    rng = random.Random(7)
    outcomes: list[Outcome] = []
    for number in range(int(hours * 3_600_000) // SENTENCE_MS):
        span = Span(number * SENTENCE_MS, (number + 1) * SENTENCE_MS)
        text = " ".join(rng.choices(LATIN, k=14)) if number % 2 else "".join(rng.choices(HAN, k=22))
        outcomes.append(Outcome(span, Fate.TRANSCRIBED, (timed_sentence(f"{text}.", (), span),)))
    return outcomes


def seconds(outcomes: Sequence[Outcome], options: Options, path: Path | None = None) -> float:
    """How long the text takes; the median of some rounds."""
    by_span = {outcome.span: outcome for outcome in outcomes}
    times: list[float] = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in Enrichment(options, sensitive_words=path).sentences(by_span, by_span.__getitem__):
            pass
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0)
    outcomes = heard(parser.parse_args().hours)
    rng = random.Random(11)
    listed = [f"word{number}" if number % 2 else "".join(rng.choices(HAN, k=5)) for number in range(WORDS)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "words.txt"
        path.write_text("\n".join(listed), encoding="utf-8")
        asked = Options(censor=Censor(masked=tuple(listed), system=False))
        begin = time.perf_counter()
        seconds(outcomes[:1], asked)
        built = time.perf_counter() - begin
        without = seconds(outcomes, Options())
        rows = [
            ("no filter", without),
            ("one word", seconds(outcomes, Options(censor=Censor(masked=("harbor",))))),
            (f"{WORDS:,} words of the call", seconds(outcomes, asked)),
            (f"{WORDS:,} words of the operator", seconds(outcomes, Options(censor=Censor()), path)),
            ("fillers", seconds(outcomes, Options(drop_fillers=True))),
        ]
    print(machine())
    print(f"built once for a list of {WORDS:,}: {built:.2f} s")
    shown = [(name, f"{spent:.3f}", f"{spent / without:.2f}", f"{spent / rows[1][1]:.2f}") for name, spent in rows]
    print(table(("", "seconds", "/ no filter", "/ one word"), shown))


if __name__ == "__main__":
    main()
