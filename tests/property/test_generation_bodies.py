"""Any body of a generation call is an order or a refusal; any bytes survive a data URI; any text is one line."""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dashscribe.catalog import MODELS
from dashscribe.errors import DashscribeError
from dashscribe.fetch import data_uri
from dashscribe.types import Sentence, Word
from dashscribe.wire import sse
from dashscribe.wire.messages import MAX_ROUND_CHARS, MAX_ROUNDS, read_order
from dashscribe.wire.spoken import SentenceTeller

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
SYNC = st.sampled_from([name for name, model in MODELS.items() if model.interface == "sync"])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | TEXTS, lambda inner: st.lists(inner, max_size=3), max_leaves=6
)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "text": TEXTS | JSON,
        "audio": TEXTS | JSON,
        "input_audio": st.fixed_dictionaries({"data": TEXTS | JSON}) | JSON,
        "type": TEXTS,
    },
)
MESSAGES = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "system", "assistant"]) | JSON,
        "content": st.lists(PARTS | JSON, max_size=3) | JSON,
    }
)
PARAMETERS = st.dictionaries(
    st.sampled_from(["format", "sample_rate", "asr_options", "vocabulary", "language", "x"]), JSON, max_size=4
)


@given(SYNC | JSON, st.lists(MESSAGES | JSON, max_size=4) | JSON, PARAMETERS | JSON)
def test_any_body_is_an_order_or_a_refusal(model: Any, messages: Any, parameters: Any):
    body = msgspec.json.encode({"model": model, "input": {"messages": messages}, "parameters": parameters})
    try:
        order = read_order(body)
    except DashscribeError as error:
        assert 400 <= error.status < 500
        assert error.message.startswith(error.text.split("(X)")[0])
        assert len(error.message) < 2000
        return
    assert order.model.interface == "sync"
    assert order.asked.options.mix
    assert isinstance(order.audio, str)


ROUND = st.tuples(st.text("a字", max_size=500), st.text("b字", max_size=500))


@given(st.lists(ROUND, max_size=9))
def test_context_of_rounds_keeps_to_its_limits(rounds: list[tuple[str, str]]):
    messages: list[Any] = []
    for said, answered in rounds:
        messages.append({"role": "user", "content": [{"type": "input_text", "text": said}]})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": answered}]})
    messages.append(
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "https://a.example/a"}}]}
    )
    body = {"model": "fun-asr-flash", "input": {"messages": messages}, "parameters": {"format": "wav"}}
    context = read_order(json.dumps(body).encode()).asked.options.context
    assert len(context.replace("\n", "")) <= MAX_ROUNDS * MAX_ROUND_CHARS
    last = [text for text in rounds[-1] if text][:1] if rounds else []
    assert all(text[:MAX_ROUND_CHARS] in context for text in last), "the newest round is never the one that is dropped"


@given(
    st.binary(min_size=1, max_size=300),
    st.sampled_from(["", "audio/wav", "audio/ogg;codecs=opus", "x/y;a=b"]),
    st.booleans(),
)
def test_any_bytes_survive_a_data_uri(content: bytes, kind: str, url_safe: bool):
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    with tempfile.TemporaryDirectory() as folder:
        uri = f"data:{kind};base64,{encode(content).decode()}"
        assert data_uri.save(uri, Path(folder)).read_bytes() == content


@given(st.text(max_size=200))
def test_any_data_uri_is_a_file_or_a_refusal(rest: str):
    with tempfile.TemporaryDirectory() as folder:
        try:
            data_uri.save(f"data:;base64,{rest}", Path(folder))
        except DashscribeError as error:
            assert error.status == 400
            assert not list(Path(folder).iterdir())


@given(st.text(max_size=100).filter(lambda text: text.isprintable() or "\u2028" in text or "\u0085" in text) | TEXTS)
def test_any_text_is_one_line_of_an_event(text: str):
    line = sse.one_line({"text": text})
    assert len(line.decode().splitlines()) == 1
    assert json.loads(line) == {"text": text}


SPOKEN = st.lists(
    st.tuples(st.text("abc字", min_size=1, max_size=4), st.sampled_from(["", ",", "。"])), min_size=1, max_size=6
)


@given(SPOKEN)
def test_words_of_an_event_rebuild_their_sentence(spoken: list[tuple[str, str]]):
    words: list[Word] = []
    for number, (text, mark) in enumerate(spoken):
        space = " " if number < len(spoken) - 1 else ""
        words.append(Word(number, number + 1, text + ("" if mark else space), mark + (space if mark else "")))
    sentence = Sentence(
        begin_ms=0, end_ms=len(words), text="".join(w.text + w.punctuation for w in words), words=tuple(words)
    )
    (told,) = SentenceTeller().events(sentence)
    heard = told["output"]["sentence"]["words"]
    assert "".join(word["text"] + word["punctuation"] for word in heard) == sentence.text
    assert all(not word["punctuation"].endswith(" ") for word in heard)
