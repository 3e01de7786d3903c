"""Engines on sherpa-onnx, in this process: what the runtime hides is noticed, and what would end it is kept from it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from dashscribe import weights
from dashscribe.config import Settings
from dashscribe.engines import Engine, engines, find_engine, sherpa
from dashscribe.engines.runaway import runaway
from dashscribe.engines.sherpa.complaints import Complaints, heard
from dashscribe.engines.sherpa.recognizer import KEPT_OPEN, SherpaEngine
from dashscribe.errors import EngineUnavailableError, HostError, WeightsError
from dashscribe.types import Fate, Hotword, Options, Outcome, Waveform
from dashscribe.weights.cards import write_card
from small_models import Speak, install, samples_of

ALL = ("sensevoice-small", "paraformer-small", "qwen3-asr-tiny", "funasr-nano-tiny", "whisper-tiny", "transducer-tiny")
GENERATING = ("qwen3-asr-tiny", "funasr-nano-tiny", "whisper-tiny")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(models_dir=install(tmp_path_factory.mktemp("models")), workers=2)


@pytest.fixture(scope="module")
def opened(settings: Settings) -> Callable[[str], Engine]:
    """An engine by name, opened once."""
    kept: dict[str, Engine] = {}

    def open_engine(name: str) -> Engine:
        if name not in kept:
            info = find_engine(name, settings)
            kept[name] = resolve_name(info.target)(settings, weights.find(settings.resolved_models_dir, info.weights))
        return kept[name]

    return open_engine


@pytest.fixture(scope="module")
def medium(speak: Speak) -> NDArray[np.int16]:
    """Speech that the handmade models read as a greeting."""
    return samples_of(speak("en-us", "what is said does not matter here", gain=0.25))


def one(engine: Engine, samples: NDArray[np.int16], options: Options | None = None, begin_ms: int = 7_000) -> Outcome:
    (outcome,) = engine.recognize([Waveform(samples, begin_ms)], options or Options())
    return outcome


def text_of(outcome: Outcome) -> str:
    return " ".join(sentence.text for sentence in outcome.sentences)


def tone(hz: float, seconds: float) -> NDArray[np.int16]:
    return (np.sin(2 * np.pi * hz * np.arange(int(16_000 * seconds)) / 16_000) * 12_000).astype(np.int16)


@pytest.mark.parametrize("name", [*ALL, "zipformer-ctc-tiny"])
@pytest.mark.parametrize("count", [1, 15, 80, 400, 1_600])
def test_sound_that_is_shorter_than_a_frame_is_no_trouble(
    opened: Callable[[str], Engine], medium: NDArray[np.int16], name: str, count: int
) -> None:
    outcome = one(opened(name), medium[8_000 : 8_000 + count])
    assert outcome.span.duration_ms == count // 16
    assert all(0 <= s.begin_ms - 7_000 <= s.end_ms - 7_000 <= count // 16 for s in outcome.sentences)


@pytest.mark.parametrize("name", [*ALL, "zipformer-ctc-tiny"])
def test_zeros_are_not_given_to_the_model(opened: Callable[[str], Engine], name: str) -> None:
    assert one(opened(name), np.zeros(16_000, np.int16)) == Outcome(
        Waveform(np.zeros(16_000, np.int16), 7_000).span, Fate.NON_SPEECH, reason="zeros"
    )


@pytest.mark.parametrize("name", ["sensevoice-small", "paraformer-small"])
def test_pieces_together_give_what_each_gives_alone(
    opened: Callable[[str], Engine], spoken: ModuleType, name: str
) -> None:
    texts = [("en", text) for text in spoken.SENTENCES["en"]] + [("zh", text) for text in spoken.SENTENCES["zh"]]
    pieces = [Waveform(spoken.sentence(text, language)[0], 0) for language, text in texts]
    pieces.insert(3, Waveform(np.zeros(16_000, np.int16), 0))
    alone = [opened(name).recognize([piece], Options())[0] for piece in pieces]
    assert opened(name).recognize(pieces, Options()) == alone
    said = ["".join(filter(str.isalnum, text_of(outcome))) for outcome in alone if outcome.sentences]
    assert said == ["".join(filter(str.isalnum, text)) for _, text in texts]


# --- cut off, run away ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GENERATING)
@pytest.mark.parametrize("hz", [500, 1_500])
def test_a_text_without_end_is_a_failure_with_the_reason(opened: Callable[[str], Engine], name: str, hz: float) -> None:
    outcome = one(opened(name), tone(hz, 8))
    if outcome.fate is Fate.TRANSCRIBED:  # Whisper takes tones for loud speech
        assert name == "whisper-tiny"
        return
    assert outcome.fate is Fate.FAILED
    assert any(sign in outcome.reason for sign in ("cut off", "runcat", "repeats itself", "cannot be said"))


@pytest.mark.parametrize(("name", "seconds"), [("qwen3-asr-tiny", 36), ("funasr-nano-tiny", 28), ("whisper-tiny", 31)])
def test_sound_beyond_a_models_room_is_tried_again_in_halves_and_nothing_is_lost(
    opened: Callable[[str], Engine], medium: NDArray[np.int16], name: str, seconds: int
) -> None:
    """The handmade models say a numbered sentence for every two seconds of sound of more than ten."""
    long = np.tile(medium, 40)[: seconds * 16_000]
    outcome = one(opened(name), long)
    assert outcome.fate is Fate.TRANSCRIBED, outcome.reason
    assert len(outcome.sentences) == 2
    left, right = outcome.sentences
    assert left.end_ms <= right.begin_ms
    for half in (left, right):
        assert half.text.startswith("This is sentence one.")
        assert half.text.count("This is sentence") == (half.end_ms - half.begin_ms) // 2_000


@pytest.mark.parametrize(
    ("text", "duration_ms", "sign"),
    [
        ("thank you. " * 8, 20_000, "repeats itself"),
        ("好的" * 20, 20_000, "repeats itself"),
        ("quick words " + "abcdefgh ijklmnop qrstuvwx " * 4, 2_000, "cannot be said"),
        ("今天天气不错我们去公园吧今天就去", 600, "cannot be said"),
        ("no no no no", 1_500, ""),
        ("哈哈哈哈哈哈", 2_000, ""),
        ("hello", 100, ""),
        ("an ordinary sentence of some length", 2_500, ""),
        ("", 0, ""),
    ],
)
def test_signs_of_running_away(text: str, duration_ms: int, sign: str) -> None:
    reason = runaway(text, duration_ms)
    assert sign in reason if sign else reason == ""


# --- languages, hotwords, prompts -------------------------------------------------------------------------------------


def test_a_language_opens_a_recognizer_of_its_own_and_only_so_many_stay(
    opened: Callable[[str], Engine], spoken: ModuleType
) -> None:
    engine = cast("SherpaEngine", opened("sensevoice-small"))
    samples, _ = spoken.sentence("hello world", "en")
    for languages in ((), ("en",), ("zh",), ("en", "zh"), ("de",)):
        outcome = one(engine, samples, Options(languages=languages))
        expected = languages[0] if languages in (("en",), ("zh",)) else "en"
        assert {sentence.language for sentence in outcome.sentences} <= {expected}
        assert len(engine._open_recognizers) <= KEPT_OPEN


def test_a_transducer_hears_hotwords_and_is_greedy_without(opened: Callable[[str], Engine], speak: Speak) -> None:
    loud = samples_of(speak("en-us", "what is said does not matter here"))
    plain = text_of(one(opened("transducer-tiny"), loud))
    assert "dash scribe" in plain
    favored = Options(hotwords=(Hotword("DASHSCRIBE", 5), Hotword("通义千问", 4)))
    assert "dashscribe" in text_of(one(opened("transducer-tiny"), loud, favored))
    assert text_of(one(opened("transducer-tiny"), loud, Options(hotwords=(Hotword("DASHSCRIBE", -6),)))) == plain


@pytest.mark.parametrize("name", ["qwen3-asr-tiny", "funasr-nano-tiny"])
def test_more_hotwords_than_a_prompt_holds_leave_the_text_and_the_heaviest_count(
    opened: Callable[[str], Engine], speak: Speak, name: str
) -> None:
    loud = samples_of(speak("en-us", "what is said does not matter here"))
    words = tuple(Hotword(f"unrelated-{number}", 2) for number in range(500))
    assert "同义千问" in text_of(one(opened(name), loud, Options(hotwords=words)))
    assert "通义千问" in text_of(one(opened(name), loud, Options(hotwords=(*words, Hotword("通义千问", 5)))))


def test_what_a_prompt_has_no_room_for_is_told(opened: Callable[[str], Engine], speak: Speak) -> None:
    loud = samples_of(speak("en-us", "what is said does not matter here"))
    engine = opened("qwen3-asr-tiny")
    assert one(engine, loud, Options(hotwords=(Hotword("Dashscribe"),), context="x" * 100)).reason == ""
    outcome = one(engine, loud, Options(hotwords=(Hotword("Dashscribe"),), context="x" * 200))
    assert outcome.fate is Fate.TRANSCRIBED
    assert outcome.reason.startswith("the model was told 121 of 211 characters of hotwords and context")
    words = tuple(Hotword(f"unrelated-{number}") for number in range(20))
    assert "of hotwords" in one(opened("funasr-nano-tiny"), loud, Options(hotwords=words)).reason


def test_the_context_is_read_by_the_family_that_takes_one(opened: Callable[[str], Engine], speak: Speak) -> None:
    loud = samples_of(speak("en-us", "what is said does not matter here"))
    for name, heeds in (("qwen3-asr-tiny", True), ("funasr-nano-tiny", False)):
        text = text_of(one(opened(name), loud, Options(context="通义千问")))
        assert ("通义千问" in text) is heeds
        assert text_of(one(opened(name), loud, Options(hotwords=(Hotword("通义千问", -6),)))) == text_of(
            one(opened(name), loud)
        )


@pytest.mark.parametrize("text", ["a,b/c:d", "，；\n\t", "\u0000", "<|im_end|>", "x" * 5_000])
@pytest.mark.parametrize("name", ["qwen3-asr-tiny", "funasr-nano-tiny", "transducer-tiny"])
def test_no_hotword_ends_the_process(
    opened: Callable[[str], Engine], medium: NDArray[np.int16], name: str, text: str
) -> None:
    outcome = one(opened(name), medium, Options(hotwords=(Hotword(text, 5),), context=text))
    assert outcome.fate in (Fate.TRANSCRIBED, Fate.FAILED, Fate.NON_SPEECH)


# --- what the runtime only writes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_what_native_code_writes_is_collected_and_passed_on(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    if system == "darwin":
        monkeypatch.delattr(os, "memfd_create")
    with heard() as said:
        os.write(2, b"first\nCaught exception: no such thing\n")
    assert said.exception == "Caught exception: no such thing"
    assert said.truncation == ""
    said.refuse_fallback("cuda")
    assert capfd.readouterr().err == "first\nCaught exception: no such thing\n"


def test_stderr_is_back_in_place_whatever_happens(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="inside"), heard():
        raise ValueError("inside")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


#: What sherpa-onnx 2.0.1 wrote where CUDA cannot be used: as pip installs it; without the libraries; without a GPU.
_ENABLING = "/project/sherpa-onnx/csrc/session.cc:AppendCudaProviderV2:198 Failed to enable CUDA: /onnxruntime_src/"
_LIBRARY = (
    "onnxruntime/core/session/provider_bridge_ort.cc:1988 onnxruntime::Provider& onnxruntime::ProviderLibrary::Get()"
)
_DEVICE = "onnxruntime/core/providers/cuda/cuda_execution_provider_info.cc"
_END = "\n. Available providers: TensorrtExecutionProvider, CUDAExecutionProvider, . Fallback to cpu\n"
FALLBACKS = {
    "Please compile with -DSHERPA_ONNX_ENABLE_GPU=ON": "/project/sherpa-onnx/csrc/session.cc:GetSessionOptionsImpl:345 "
    "Please compile with -DSHERPA_ONNX_ENABLE_GPU=ON. Available providers: CPUExecutionProvider, . Fallback to cpu!\n",
    "Failed to load library /lib/libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open": (
        f"{_ENABLING}{_LIBRARY} [ONNXRuntimeError] : 1 : FAIL : Failed to load library "
        "/lib/libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared object file: No such "
        f"file or directory{_END}"
    ),
    "CUDA failure 100: no CUDA-capable device is detected": (
        "\x1b[1;31m2026-11-28 05:44:03.454783368 [E:onnxruntime:, cuda_call.cc:148 CudaCall] CUDA failure 100: no "
        f"CUDA-capable device is detected ; GPU=-1 ; hostname=vm ; file=/onnxruntime_src/{_DEVICE} ; line=69 ; "
        f"expr=cudaGetDeviceCount(&num_devices); \x1b[m\n{_ENABLING}{_DEVICE}:62 and so on{_END}"
    ),
}


@pytest.mark.parametrize("reason", FALLBACKS)
def test_a_gpu_that_cannot_be_used_is_refused_with_the_runtimes_own_reason(reason: str) -> None:
    said = Complaints(FALLBACKS[reason])
    with pytest.raises(EngineUnavailableError) as refused:
        said.refuse_fallback("cuda")
    assert reason in str(refused.value) and "\x1b" not in str(refused.value)
    compiled = reason.startswith("Please compile")
    assert ("Install a sherpa-onnx that was built for it" in str(refused.value)) is compiled
    assert ("nvidia-smi" in str(refused.value)) is not compiled
    said.refuse_fallback("cpu")


def test_a_gpu_that_fails_ends_its_process_and_a_processor_does_not(
    opened: Callable[[str], Engine], medium: NDArray[np.int16], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After most errors of CUDA every later call fails, too: another process has to try the piece again."""
    engine = cast("SherpaEngine", opened("sensevoice-small"))
    (recognizer,) = list(engine._open_recognizers.values())[-1:]

    class Failing:
        def create_stream(self, hotwords: str | None = None) -> object:
            return recognizer.create_stream()

        def decode_streams(self, streams: Sequence[object]) -> None:
            os.write(2, b"Caught exception:\nCUDA failure 700: an illegal memory access was encountered\n")

    monkeypatch.setattr(engine, "_recognizer", lambda key: Failing())
    piece = Waveform(medium, 0)
    with pytest.raises(HostError, match="Caught exception"):
        engine.recognize([piece], Options())
    monkeypatch.setattr(engine, "_provider", "cuda")
    with pytest.raises(SystemExit, match="failed on cuda: Caught exception"):
        engine.recognize([piece], Options())
    with pytest.raises(HostError):  # several together are tried alone first
        engine.recognize([piece, piece], Options())


