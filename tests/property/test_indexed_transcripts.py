"""What the search index reads of a stored transcript is all of it but the words, however its bytes arrive."""

import tracemalloc
from collections.abc import Iterator

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dashscribe.steps import index
from dashscribe.types import Sentence, Word

#: What a reader of JSON that does not know strings would stumble over.
odd = st.sampled_from(['"words":[', '"words":[]', "]", "}]", '\\"', "\\", '"', "[{", "谢谢", "\u0000", ""])
texts = st.lists(odd | st.text(max_size=8), max_size=6).map("".join)


@st.composite
def sentences(draw: st.DrawFn) -> Sentence:
    begin_ms = draw(st.integers(0, 10**8))
    said = draw(st.lists(texts, max_size=4))
    words = tuple(Word(begin_ms + at, begin_ms + at + 1, text, punctuation=text[:1]) for at, text in enumerate(said))
    return Sentence(begin_ms=begin_ms, end_ms=begin_ms + 9, text=draw(texts), language="zh", words=words)


def transcript(said: list[Sentence]) -> bytes:
    tracks = [{"channel": channel, "ledger": [], "sentences": said} for channel in (0, 1)]
    return msgspec.json.encode({"duration_ms": 9, "tracks": tracks, "notes": ['no "words":[ here']})


def edits(said: list[Sentence]) -> bytes:
    placed = [{"key": key, "sentence": sentence} for key, sentence in enumerate(said)]
    return msgspec.json.encode(
        {"revision": 1, "tracks": [{"channel": channel, "sentences": placed} for channel in (0, 1)]}
    )


@given(st.lists(sentences(), max_size=5), st.integers(1, 200), st.booleans())
def test_sentences_are_read_as_they_were_written(said: list[Sentence], size: int, is_edited: bool) -> None:
    blob = edits(said) if is_edited else transcript(said)
    lean = index._without_words(blob[at : at + size] for at in range(0, len(blob), size))
    expected = [(channel, one.begin_ms, one.end_ms, one.text, one.language) for channel in (0, 1) for one in said]
    found = index._said(lean, is_edited=is_edited)
    assert [(channel, one.begin_ms, one.end_ms, one.text, one.language) for channel, one in found] == expected
    assert lean.count(b'"words":[]') == 2 * len(said)


def test_words_of_twelve_hours_are_never_in_memory_at_once() -> None:
    words = tuple(Word(at, at + 1, f"word {at}") for at in range(10))
    said = msgspec.json.encode(Sentence(begin_ms=0, end_ms=4000, text="ten words", words=words))

    def chunks() -> Iterator[bytes]:
        yield b'{"tracks":[{"channel":0,"sentences":['
        yield from (said + b"," for _ in range(12 * 900 - 1))
        yield said + b"]}]}"

    tracemalloc.start()
    lean = index._without_words(chunks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(list(index._said(lean, is_edited=False))) == 12 * 900
    assert peak < 12 * 900 * len(said) / 2
