"""The small denoiser and the audio tagging model through sherpa-onnx; what would end it is refused before."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from dashscribe.errors import WeightsError
from dashscribe.weights import find_task
from dashscribe.weights.families import recognize
from small_models import FOLDER, install

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


def test_denoiser_keeps_silence(denoise: Callable[[Samples], Samples]) -> None:
    assert np.abs(denoise(np.zeros(16_000, np.float32))).max() == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda m: m.pop("window_type"), "GTCRN speech enhancement model lacks window_type"),
        (lambda m: m.update(hop_length="0"), "hop_length is '0'"),
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
