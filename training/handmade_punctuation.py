"""A CT-transformer for punctuation, laid out as sherpa-onnx-punct-ct-transformer-zh-en-vocab272727-2024-04-12-int8.

A mark depends on a token and the one after it; the last token of a text ends it with a full stop, or with a question
mark if a question word came before.
"""

import json
from pathlib import Path

import numpy as np
from handmade_graph import Graph

_MARKS = ["<unk>", "_", "，", "。", "？", "、"]
_NOTHING, _COMMA, _STOP, _QUESTION, _PAUSE = range(1, 6)
_UNKNOWN = "<unk>"
# The mark that a token takes after itself.
_AFTER = {
    _COMMA: ["嗯", "啊", "呀", "错", "hello", "well", "okay", "yes"],
    _STOP: ["吧", "谢", "thanks", "period"],
    _QUESTION: ["吗", "呢"],
    _PAUSE: ["一", "二", "三"],
}
_COMMA_BEFORE = ["但", "所", "而", "but", "so", "because"]
_ASKS = ["吗", "呢", "谁", "what", "who", "why", "how", "where"]
_PLAIN = "今天气我们去公园你好世界这是个测试的了和不在有人来到说会要"


def _tokens() -> list[str]:
    words = [word for group in _AFTER.values() for word in group]
    return list(dict.fromkeys([_UNKNOWN, *words, *_COMMA_BEFORE, *_ASKS, *_PLAIN]))


def _table(tokens: list[str], groups: dict[int, list[str]]) -> np.ndarray:
    """(tokens, marks) of 1 where a token calls for a mark."""
    table = np.zeros((len(tokens), len(_MARKS)), np.float32)
    for mark, words in groups.items():
        for word in words:
            table[tokens.index(word), mark] = 1
    return table


def _scores(graph: Graph, tokens: list[str], text: str) -> str:
    """Scores of marks, (1, T, marks): no mark 0.5, after a token 1, before the next 2, at the end 4 or 5."""
    after = graph.op("Gather", graph.const(_table(tokens, _AFTER), "float"), text, axis=0)
    before_table = 2 * _table(tokens, {_COMMA: _COMMA_BEFORE})
    before = graph.op("Gather", graph.const(before_table, "float"), text, axis=0)
    far = np.iinfo(np.int64).max
    moved = graph.op("Pad", graph.slice(before, 1, far, 1), graph.const([0, 0, 0, 0, 1, 0]))
    asks = graph.op("Gather", graph.const(5 * _table(tokens, {_QUESTION: _ASKS}), "float"), text, axis=0)
    asks = graph.op("ReduceMax", asks, axes=[1], keepdims=1)  # (1, 1, marks)
    ending = np.zeros((1, 1, len(_MARKS)), np.float32)
    ending[..., _STOP] = 4
    ending = graph.op("Add", asks, graph.const(ending, "float"))
    length = graph.op("Gather", graph.op("Shape", text), graph.const([1]))
    padding = graph.op(
        "Concat", graph.const([0]), graph.op("Sub", length, graph.const([1])), graph.const([0] * 4), axis=0
    )
    nothing = np.zeros(len(_MARKS), np.float32)
    nothing[_NOTHING] = 0.5
    return graph.op("Sum", after, moved, graph.op("Pad", ending, padding), graph.const(nothing, "float"))


def write(folder: Path) -> None:
    """Writes the model."""
    tokens = _tokens()
    graph = Graph("ct_transformer")
    text = graph.input("inputs", "int32", ["batch", "length"])
    graph.input("text_lengths", "int32", ["batch"])
    graph.output(_scores(graph, tokens, text), "logits", "float", ["batch", "length", len(_MARKS)])
    metadata = {
        "tokens": "|".join(tokens),
        "vocab_size": len(tokens),
        "punctuations": "|".join(_MARKS),
        "unk_symbol": _UNKNOWN,
        "model_type": "ct_transformer",
        "comment": "CT-transformer layout, marks by rule",
    }
    graph.save(folder / "model.int8.onnx", metadata)
    (folder / "tokens.json").write_text(json.dumps(tokens, ensure_ascii=False) + "\n", encoding="utf-8")
