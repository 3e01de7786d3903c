"""What is encoded block by block is what is encoded at once."""

from __future__ import annotations

import msgspec
import pytest

from dashscribe.steps.encoding import BLOCK_BYTES, blocks, encoded
from dashscribe.steps.heard import Heard
from dashscribe.types import Fate, Outcome, Sentence, Span, Utterance, Voices, Word

WORD = Word(0, 400, "世界", "。", 0.5)
OUTCOME = Outcome(
    Span(0, 500), Fate.TRANSCRIBED, (Sentence(begin_ms=0, end_ms=400, text="世界。", words=(WORD,), language="zh"),)
)
HEARD = Heard(
    outcomes={0: [OUTCOME, Outcome(Span(500, 900), Fate.FAILED, reason='"so"')], 1: []},
    voices={0: [Voices((Utterance(0, 500, b"\0\1\xff"),), True)]},
    notes=["a", "b"],
    marks={"世": "界"},
)


@pytest.mark.parametrize("depth", range(8))
@pytest.mark.parametrize("value", [HEARD, OUTCOME, {}, [], {"a": [1, None, "x"], "b": {}}, "text", None], ids=repr)
def test_pieces_make_up_what_is_encoded_at_once(value: object, depth: int):
    assert b"".join(encoded(value, depth)) == msgspec.json.encode(value)


def test_what_was_encoded_piece_by_piece_is_read_back():
    assert msgspec.json.decode(b"".join(encoded(HEARD)), type=Heard) == HEARD


def test_no_block_holds_more_than_a_piece_beyond_its_size():
    pieces = [bytes(1000)] * 500
    found = list(blocks(iter(pieces)))
    assert b"".join(found) == b"".join(pieces)
    assert all(BLOCK_BYTES <= len(block) < BLOCK_BYTES + 1000 for block in found[:-1])
