"""How long a search takes among 1,000 transcripts of an hour, and what the index takes on disk.

    python benchmarks/search.py                         both databases; PostgreSQL is started for the run
    python benchmarks/search.py --database sqlite --recordings 200 --rounds 20
    python benchmarks/search.py --url sqlite:///corpus.db           filled if it is empty, and left for the next run

Transcripts are made up, 600 sentences each: words by Zipf's law, half of the recordings Chinese and half English, a
few names in some of them. Queries go through the library as the server's do: every match is counted, 20 are shown with
three hits each. Figures are milliseconds; "cpu" is the processor time of this process and of PostgreSQL's for its
connection: it says more than the clock where others use the machine.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

from sqlalchemy import Engine, func, insert, select, text

from common import machine, table
from dashscribe import search
from dashscribe.config import Settings
from dashscribe.db import now_ms, open_database, tables, writing
from dashscribe.db.tables import FileState, Status
from dashscribe.library import Library, Wanted
from dashscribe.search import Line

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

SENTENCES, SENTENCE_MS = 600, 6000
#: Words that are known to be in the texts, by how often: one in so many words, or recordings.
COMMON_ZH, COMMON_EN = ["我们", "的", "今天", "一个", "这个"], ["the", "of", "and", "one", "budget"]


class Speech:
    """Made-up sentences; the frequency of a word is that of its rank, as in languages."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        han = [chr(0x4E00 + n) for n in dice.sample(range(20_000), 3500)]
        chinese = [
            "".join(dice.choices(han[:1500] if n < 2000 else han, k=dice.choice((1, 2, 2, 2, 3))))
            for n in range(20_000)
        ]
        letters = "etaoinshrdlucmfwypvbgk"
        english = ["".join(dice.choices(letters, k=dice.randint(2, 9))) for _ in range(20_000)]
        self._words = {"zh": COMMON_ZH + chinese, "en": COMMON_EN + english}
        self._weights = list(accumulate(1 / (rank + 3) for rank in range(20_005)))

    def lines(self, language: str, number: int) -> list[Line]:
        """One hour; every fiftieth recording has a name that no other has, every tenth one that they share."""
        count, joint = (16, "") if language == "zh" else (15, " ")
        found = []
        for at in range(SENTENCES):
            said = joint.join(self._dice.choices(self._words[language], cum_weights=self._weights, k=count))
            if at == 300 and number % 10 == 0:
                said += " Kestrel Bridge 海拉尔大桥"
            if at == 301 and number % 50 == 0:
                said += f" project{number} 编号{number}"
            found.append(Line(0, at * SENTENCE_MS, (at + 1) * SENTENCE_MS, said + ("。" if language == "zh" else ".")))
        return found


QUERIES = {
    "a character of every recording": "的",
    "a word of every Chinese one": "我们",
    "four characters, each pair frequent": "我们今天",
    "five characters, each pair frequent": "我们的今天",
    "a name in a tenth": "海拉尔大桥",
    "a word of every English one": "the",
    "a phrase of frequent words": '"one of the"',
    "six frequent words that nobody says so": '"the of and the of and"',
    "a frequent word said three times": '"the the the"',
    "ten frequent characters that nobody says so": "的我们的今天的一个的",
    "a title": "例会 500",
    "a word of every title": "meeting",
    "sixteen frequent words": "the of and one budget " + "的 我 们 今 天 一 个 这 是 不 了",
    "two frequent words": "the budget",
    "a name, Latin": "kestrel bridge",
    "in one recording": "project500",
    "mixed": "bridge海拉尔",
    "nowhere": "没有人说过的话",
}


