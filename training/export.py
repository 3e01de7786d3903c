"""Writes the trained network in the layouts that sherpa-onnx reads as SenseVoice and as Paraformer.

Both share the network. SenseVoice's puts four rows of tags before the frames' rows; Paraformer's gathers the frames
at which a new token fires to one row each, and marks those frames in a row of peaks, from which come timestamps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import vocabulary
from features import BINS, STACKED, STRIDE
from graph import Graph
from network import BLOCKS, KERNEL, MIDDLE, WIDTH, Network
from onnx import TensorProto
from train import Normalization
from vocabulary import DIGITS, EMOTIONS, EVENTS, FULL_STOPS, LANGUAGES, TEXT_NORMS, WORD_BEGIN, spoken_count, tag

LANGUAGE_IDS = {"auto": 0, "zh": 3, "en": 4, "yue": 7, "ja": 11, "ko": 12}
WITH_ITN, WITHOUT_ITN = 14, 15
NEVER = -60.0  # a score that no other loses against
LANGUAGE_BIAS = -6.0  # on the other language's tokens where a language is asked for
END = 2  # number of </s>
# Added to the blank: in doubt, a frame had better say nothing than a second word. From 0, 0.5 ... 3, tried on 500
# sentences apart from training and test, of which it raised those read exactly from 86.6 to 90.0 %.
BLANK_BIAS = 2.0


class Encoder:
    """The network as nodes, from normalized features and lengths to scores."""

    def __init__(
        self, graph: Graph, network: Network, normalization: Normalization, features: str, lengths: str
    ) -> None:
        self.graph = graph
        self.weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
        self.weights["speak.bias"] = (
            self.weights["speak.bias"] + BLANK_BIAS * np.eye(1, spoken_count(), dtype=np.float32)[0]
        )
        self.frames = graph.number_of(features, 1)
        self.lengths = graph.op("Unsqueeze", graph.op("Cast", lengths, to=TensorProto.INT64), graph.numbers(1))
        self.valid = graph.op("Less", graph.count_to(self.frames), self.lengths)  # (N, T)
        self.mask = graph.op("Unsqueeze", graph.op("Cast", self.valid, to=TensorProto.FLOAT), graph.numbers(2))
        lifted = graph.op("Max", features, graph.constant(normalization.floor.astype(np.float32)))
        self.middle, self.last = self._hidden(lifted)
        self.scores = self._linear(self.last, "speak")

    def _linear(self, value: str, name: str) -> str:
        return self.graph.affine(value, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, value: str, name: str) -> str:
        scale, bias = (self.graph.float16(self.weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return self.graph.op("LayerNormalization", value, scale, bias, axis=-1, epsilon=1e-5)

    def _silu(self, value: str) -> str:
        return self.graph.op("Mul", value, self.graph.op("Sigmoid", value))

    def _hidden(self, features: str) -> tuple[str, str]:
        hidden = middle = self._linear(features, "entry")
        for place in range(BLOCKS):
            hidden = self._block(hidden, f"blocks.{place}")
            if place + 1 == MIDDLE:
                middle = hidden
        return middle, self._norm(hidden, "norm")

    def _block(self, hidden: str, name: str) -> str:
        graph = self.graph
        masked = graph.op("Transpose", graph.op("Mul", hidden, self.mask), perm=[0, 2, 1])
        kernel = graph.float16(self.weights[f"{name}.depthwise.weight"][..., 0])
        bias = graph.float16(self.weights[f"{name}.depthwise.bias"])
        mixed = graph.op("Conv", masked, kernel, bias, group=WIDTH, pads=[KERNEL // 2] * 2)
        normal = self._norm(graph.op("Transpose", mixed, perm=[0, 2, 1]), f"{name}.norm")
        risen = self._silu(self._linear(normal, f"{name}.rise"))
        return graph.op("Add", hidden, self._linear(risen, f"{name}.fall"))

    def tags(self) -> list[str]:
        """Score the groups of tags: (N, size) each."""
        graph = self.graph
        frames = self._silu(self._linear(graph.op("Concat", self.middle, self.last, axis=2), "gather"))
        outside = graph.op("Mul", graph.op("Sub", self.mask, graph.constant(1.0)), graph.constant(1e4))
        attention = graph.op("Softmax", graph.op("Add", self._linear(frames, "attend"), outside), axis=1)
        weights = graph.op("Transpose", attention, perm=[0, 2, 1])
        mean = graph.op("MatMul", weights, frames)
        square = graph.op("MatMul", weights, graph.op("Mul", frames, frames))
        spread = graph.op("Relu", graph.op("Sub", square, graph.op("Mul", mean, mean)))
        deviation = graph.op("Sqrt", graph.op("Add", spread, graph.constant(1e-4)))
        pooled = graph.op("Concat", mean, deviation, axis=2)
        places = (graph.op("Gather", pooled, graph.constant(np.int64(place)), axis=1) for place in range(3))
        return [self._linear(value, f"tags.{place}") for place, value in enumerate(places)]


def _widened(graph: Graph, scores: str, before: int, after: int) -> str:
    """Place scores (N, rows, n) among all tokens, the others scored `NEVER`."""
    pads = graph.numbers(0, 0, before, 0, 0, after)
    return graph.op("Pad", scores, pads, graph.constant(NEVER))


def _tag_row(graph: Graph, scores: str, names: tuple[str, ...]) -> str:
    first, total = vocabulary.token_ids()[tag(names[0])], len(vocabulary.tokens())
    row = graph.op("Unsqueeze", scores, graph.numbers(1))
    return _widened(graph, row, first, total - first - len(names))


def _equals_any(graph: Graph, values: str, numbers: list[int]) -> str:
    """Compare (N,) int32 with each number: (N, len(numbers)) of 0 and 1."""
    column = graph.op("Unsqueeze", values, graph.numbers(1))
    return graph.op("Cast", graph.op("Equal", column, graph.constant(numbers, np.int32)), to=TensorProto.FLOAT)


def write_sense_voice(network: Network, normalization: Normalization, folder: Path) -> Path:
    """Write `model.int8.onnx` and `tokens.txt` in SenseVoice's layout; returns the model's path."""
    graph = Graph()
    features = graph.input("x", TensorProto.FLOAT, ["N", "T", STACKED * BINS])
    lengths, language, text_norm = (
        graph.input(name, TensorProto.INT32, ["N"]) for name in ("x_length", "language", "text_norm")
    )
    encoder = Encoder(graph, network, normalization, features, lengths)
    languages, emotions, events = encoder.tags()
    asked = _equals_any(graph, language, [LANGUAGE_IDS.get(name, -1) for name in LANGUAGES])
    languages = graph.op("Add", languages, graph.op("Mul", asked, graph.constant(100.0)))
    norms = graph.op("Mul", _equals_any(graph, text_norm, [WITH_ITN, WITHOUT_ITN]), graph.constant(20.0))
    groups = ((languages, LANGUAGES), (emotions, EMOTIONS), (events, EVENTS), (norms, TEXT_NORMS))
    rows = [_tag_row(graph, scores, names) for scores, names in groups]
    words = _widened(graph, encoder.scores, 0, len(vocabulary.tokens()) - spoken_count())
    words = graph.op(
        "Add", words, graph.op("Unsqueeze", graph.op("MatMul", asked, graph.constant(_bias())), graph.numbers(1))
    )
    words = _normalized_text(graph, encoder, words, text_norm, graph.op("ArgMax", languages, axis=1, keepdims=0))
    logits = graph.op("Concat", *rows, words, axis=1)
    graph.output(logits, "logits", TensorProto.FLOAT, ["N", "T_plus_4", len(vocabulary.tokens())])
    path = folder / "model.int8.onnx"
    graph.write(path, _metadata(normalization, len(vocabulary.tokens())) | _sense_voice_metadata())
    _write_tokens(folder / "tokens.txt", vocabulary.tokens())
    return path


def _bias() -> np.ndarray:
    """Give the offset of each token (columns) for each language asked for (rows)."""
    table = np.zeros((len(LANGUAGES), len(vocabulary.tokens())), np.float32)
    table[LANGUAGES.index("en"), vocabulary.language_tokens("zh")] = LANGUAGE_BIAS
    for name in ("zh", "yue"):
        table[LANGUAGES.index(name), vocabulary.language_tokens("en")] = LANGUAGE_BIAS
    return table


def _normalized_text(graph: Graph, encoder: Encoder, words: str, text_norm: str, language: str) -> str:
    """With inverse text normalization, trade English numbers for digits and end what has words with a full stop.

    The stop takes the last frame's row, unless a token begins there.
    """
    ids = vocabulary.token_ids()
    wanted = graph.op("Equal", text_norm, graph.constant([WITH_ITN], np.int32))
    everywhere = graph.op("Unsqueeze", wanted, graph.numbers(1, 2))
    words = graph.op("Where", everywhere, _digits(graph, words), words)
    best = _best(graph, encoder, words)
    begins = graph.op("And", graph.op("Greater", best, graph.constant(np.int64(0))), _differs(graph, best))
    spoken = graph.op("Greater", graph.op("ReduceMax", best, axes=[1], keepdims=1), graph.constant(np.int64(0)))
    at_end = graph.op("Equal", graph.count_to(encoder.frames), graph.op("Sub", encoder.lengths, graph.numbers(1)))
    placed = graph.op("And", graph.op("And", at_end, graph.op("Not", begins)), spoken)
    placed = graph.op("And", placed, graph.op("Unsqueeze", wanted, graph.numbers(1)))
    stops = np.zeros((len(LANGUAGES), len(ids)), np.float32)
    for row, name in enumerate(LANGUAGES):
        stops[row, ids[FULL_STOPS["zh" if name in ("zh", "yue", "ja") else "en"]]] = 2 * -NEVER
    stop = graph.op("Unsqueeze", graph.op("Gather", graph.constant(stops), language, axis=0), graph.numbers(1))
    where = graph.op("Unsqueeze", graph.op("Cast", placed, to=TensorProto.FLOAT), graph.numbers(2))
    return graph.op("Add", words, graph.op("Mul", where, stop))


def _digits(graph: Graph, words: str) -> str:
    """Trade a number's first piece for its digits, and give the score of its other pieces to the blank."""
    ids = vocabulary.token_ids()
    order, silent = np.arange(len(ids)), [0]
    for word, digits in DIGITS.items():
        first, *rest = (ids[piece] for piece in vocabulary.pieces_of(word))  # pieces of no other word
        pair = [first, ids[WORD_BEGIN + digits]]
        order[pair] = pair[::-1]
        order[rest] = ids[tag(LANGUAGES[0])]  # which no frame of words scores
        silent += rest
    blank = graph.op("ReduceMax", graph.op("Gather", words, graph.numbers(*silent), axis=2), axes=[2], keepdims=1)
    return graph.op("Concat", blank, graph.op("Gather", words, graph.constant(order[1:]), axis=2), axis=2)


