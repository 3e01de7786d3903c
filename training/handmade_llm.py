"""The decoder that Qwen3-ASR and Fun-ASR-Nano share: a table of sentences looked up by what the prompt holds.

A position of the prompt carries a few flags instead of an embedding: loudness, tone, hotwords, language. The flags go
through the key cache as real keys do, so a prompt that is cut, or a cache that is not kept, changes the text.
"""

from dataclasses import dataclass

import numpy as np
from handmade_graph import Graph
from handmade_text import (
    HOTWORDS,
    LONG_LOOP_EN,
    LONG_LOOP_ZH,
    LOOP_EN,
    LOOP_ZH,
    MEDIUM_EN,
    MEDIUM_ZH,
    PASSAGE_EN,
    PASSAGE_ZH,
    SOFT_EN,
    SOFT_ZH,
    Vocabulary,
    loud,
)

MAX_TOTAL_LEN = 512  # positions of the cache in both published exports
WIDTH = 16  # of an embedding and of a cache head

# Channels of an embedding. The first five are written by the encoders, the others by the embedding table.
AUDIO, LEVEL, ACTIVE, TONE, HIGH_TONE, FIRST_HOTWORD, SECOND_HOTWORD, ENGLISH, CHINESE, FORCED, SPELLED = range(11)
SILENT, SOFT, MEDIUM, LOUD, PASSAGE, LOOP, LONG_LOOP = range(7)
_PERIODS = {LOOP: (3, 2), LONG_LOOP: (5, 5)}  # of English and Mandarin, in tokens
_NONE, _EN, _ZH, _OTHER = range(4)

_PASSAGE_SECONDS = 10.0
_SECONDS_PER_SENTENCE = 2.0
_TONE_SHARE = 0.8  # of the active tokens: a tone starts and ends with tokens that do not look like one


@dataclass(frozen=True, slots=True)
class Family:
    """What differs between the two families."""

    vocab: Vocabulary
    rate: float  # audio tokens a second
    announces: bool  # begins with "language X<asr_text>" unless the prompt forces a language


def _table_of_flags(vocab: Vocabulary) -> np.ndarray:
    """(tokens, WIDTH) of 0 and 1: what each token of a prompt tells the decoder."""
    table = np.zeros((vocab.size, WIDTH), np.uint8)
    for channel, hotword in zip((FIRST_HOTWORD, SECOND_HOTWORD), HOTWORDS, strict=True):
        for piece in (hotword, f" {hotword}"):
            table[vocab.of(piece), channel] = 1
    # Each family names languages in its own words; the other's are not understood.
    names = (" English", " Chinese") if "<asr_text>" in vocab.specials else ("英文", "中文")
    for channel, piece in zip((ENGLISH, CHINESE), names, strict=True):
        table[vocab.of(piece), channel] = 1
    table[vocab.of("不进行文本规整"), SPELLED] = 1
    if "<asr_text>" in vocab.specials:
        table[vocab.of("<asr_text>"), FORCED] = 1
    return table


def embed(graph: Graph, vocab: Vocabulary, ids: str) -> str:
    """Token ids to flags, (1, tokens, WIDTH) float."""
    table = graph.const(_table_of_flags(vocab), "uint8")
    return graph.cast(graph.op("Gather", table, ids, axis=0), "float")


