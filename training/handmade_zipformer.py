"""A zipformer transducer and a zipformer CTC model in the layout of the icefall exports.

Both emit one piece of a fixed sentence after every six active frames of 40 ms, so that timestamps follow the sound and
pauses move them. At two places the transducer is undecided, and a hotword decides.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from handmade_graph import Graph

_MELS = 80
_EVERY = 6  # active frames for each piece, 240 ms
# Natural log of the power of samples in -1..1, as in `handmade_funasr` less 20.8 for the scale of the samples.
_LOUDNESS = (-10.5, -3.4, -0.5)
_SENTENCES = (
    [*"今天天气不错我们去公园吧"],
    ["▁HELLO", "▁WORLD", "▁THIS", "▁IS", "▁A", "▁TEST"],
    ["我", "们", "用", "▁DASH", "▁SCRIBE", "和", "同", "义", "千", "问", "写", "字", "幕"],
)
_RIVALS = {"▁SCRIBE": "SCRIBE", "同": "通"}  # nearly as likely
_SPECIALS = ["<blk>", "<sos/eos>", "<unk>"]
_LETTERS = ["▁", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]  # so that any hotword can be spelled


def _tokens() -> list[str]:
    pieces = [piece for sentence in _SENTENCES for piece in sentence]
    return list(dict.fromkeys([*_SPECIALS, *pieces, *_RIVALS.values(), *_LETTERS]))


@dataclass(frozen=True, slots=True)
class _Frames:
    """What the encoder knows of each 40 ms frame: the piece to emit, (N, frames) with 0 for none, and the lengths."""

    pieces: str
    lengths: str


def _subsample(graph: Graph, loudness: str) -> str:
    """(N, T) to (N, ((T - 7) // 2 + 1) // 2), as the real front end has it; too few frames raise."""
    rows = graph.op("Unsqueeze", loudness, graph.const([1]))
    rows = graph.op("AveragePool", rows, kernel_shape=[7], strides=[2])
    rows = graph.op("AveragePool", rows, kernel_shape=[2], strides=[2])
    return graph.op("Squeeze", rows, graph.const([1]))


def _frames(graph: Graph, tokens: list[str]) -> _Frames:
    """Declares the two inputs and finds the piece of every frame."""
    x = graph.input("x", "float", ["N", "T", _MELS])
    lengths = graph.input("x_lens", "int64", ["N"])
    halves = graph.op("Add", graph.op("Div", graph.op("Sub", lengths, graph.const(7)), graph.const(2)), graph.const(1))
    kept = graph.op("Div", halves, graph.const(2))
    mean = graph.op("ReduceMean", x, axes=[2], keepdims=0)
    highest = graph.op("ReduceMax", x, axes=[2], keepdims=0)
    loudness = graph.op("Mul", graph.op("Add", mean, highest), graph.const(0.5, "float"))  # mean + (max - mean) / 2
    loudness = _subsample(graph, loudness)
    count = graph.op("Gather", graph.op("Shape", loudness), graph.const(1))
    order = graph.op("Range", graph.const(0), count, graph.const(1))
    inside = graph.op(
        "Less", graph.op("Unsqueeze", order, graph.const([0])), graph.op("Unsqueeze", kept, graph.const([1]))
    )
    steps = [graph.op("Greater", loudness, graph.const(limit, "float")) for limit in _LOUDNESS]
    steps = [graph.cast(graph.op("And", step, inside), "int64") for step in steps]
    level = graph.op("Add", graph.op("Add", steps[0], steps[1]), steps[2])
    level = graph.op("ReduceMax", level, axes=[1], keepdims=1)  # (N, 1), 0 for silence
    counted = graph.op("CumSum", steps[0], graph.const(1))
    position = graph.op("Max", graph.op("Sub", counted, graph.const(1)), graph.const(0))
    turn = graph.op("Equal", graph.op("Mod", position, graph.const(_EVERY)), graph.const(_EVERY - 1))
    emits = graph.op("And", turn, graph.cast(steps[0], "bool"))
    return _Frames(_pieces(graph, tokens, level, position, emits), kept)


def _pieces(graph: Graph, tokens: list[str], level: str, position: str, emits: str) -> str:
    """The pieces of the sentence that the loudness picks, over and over."""
    flat = [tokens.index(piece) for sentence in _SENTENCES for piece in sentence]
    sizes = [1, *(len(sentence) for sentence in _SENTENCES)]
    starts = [0, *np.cumsum([0, *sizes[1:-1]]).tolist()]
    turn = graph.op(
        "Mod", graph.op("Div", position, graph.const(_EVERY)), graph.op("Gather", graph.const(sizes), level)
    )
    place = graph.op("Add", graph.op("Gather", graph.const(starts), level), turn)
    return graph.op("Where", emits, graph.op("Gather", graph.const(flat), place), graph.const(0))


def _one_hot(graph: Graph, value: str, size: int, low: float, high: float) -> str:
    return graph.op("OneHot", value, graph.const(size), graph.const([low, high], "float"), axis=-1)


def _write_tokens(folder: Path, tokens: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{token} {index}\n" for index, token in enumerate(tokens)]
    (folder / "tokens.txt").write_text("".join(lines), encoding="utf-8")


def write_ctc(folder: Path) -> None:
    """Writes the CTC model."""
    tokens = _tokens()
    graph = Graph("zipformer2_ctc")
    frames = _frames(graph, tokens)
    logits = _one_hot(graph, frames.pieces, len(tokens), 0.0, 12.0)
    scores = graph.op("LogSoftmax", logits, axis=-1)
    graph.output(scores, "log_probs", "float", ["N", "T_out", len(tokens)])
    graph.output(frames.lengths, "log_probs_len", "int64", ["N"])
    metadata = {"model_type": "zipformer2_ctc", "version": 1, "model_author": "handmade"}
    graph.save(folder / "model.int8.onnx", {**metadata, "comment": "non-streaming zipformer2 CTC layout, fixed texts"})
    _write_tokens(folder, tokens)


def _encoder(path: Path, tokens: list[str]) -> None:
    """Scores of all pieces for each frame: the piece 10, its rival 9.5, everything else 0."""
    graph = Graph("encoder")
    frames = _frames(graph, tokens)
    rivals = list(range(len(tokens)))
    for piece, rival in _RIVALS.items():
        rivals[tokens.index(piece)] = tokens.index(rival)
    rival = graph.op("Gather", graph.const(rivals), frames.pieces)
    first = _one_hot(graph, frames.pieces, len(tokens), 0.0, 10.0)
    second = _one_hot(graph, rival, len(tokens), 0.0, 9.5)
    graph.output(graph.op("Max", first, second), "encoder_out", "float", ["N", "T_out", len(tokens)])
    graph.output(frames.lengths, "encoder_out_lens", "int64", ["N"])
    metadata = {"model_type": "zipformer2", "version": 1, "model_author": "handmade"}
    graph.save(path, {**metadata, "comment": "non-streaming zipformer2 layout, fixed texts"})


def _decoder(path: Path, tokens: list[str]) -> None:
    """A predictor of the last token alone: 0.1 for the piece that follows it in a sentence."""
    table = np.zeros((len(tokens), len(tokens)), np.float32)
    for sentence in _SENTENCES:
        for left, right in pairwise(sentence):
            table[tokens.index(left), tokens.index(right)] = 0.1
    graph = Graph("decoder")
    y = graph.input("y", "int64", ["N", 2])
    last = graph.op("Squeeze", graph.slice(y, 1, 2, 1), graph.const([1]))
    last = graph.op("Max", last, graph.const(0))  # -1 stands for nothing before the first token
    scores = graph.op("Gather", graph.const(table, "float"), last, axis=0)
    graph.output(scores, "decoder_out", "float", ["N", len(tokens)])
    graph.save(path, {"context_size": 2, "vocab_size": len(tokens)})


def _joiner(path: Path, tokens: list[str]) -> None:
    graph = Graph("joiner")
    sound = graph.input("encoder_out", "float", ["N", len(tokens)])
    text = graph.input("decoder_out", "float", ["N", len(tokens)])
    graph.output(graph.op("Add", sound, text), "logit", "float", ["N", len(tokens)])
    graph.save(path, {"joiner_dim": len(tokens)})


def _write_bpe_vocab(folder: Path, tokens: list[str]) -> None:
    """Writes bpe.vocab, piece and score: one letter is the dearest way to spell, a whole piece the cheapest."""
    whole = [token for token in tokens if token.strip("▁").isascii() and token not in (*_SPECIALS, *_LETTERS)]
    lines = [f"{piece}\t0\n" for piece in _SPECIALS]
    lines += [f"{piece}\t{-index - 1}\n" for index, piece in enumerate(whole)]
    lines += [f"{piece}\t-100\n" for piece in _LETTERS]
    (folder / "bpe.vocab").write_text("".join(lines), encoding="utf-8")


def write_transducer(folder: Path) -> None:
    """Writes the transducer."""
    tokens = _tokens()
    _encoder(folder / "encoder-epoch-99-avg-1.onnx", tokens)
    _decoder(folder / "decoder-epoch-99-avg-1.onnx", tokens)
    _joiner(folder / "joiner-epoch-99-avg-1.onnx", tokens)
    _write_tokens(folder, tokens)
    _write_bpe_vocab(folder, tokens)
