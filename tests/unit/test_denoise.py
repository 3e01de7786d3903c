"""Denoising with models of the form of GTCRN, made on the spot: what they do to sound is known to a sample."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

import dashscribe
from dashscribe.cli import app
from dashscribe.config import Settings, load
from dashscribe.denoise import Denoiser
from dashscribe.errors import InvalidParameterError, WeightsError
from dashscribe.hosts import Hosts
from dashscribe.hosts.protocol import CutEnd
from dashscribe.types import Limits, Options, Span, Window
from dashscribe.weights import Installed
from dashscribe.weights.adding import add
from media_files import write_wav
from small_models import install

CACHES = {"conv_cache": [2, 1, 16, 16, 33], "tra_cache": [2, 3, 1, 1, 16], "inter_cache": [2, 1, 33, 16]}
LIMITS = Limits(max_piece_ms=30_000, min_piece_ms=500)


def gate(path: Path, above: float = 0.0, *, gain: float = 1.0) -> Path:
    """A denoiser that keeps what is stronger than ``above`` in the spectrum, times ``gain``; 0 keeps everything.

    It counts frames in one of its caches, so that sound in which state got lost shows: every 1000th frame is dropped.
    """

    def port(name: str, shape: list[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def constant(name: str, value: object) -> onnx.TensorProto:
        return numpy_helper.from_array(np.asarray(value, np.float32), name)

    nodes = [
        helper.make_node("Mul", ["mix", "mix"], ["squares"]),
        helper.make_node("ReduceSum", ["squares", "axes"], ["power"], keepdims=1),
        helper.make_node("Greater", ["power", "least"], ["strong"]),
        helper.make_node("Cast", ["strong"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["mix", "mask"], ["kept"]),
        helper.make_node("Mul", ["kept", "gain"], ["louder"]),
        helper.make_node("Add", ["inter_cache", "one"], ["inter_cache_out"]),
        helper.make_node("Mod", ["inter_cache_out", "thousand"], ["counted"], fmod=1),
        helper.make_node("Cast", ["counted"], ["not_thousandth"], to=TensorProto.BOOL),
        helper.make_node("Cast", ["not_thousandth"], ["all_but_thousandth"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMin", ["all_but_thousandth"], ["stays"], keepdims=0),
        helper.make_node("Mul", ["louder", "stays"], ["enh"]),
        *(helper.make_node("Identity", [name], [f"{name}_out"]) for name in ("conv_cache", "tra_cache")),
    ]
    graph = helper.make_graph(
        nodes,
        "gate",
        [port("mix", [1, 257, 1, 2]), *(port(name, shape) for name, shape in CACHES.items())],
        [port("enh", [1, 257, 1, 2]), *(port(f"{name}_out", shape) for name, shape in CACHES.items())],
        [
            numpy_helper.from_array(np.array([3]), "axes"),
            constant("least", above - 1 if above == 0 else above),
            *(constant(name, value) for name, value in (("gain", gain), ("one", 1), ("thousand", 1000))),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    shapes = {f"{name}_shape": ",".join(map(str, shape)) for name, shape in CACHES.items()}
    about = {"model_type": "gtcrn", "version": "1", "sample_rate": "16000", "n_fft": "512", "hop_length": "256"}
    helper.set_model_props(model, {**about, "window_length": "512", "window_type": "hann_sqrt", **shapes})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


def installed(folder: Path, **changes: float) -> Settings:
    """Settings with that denoiser installed."""
    gate(folder / "given" / "gtcrn.onnx", **changes)
    add(folder / "given", folder / "models", name="gtcrn")
    return Settings(models_dir=folder / "models")


def denoised(model: Path, sound: NDArray[np.int16], size: int) -> NDArray[np.int16]:
    denoiser = Denoiser(model)
    parts = [denoiser.feed(sound[at : at + size]) for at in range(0, len(sound), size)]
    sound = np.concatenate([*parts, denoiser.finish()])
    assert denoiser.failure == ""
    return sound


def hiss(seconds: float, level: float = 2_000.0) -> NDArray[np.int16]:
    return np.random.default_rng(1).normal(0, level, round(seconds * 16_000)).astype(np.int16)


@pytest.mark.parametrize("count", [0, 1, 255, 256, 511, 512, 700, 48_123])
def test_no_sample_moves_and_none_is_lost(tmp_path: Path, count: int) -> None:
    sound = hiss(4)[:count]
    after = denoised(gate(tmp_path / "a.onnx"), sound, 16_000)
    assert len(after) == len(sound)
    assert np.abs(after.astype(int) - sound).max(initial=0) <= 1


def test_the_model_is_at_work_and_loud_sound_stays_in_range(tmp_path: Path) -> None:
    sound = hiss(1)
    assert not denoised(gate(tmp_path / "a.onnx", 1e9), sound, 16_000).any()
    loud = denoised(gate(tmp_path / "b.onnx", gain=100), sound, 16_000)
    assert (loud.max(), loud.min()) == (32_767, -32_768)


def test_blocks_do_not_matter_and_state_goes_on_over_them(tmp_path: Path) -> None:
    model, sound = gate(tmp_path / "a.onnx"), hiss(17)
    whole = denoised(model, sound, len(sound))
    dropped = np.flatnonzero(np.abs(whole.astype(int) - sound) > 1)
    assert abs(dropped.mean() / 256 - 1_000) < 3, "the thousandth frame is the one that the model drops"
    for size in (97, 4_096, 16_000):
        np.testing.assert_array_equal(denoised(model, sound, size), whole)


def test_little_is_kept_of_a_long_sound(tmp_path: Path) -> None:
    denoiser = Denoiser(gate(tmp_path / "a.onnx"))
    fed = given = 0
    for _ in range(30):
        fed += 16_000
        given += len(denoiser.feed(hiss(1)))
        assert 0 <= fed - given <= 512


class Broken:
    """A model that fails after some calls, by raising or by giving what is no sound."""

    def __init__(self, calls: int, result: list[float] | None) -> None:
        self.calls, self.result = calls, result

    def run(self, samples: NDArray[np.float32], rate_hz: int) -> Broken:
        self.calls -= 1
        if self.calls < 0 and self.result is None:
            raise RuntimeError("it broke")
        self.samples = samples.tolist() if self.calls >= 0 else self.result
        return self

    def flush(self) -> Broken:
        return self.run(np.zeros(0, np.float32), 16_000)


@pytest.mark.parametrize("result", [None, [float("nan")] * 100, [0.0] * 99_999])
@pytest.mark.parametrize("calls", [0, 3, 10])
def test_a_model_that_fails_leaves_the_sound_as_it_was(
    monkeypatch: pytest.MonkeyPatch, calls: int, result: list[float] | None
) -> None:
    monkeypatch.setattr("dashscribe.denoise._open", lambda model: Broken(calls, result))
    sound, denoiser = hiss(10), Denoiser(Path("any"))
    parts = [denoiser.feed(sound[at : at + 16_000]) for at in range(0, len(sound), 16_000)]
    np.testing.assert_array_equal(np.concatenate([*parts, denoiser.finish()]), sound)
    assert denoiser.failure in ("RuntimeError: it broke", "ValueError: what came out is no sound")


def test_a_model_that_swallows_sound_is_noticed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashscribe.denoise._open", lambda model: Broken(0, []))
    denoiser = Denoiser(Path("any"))
    assert len(denoiser.feed(hiss(1))) == 0
    np.testing.assert_array_equal(denoiser.finish(), hiss(1))
    assert denoiser.failure == "ValueError: 16000 samples did not come out"


# --- through the chain ----------------------------------------------------------------------------------------------


def cut(settings: Settings, path: Path, options: Options) -> tuple[list[Window], CutEnd]:
    with Hosts(settings, slots=1) as hosts:
        found = list(hosts.cut(path, url="a", options=options, limits=LIMITS, packed=False))
    end = found[-1]
    assert isinstance(end, CutEnd)
    return [message for message in found if isinstance(message, Window)], end


def spans(windows: list[Window]) -> list[Span]:
    return [span for window in windows for span in window.spans]


def over_hiss(sample: Path, loudness: float) -> NDArray[np.int16]:
    """Six seconds of speech in the middle of fourteen of hiss."""
    from dashscribe.decode import Decoder

    speech = np.concatenate(list(Decoder(sample, url="", channels=(0,), stretch=Span(0, 6_000))), axis=1)[0]
    sound = hiss(14, 400)
    sound[64_000:160_000] += (speech * loudness).astype(np.int16)
    return sound


@pytest.fixture(scope="module")
def noisy(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two channels: four seconds of hiss, six of speech over hiss, four of hiss; and hiss alone."""
    path = tmp_path_factory.mktemp("noisy") / "noisy.wav"
    return write_wav(path, np.stack((over_hiss(sample, 1 / 2), hiss(14, 400))))