def fill(engine: Engine, recordings: int) -> tuple[float, float]:
    """Put so many recordings into the tables and the index: milliseconds per hour to prepare, and to write."""
    speech = Speech(random.Random(4711))
    begin_ms = now_ms() - 1000 * recordings
    prepared_s = written_s = 0.0
    for number in range(recordings):
        language = "zh" if number % 2 else "en"
        lines = speech.lines(language, number)
        task = {
            "id": f"t{number}",
            "owner": "o",
            "key_id": "0",
            "request_id": "r",
            "model": "fun-asr",
            "tag_ms": number,
        }
        task |= {"shape": "file_urls", "options": "{}", "notes": "[]", "status": Status.SUCCEEDED, "file_count": 1}
        instants = dict.fromkeys(("submitted_ms", "started_ms", "ended_ms"), begin_ms + 1000 * number)
        file = {"id": number + 1, "task_id": f"t{number}", "number": 0, "owner": "o", "tag_ms": number, "kept": True}
        file |= {"url": f"https://a.example/{number}.wav", "state": FileState.SUCCEEDED, "transcript_key": "t"}
        began = time.perf_counter()
        entry = search.prepare(number + 1, "o", f"Meeting {number} 例会", lines, [language] * len(lines))
        prepared_s += time.perf_counter() - began
        with writing(engine) as connection:
            connection.execute(insert(tables.tasks).values(**task, **instants, open_files=0))
            connection.execute(insert(tables.files).values(**file, indexed="t#0"))
            began = time.perf_counter()
            search.write(connection, entry)
        written_s += time.perf_counter() - began
    return prepared_s / recordings * 1000, written_s / recordings * 1000


def measure(engine: Engine, rounds: int) -> list[tuple[object, ...]]:
    """A row per query: what it finds, and how long it takes."""
    library = Library(engine, Settings(home=Path(tempfile.gettempdir())))
    rows: list[tuple[object, ...]] = []
    for what, query in QUERIES.items():
        wanted = Wanted(terms=search.terms_of(query))
        times: list[float] = []
        total, cpu_began = 0, cpu_s(engine)
        for _ in range(rounds):
            began = time.perf_counter()
            total, _ = library.list("o", wanted)
            times.append((time.perf_counter() - began) * 1000)
        times.sort()
        p95 = times[min(len(times) - 1, int(len(times) * 0.95))]
        cpu_ms = (cpu_s(engine) - cpu_began) / rounds * 1000
        figures = (f"{value:.0f}" for value in (statistics.median(times), p95, times[-1], cpu_ms))
        rows.append((f"{what}: {query}", total, *figures))
    return rows


def cpu_s(engine: Engine) -> float:
    """Processor time so far of this process, and of the one that serves its only connection to a local PostgreSQL."""
    if engine.dialect.name != "postgresql":
        return time.process_time()
    with engine.connect() as connection:
        backend = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    fields = Path(f"/proc/{backend}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def size_bytes(engine: Engine) -> int:
    """What the whole database takes on disk, nearly all of it the index."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            return connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        return pages * connection.execute(text("PRAGMA page_size")).scalar_one()


@contextmanager
def database(kind: str) -> Iterator[str]:
    """The URL of an empty one."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/a.db"
        return
    from postgres import Cluster

    cluster = Cluster(durable=True)
    try:
        yield cluster.new_database()
    finally:
        cluster.remove()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    parser.add_argument("--recordings", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--url", help="of a database to use, instead of new ones")
    options = parser.parse_args()
    print(machine(), f"load {os.getloadavg()[0]:.1f}", sep=", ")
    for kind in [] if options.url else options.database or ("sqlite", "postgresql"):
        with database(kind) as url:
            report(url, options.recordings, options.rounds)
    if options.url:
        report(options.url, options.recordings, options.rounds)


def report(url: str, recordings: int, rounds: int) -> None:
    """Print what the index of one database costs and how fast it answers; it is filled first where it is empty."""
    engine = open_database(url)
    kind = engine.dialect.name
    with engine.connect() as connection:
        held = connection.execute(select(func.count()).select_from(tables.search_texts)).scalar_one()
    if not held:
        before = size_bytes(engine)
        prepared_ms, written_ms = fill(engine, recordings)
        per_hour = (size_bytes(engine) - before) / recordings / 1024
        print(
            f"\n{kind}: {per_hour:.0f} KiB for each hour; "
            f"indexing one takes {prepared_ms:.0f} ms to prepare, {written_ms:.0f} ms to write"
        )
    print(f"\n{kind}, {held or recordings} recordings of an hour")
    print(table(("query", "found", "p50", "p95", "max", "cpu"), measure(engine, rounds)), flush=True)
    engine.dispose()


if __name__ == "__main__":
    main()
