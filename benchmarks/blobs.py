"""How much memory a process needs to put and to get one large blob, and how fast that is, for each kind of store.

Each step runs in a process of its own, whose largest resident size counts, less what it has once the store is open.
``--s3 s3://BUCKET/PREFIX`` takes the bucket that the AWS_* variables lead to; without it, a server of Swift is started
here if Debian's packages are installed. ``--gb 2`` is the service's largest file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

MIB = 1024**2
#: A process may need this much more than when it is idle, whatever the size of the blob.
LIMIT_MIB = 150
STEPS = ("put", "get", "join")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gb", type=float, default=2.0, help="size of the blob in GiB")
    parser.add_argument("--s3", default="", help="a bucket to use instead of a server of our own")
    arguments = parser.parse_args()
    print(f"{'store':8} {'step':6} {'MiB/s':>8} {'idle MiB':>9} {'more MiB':>9}")
    for found in measure(round(arguments.gb * 1024) * MIB, arguments.s3):
        print(
            f"{found['store']:8} {found['step']:6} {found['mib_per_s']:8.0f} {found['idle_mib']:9.0f} "
            f"{found['more_mib']:9.0f}"
        )
        if found["more_mib"] > LIMIT_MIB:
            raise SystemExit(f"more than {LIMIT_MIB} MiB")


def measure(
    size_bytes: int, s3: str = "", *, stores: Sequence[str] = ("folder", "s3"), steps: Sequence[str] = STEPS
) -> list[dict[str, Any]]:
    """Every step with every store: what each took."""
    results: list[dict[str, Any]] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="blobs-")))
        environment = dict(os.environ)
        if not s3:
            sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
            import object_store

            if reason := object_store.missing():
                raise SystemExit(f"{reason}, or name a bucket with --s3")
            server = stack.enter_context(object_store.running())
            environment |= server.environment()
            s3 = f"s3://{server.make_bucket()}/blobs"
        blob = folder / "blob"
        _make(blob, size_bytes)
        urls = {"folder": (folder / "store").as_uri(), "s3": s3}
        for name in stores:
            for step in steps:
                arguments = [step, urls[name], str(folder / f"home-{step}"), str(blob), name]
                command = [sys.executable, __file__, "--step", *arguments]
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                results.append(json.loads(done.stdout))
    return results


def _make(path: Path, size_bytes: int) -> None:
    block = os.urandom(8 * MIB)
    with path.open("wb") as file:
        for begin in range(0, size_bytes, len(block)):
            file.write(begin.to_bytes(8) + block[: min(len(block), size_bytes - begin) - 8])


def step(name: str, url: str, home: str, blob: str, store_name: str) -> None:
    """One step, in this process: print what it took."""
    from dashscribe.config import Settings
    from dashscribe.store import open_store

    store = open_store(Settings(home=Path(home), store_url=url, disk_reserve_bytes=0))
    store.put("warm", b"x")
    store.read("warm")
    idle, begun_s, size = _peak_mib(), time.monotonic(), Path(blob).stat().st_size
    if name == "put":
        store.put("blob", Path(blob))
    elif name == "get":
        with store.path("blob") as path:
            assert path.stat().st_size == size
    else:
        store.put("joined", store.chunks("blob"))
        store.delete("joined")
    took_s = time.monotonic() - begun_s
    told = {"store": store_name, "step": name, "mib_per_s": size / MIB / took_s}
    print(json.dumps({**told, "idle_mib": idle, "more_mib": _peak_mib() - idle}))


def _peak_mib() -> float:
    """The largest size that this process ever had in memory (VmHWM: ru_maxrss would count the parent's at its fork)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        step(*sys.argv[2:])
    else:
        main()
