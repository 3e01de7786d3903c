"""Every kind of fault on every back end, and whether anything was lost, done twice, or came out differently.

    python tests/faults/kill_matrix.py                 all cases, 100 kills per back end, about half an hour
    python tests/faults/kill_matrix.py --seed 7 --kills 20 --only embedded
    python tests/faults/kill_matrix.py --case "source"

A run is repeated by its seed, but for the moments, which depend on the machine. Exits with 1 if any cell is bad.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count, takewhile
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import psutil
from arena import BUCKET, EMBEDDED, IMPATIENT, ORIGIN, SAMPLE, SHARED, Arena, Run, Verdict, restart

import object_store
from calm import Calm
from kill_harness import Sources
from network_changes import network
from postgres import Cluster
from store_proxy import Fault, faulty_store

#: For the tests: how much of a run of 100 kills, and which one; the variables are those of the other kill tests.
KILLS = int(os.environ.get("KILLS", "5"))
SEED = int(os.environ.get("KILL_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
#: Every transaction that moves work, by the function whose it is.
CHANGES = (
    *("tasks.submit", "files.claim", "files.spooled", "files.fetched", "windows.add", "files.cut_ended"),
    *("windows.claim", "windows._close", "files.succeeded", "files.failed", "store.put"),
)


Case = Callable[[Run, str], Verdict]


# --- kills --------------------------------------------------------------------------------------------------------


def processes_at_random(run: Run, backend: str) -> Verdict:
    """kill -9 of servers and workers at random moments, start-up among them."""
    with run.arena("process killed", backend) as arena:
        dice = arena.random
        for number in takewhile(lambda _: arena.verdict.faults < max(1, run.kills * 65 // 100), count()):
            if number % 3 == 0:
                arena.submit(dice.randrange(1, 4), (2.0, 60.0), gone=dice.random() < 0.3)
            if number % 3:
                arena.progress()  # work that is interrupted twenty times on end is given up, as it is meant to be
            time.sleep(dice.uniform(0.0, 0.8))
            victim = dice.choice(arena.processes)
            arena.note()
            if victim.is_up:
                victim.kill()
                arena.verdict.faults += 1
            if backend == EMBEDDED or dice.random() < 0.8:  # now and then one stays down for a while
                restart(victim)
            if dice.random() < 0.7:
                with suppress(AssertionError):
                    victim.wait_ready()
        return arena.judge()


def children_at_random(run: Run, backend: str) -> Verdict:
    """kill -9 of the child processes with the native code; each may cost its piece one of three tries."""
    with run.arena("child killed", backend) as arena:
        dice = arena.random
        hit: set[int] = set()
        until = time.monotonic() + 60 + 2 * run.kills
        while arena.verdict.faults < max(1, run.kills * 15 // 100) and time.monotonic() < until:
            arena.submit(2, (20.0, 60.0))
            time.sleep(dice.uniform(0.3, 1.0))
            children = [child for hand in arena.hands for child in hand.children() if child.pid not in hit]
            if children:
                victim = dice.choice(children)
                with suppress(psutil.Error):
                    victim.kill()
                    hit.add(victim.pid)
                    arena.verdict.faults += 1
            # So that no piece is hit three times, which would rightly be its end.
            time.sleep(1.5)
        arena.note()
        return arena.judge()


def every_state_change(run: Run, backend: str) -> Verdict:
    """kill -9 right before and right after the commit of every transaction that moves work."""
    with run.arena("killed at every change of state", backend) as arena:
        dice = arena.random
        moments = [(where, moment) for where in CHANGES for moment in ("before", "after")]
        dice.shuffle(moments)
        for where, moment in moments[: max(2, len(moments) * run.kills // 100)]:
            kin = arena.fronts if where == "tasks.submit" else arena.hands
            for process in kin:
                if process.is_up:
                    arena.note()
                    process.kill()
            victim = kin[0]
            count_at = 1 if where == "files.failed" else dice.randrange(1, 3)  # one file of a task fails
            restart(victim, FAULT_KILL=f"{where}:{moment}:{count_at}")
            with suppress(AssertionError):
                victim.wait_ready()
            key = arena.plan.draw(2, (40.0, 70.0), gone=True)
            others = [front for front in arena.fronts if front is not victim and front.is_up]
            with suppress(Exception):
                for front in others or [victim]:
                    arena.ids[key] = front.submit(arena.plan.tasks[key], key)
                    break
            if where == "tasks.submit":
                # Of sounds of its own: it may be accepted without a word, and is then heard in its own time.
                extra = [arena.sources.add(f"{key}-extra.wav", dice.uniform(10.0, 20.0))]
                with suppress(Exception):
                    for _ in range(3):
                        victim.submit(extra, key + "x")
            until = time.monotonic() + 180
            while victim.is_up and time.monotonic() < until:
                time.sleep(0.02)
            if victim.is_up:
                arena.verdict.remarks.append(f"not reached: {where} {moment}")
                arena.note()
                victim.kill()  # it would get there later, when nobody starts it again
                restart(victim)
            else:
                arena.verdict.faults += 1
            arena.note()
            arena.insist(key) if others else None
        arena.revive()
        for key in arena.plan.tasks:
            arena.insist(key)
        return arena.judge()


def results_on_their_way(run: Run, backend: str) -> Verdict:
    """kill -9 of workers whose results are on their way to the bucket, and come there while others take over."""
    assert run.store is not None
    is_on_its_way = threading.Event()

    def hold(number: int) -> float:
        is_on_its_way.set()
        return random.Random(number).uniform(0.5, 6.0)

    def is_result(line: str) -> bool:
        return bool(re.match(r"PUT \S+/windows/\S+\.json\b", line))

    fault = Fault(concerns=is_result, delay_s=hold)
    with faulty_store(run.store.endpoint, fault) as endpoint:
        environment = run.store.environment(endpoint)
        with run.arena("killed, results on their way", backend, **environment) as arena:
            for _ in range(max(2, run.kills // 10)):
                is_on_its_way.clear()
                arena.submit(2, (20.0, 60.0))
                is_on_its_way.wait(60)
                for hand in arena.hands:
                    hand.kill()
                    arena.verdict.faults += 1
                for hand in arena.hands:
                    restart(hand)
                until = time.monotonic() + 8
                while time.monotonic() < until:
                    arena.note()
                    time.sleep(0.05)
            return arena.judge()


# --- the database -------------------------------------------------------------------------------------------------


def database_restarted(run: Run, backend: str) -> Verdict:
    """PostgreSQL crashes and comes back, with fsync on, while work is submitted and done."""
    cluster = Cluster(durable=True)
    try:
        with replace(run, cluster=cluster).arena("database crashed", backend) as arena:
            for _ in range(max(1, run.kills // 20)):
                arena.submit(2, (10.0, 60.0))
                time.sleep(arena.random.uniform(0.2, 1.5))
                arena.note()
                cluster.stop()
                time.sleep(arena.random.uniform(0.0, 2.0))
                cluster.start()
                arena.verdict.faults += 1
            return arena.judge()
    finally:
        cluster.remove()


def connections_cut(run: Run, backend: str) -> Verdict:
    """Every connection to PostgreSQL is cut, again and again."""
    assert run.cluster is not None
    with run.arena("connections cut", backend) as arena:
        for number in range(max(3, run.kills // 4)):
            if number % 3 == 0:
                arena.submit(2, (10.0, 60.0))
            time.sleep(arena.random.uniform(0.05, 0.5))
            run.cluster.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dashscribe'"
            )
            arena.verdict.faults += 1
        arena.note()
        return arena.judge()


# --- the store and the disk ---------------------------------------------------------------------------------------


def store_in_trouble(run: Run, backend: str) -> Verdict:
    """The store fails (EIO), is full (ENOSPC) or slow, for seconds at a time."""
    if backend == BUCKET:
        return bucket_in_trouble(run, backend)
    fault = run.folder / f"store-{backend[:3]}"
    with run.arena("store fails, full, slow", backend, FAULT_STORE=str(fault)) as arena:
        for number in range(max(3, run.kills // 8)):
            arena.submit(2, (10.0, 40.0))
            time.sleep(arena.random.uniform(0.0, 0.5))
            fault.write_text(("EIO", "ENOSPC", "slow 0.3")[number % 3])
            time.sleep(arena.random.uniform(0.5, 2.0))
            fault.unlink()
            arena.verdict.faults += 1
        arena.note()
        return arena.judge()


def bucket_in_trouble(run: Run, backend: str) -> Verdict:
    """The bucket answers 503, says that it is full (507), cuts answers off, or is slow, for seconds at a time."""
    assert run.store is not None
    now = ""
    fault = Fault(
        status=lambda number: {"busy": 503, "full": 507}.get(now, 0),
        cut_after=lambda number: 100 if now == "cut" else None,
        delay_s=lambda number: 0.3 if now == "slow" else 0.0,
    )
    with faulty_store(run.store.endpoint, fault) as endpoint:
        environment = run.store.environment(endpoint)
        with run.arena("store fails, full, slow", backend, **environment) as arena:
            for number in range(max(4, run.kills // 8)):
                arena.submit(2, (10.0, 40.0))
                time.sleep(arena.random.uniform(0.0, 0.5))
                now = ("busy", "full", "cut", "slow")[number % 4]
                time.sleep(arena.random.uniform(0.5, 2.0))
                now = ""
                arena.verdict.faults += 1
            arena.note()
            return arena.judge()


def disk_full(run: Run, backend: str) -> Verdict:
    """A file system of a few megabytes runs full under the home and the store, then gets room again."""
    case = "disk full"
    folder = run.folder / f"{case}-{backend}".replace(" ", "-").replace(",", "")
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", str(folder)], check=False)
    if mounted.returncode:
        return Verdict(case, backend, remarks=["skipped: this user may not mount a file system"])
    try:
        with run.arena(case, backend) as arena:
            for _ in range(max(1, run.kills // 25)):
                arena.submit(2, (10.0, 60.0))
                ballast = folder / "ballast"
                with ballast.open("wb") as file, suppress(OSError):
                    while True:
                        file.write(bytes(65536))
                        file.flush()
                key = arena.plan.draw(1, (5.0, 10.0))
                with suppress(Exception):  # it may be refused now, and is repeated later
                    arena.ids[key] = arena.fronts[0].submit(arena.plan.tasks[key], key)
                time.sleep(arena.random.uniform(0.5, 2.0))
                ballast.unlink()
                arena.verdict.faults += 1
                arena.insist(key)
            arena.note()
            return arena.judge()
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


# --- the outside --------------------------------------------------------------------------------------------------


def source_in_trouble(run: Run, backend: str) -> Verdict:
    """The server of the sources hangs, cuts off, lies about the length, changes the file between attempts."""
    with run.arena("source hangs, cuts, lies, changes", backend, **IMPATIENT) as arena:
        for _ in range(max(1, run.kills // 25)):
            arena.submit(1, (5.0, 30.0), tricks=("hang", "short", "lie", "swap"))
            arena.verdict.faults += 4
        time.sleep(1.0)
        arena.note()
        return arena.judge()


def clock_jumps(run: Run, backend: str) -> Verdict:
    """The wall clock of one process jumps by days, both ways, and comes back."""
    clock = run.folder / f"clock-{backend[:3]}"
    with run.arena("clock jumps", backend, FAULT_CLOCK=str(clock)) as arena:
        for number in range(max(2, run.kills // 10)):
            arena.submit(2, (10.0, 40.0))
            time.sleep(arena.random.uniform(0.1, 0.5))
            clock.write_text(str((172_800, -172_800, 3600, -5)[number % 4]))
            time.sleep(arena.random.uniform(0.5, 1.5))
            clock.write_text("0")
            arena.verdict.faults += 1
        arena.note()
        return arena.judge()


@network(changes=True)
def network_cut(run: Run, backend: str) -> Verdict:
    """One worker lives in a network of its own, whose cable to the database is pulled for longer than its lease."""
    case, name, net = "network cut", f"ds{os.getpid() % 10000}", f"10.231.{os.getpid() % 250}"

    def ip(*arguments: str) -> bool:
        return subprocess.run(["ip", *arguments], check=False, capture_output=True).returncode == 0

    if not (shutil.which("ip") and ip("netns", "add", name)):
        return Verdict(case, backend, remarks=["skipped: this user may not make network namespaces"])
    cluster = Cluster(durable=False, networks=(f"{net}.0/24",))
    try:
        cable = (f"{name}a", f"{name}b")
        made = ip("link", "add", cable[0], "type", "veth", "peer", "name", cable[1], "netns", name)
        if not made:
            return Verdict(case, backend, remarks=["skipped: this user may not make network devices"])
        ip("addr", "add", f"{net}.1/24", "dev", cable[0])
        ip("link", "set", cable[0], "up")
        ip("netns", "exec", name, "ip", "addr", "add", f"{net}.2/24", "dev", cable[1])
        ip("netns", "exec", name, "ip", "link", "set", cable[1], "up")
        ip("netns", "exec", name, "ip", "link", "set", "lo", "up")
        with Sources(SAMPLE, f"{net}.1").open() as sources:
            url = cluster.new_database().replace("127.0.0.1", f"{net}.1")
            arena = Arena(
                run.folder / "network", backend, sources, run.seed, url, calm=run.calm, DASHSCRIBE_LEASE_S="3"
            )
            arena.verdict.case = case
            arena.hands[0].prefix = ("ip", "netns", "exec", name)
            with arena.open():
                for _ in range(max(1, run.kills // 25)):
                    arena.submit(2, (30.0, 90.0))
                    time.sleep(arena.random.uniform(0.3, 1.0))
                    arena.note()
                    ip("link", "set", cable[0], "down")
                    time.sleep(arena.random.uniform(3.5, 8.0))
                    ip("link", "set", cable[0], "up")
                    ip("addr", "add", f"{net}.1/24", "dev", cable[0])
                    arena.verdict.faults += 1
                return arena.judge()
    finally:
        cluster.remove()
        ip("netns", "delete", name)
        ip("link", "delete", f"{name}a")


CASES: dict[str, tuple[Case, tuple[str, ...]]] = {
    "process": (processes_at_random, (EMBEDDED, SHARED, BUCKET)),
    "child": (children_at_random, (EMBEDDED, SHARED, BUCKET)),
    "change": (every_state_change, (EMBEDDED, SHARED, BUCKET)),
    "flight": (results_on_their_way, (BUCKET,)),
    "database": (database_restarted, (SHARED,)),
    "connections": (connections_cut, (SHARED,)),
    "store": (store_in_trouble, (EMBEDDED, SHARED, BUCKET)),
    "disk": (disk_full, (EMBEDDED, SHARED)),
    "source": (source_in_trouble, (EMBEDDED, SHARED)),
    "clock": (clock_jumps, (EMBEDDED, SHARED)),
    "network": (network_cut, (SHARED,)),
}


def table(verdicts: list[Verdict]) -> str:
    """The verdicts as Markdown."""
    names = ("faults", "tasks", "files", "pieces", "lost", "different", "repeated", "unexplained")
    lines = ["| fault | back end | " + " | ".join(names) + " | s |", "|---|---|" + "---:|" * 9]
    for verdict in verdicts:
        figures = " | ".join(str(getattr(verdict, name)) for name in names)
        lines.append(f"| {verdict.case} | {verdict.backend} | {figures} | {verdict.seconds:.0f} |")
    return "\n".join(lines)


def main() -> int:
    """Run the cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 10**6))
    parser.add_argument("--kills", type=int, default=100, help="kills per back end; other faults in proportion")
    parser.add_argument("--case", choices=sorted(CASES), help="one kind of fault only")
    parser.add_argument("--only", choices=("embedded", "shared", "bucket"), help="one back end only")
    options = parser.parse_args()
    only = {"embedded": EMBEDDED, "shared": SHARED, "bucket": BUCKET}.get(options.only or "")
    verdicts: list[Verdict] = []
    cluster = Cluster()
    with (
        tempfile.TemporaryDirectory(prefix="dashscribe-faults-", ignore_cleanup_errors=True) as folder,
        object_store.running() as store,
    ):
        calm = Calm(Path(folder) / "undisturbed", **ORIGIN | IMPATIENT)
        run = Run(Path(folder), options.seed, options.kills, calm, cluster, store)
        try:
            for name, (case, backends) in CASES.items():
                for backend in backends:
                    if (options.case or name) == name and (only or backend) == backend:
                        verdicts.append(case(run, backend))
                        print(table(verdicts[-1:]).splitlines()[-1], *verdicts[-1].remarks, sep="\n  ", flush=True)
            calm.stop()
        finally:
            cluster.remove()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    print(f"\nseed {options.seed}, commit {commit.strip() or 'unknown'}\n\n{table(verdicts)}")
    return 0 if all(verdict.is_good for verdict in verdicts) else 1


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
