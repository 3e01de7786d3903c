"""All long tests in full, one after the other, unattended; what came of each stands in one table at the end.

    python tests/soak.py                 everything, some hours on two cores
    python tests/soak.py --only faults   one part; --list names them
    python tests/soak.py --seed 11 --write docs/soak.md

The suite runs a tenth of each, or less, with a seed of its own. A part that fails does not stop the others; the command
ends with 1 then, and the part's whole output lies in the folder that is named at the end.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
#: A part that takes longer hangs.
LIMIT_S = 2 * 3600


@dataclass(frozen=True)
class Part:
    """One long test: the command behind the interpreter, its variables, and what of its output the table shows.

    ``SEED`` in either stands for the seed.
    """

    name: str
    what: str
    command: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    shows: str = ""


def _pytest(*arguments: str) -> tuple[str, ...]:
    return ("-m", "pytest", "-n", "0", "-q", "-s", "-p", "no:cacheprovider", *arguments)


def _drawing() -> list[str]:
    """The test files that draw examples or take a size; those of the requests have a part of their own."""
    draws = re.compile(r"^from (?:hypothesis|sizes) import ", re.MULTILINE)
    files = sorted((CHECKOUT / "tests").glob("*/test_*.py"))
    found = [str(file.relative_to(CHECKOUT)) for file in files if draws.search(file.read_text(encoding="utf-8"))]
    return [file for file in found if file not in _REQUESTS]


#: These take ``FUZZ_CALLS``.
_REQUESTS = ("tests/wire/test_openapi_fuzz.py", "tests/wire/test_fuzzed_uploads.py")

PARTS = (
    Part(
        "faults",
        "every kind of fault, 100 kills on each back end",
        ("tests/faults/kill_matrix.py", "--kills", "100", "--seed", "SEED"),
        shows=r"^\| .*",
    ),
    Part(
        "kills",
        "kill -9 of one server, 100 times, results compared",
        _pytest("tests/e2e/test_kill.py"),
        {"KILLS": "100", "KILL_SEED": "SEED"},
    ),
    Part(
        "sizes",
        "races, orders of sounds, files of a task and drawn examples in full",
        _pytest(*_drawing()),
        {"FULL_SIZE": "1"},
    ),
    Part(
        "media",
        "2,000 damaged containers in the decoder's children",
        _pytest("tests/e2e/test_fuzzed_media.py"),
        {"FUZZ_FILES": "2000", "FUZZ_SEED": "SEED"},
        shows=r"^.*files.*seed.*",
    ),
    Part(
        "sources",
        "2,000 damaged containers through a live server",
        _pytest("tests/wire/test_fuzzed_sources.py"),
        {"FUZZ_FILES": "2000", "FUZZ_SEED": "SEED"},
        shows=r"^.*files.*seed.*",
    ),
    Part(
        "requests",
        "20,000 requests from the OpenAPI document, and 2,000 of each kind of upload",
        _pytest(*_REQUESTS),
        {"FUZZ_CALLS": "20000", "FUZZ_SEED": "SEED"},
        shows=r"^.*calls.*",
    ),
    Part(
        "queue",
        "100 tasks of 100 files in the queue",
        _pytest("tests/unit/test_many_tasks.py"),
        {"DASHSCRIBE_MANY_TASKS": "100"},
    ),
    Part(
        "hours",
        "200 tasks of an hour: whether the server grows, what they leave behind",
        ("benchmarks/many_hours.py",),
        shows=r"^(?:server|all|children|threads).*",
    ),
    Part(
        "memory",
        "12 hours of sound against one, process by process, speakers told apart",
        ("benchmarks/memory.py", "--engine", "small", "--through", "serve"),
        shows=r"^(?:server|media|asr|speaker|text|all together).*",
    ),
    Part(
        "blobs",
        "2 GB into and out of a bucket in bounded memory",
        _pytest("tests/unit/test_bucket.py", "-k", "memory"),
        {"BLOB_MIB": "2048"},
    ),
)


@dataclass
class Outcome:
    """What came of a part."""

    part: Part
    passed: bool
    seconds: float
    figures: list[str]


def run(part: Part, seed: int, folder: Path) -> Outcome:
    """Run a part and keep its output in a file of its name."""
    command = [str(seed) if word == "SEED" else word for word in part.command]
    variables = {name: str(seed) if value == "SEED" else value for name, value in part.variables.items()}
    began = time.monotonic()
    log = folder / f"{part.name}.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=CHECKOUT, env=os.environ | variables, stdout=file, stderr=file
        )
        try:
            passed = process.wait(LIMIT_S) == 0
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            passed = False
    text = log.read_text(errors="replace")
    found = re.findall(part.shows, text, flags=re.MULTILINE) if part.shows else re.findall(r"^\d+ passed.*", text, re.M)
    return Outcome(part, passed, time.monotonic() - began, found)


def report(outcomes: list[Outcome], seed: int) -> str:
    """The table and the figures behind it, as Markdown."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    ).stdout.strip()
    lines = [
        f"Seed {seed}, commit {commit or 'unknown'}, {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}.",
        "",
        "| part | what | outcome | minutes |",
        "|---|---|---|---:|",
    ]
    for outcome in outcomes:
        verdict = "passed" if outcome.passed else "**failed**"
        lines.append(f"| {outcome.part.name} | {outcome.part.what} | {verdict} | {outcome.seconds / 60:.0f} |")
    for outcome in outcomes:
        rows = list(dict.fromkeys(outcome.figures))
        if rows and not all(row.startswith("|") for row in rows):
            rows = [f"- {row}" for row in rows]
        elif rows:  # the last table of several
            head = max(n for n, row in enumerate(outcome.figures) if row.startswith("| fault "))
            rows = outcome.figures[head:]
            rows.insert(1, "|---|---|" + "---:|" * (rows[0].count("|") - 3))
        if rows:
            lines += ["", f"**{outcome.part.name}**", "", *rows]
    return "\n".join(lines) + "\n"


def write(path: Path, text: str) -> None:
    """Put the report in the place of the last one, below the line that says so."""
    mark = "<!-- the last run -->\n"
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(page.partition(mark)[0] + mark + "\n" + text, encoding="utf-8")


def main() -> int:
    """Run the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 10**6))
    parser.add_argument("--only", action="append", choices=[part.name for part in PARTS], help="may be repeated")
    parser.add_argument("--list", action="store_true", help="name the parts and end")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{part.name:10}{part.what}" for part in PARTS))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="dashscribe-soak-"))
    outcomes: list[Outcome] = []
    for part in PARTS:
        if part.name in (options.only or [part.name]):
            print(f"{part.name}: {part.what} …", flush=True)
            outcomes.append(run(part, options.seed, folder))
            print(f"  {'passed' if outcomes[-1].passed else 'FAILED'} after {outcomes[-1].seconds:.0f} s", flush=True)
    text = report(outcomes, options.seed)
    print(f"\n{text}\noutput of each part: {folder}")
    if options.write:
        write(options.write, text)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
