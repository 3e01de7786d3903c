"""How much a child that decodes may use, by what its container may."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashscribe.hosts.isolation import LEAST_MEDIA_MEMORY_BYTES, MOST_MEDIA_MEMORY_BYTES, media_memory_bytes

GIB = 1024**3


@pytest.mark.parametrize(
    ("files", "own", "expected"),
    [
        ({}, "0::/", MOST_MEDIA_MEMORY_BYTES),
        ({"memory.max": "max"}, "0::/", MOST_MEDIA_MEMORY_BYTES),
        ({"memory.max": str(4 * GIB)}, "0::/", 2 * GIB),
        ({"memory.max": str(64 * GIB)}, "0::/", MOST_MEDIA_MEMORY_BYTES),
        ({"memory.max": str(GIB)}, "0::/", LEAST_MEDIA_MEMORY_BYTES),
        (
            {"system.slice/dashscribe.service/memory.max": str(3 * GIB)},
            "0::/system.slice/dashscribe.service",
            3 * GIB // 2,
        ),
        ({"memory.max": str(6 * GIB), "a/memory.max": str(5 * GIB)}, "0::/a", 5 * GIB // 2),
        ({"memory/memory.limit_in_bytes": str(6 * GIB)}, "4:memory:/x", 3 * GIB),
        ({"memory/memory.limit_in_bytes": str(2**63 - 4096)}, "4:memory:/x", MOST_MEDIA_MEMORY_BYTES),
        ({"memory.max": ""}, "", MOST_MEDIA_MEMORY_BYTES),
    ],
)
def test_decoder_gets_half_of_what_its_container_may_use(
    files: dict[str, str], own: str, expected: int, tmp_path: Path
) -> None:
    for name, text in files.items():
        file = tmp_path / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    (tmp_path / "own").write_text(f"{own}\n")
    assert media_memory_bytes(tmp_path / "groups", tmp_path / "own") == expected


def test_system_without_control_groups_has_no_such_limit(tmp_path: Path) -> None:
    assert media_memory_bytes(tmp_path / "none", tmp_path / "none") == MOST_MEDIA_MEMORY_BYTES
