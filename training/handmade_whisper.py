"""A multilingual Whisper in the layout of sherpa-onnx-whisper-tiny.

The sentence follows the loudness, and the language and task tokens of the prompt translate it. Without the token that
forbids them, timestamps surround it.
"""

import base64
from pathlib import Path

import numpy as np
from handmade_graph import Graph
from handmade_qwen3 import LOUDNESS
from handmade_text import MEDIUM_EN, MEDIUM_ZH, PASSAGE_EN, PASSAGE_ZH, SOFT_EN, SOFT_ZH, loud

_MELS, _WIDTH, _CONTEXT, _AUDIO_CONTEXT = 80, 16, 448, 1500
_LANGUAGES = ["en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt", "it", "yue"]
_SILENT, _SOFT, _MEDIUM, _LOUD, _PASSAGE = range(5)
_EN, _ZH, _OTHER = range(3)
_PASSAGE_FRAMES = 500  # of 20 ms
_FRAMES_PER_SENTENCE = 100
# Channels of the self-attention cache: what was in the prompt, and how much has been said.
_KEY_EN, _KEY_ZH, _KEY_OTHER, _KEY_TRANSLATE, _KEY_PLAIN, _KEY_SAID = range(6)


def _sentence(kind: int, language: int, translate: bool) -> list[str]:
    """The pieces of a row; English begins with a space, as Whisper writes it."""
    chinese = language == _ZH and not translate
    english = language == _EN or translate
    if kind == _SILENT:
        return []
    if kind == _SOFT:
        pieces = SOFT_EN if english else SOFT_ZH
    elif kind == _MEDIUM:
        pieces = MEDIUM_ZH if chinese else MEDIUM_EN
    elif kind == _LOUD:
        pieces = loud("en" if english else "zh", False, False, False)
    else:
        pieces = PASSAGE_ZH if chinese else PASSAGE_EN
    return [f" {pieces[0]}", *pieces[1:]] if pieces[0][0].isascii() else pieces