def audio_flags(graph: Graph, mel: str, bins: int, limits: tuple[float, float, float], tone: float) -> str:
    """Log mel energies (1, tokens, bins) to flags (1, tokens, WIDTH); a tone is high above about 1 kHz."""
    mean = graph.op("ReduceMean", mel, axes=[2], keepdims=1)
    low = graph.op("ReduceMax", graph.slice(mel, 0, bins // 3, 2), axes=[2], keepdims=1)
    high = graph.op("ReduceMax", graph.slice(mel, bins // 3, bins, 2), axes=[2], keepdims=1)
    peak = graph.op("Sub", graph.op("Max", low, high), mean)
    loudness = graph.op("Add", mean, graph.op("Mul", peak, graph.const(0.5, "float")))
    steps = [_above(graph, loudness, graph.const(limit, "float")) for limit in limits]
    tonal = graph.op("Mul", _above(graph, peak, graph.const(tone, "float")), steps[0])
    tonal_high = graph.op("Mul", tonal, _above(graph, high, low))
    level = graph.op("Sum", *steps)
    present = graph.op("Add", graph.op("Mul", level, graph.const(0.0, "float")), graph.const(1.0, "float"))
    flags = graph.op("Concat", present, level, steps[0], tonal, tonal_high, axis=2)
    return graph.op("Pad", flags, graph.const([0, 0, 0, 0, 0, WIDTH - 5]))


def _above(graph: Graph, value: str, limit: str) -> str:
    return graph.cast(graph.op("Greater", value, limit), "float")


def _sentence(kind: int, language: int, first: bool, second: bool, spelled: bool) -> list[str]:
    """The pieces of one row of the table, without a beginning or an end."""
    chinese = language == _ZH
    if kind == SILENT:
        return []
    if kind == SOFT:
        return SOFT_EN if language == _EN else SOFT_ZH
    if kind == MEDIUM:
        return MEDIUM_ZH if chinese else MEDIUM_EN
    if kind == LOUD:
        return loud("en" if language == _EN else "zh", first, second, spelled)
    if kind == PASSAGE:
        return PASSAGE_ZH if chinese else PASSAGE_EN
    if kind == LOOP:
        return LOOP_ZH if chinese else LOOP_EN
    return LONG_LOOP_ZH if chinese else LONG_LOOP_EN


def _beginning(family: Family, kind: int, language: int) -> list[str]:
    if not family.announces or language != _NONE:
        return []
    name = " None" if kind == SILENT else " Chinese" if kind in (SOFT, LOUD) else " English"
    return ["language", name, "<asr_text>"]


def _encode(vocab: Vocabulary, pieces: list[str]) -> list[int]:
    """Piece by piece; one character comes as its three bytes, as rare characters do from a real tokenizer."""
    return [index for piece in pieces for index in (vocab.bytes_of(piece) if piece == "吧" else [vocab.of(piece)])]


@dataclass(slots=True)
class Rows:
    """The table, flat: a row begins at `start`, its text `ahead` tokens later; `cycle` tokens from `turn` on repeat."""

    row_of: list[int]
    flat: list[int]
    start: list[int]
    turn: list[int]
    cycle: list[int]
    ahead: list[int]


def _rows(family: Family) -> Rows:
    rows, known = Rows([], [], [], [], [], []), {}
    end = family.vocab.of("<|im_end|>")
    for index in range(7 * 4 * 8):
        kind, language, bits = index // 32, index // 8 % 4, index % 8
        pieces = _sentence(kind, language, bool(bits & 1), bool(bits & 2), bool(bits & 4))
        beginning = _beginning(family, kind, language)
        tokens = _encode(family.vocab, [*beginning, *pieces])
        cycle = _PERIODS.get(kind, (1, 1))[language == _ZH]
        tokens = tokens if kind in _PERIODS else [*tokens, end]
        key = (tuple(tokens), cycle, len(beginning))
        if key not in known:
            known[key] = len(rows.start)
            rows.start.append(len(rows.flat))
            rows.turn.append(len(tokens) - cycle)
            rows.cycle.append(cycle)
            rows.ahead.append(len(beginning))
            rows.flat += tokens
        rows.row_of.append(known[key])
    return rows


class _Prompt:
    """What the decoder reads off a cache: sums and maxima over all positions."""

    def __init__(self, graph: Graph, past: str, new: str) -> None:
        self._graph = graph
        every = graph.op("Concat", past, new, axis=1)  # (1, cached + new, 1, WIDTH); empty positions are zero
        self._sums = graph.reshape(graph.sum(every, 1), WIDTH)
        self._maxima = graph.reshape(graph.op("ReduceMax", every, axes=[1], keepdims=0), WIDTH)

    def count(self, channel: int) -> str:
        """How often a flag occurs, scalar float."""
        return self._graph.op("Gather", self._sums, self._graph.const(channel), axis=0)

    def maximum(self, channel: int) -> str:
        """The highest value of a flag, scalar int64."""
        graph = self._graph
        return graph.cast(graph.op("Gather", self._maxima, graph.const(channel), axis=0), "int64")

    def has(self, channel: int) -> str:
        """Whether a flag occurs, scalar bool."""
        return self._graph.op("Greater", self.count(channel), self._graph.const(0.5, "float"))


def _kind(graph: Graph, family: Family, prompt: _Prompt) -> str:
    """Silent, one of three loudnesses, a passage, or one of two loops."""
    level = prompt.maximum(LEVEL)
    enough = graph.const(_PASSAGE_SECONDS * family.rate, "float")
    kind = graph.op("Where", graph.op("Greater", prompt.count(AUDIO), enough), graph.const(PASSAGE), level)
    share = graph.op("Mul", prompt.count(ACTIVE), graph.const(_TONE_SHARE, "float"))
    for channel, loop in ((TONE, LOOP), (HIGH_TONE, LONG_LOOP)):
        kind = graph.op("Where", graph.op("Greater", prompt.count(channel), share), graph.const(loop), kind)
    return graph.op("Where", graph.op("Equal", level, graph.const(SILENT)), graph.const(SILENT), kind)


def _language(graph: Graph, prompt: _Prompt) -> str:
    language = graph.op("Where", prompt.has(FORCED), graph.const(_OTHER), graph.const(_NONE))
    language = graph.op("Where", prompt.has(CHINESE), graph.const(_ZH), language)
    return graph.op("Where", prompt.has(ENGLISH), graph.const(_EN), language)


def _number(graph: Graph, digits: list[tuple[str, int]]) -> str:
    """Scalars to one index: each times its weight, added."""
    return graph.op("Sum", *(graph.cast(graph.op("Mul", value, graph.const(w)), "float") for value, w in digits))


def _next_token(graph: Graph, family: Family, prompt: _Prompt, step: str) -> str:
    """The token after `step` generated ones, scalar int64."""
    rows = _rows(family)
    kind = _kind(graph, family, prompt)
    digits = [(kind, 32), (_language(graph, prompt), 8)]
    for channel, weight in ((FIRST_HOTWORD, 1), (SECOND_HOTWORD, 2), (SPELLED, 4)):
        digits.append((graph.cast(prompt.has(channel), "int64"), weight))
    index = graph.cast(_number(graph, digits), "int64")
    row = graph.op("Gather", graph.const(rows.row_of), index)

    def of(column: list[int]) -> str:
        return graph.op("Gather", graph.const(column), row)

    beyond = graph.op("Mod", graph.op("Sub", step, of(rows.turn)), of(rows.cycle))
    place = graph.op("Where", graph.op("Less", step, of(rows.turn)), step, graph.op("Add", of(rows.turn), beyond))
    token = graph.op("Gather", graph.const(rows.flat), graph.op("Add", of(rows.start), place))
    # A passage ends with the audio: one sentence for every two seconds of it.
    spoken = graph.op("Div", prompt.count(AUDIO), graph.const(family.rate * _SECONDS_PER_SENTENCE, "float"))
    limit = graph.op("Mul", graph.cast(graph.op("Floor", spoken), "int64"), graph.const(5))
    over = graph.op("Not", graph.op("Less", step, graph.op("Add", of(rows.ahead), limit)))
    over = graph.op("And", over, graph.op("Equal", kind, graph.const(PASSAGE)))
    return graph.op("Where", over, graph.const(family.vocab.of("<|im_end|>")), token)


def decode(graph: Graph, family: Family, embeds: str, position: str) -> None:
    """Adds everything after the embeddings: cache inputs, logits and cache outputs."""
    past_shape: list[int | str | None] = ["batch", MAX_TOTAL_LEN, 1, WIDTH]
    past_key = graph.input("cache_key_0", "float", past_shape)
    past_value = graph.input("cache_value_0", "float", past_shape)
    length = graph.op("Shape", position)  # (1), the number of new positions
    many = graph.cast(graph.op("Greater", length, graph.const([1])), "float")  # a prompt comes at once, the rest singly
    key = graph.op("Mul", graph.reshape(embeds, 1, -1, 1, WIDTH), many)
    # Values count the generated tokens. Positions cannot: Fun-ASR-Nano leaves one free between prompt and answer.
    single = graph.op("Sub", graph.const(1.0, "float"), many)
    value = graph.op("Add", graph.op("Mul", key, graph.const(0.0, "float")), single)
    prompt = _Prompt(graph, past_key, key)
    step = graph.cast(_Prompt(graph, past_value, value).count(0), "int64")
    token = _next_token(graph, family, prompt, step)
    size = family.vocab.size
    levels = graph.const([0.0, 20.0], "float")
    logits = graph.op("OneHot", graph.reshape(token, 1), graph.const(size), levels, axis=-1)
    # The runner-up decodes to nothing: Qwen3-ASR retries without the end token when that comes first.
    second = np.zeros(size, np.uint8)
    second[family.vocab.of("<|im_start|>")] = 1
    logits = graph.op("Add", logits, graph.cast(graph.const(second, "uint8"), "float"))
    shape = graph.op("Concat", graph.const([1]), length, graph.const([size]), axis=0)
    logits = graph.op("Expand", graph.reshape(logits, 1, 1, size), shape)
    graph.output(logits, "logits", "float", ["batch", "seq", size])
    graph.output(key, "key_delta_0", "float", ["batch", "seq", 1, WIDTH])
    graph.output(value, "value_delta_0", "float", ["batch", "seq", 1, WIDTH])