@pytest.fixture(scope="module")
def plain(noisy: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Window]:
    """The windows of it when nobody asks for the denoiser, though one is there that would let nothing pass."""
    windows, _ = cut(installed(tmp_path_factory.mktemp("plain"), above=1e9), noisy, Options())
    return windows


def test_what_is_cut_is_the_denoised_sound(noisy: Path, tmp_path: Path) -> None:
    settings = installed(tmp_path, above=3.0)
    plain, _ = cut(settings, noisy, Options(channels=(0, 1)))
    windows, end = cut(settings, noisy, Options(channels=(0, 1), denoise=True))
    assert end.notes == ()
    assert {window.channel for window in windows} == {0}, "nothing is left of hiss alone"
    assert {window.channel for window in plain} == {0}
    (before,), (after,) = spans(plain), spans(windows)
    assert abs(before.begin_ms - after.begin_ms) < 600
    quiet = [
        float(np.abs(np.frombuffer(w.audio, np.int16)[:1_600].astype(float)).mean()) for w in (plain[0], windows[0])
    ]
    assert quiet[1] < quiet[0] / 4


def test_the_small_model_of_the_real_form_takes_hiss_off_speech(
    noisy: Path, plain: list[Window], tmp_path: Path
) -> None:
    settings = Settings(models_dir=install(tmp_path / "models", "gtcrn-tiny"))
    windows, end = cut(settings, noisy, Options(denoise=True))
    assert end.notes == ()
    (before,), (after,) = spans(plain), spans(windows)
    assert abs(before.begin_ms - after.begin_ms) < 600
    assert 8_000 < after.end_ms < 10_800
    level = [np.abs(np.frombuffer(w[0].audio, np.int16)[:1_600].astype(float)).mean() for w in (plain, windows)]
    assert level[1] < level[0] / 4