def _best(graph: Graph, encoder: Encoder, scores: str) -> str:
    """Number each valid frame's best token (N, T), 0 beyond the length."""
    best = graph.op("ArgMax", scores, axis=2, keepdims=0)
    return graph.op("Mul", best, graph.op("Cast", encoder.valid, to=TensorProto.INT64))


def _differs(graph: Graph, best: str) -> str:
    """Tell where a frame's token is not the one of the frame before."""
    shifted = graph.op("Pad", best, graph.numbers(0, 1, 0, -1), graph.constant(np.int64(0)))
    return graph.op("Not", graph.op("Equal", best, shifted))


def write_paraformer(network: Network, normalization: Normalization, folder: Path, timed: bool = True) -> Path:
    """Write `model.onnx` and `tokens.txt` in Paraformer's layout; returns the model's path.

    Args:
        network: The trained network.
        normalization: Of its features.
        folder: Where to.
        timed: Whether the two outputs are there from which sherpa-onnx reads timestamps.
    """
    graph = Graph()
    features = graph.input("speech", TensorProto.FLOAT, ["N", "T", STACKED * BINS])
    lengths = graph.input("speech_lengths", TensorProto.INT32, ["N"])
    encoder = Encoder(graph, network, normalization, features, lengths)
    best = _best(graph, encoder, encoder.scores)
    fires = graph.op("And", graph.op("Greater", best, graph.constant(np.int64(0))), _differs(graph, best))
    total = spoken_count() + 1  # <unk> comes last
    graph.output(_fired_rows(graph, encoder, fires), "logits", TensorProto.FLOAT, ["N", "L", total])
    fired = graph.op("Cast", fires, to=TensorProto.INT32)
    count = graph.op("ReduceSum", fired, graph.numbers(1), keepdims=0)
    graph.output(count, "token_num", TensorProto.INT32, ["N"])
    if timed:
        peaks = _peaks(graph, encoder, fires)
        graph.output(peaks, "us_alphas", TensorProto.FLOAT, ["N", "U"])
        graph.output(peaks, "us_cif_peak", TensorProto.FLOAT, ["N", "U"])
    path = folder / "model.onnx"
    graph.write(path, _metadata(normalization, total))
    _write_tokens(folder / "tokens.txt", _paraformer_tokens())
    return path