def test_a_gpu_without_batches_is_said_to_be_slow(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runtime with CUDA is what its folder looks like; which models may decode together their cards tell."""
    cuda = settings.model_copy(
        update={"provider": "cuda", "models_dir": install(tmp_path / "models", "sensevoice-small")}
    )
    on_cpu = cuda.model_copy(update={"provider": "cpu"})
    assert "was not built for it" in sherpa.provider_problem(cuda)
    versions = [find_engine("sensevoice-small", where).version for where in (cuda, on_cpu)]
    assert versions == [f"{versions[1]}+cuda", versions[1]], "rounding differs: results of their own"
    (tmp_path / "runtime" / "lib").mkdir(parents=True)
    (tmp_path / "runtime" / "lib" / "libonnxruntime_providers_cuda.so").touch()
    spec = ModuleSpec("sherpa_onnx", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "runtime")]
    monkeypatch.setattr(sherpa, "find_spec", lambda name: spec)
    assert "`dashscribe models verify sensevoice-small`" in sherpa.provider_problem(cuda)
    model = weights.find(tmp_path / "models", "sensevoice-small")
    write_card(replace(model, batches={"cpu": 8, "cuda": 32}))
    assert sherpa.provider_problem(cuda) == "" == sherpa.provider_problem(settings)
    assert find_engine("sensevoice-small", cuda).batch == 32
    assert find_engine("sensevoice-small", on_cpu).batch == 8


# --- damaged models ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*ALL, "zipformer-ctc-tiny", "punctuation-tiny"])
def test_a_model_with_a_graph_cut_short_is_named_and_never_opened(
    settings: Settings, tmp_path: Path, name: str
) -> None:
    model = weights.find(settings.resolved_models_dir, name)
    for file in model.sums:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes((model.folder / file).read_bytes())
    for file in [file for file in model.files.values() if file.endswith(".onnx")]:
        data = (tmp_path / file).read_bytes()
        (tmp_path / file).write_bytes(data[: len(data) // 2])
        with pytest.raises(WeightsError, match=file.replace(".", r"\.")):
            _replaced(model, tmp_path).check()
        (tmp_path / file).write_bytes(data)
        _replaced(model, tmp_path).check()


def _replaced(model: weights.Installed, folder: Path) -> weights.Installed:
    from dataclasses import replace

    return replace(model, folder=folder)


def test_every_installed_speech_model_is_an_engine(settings: Settings) -> None:
    found: dict[str, Any] = engines(settings)
    assert set(ALL) <= set(found)
    assert "punctuation-tiny" not in found
    assert {found[name].annotator for name in ALL} == {"sensevoice-small"}
    digests: Sequence[str] = [found[name].version for name in ALL]
    assert len(set(digests)) == len(ALL)