def test_a_denoiser_that_keeps_everything_changes_nothing(noisy: Path, tmp_path: Path) -> None:
    settings = installed(tmp_path)
    plain, _ = cut(settings, noisy, Options(stretch=Span(1_000, 13_001)))
    windows, end = cut(settings, noisy, Options(stretch=Span(1_000, 13_001), denoise=True))
    assert spans(windows) == spans(plain)
    assert end.end_ms == 13_001
    for one, other in zip(windows, plain, strict=True):
        heard, fed = (np.frombuffer(window.audio, np.int16).astype(int) for window in (one, other))
        assert np.abs(heard - fed).max() <= 1


def halve(model: Path) -> None:
    model.write_bytes(model.read_bytes()[:700])


def claim(key: str, value: str) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        graph = onnx.load(str(model))
        helper.set_model_props(graph, {p.key: p.value for p in graph.metadata_props} | {key: value})
        onnx.save(graph, str(model))

    return change


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (halve, "the sound was used as it was, because .*gtcrn.onnx"),
        (claim("window_type", "none"), "the sound was used as it was, because .*window_type is 'none'"),
        (
            claim("tra_cache_shape", "1,1"),
            "channel 0 was not denoised to its end: RuntimeError: Invalid rank",
        ),
        (claim("sample_rate", "8000"), "channel 0 was not denoised to its end: ValueError: the model is for 8000 Hz"),
    ],
)
def test_a_denoiser_that_is_damaged_leaves_the_sound_as_it_was(
    noisy: Path, plain: list[Window], tmp_path: Path, damage: Callable[[Path], None], why: str
) -> None:
    settings = installed(tmp_path)
    damage(tmp_path / "models" / "gtcrn" / "gtcrn.onnx")
    windows, end = cut(settings, noisy, Options(denoise=True))
    assert windows == plain
    (note,) = end.notes
    assert re.match(why, note), note


