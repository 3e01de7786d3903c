"""Children above their memory ceiling are replaced while a task goes on: nothing is lost, the result is the same."""

from __future__ import annotations

import re
from pathlib import Path

from kill_harness import KEY, Server, Sources
from plain_http import loopback


def test_a_task_whose_children_are_replaced_after_every_call_has_the_same_result(sample: Path, tmp_path: Path) -> None:
    results: list[str] = []
    with Sources(sample).open() as sources:
        url = sources.add("minutes.wav", 75)
        for ceiling_mb in ("4096", "1"):
            server = Server(tmp_path / ceiling_mb, settings={"DASHSCRIBE_HOST_MEMORY_MB": ceiling_mb})
            server.start()
            server.wait_ready()
            task_id = server.submit([url], "recycled")
            output = server.wait([task_id], 120)[task_id]["output"]
            results.append(loopback.get(output["results"][0]["transcription_url"]).text)
            metrics = loopback.get(
                f"http://127.0.0.1:{server.port}/metrics", headers={"Authorization": f"Bearer {KEY}"}
            )
            server.stop()
            lines = [line for line in metrics.text.splitlines() if "child_ends_total{" in line and '"worn_out"' in line]
            worn = {re.search(r'role="(\w+)"', line)[1]: float(line.split()[-1]) for line in lines}
            # A media child for the probe and one for the cut, an engine's child for each window.
            assert {role: count >= 2 for role, count in worn.items()} == (
                {"media": True, "asr": True} if ceiling_mb == "1" else {}
            )
            heard = server.log.read_text().splitlines()
            assert len(heard) == len(set(heard))  # nothing was recognized twice
    assert results[0] == results[1]
