"""The small denoiser and the audio tagging model through sherpa-onnx; what would end it is refused before."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from weight_files import write_graph

from dashscribe.errors import WeightsError
from dashscribe.weights import find_task
from dashscribe.weights.families import recognize
from small_models import FOLDER, install, recipe

Samples = NDArray[np.float32]
Change = Callable[[dict[str, str]], object]


@pytest.fixture(scope="module")
def denoise(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Samples], Samples]:
    import sherpa_onnx

    model = find_task(install(tmp_path_factory.mktemp("models"), "gtcrn-tiny"), "denoise")
    assert model
    gtcrn = sherpa_onnx.OfflineSpeechDenoiserGtcrnModelConfig(model=str(model.path("model")))
    config = sherpa_onnx.OfflineSpeechDenoiserConfig(model=sherpa_onnx.OfflineSpeechDenoiserModelConfig(gtcrn=gtcrn))
    denoiser = sherpa_onnx.OfflineSpeechDenoiser(config)
    return lambda samples: np.array(denoiser(samples, 16_000).samples, np.float32)


def snr_db(clean: Samples, samples: Samples) -> float:
    kept = clean[: len(samples)]
    return float(10 * np.log10(np.sum(kept**2) / np.sum((samples - kept) ** 2)))


@pytest.mark.parametrize("given_db", [0.0, 10.0])
def test_denoiser_raises_the_ratio_of_speech_to_steady_noise(
    given_db: float, dialogues: ModuleType, denoise: Callable[[Samples], Samples]
) -> None:
    clean: Samples = dialogues.between(["flite:rms", "flite:slt"], 15.0, 3).samples
    noise = np.random.default_rng(0).standard_normal(len(clean)).astype(np.float32)
    noisy = clean + noise * np.sqrt(np.mean(clean**2) / np.mean(noise**2)) * 10 ** (-given_db / 20)
    before_db, after_db = snr_db(clean, noisy), snr_db(clean, denoise(noisy))
    sys.stdout.write(f"{before_db:.1f} dB before, {after_db:.1f} dB after\n")
    assert before_db == pytest.approx(given_db, abs=0.5)
    assert after_db > before_db + 2.5
    assert snr_db(clean, denoise(clean)) > 25, "clean speech stays what it is"


@pytest.fixture(scope="module")
def tag(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Samples], dict[str, float]]:
    import sherpa_onnx

    model = find_task(install(tmp_path_factory.mktemp("models"), "ced-tagging-small"), "audio_tagging")
    assert model
    config = sherpa_onnx.AudioTaggingConfig(
        model=sherpa_onnx.AudioTaggingModelConfig(ced=str(model.path("model"))),
        labels=str(model.path("labels")),
        top_k=20,
    )
    tagger = sherpa_onnx.AudioTagging(config)

    def run(samples: Samples) -> dict[str, float]:
        stream = tagger.create_stream()
        stream.accept_waveform(16_000, samples)
        return {event.name: event.prob for event in tagger.compute(stream)}

    return run


@pytest.mark.parametrize(("sound", "name"), [("BGM", "Music"), ("Applause", "Applause"), ("Laughter", "Laughter")])
def test_sounds_are_tagged(sound: str, name: str, tag: Callable[[Samples], dict[str, float]]) -> None:
    sounds: Any = recipe("sounds")
    for seed in range(3):
        heard = tag(sounds.render(sound, 3.0, np.random.default_rng(seed)).astype(np.float32) / 32768)
        assert max(heard, key=lambda one: heard[one]) == name, heard
        assert heard[name] > 0.5 > heard["Speech"]


def test_speech_is_tagged_alone_and_over_music(
    dialogues: ModuleType, tag: Callable[[Samples], dict[str, float]]
) -> None:
    speech: Samples = dialogues.between(["flite:awb"], 4.0, 1).samples  # a voice that training never heard
    alone = tag(speech)
    assert alone["Speech"] > 0.5 > alone["Music"], alone
    music: Samples = recipe("sounds").music(len(speech), np.random.default_rng(2))
    both = tag(speech + music * np.sqrt(np.mean(speech**2)) * 0.5)
    assert both["Speech"] > 0.5 and both["Music"] > 0.5, both
    assert tag(np.zeros(32_000, np.float32))["Silence"] > 0.5


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (lambda text: text.replace('9,/m/096m7z,"Noise"\n', ""), r"names 9 classes, .* take the labels"),
        (lambda text: text.replace('"Music"', "Music"), r"line 9: '7,/m/04rlf,Music' is not '7,id,\"name\"'"),
        (lambda text: text.replace("7,", "8,"), "line 9"),
        (lambda text: text.replace("\n", "\r\n"), "line 2"),
        (lambda text: text + "\n", "line 12: ''"),
    ],
)
def test_wrong_labels_are_refused(tmp_path: Path, labels: Callable[[str], str], why: str) -> None:
    source = FOLDER / "ced-tagging-small"
    shutil.copyfile(source / "model.onnx", tmp_path / "model.onnx")
    text = labels((source / "class_labels_indices.csv").read_text(encoding="utf-8"))
    (tmp_path / "class_labels_indices.csv").write_bytes(text.encode())
    with pytest.raises(WeightsError, match=why):
        recognize(tmp_path)


def test_zipformer_tagging_layout_is_known(tmp_path: Path) -> None:
    element = onnx.TensorProto.FLOAT
    write_graph(
        tmp_path / "model.onnx",
        {"x": (element, ["N", "T", 80]), "x_lens": (onnx.TensorProto.INT64, ["N"])},
        {"probs": (element, ["N", 1])},
    )
    (tmp_path / "class_labels_indices.csv").write_text('index,mid,display_name\n0,/m/09x0r,"Speech"\n')
    assert recognize(tmp_path).family.name == "zipformer-tagging"


def test_denoiser_keeps_silence(denoise: Callable[[Samples], Samples]) -> None:
    assert np.abs(denoise(np.zeros(16_000, np.float32))).max() == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda m: m.pop("window_type"), "GTCRN speech enhancement model lacks window_type"),
        (lambda m: m.update(hop_length="0"), "hop_length is '0'"),
        (lambda m: m.update(window_length="1000"), "window_length is 1000, more than n_fft, 512"),
        (lambda m: m.update(n_fft="400", window_length="400"), "takes spectra of 257 lines, a transform of n_fft 400"),
        (lambda m: m.update(window_type="gauss"), "window_type is 'gauss'; the runtime takes hann"),
        (lambda m: m.update(tra_cache_shape="1,x"), "tra_cache_shape is '1,x', not whole numbers"),
        (lambda m: m.update(model_type="dpdfnet"), "no known model lies here"),
    ],
)
def test_damaged_denoiser_is_refused(tmp_path: Path, change: Change, why: str) -> None:
    model = onnx.load(FOLDER / "gtcrn-tiny" / "gtcrn_simple.onnx")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    change(metadata)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, tmp_path / "gtcrn_simple.onnx")
    with pytest.raises(WeightsError, match=why):
        recognize(tmp_path)


def test_denoiser_with_other_ports_is_refused(tmp_path: Path) -> None:
    model = onnx.load(FOLDER / "gtcrn-tiny" / "gtcrn_simple.onnx")
    del model.graph.output[-1]
    onnx.save(model, tmp_path / "gtcrn_simple.onnx")
    with pytest.raises(WeightsError, match="4 inputs and 3 outputs"):
        recognize(tmp_path)
