"""Qwen3-ASR in the layout of sherpa-onnx-qwen3-asr-0.6B-int8-2026-03-25.

Owns the convolution front end, the encoder, the decoder's prompt and the tokenizer folder; the sentences and the cache
are those of `handmade_llm`.
"""

from pathlib import Path

from handmade_graph import Graph
from handmade_llm import WIDTH, Family, audio_flags, decode, embed
from handmade_text import Vocabulary, vocabulary, write_bpe, write_tokenizer_config

_MELS = 128
_CHUNK, _TOKENS = 100, 13  # 100 mel frames become 13 tokens after three strides of 2
_SPECIALS = [
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|audio_start|>", "<|audio_end|>", "<|audio_pad|>"),
    "<asr_text>",
]
# On Whisper's scale of (log10 power + 4) / 4: about -67, -37 and -25 dBFS of speech, -66, -37 and -25 of white noise.
LOUDNESS = (-0.45, 0.30, 0.60)
TONE = 1.2  # the highest bin above the mean: 0.7 for speech, 0.2 for noise, 1.5 and more for tones


def _conv_frontend(path: Path) -> None:
    """(1, frames, 128) to (1, 13 tokens for every started 100 frames, 128): means of eight frames."""
    graph = Graph("conv_frontend")
    mel = graph.input("input_features", "float", ["batch", "n_frames", _MELS])
    frames = graph.op("Gather", graph.op("Shape", mel), graph.const([1]))
    missing = graph.op("Mod", graph.op("Neg", frames), graph.const([_CHUNK]))
    pads = graph.op("Concat", graph.const([0, 0, 0, 0]), missing, graph.const([0]), axis=0)
    padded = graph.op("Pad", mel, pads, mode="edge")
    chunks = graph.reshape(padded, -1, _CHUNK, _MELS)
    filled = graph.op("Pad", chunks, graph.const([0, 0, 0, 0, _TOKENS * 8 - _CHUNK, 0]), mode="edge")
    means = graph.op("ReduceMean", graph.reshape(filled, -1, _TOKENS, 8, _MELS), axes=[2], keepdims=0)
    graph.output(graph.reshape(means, 1, -1, _MELS), "conv_output", "float", ["batch", "n_audio_tokens", _MELS])
    graph.save(path, {})


def _encoder(path: Path) -> None:
    """Tokens of mel to tokens of flags; those outside the mask become zero, which the engine trims."""
    graph = Graph("encoder")
    x = graph.input("input_features", "float", ["batch", "n_audio_tokens", _MELS])
    mask = graph.input("feature_attention_mask", "bool", ["batch", "n_audio_tokens"])
    flags = audio_flags(graph, x, _MELS, LOUDNESS, TONE)
    flags = graph.op("Mul", flags, graph.op("Unsqueeze", graph.cast(mask, "float"), graph.const([2])))
    graph.output(flags, "audio_features", "float", ["batch", "n_audio_tokens", WIDTH])
    graph.save(path, {})


def _decoder(path: Path, vocab: Vocabulary) -> None:
    graph = Graph("decoder")
    ids = graph.input("input_ids", "int64", ["batch", "seq"])
    audio = graph.input("audio_features", "float", ["batch", "n_audio_tokens", WIDTH])
    graph.input("attention_mask", "int64", ["batch", "seq"])
    position = graph.input("cache_position", "int64", ["seq"])
    # The n-th placeholder takes the n-th audio token.
    is_audio = graph.op("Equal", ids, graph.const(vocab.of("<|audio_pad|>")))
    order = graph.op("CumSum", graph.cast(is_audio, "int64"), graph.const(1))
    order = graph.op("Max", graph.op("Sub", order, graph.const(1)), graph.const(0))
    sound = graph.op("Gather", graph.op("Squeeze", audio, graph.const([0])), order, axis=0)
    is_audio = graph.op("Unsqueeze", is_audio, graph.const([2]))
    embeds = graph.op("Where", is_audio, sound, embed(graph, vocab, ids))
    decode(graph, Family(vocab, rate=13.0, announces=True), embeds, position)
    graph.save(path, {})


def write(folder: Path) -> None:
    """Writes the model."""
    vocab = vocabulary(_SPECIALS)
    _conv_frontend(folder / "conv_frontend.onnx")
    _encoder(folder / "encoder.int8.onnx")
    _decoder(folder / "decoder.int8.onnx", vocab)
    write_bpe(folder / "tokenizer", vocab)
    write_tokenizer_config(folder / "tokenizer", vocab)