class _Tokens:
    """Token ids: the pieces, then the special tokens in Whisper's order, then 1501 timestamps."""

    def __init__(self) -> None:
        rows = [_sentence(index // 6, index // 2 % 3, bool(index % 2)) for index in range(5 * 6)]
        self.rows = rows
        self.pieces = list(dict.fromkeys([" ", *(piece for row in rows for piece in row)]))
        self.eot = len(self.pieces)
        self.sot = self.eot + 1
        self.languages = [self.sot + 1 + index for index in range(len(_LANGUAGES))]
        self.translate, self.transcribe, self.sot_lm, self.sot_prev, self.no_speech, self.no_timestamps = range(
            self.languages[-1] + 1, self.languages[-1] + 7
        )
        self.timestamps = self.no_timestamps + 1
        self.size = self.timestamps + 1501


def _metadata(tokens: _Tokens) -> dict[str, object]:
    return {
        "model_type": "whisper-tiny",
        "version": 1,
        "maintainer": "handmade",
        "n_mels": _MELS,
        "n_audio_ctx": _AUDIO_CONTEXT,
        "n_audio_state": _WIDTH,
        "n_audio_head": 1,
        "n_audio_layer": 1,
        "n_vocab": tokens.size,
        "n_text_ctx": _CONTEXT,
        "n_text_state": _WIDTH,
        "n_text_head": 1,
        "n_text_layer": 1,
        "sot_sequence": f"{tokens.sot},{tokens.languages[0]},{tokens.transcribe}",
        "all_language_tokens": ",".join(map(str, tokens.languages)),
        "all_language_codes": ",".join(_LANGUAGES),
        "sot": tokens.sot,
        "sot_index": 0,
        "eot": tokens.eot,
        "blank_id": tokens.pieces.index(" "),
        "is_multilingual": 1,
        "no_speech": tokens.no_speech,
        "non_speech_tokens": "",
        "transcribe": tokens.transcribe,
        "translate": tokens.translate,
        "sot_prev": tokens.sot_prev,
        "sot_lm": tokens.sot_lm,
        "no_timestamps": tokens.no_timestamps,
    }


def _encoder(path: Path, tokens: _Tokens) -> None:
    """Mel (1, 80, T) to cross keys (1, 1, T / 2, WIDTH): whether a frame is audio, and its loudness from 0 to 3."""
    graph = Graph("encoder")
    mel = graph.input("mel", "float", ["n_audio", _MELS, "T"])
    pooled = graph.op("AveragePool", mel, kernel_shape=[2], strides=[2], ceil_mode=1)
    frames = graph.op("Transpose", pooled, perm=[0, 2, 1])
    mean = graph.op("ReduceMean", frames, axes=[2], keepdims=1)
    highest = graph.op("ReduceMax", frames, axes=[2], keepdims=1)
    loudness = graph.op("Mul", graph.op("Add", mean, highest), graph.const(0.5, "float"))
    # The tail that sherpa-onnx appends is zero in every bin, which sound never is.
    extent = graph.op("ReduceMax", graph.op("Abs", frames), axes=[2], keepdims=1)
    real = graph.cast(graph.op("Greater", extent, graph.const(0.0, "float")), "float")
    steps = [graph.cast(graph.op("Greater", loudness, graph.const(limit, "float")), "float") for limit in LOUDNESS]
    flags = graph.op("Concat", real, graph.op("Mul", graph.op("Sum", *steps), real), axis=2)
    flags = graph.op("Pad", flags, graph.const([0, 0, 0, 0, 0, _WIDTH - 2]))
    cross = graph.op("Unsqueeze", flags, graph.const([0]))
    for name in ("n_layer_cross_k", "n_layer_cross_v"):
        graph.output(cross, name, "float", [1, "n_audio", "T", _WIDTH])
    graph.save(path, _metadata(tokens))


def _flags_of(tokens: _Tokens) -> np.ndarray:
    """(tokens, WIDTH): what each token of a prompt says, and that others are said."""
    table = np.zeros((tokens.size, _WIDTH), np.uint8)
    table[: tokens.sot, _KEY_SAID] = 1
    table[tokens.timestamps :, _KEY_SAID] = 1
    table[tokens.languages, _KEY_OTHER] = 1
    table[tokens.languages[:2], _KEY_OTHER] = 0
    table[tokens.languages[0], _KEY_EN] = 1
    table[tokens.languages[1], _KEY_ZH] = 1
    table[tokens.translate, _KEY_TRANSLATE] = 1
    table[tokens.no_timestamps, _KEY_PLAIN] = 1
    return table


def _kept(graph: Graph, cache: str, new: str, offset: str, length: str) -> str:
    """The cache with `length` new positions written at `offset`."""
    axis = graph.const([2])
    before = graph.op("Slice", cache, graph.const([0]), offset, axis)
    after = graph.op("Slice", cache, graph.op("Add", offset, length), graph.const([_CONTEXT]), axis)
    return graph.op("Concat", before, new, after, axis=2)


def _kind(graph: Graph, heard: str, level: str) -> str:
    long = graph.op("Greater", heard, graph.const(_PASSAGE_FRAMES))
    kind = graph.op("Where", long, graph.const(_PASSAGE), level)
    return graph.op("Where", graph.op("Equal", level, graph.const(0)), graph.const(_SILENT), kind)


def _spoken(graph: Graph, tokens: _Tokens, kind: str, column: str, heard: str, step: str) -> tuple[str, str]:
    """The piece after `step` others, and whether there is one."""
    flat, starts, sizes = [tokens.eot], [], []
    for row in tokens.rows:
        starts.append(len(flat))
        sizes.append(len(row))
        flat += [tokens.pieces.index(piece) for piece in row]
    row = graph.op("Add", graph.op("Mul", kind, graph.const(6)), column)
    size = graph.op("Gather", graph.const(sizes), row)
    sentences = graph.op("Div", heard, graph.const(_FRAMES_PER_SENTENCE))
    limit = graph.op("Min", size, graph.op("Mul", sentences, graph.const(5)))
    size = graph.op("Where", graph.op("Equal", kind, graph.const(_PASSAGE)), limit, size)
    more = graph.op("Less", step, size)
    inside = graph.op("Max", graph.op("Min", step, graph.op("Sub", size, graph.const(1))), graph.const(0))
    place = graph.op("Add", graph.op("Gather", graph.const(starts), row), inside)
    place = graph.op("Where", more, place, graph.const(0))
    return graph.op("Gather", graph.const(flat), place), size


def _next_token(graph: Graph, tokens: _Tokens, counts: str, cross: str) -> str:
    """The next token, scalar int64."""

    def of(channel: int) -> str:
        return graph.op("Gather", counts, graph.const(channel), axis=0)

    heard = graph.cast(graph.reshape(graph.sum(graph.slice(cross, 0, 1, 3), 2)), "int64")
    level = graph.op("ReduceMax", graph.slice(cross, 1, 2, 3), axes=[2], keepdims=0)
    kind = _kind(graph, heard, graph.cast(graph.reshape(level), "int64"))
    language = graph.op("Add", of(_KEY_ZH), graph.op("Mul", of(_KEY_OTHER), graph.const(_OTHER)))
    column = graph.op("Add", graph.op("Mul", language, graph.const(2)), of(_KEY_TRANSLATE))
    plain, said = of(_KEY_PLAIN), of(_KEY_SAID)
    step = graph.op("Add", graph.op("Sub", said, graph.const(1)), plain)  # -1 where the first timestamp is due
    piece, size = _spoken(graph, tokens, kind, column, heard, step)
    # With timestamps: 0.00, the pieces, the end of the sound, and the end.
    stop = graph.op("Add", graph.op("Min", heard, graph.const(1500)), graph.const(tokens.timestamps))
    closing = graph.op("And", graph.op("Equal", step, size), graph.op("Equal", plain, graph.const(0)))
    token = graph.op("Where", graph.op("And", closing, graph.op("Greater", size, graph.const(0))), stop, piece)
    opening = graph.op(
        "Where", graph.op("Equal", kind, graph.const(_SILENT)), graph.const(tokens.eot), graph.const(tokens.timestamps)
    )
    token = graph.op("Where", graph.op("Less", step, graph.const(0)), opening, token)
    # A prompt without a language asks which it is.
    guess = graph.const([tokens.languages[index] for index in (_EN, _ZH, _EN, _ZH, _EN)])
    known = graph.op(
        "Greater", graph.op("Add", graph.op("Add", of(_KEY_EN), of(_KEY_ZH)), of(_KEY_OTHER)), graph.const(0)
    )
    return graph.op("Where", known, token, graph.op("Gather", guess, kind))


def _decoder(path: Path, tokens: _Tokens) -> None:
    graph = Graph("decoder")
    text = graph.input("tokens", "int64", ["n_audio", "n_tokens"])
    caches = [
        graph.input(f"in_n_layer_self_{letter}_cache", "float", [1, "n_audio", _CONTEXT, _WIDTH]) for letter in "kv"
    ]
    cross = graph.input("n_layer_cross_k", "float", [1, "n_audio", "T", _WIDTH])
    graph.input("n_layer_cross_v", "float", [1, "n_audio", "T", _WIDTH])
    offset = graph.input("offset", "int64", [1])
    length = graph.op("Gather", graph.op("Shape", text), graph.const([1]))
    flags = graph.cast(graph.op("Gather", graph.const(_flags_of(tokens), "uint8"), text, axis=0), "float")
    new = graph.op("Unsqueeze", flags, graph.const([0]))
    kept = [_kept(graph, cache, new, offset, length) for cache in caches]
    counts = graph.cast(graph.reshape(graph.sum(kept[0], 2), _WIDTH), "int64")
    token = _next_token(graph, tokens, counts, cross)
    levels = graph.const([0.0, 20.0], "float")
    logits = graph.op("OneHot", graph.reshape(token, 1), graph.const(tokens.size), levels, axis=-1)
    shape = graph.op("Concat", graph.const([1]), length, graph.const([tokens.size]), axis=0)
    logits = graph.op("Expand", graph.reshape(logits, 1, 1, tokens.size), shape)
    graph.output(logits, "logits", "float", ["n_audio", "n_tokens", tokens.size])
    for letter, cache in zip("kv", kept, strict=True):
        graph.output(cache, f"out_n_layer_self_{letter}_cache", "float", [1, "n_audio", _CONTEXT, _WIDTH])
    graph.save(path, {})


def write(folder: Path) -> None:
    """Writes the model; tokens in base64, special tokens left out, as upstream."""
    tokens = _Tokens()
    _encoder(folder / "tiny-encoder.onnx", tokens)
    _decoder(folder / "tiny-decoder.onnx", tokens)
    lines = [f"{base64.b64encode(piece.encode()).decode()} {index}\n" for index, piece in enumerate(tokens.pieces)]
    (folder / "tiny-tokens.txt").write_text("".join(lines), encoding="utf-8")