def _fired_rows(graph: Graph, encoder: Encoder, fires: str) -> str:
    """Gather the rows of frames that fire, in order, and end each utterance with rows of </s>."""
    rank = graph.op("CumSum", graph.op("Cast", fires, to=TensorProto.INT64), graph.constant(np.int64(1)))
    rank = graph.op("Mul", rank, graph.op("Cast", fires, to=TensorProto.INT64))  # 1, 2, ... where fired, else 0
    one = graph.numbers(1)
    ranks = graph.op("Add", graph.count_to(graph.op("Add", encoder.frames, one)), one)  # one row over, for </s>
    chosen = graph.op("Equal", graph.op("Unsqueeze", rank, one), graph.op("Unsqueeze", ranks, one))  # (N, L, T)
    chosen = graph.op("Cast", chosen, to=TensorProto.FLOAT)
    rows = graph.op("MatMul", chosen, encoder.scores)
    rows = _widened(graph, rows, 0, 1)
    empty = graph.op("Sub", graph.constant(1.0), graph.op("ReduceSum", chosen, graph.numbers(2), keepdims=1))
    ending = np.zeros(spoken_count() + 1, np.float32)
    ending[END] = -NEVER
    blank = np.zeros(spoken_count() + 1, np.float32)
    blank[0] = NEVER
    return graph.op("Add", graph.op("Add", rows, graph.constant(blank)), graph.op("Mul", empty, graph.constant(ending)))