def test_a_denoiser_that_ends_the_process_leaves_the_sound_as_it_was(
    noisy: Path, plain: list[Window], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = installed(tmp_path)
    claim("window_type", "none")(tmp_path / "models" / "gtcrn" / "gtcrn.onnx")
    monkeypatch.setattr(Installed, "check", lambda model: None)  # what is not known yet to do so
    windows, end = cut(settings, noisy, Options(denoise=True))
    assert windows == plain
    (note,) = end.notes
    assert re.match("the sound was used as it was: the child that was to denoise it died .*255", note), note


def test_without_a_denoiser_the_chain_says_what_it_did(noisy: Path, tmp_path: Path) -> None:
    windows, end = cut(Settings(models_dir=tmp_path / "none"), noisy, Options(denoise=True))
    assert windows
    (note,) = end.notes
    assert note.startswith("the sound was used as it was, because no denoiser is installed")


def test_the_command_line_refuses_to_begin_without_a_denoiser(sample: Path) -> None:
    result = CliRunner().invoke(app, ["transcribe", str(sample), "--denoise"])
    assert result.exit_code == 2
    assert "--denoise" in result.output
    assert "dashscribe models pull gtcrn" in " ".join(result.output.split())


@pytest.mark.parametrize("threshold", ["-1.01", "2", "nan"])
def test_the_command_line_refuses_a_threshold_out_of_range(sample: Path, threshold: str) -> None:
    result = CliRunner().invoke(app, ["transcribe", str(sample), f"--noise-threshold={threshold}"])
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert f"{float(threshold)} is outside -1 to 1; leave it out" in said
    assert "--noise-threshold" in said


def test_the_library_refuses_both_before_any_work() -> None:
    with pytest.raises(WeightsError, match="dashscribe models pull gtcrn"):
        dashscribe.transcribe("no such file", denoise=True)
    with pytest.raises(InvalidParameterError, match=r"1\.5 is outside -1 to 1; leave it out"):
        dashscribe.transcribe("no such file", speech_noise_threshold=1.5)


def test_the_library_and_the_command_line_denoise(
    noisy: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = installed(tmp_path, above=1e9)  # nothing passes: it is plain to see who asked for it
    assert dashscribe.transcribe(noisy, settings=settings).text
    assert dashscribe.transcribe(noisy, settings=settings, denoise=True).text == ""
    assert dashscribe.transcribe(noisy, settings=settings, speech_noise_threshold=1.0).text == ""
    # Speech so soft that the detector takes it for some by default and, of anything, for none when it is most strict.
    soft = write_wav(tmp_path / "soft.wav", over_hiss(sample, 1 / 6)[None])
    monkeypatch.setenv("DASHSCRIBE_MODELS_DIR", str(settings.resolved_models_dir))
    monkeypatch.setenv("DASHSCRIBE_ENGINE", "standin")  # whatever reaches it becomes words, and soon
    assert load().models_dir

    def told(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["transcribe", str(soft), "--json", *arguments])
        assert result.exit_code == 0
        return json.loads(result.stdout.splitlines()[-1])["text"]

    assert told()
    assert told("--denoise") == told("--noise-threshold", "1") == ""
