"""Thousands of damaged containers through the processes that decode: what dies is a child, and nothing is left behind.

``FUZZ_FILES=2000 FUZZ_SEED=7 pytest -n 0 -s tests/e2e/test_fuzzed_media.py`` is the full run; the suite makes a
tenth.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from dashscribe.config import Settings
from dashscribe.errors import HostDiedError
from dashscribe.errors.sources import SourceError
from dashscribe.hosts import Bounds, Hosts
from dashscribe.hosts.protocol import CutEnd
from dashscribe.types import Limits, Options
from media_files import RECIPES, MediaMaker, media
from mutations import mutants

__all__ = ["media"]  # the fixture

FILES = int(os.environ.get("FUZZ_FILES", "200"))
SEED = int(os.environ.get("FUZZ_SEED", "7"))
#: A damaged file of at most 4 MB that a child is silent about for so long would be a hang.
SILENCE_S = 60.0
#: How much more memory this process may hold at the end than after the first tenth.
GROWTH_BYTES = 32 * 1024**2


@pytest.mark.slow
def test_damaged_containers_cost_at_most_a_child_and_leave_nothing_behind(media: MediaMaker, tmp_path: Path) -> None:
    healthy = {name: media(name).read_bytes() for name in RECIPES}
    us, outcomes, crashes = psutil.Process(), Counter[str](), list[str]()
    path = tmp_path / "work" / "damaged"
    path.parent.mkdir()
    before = (0, 0, 0)
    with Hosts(Settings(), slots=1, bounds=Bounds(media_s=SILENCE_S)) as hosts:
        for number, (name, data) in enumerate(mutants(healthy, FILES, SEED)):
            if number == FILES // 10:
                before = us.memory_info().rss, us.num_fds(), threading.active_count()
            path.write_bytes(data)
            outcome = fate(hosts, path, name)
            outcomes[outcome] += 1
            if "SIG" in outcome or "exited" in outcome:
                crashes.append(name)
            assert len([child for child in us.children() if "hosts.child" in " ".join(child.cmdline())]) <= 1
        until = time.monotonic() + 30
        while threading.active_count() > before[2] + 1 and time.monotonic() < until:
            time.sleep(0.01)  # timers that were called off
        rss, fds, threads = us.memory_info().rss, us.num_fds(), threading.active_count()
    sys.stdout.write(
        f"\n{FILES} files, seed {SEED}: {dict(outcomes.most_common())}; ended children: {crashes}\n"
        f"memory {before[0] >> 20} to {rss >> 20} MiB, descriptors {before[1]} to {fds}, threads "
        f"{before[2]} to {threads}\n"
    )
    assert rss < before[0] + GROWTH_BYTES
    assert fds <= before[1] + 8  # a child more or less
    assert threads <= before[2] + 1
    assert list(path.parent.iterdir()) == [path]
    assert len(outcomes) > 3, "sound, refusals of several kinds"
    assert len(crashes) <= FILES // 100
    assert not [child for child in us.children() if "hosts.child" in " ".join(child.cmdline())]


def fate(hosts: Hosts, path: Path, name: str) -> str:
    """What became of a file: sound, a refusal, or the death of the child that looked at it. Anything else is raised."""
    with suppress(SourceError, HostDiedError):  # what is found out while cutting counts
        hosts.probe(path, name)
    try:
        found = list(hosts.cut(path, url=name, options=Options(channels=(0, 1)), limits=Limits()))
    except SourceError as error:
        return type(error).__name__
    except HostDiedError as error:
        return error.detail.split(" while")[0]
    assert isinstance(found[-1], CutEnd)
    return "sound"
