"""Data URIs from strangers: what is no base64 is refused before it grows."""

import base64
import tracemalloc
from pathlib import Path

import pytest

from dashscribe.errors.sources import DecodeError
from dashscribe.fetch import data_uri


@pytest.mark.parametrize("text", ["%", "%2", "%41", "%zz", "A%"])
def test_percent_signs_that_escape_nothing_of_base64_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="not base64"):
        data_uri.save_base64(text * 1000, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("case", [str.upper, str.lower])
def test_escapes_of_every_case_are_read(case: type[str], tmp_path: Path) -> None:
    content = bytes(range(256))
    escaped = base64.b64encode(content).decode()
    for char in "+/=":
        escaped = escaped.replace(char, case(f"%{ord(char):02x}"))
    path = data_uri.save_base64(f"{case('%20%0d%0a')}{escaped}", tmp_path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("text", ["%", "%41", "%2B"])
def test_a_text_of_escapes_takes_no_more_memory_than_a_few_copies_of_it(text: str, tmp_path: Path) -> None:
    bomb = text * (1024**2 // len(text))
    tracemalloc.start()
    try:
        data_uri.save_base64(bomb, tmp_path)
    except DecodeError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8 * len(bomb)
