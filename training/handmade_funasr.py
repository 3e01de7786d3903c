"""Fun-ASR-Nano in the layout of sherpa-onnx-funasr-nano-int8-2025-12-30.

Owns the encoder with its adaptor, the embedding, the metadata and the tokenizer folder; the sentences and the cache are
those of `handmade_llm`.
"""

from pathlib import Path

from handmade_graph import Graph
from handmade_llm import MAX_TOTAL_LEN, WIDTH, Family, audio_flags, decode, embed
from handmade_text import Vocabulary, vocabulary, write_bpe, write_tokenizer_json

_MELS, _WINDOW, _SHIFT = 80, 7, 6
_SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
# Natural log of the power of 16-bit samples: about -68, -37 and -24 dBFS of speech, -75, -44 and -32 of white noise.
_LOUDNESS = (10.3, 17.4, 20.3)
_TONE = 8.5  # the highest bin above the mean: under 5 for speech and noise, 11 and more for tones


def _encoder_adaptor(path: Path) -> None:
    """(1, T, 560) stacked features to (1, T, WIDTH) flags, one token every 60 ms."""
    graph = Graph("encoder_adaptor")
    x = graph.input("x", "float", [1, "T", _MELS * _WINDOW])
    mel = graph.op("ReduceMean", graph.reshape(x, 0, -1, _WINDOW, _MELS), axes=[2], keepdims=0)
    flags = audio_flags(graph, mel, _MELS, _LOUDNESS, _TONE)
    graph.output(flags, "encoder_out", "float", [1, "T_out", WIDTH])
    metadata = {
        "lfr_window_size": _WINDOW,
        "lfr_window_shift": _SHIFT,
        "normalize_samples": 0,
        "model_type": "sense_voice_encoder_adaptor",
        "version": 1,
        "model_author": "handmade",
        "encoder_output_size": WIDTH,
        "llm_dim": WIDTH,
        "comment": "Fun-ASR-Nano layout, decodes fixed texts",
    }
    graph.save(path, metadata)


def _embedding(path: Path, vocab: Vocabulary) -> None:
    graph = Graph("embedding")
    ids = graph.input("input_ids", "int64", ["batch", "seq"])
    graph.output(embed(graph, vocab, ids), "embeddings", "float", ["batch", "seq", WIDTH])
    graph.save(path, {"model_type": "embedding", "version": 1, "vocab_size": vocab.size, "hidden_size": WIDTH})


def _llm(path: Path, vocab: Vocabulary) -> None:
    graph = Graph("llm")
    embeds = graph.input("inputs_embeds", "float", ["batch", "seq", WIDTH])
    graph.input("attention_mask", "int64", ["batch", "total_seq"])
    position = graph.input("cache_position", "int64", ["seq"])
    decode(graph, Family(vocab, rate=16.5, announces=False), embeds, position)
    metadata = {
        "model_type": "qwen3_causallm_unified_prefill_decode_kv_delta",
        "version": 1,
        "hidden_size": WIDTH,
        "vocab_size": vocab.size,
        "num_layers": 1,
        "max_total_len": MAX_TOTAL_LEN,
        "quantization_type": "int8",
    }
    graph.save(path, metadata)


def write(folder: Path) -> None:
    """Writes the model."""
    vocab = vocabulary(_SPECIALS)
    _encoder_adaptor(folder / "encoder_adaptor.int8.onnx")
    _embedding(folder / "embedding.int8.onnx", vocab)
    _llm(folder / "llm.int8.onnx", vocab)
    write_bpe(folder / "Qwen3-0.6B", vocab)
    write_tokenizer_json(folder / "Qwen3-0.6B", vocab)