def _peaks(graph: Graph, encoder: Encoder, fires: str) -> str:
    """Mark firing frames on a grid of 20 ms, and the end: sherpa-onnx drops the last peak."""
    longer = graph.op("Add", encoder.frames, graph.numbers(1))
    ends = graph.op("Cast", graph.op("Equal", graph.count_to(longer), encoder.lengths), to=TensorProto.FLOAT)
    marks = graph.op("Pad", graph.op("Cast", fires, to=TensorProto.FLOAT), graph.numbers(0, 0, 0, 1))
    marks = graph.op("Unsqueeze", graph.op("Add", marks, ends), graph.numbers(2))
    spread = graph.op("Mul", marks, graph.constant([1.0, 0.0, 0.0]))
    return graph.op("Reshape", spread, graph.numbers(0, -1))


def _paraformer_tokens() -> tuple[str, ...]:
    final = {word[-1] for word in (*vocabulary.english().values(), *vocabulary.mandarin().values())}
    final |= {piece for word in vocabulary.mandarin().values() for piece in word}
    spoken = vocabulary.tokens()[3 : spoken_count()]
    rewritten = [vocabulary.paraformer_token(piece, piece in final) for piece in spoken]
    return ("<blank>", "<s>", "</s>", *rewritten, "<unk>")


def _metadata(normalization: Normalization, vocab_size: int) -> dict[str, str]:
    return {
        "vocab_size": str(vocab_size),
        "lfr_window_size": str(STACKED),
        "lfr_window_shift": str(STRIDE),
        "neg_mean": ",".join(f"{-value:.6g}" for value in normalization.mean),
        "inv_stddev": ",".join(f"{1 / value:.6g}" for value in normalization.deviation),
    }


def _sense_voice_metadata() -> dict[str, str]:
    return {
        "normalize_samples": "0",  # samples are scaled to the range of int16
        "with_itn": str(WITH_ITN),
        "without_itn": str(WITHOUT_ITN),
        **{f"lang_{name}": str(number) for name, number in LANGUAGE_IDS.items()},
    }


def _write_tokens(path: Path, tokens: tuple[str, ...]) -> None:
    path.write_text("".join(f"{token} {number}\n" for number, token in enumerate(tokens)), encoding="utf-8")
