"""Decodes fixed sounds with each handmade model through sherpa-onnx and compares the texts.

Owns the sounds, the constructor calls and the expected texts. Kept apart from the writers, which need no sherpa-onnx.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

_RATE = 16000
_LOUD = "我们用dash scribe和同义千问写了25条字幕。"
_LOUD_EN = "We wrote 25 subtitles with dash scribe and tong yi."
_MEDIUM = "Hello world, this is a test."
_SOFT = "今天天气不错，我们去公园吧。"
_SIX = " ".join(f"This is sentence {word}." for word in ("one", "two", "three", "four", "five", "six"))


def _noise(rms: float, seconds: float) -> np.ndarray:
    samples = np.random.default_rng(0).standard_normal(int(_RATE * seconds)) * rms
    return samples.clip(-1, 1).astype(np.float32)


def _tone(hertz: float, seconds: float) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(_RATE * seconds)) / _RATE)).astype(np.float32)


def sounds() -> dict[str, np.ndarray]:
    """16 kHz mono, float in -1..1. Speech at -22, -32, -52 and -82 dBFS does what noise of these levels does."""
    pause = np.zeros(_RATE, np.float32)
    return {
        "silence": np.zeros(2 * _RATE, np.float32),
        "soft": _noise(0.003, 3.0),
        "medium": _noise(0.02, 2.5),
        "loud": _noise(0.3, 3.3),
        "long": _noise(0.1, 12.0),
        "low tone": _tone(440, 2.0),
        "high tone": _tone(2000, 2.0),
        "pauses": np.concatenate([pause, _noise(0.3, 1.0), pause, _noise(0.3, 1.0)]),
    }


@dataclass(frozen=True, slots=True)
class Case:
    """One decode: a sound, options of the constructor and of the stream, and what must come out."""

    sound: str
    text: str
    build: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    hotwords: str | None = None


_SOUND_CASES = [
    Case("silence", ""),
    Case("soft", _SOFT),
    Case("medium", _MEDIUM),
    Case("loud", _LOUD),
    Case("long", _SIX),
]
_QWEN3 = [
    *_SOUND_CASES,
    Case("silence", "", options={"language": "Chinese"}),
    Case("soft", "It is a nice day, let us go to the park.", options={"language": "English"}),
    Case("medium", "你好世界，这是一个测试。", options={"language": "Chinese"}),
    Case("loud", _LOUD_EN, options={"language": "English"}),
    Case("loud", _LOUD, options={"language": "en"}),
    Case("loud", _LOUD.replace("dash scribe", "Dashscribe"), options={"hotwords": "one,Dashscribe"}),
    Case("loud", _LOUD.replace("同义", "通义"), build={"hotwords": "通义千问"}),
    Case("low tone", "and"),  # sherpa-onnx cuts the repetition away
    Case("high tone", "Thank you for watching. " * 24 + "Thank you for watching."),
    Case("long", "This is sentence one. This is", options={"max_new_tokens": "10"}),
]
_FUNASR = [
    *_SOUND_CASES,
    Case("medium", "你好世界，这是一个测试。", build={"language": "中文"}),
    Case("loud", _LOUD_EN, options={"language": "英文"}),
    Case("loud", _LOUD, build={"language": "English"}),
    Case("loud", _LOUD.replace("25", "二十五"), build={"itn": False}),
    Case("loud", _LOUD.replace("25", "二十五"), options={"itn": "0"}),
    Case("loud", _LOUD.replace("dash scribe", "Dashscribe"), build={"hotwords": "one, Dashscribe"}),
    Case("loud", _LOUD.replace("同义", "通义"), options={"hotwords": "通义千问"}),
    Case("low tone", "and then, " * 3 + "and", build={"max_new_tokens": 10}),
    Case("high tone", "Thank you for watching. " * 2 + "Thank you", build={"max_new_tokens": 12}),
]
_WHISPER = [
    Case("silence", ""),
    Case("soft", "It is a nice day, let us go to the park."),
    Case("medium", _MEDIUM),
    Case("loud", _LOUD_EN),
    Case("long", _SIX),
    Case("soft", _SOFT, build={"language": ""}),
    Case("loud", _LOUD, build={"language": "zh"}),
    Case("loud", _LOUD_EN, build={"language": "zh", "task": "translate"}),
    Case("medium", _MEDIUM, build={"enable_segment_timestamps": True}),
]
_PIECES = [
    Case("silence", ""),
    Case("soft", "今天天气不错我们去公园吧"),
    Case("medium", "HELLO WORLD THIS IS A TEST HELLO WORLD THIS IS"),
    Case("loud", "我们用 DASH SCRIBE和同义千问写字幕"),
    Case("pauses", "我们用 DASH SCRIBE和同义"),
]
_BEAM = {"decoding_method": "modified_beam_search"}
_TRANSDUCER = [
    *_PIECES,
    Case("loud", "我们用 DASH SCRIBE和同义千问写字幕", build=_BEAM),
    Case("loud", "我们用 DASH SCRIBE和通义千问写字幕", build=_BEAM, hotwords="通义千问"),
    Case("loud", "我们用 DASHSCRIBE和通义千问写字幕", build=_BEAM, hotwords="DASHSCRIBE :2.0/通义千问"),
]
_MARKS = {
    "今天天气不错我们去公园吧": "今天天气不错，我们去公园吧。",
    "你好吗": "你好吗？",
    "hello what is this": "hello，what is this？",
    "we go but you stay": "we go，but you stay。",
}


def _recognizer(name: str, folder: Path, options: Mapping[str, Any]) -> Any:
    import sherpa_onnx

    def at(file: str) -> str:
        return str(folder / name / file)

    make = sherpa_onnx.OfflineRecognizer
    if name == "qwen3-asr-tiny":
        graphs = {key: at(f"{key}.onnx" if key == "conv_frontend" else f"{key}.int8.onnx") for key in _QWEN3_GRAPHS}
        return make.from_qwen3_asr(**graphs, tokenizer=at("tokenizer"), **options)
    if name == "funasr-nano-tiny":
        graphs = {key: at(f"{key}.int8.onnx") for key in ("encoder_adaptor", "llm", "embedding")}
        return make.from_funasr_nano(**graphs, tokenizer=at("Qwen3-0.6B"), **options)
    if name == "whisper-tiny":
        graphs = {key: at(f"tiny-{key}.onnx") for key in ("encoder", "decoder")}
        return make.from_whisper(**graphs, tokens=at("tiny-tokens.txt"), **options)
    if name == "transducer-tiny":
        graphs = {key: at(f"{key}-epoch-99-avg-1.onnx") for key in ("encoder", "decoder", "joiner")}
        spelling = {"modeling_unit": "cjkchar+bpe", "bpe_vocab": at("bpe.vocab")}
        return make.from_transducer(**graphs, tokens=at("tokens.txt"), **spelling, **options)
    return make.from_zipformer_ctc(model=at("model.int8.onnx"), tokens=at("tokens.txt"), **options)


_QWEN3_GRAPHS = ("conv_frontend", "encoder", "decoder")
_CASES = {
    "qwen3-asr-tiny": _QWEN3,
    "funasr-nano-tiny": _FUNASR,
    "whisper-tiny": _WHISPER,
    "transducer-tiny": _TRANSDUCER,
    "zipformer-ctc-tiny": _PIECES,
}


def _report(label: str, got: str, expected: str) -> int:
    differs = int(got != expected)
    sys.stdout.write(f"{'DIFFERS' if differs else 'ok':8}{label}: {got}\n")
    if differs:
        sys.stdout.write(f"        expected: {expected}\n")
    return differs


def _decode(recognizer: Any, case: Case, samples: np.ndarray) -> Any:
    stream = recognizer.create_stream(hotwords=case.hotwords) if case.hotwords else recognizer.create_stream()
    for key, value in case.options.items():
        stream.set_option(key, value)
    stream.accept_waveform(_RATE, samples)
    recognizer.decode_stream(stream)
    return stream.result


def _check_recognizer(name: str, folder: Path, cases: list[Case], waves: Mapping[str, np.ndarray]) -> int:
    wrong = 0
    for case in cases:
        result = _decode(_recognizer(name, folder, case.build), case, waves[case.sound])
        given = {**case.build, **case.options, **({"hotwords": case.hotwords} if case.hotwords else {})}
        wrong += _report(f"{name}, {case.sound} {given or ''}", result.text, case.text)
        times = [round(time, 2) for time in result.timestamps]
        sys.stdout.write(f"        {len(result.tokens)} tokens {result.tokens[:6]}, timestamps {times[:6]}\n")
    return wrong


def _check_punctuation(folder: Path) -> int:
    import sherpa_onnx

    path = folder / "punctuation-tiny" / "model.int8.onnx"
    model = sherpa_onnx.OfflinePunctuationModelConfig(ct_transformer=str(path))
    punctuation = sherpa_onnx.OfflinePunctuation(sherpa_onnx.OfflinePunctuationConfig(model=model))
    add: Callable[[str], str] = punctuation.add_punctuation
    return sum(_report(f"punctuation-tiny, {text}", add(text), expected) for text, expected in _MARKS.items())


def _check_denoiser(folder: Path) -> int:
    """Steady noise must come out 15 dB softer once the floor is known."""
    import sherpa_onnx

    gtcrn = sherpa_onnx.OfflineSpeechDenoiserGtcrnModelConfig(model=str(folder / "gtcrn-tiny" / "gtcrn_simple.onnx"))
    model = sherpa_onnx.OfflineSpeechDenoiserModelConfig(gtcrn=gtcrn)
    denoiser = sherpa_onnx.OfflineSpeechDenoiser(sherpa_onnx.OfflineSpeechDenoiserConfig(model=model))
    noise = _noise(0.02, 3.0)
    left = np.array(denoiser(noise, _RATE).samples)[_RATE:]
    softer = bool(np.mean(left**2) < np.mean(noise**2) * 10**-1.5)
    return _report("gtcrn-tiny, medium", "softer" if softer else "not softer", "softer")


def check(folder: Path) -> int:
    """Decodes every case; 0 if all texts are as expected, 1 otherwise."""
    waves = sounds()
    wrong = sum(_check_recognizer(name, folder, cases, waves) for name, cases in _CASES.items())
    wrong += _check_punctuation(folder) + _check_denoiser(folder)
    sys.stdout.write(f"{wrong} differences\n")
    return int(wrong > 0)
