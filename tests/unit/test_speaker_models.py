"""The small speaker models, found by their task and run through sherpa-onnx; what would end it is refused before.

The talkers are synthesizers' voices: the figures say that models and library fit together, nothing of people.
"""

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
FLOAT = onnx.TensorProto.FLOAT


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("models"), "segmentation-small", "speaker-embedding-small")


@pytest.fixture(scope="module")
def diarize(models: Path) -> Callable[..., list[tuple[float, float, int]]]:
    import sherpa_onnx

    segmentation, embedding = find_task(models, "speaker_segmentation"), find_task(models, "speaker_embedding")
    assert segmentation and embedding

    def run(samples: Samples, count: int = -1) -> list[tuple[float, float, int]]:
        pyannote = sherpa_onnx.OfflineSpeakerSegmentationPyannoteModelConfig(model=str(segmentation.path("model")))
        engine = sherpa_onnx.OfflineSpeakerDiarization(
            sherpa_onnx.OfflineSpeakerDiarizationConfig(
                segmentation=sherpa_onnx.OfflineSpeakerSegmentationModelConfig(pyannote=pyannote),
                embedding=sherpa_onnx.SpeakerEmbeddingExtractorConfig(model=str(embedding.path("model"))),
                clustering=sherpa_onnx.FastClusteringConfig(num_clusters=count, threshold=0.5),
            )
        )
        return [(part.start, part.end, part.speaker) for part in engine.process(samples).sort_by_start_time()]

    return run


@pytest.fixture(scope="module")
def embed(models: Path) -> Callable[[Samples], Samples]:
    import sherpa_onnx

    model = find_task(models, "speaker_embedding")
    assert model
    config = sherpa_onnx.SpeakerEmbeddingExtractorConfig(model=str(model.path("model")))
    extractor = sherpa_onnx.SpeakerEmbeddingExtractor(config)

    def run(samples: Samples) -> Samples:
        stream = extractor.create_stream()
        stream.accept_waveform(16_000, samples)
        stream.input_finished()
        vector = np.array(extractor.compute(stream), np.float32)
        return vector / np.linalg.norm(vector)

    return run


@pytest.mark.parametrize(
    "names",
    [("flite:rms", "flite:slt"), ("m3@50", "f2@50"), ("flite:awb", "f4@50")],  # the last two unknown to the training
    ids=lambda names: " ".join(names),
)
@pytest.mark.parametrize(
    ("overlapping", "most", "most_given"), [(0.0, 0.15, 0.15), (0.4, 0.4, 0.25)], ids=["in turn", "overlapping"]
)
def test_two_voices_are_told_apart(
    names: tuple[str, str],
    overlapping: float,
    most: float,
    most_given: float,
    dialogues: ModuleType,
    diarize: Callable[..., list[tuple[float, float, int]]],
) -> None:
    scoring: Any = recipe("scoring")
    made = dialogues.between(list(names), 60.0, 1, overlapping)
    # eSpeak NG draws noise of its own, and a short piece of speech may become a speaker if the number is not given.
    for count, bound in ((-1, most), (2, most_given)):
        segments = diarize(made.samples, count)
        errors = scoring.diarization_errors(made.active, segments)
        sys.stdout.write(f"{names}, {count} given: diarization error rate {errors.rate:.3f}, {errors}\n")
        assert errors.rate < bound
    assert len({label for _, _, label in segments}) == 2
    assert scoring.diarization_errors(made.active, []).rate == 1.0
    assert scoring.diarization_errors(made.active, [(0.0, 60.0, 0)]).rate > most, "one speaker must not do"


def test_silence_has_no_speakers(diarize: Callable[..., list[tuple[float, float, int]]]) -> None:
    assert diarize(np.zeros(16_000 * 25, np.float32)) == []
    assert diarize(np.zeros(16_000, np.float32)) == []


def test_one_voice_is_nearer_to_itself_than_to_another(
    dialogues: ModuleType, embed: Callable[[Samples], Samples]
) -> None:
    talkers: Any = recipe("talkers")
    chance = np.random.default_rng(7)
    said = {
        name: [embed(talkers.utter(name, chance).astype(np.float32) / 32768) for _ in range(3)]
        for name in ("flite:rms", "flite:awb", "f4@50", "m5@50")  # all but the first unknown to the training
    }
    for name, vectors in said.items():
        own = min(float(a @ b) for place, a in enumerate(vectors) for b in vectors[:place])
        others = max(float(a @ b) for a in vectors for other in said if other != name for b in said[other])
        sys.stdout.write(f"{name}: itself {own:.2f} or more, others {others:.2f} or less\n")
        assert own > others


Change = Callable[[dict[str, str]], object]


def changed(source: Path, folder: Path, change: Change) -> Path:
    """A copy of a folder's graph with other metadata."""
    model = onnx.load(source)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    change(metadata)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, folder / "model.onnx")
    return folder


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda m: m.pop("window_size"), "pyannote speaker segmentation model lacks window_size"),
        (lambda m: m.update(receptive_field_shift="0"), "receptive_field_shift is '0', not a whole number above zero"),
        (lambda m: m.update(sample_rate="16k"), "sample_rate is '16k'"),
        (lambda m: m.update(num_classes="8"), "num_classes is 8; 3 speakers, up to 2 at once, make 7"),
        (lambda m: m.update(powerset_max_classes="3"), "up to two speakers at once"),
        (lambda m: m.update(num_speakers="2", num_classes="4"), r"the shape .*, not windows, frames and 4 classes"),
    ],
)
def test_damaged_segmentation_is_refused(tmp_path: Path, change: Change, why: str) -> None:
    changed(FOLDER / "segmentation-small" / "model.onnx", tmp_path, change)
    with pytest.raises(WeightsError, match=why) as caught:
        recognize(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda m: m.pop("framework"), "lacks framework"),
        (lambda m: m.pop("language"), "lacks language"),
        (lambda m: m.pop("normalize_samples"), "lacks normalize_samples"),
        (lambda m: m.update(framework="speechbrain"), "framework is 'speechbrain'; the runtime takes wespeaker"),
        (lambda m: m.update(feature_normalize_type="per_feature"), "does not know for 3d-speaker"),
        (lambda m: m.update(output_dim="0"), "output_dim is '0'"),
        (lambda m: m.update(output_dim="512"), "vectors of 96 numbers, its metadata output_dim says 512"),
        (lambda m: m.update(framework="nemo", feature_normalize_type=""), "lacks feat_dim, window_size_ms"),
    ],
)
def test_damaged_embedding_is_refused(tmp_path: Path, change: Change, why: str) -> None:
    changed(FOLDER / "speaker-embedding-small" / "model.onnx", tmp_path, change)
    with pytest.raises(WeightsError, match=why):
        recognize(tmp_path)


def test_cut_off_graph_is_refused(tmp_path: Path) -> None:
    whole = (FOLDER / "segmentation-small" / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="cut short"):
        recognize(tmp_path)


def test_wespeaker_and_nemo_layouts_are_known(tmp_path: Path) -> None:
    common = {"output_dim": "4", "sample_rate": "16000", "language": "English"}
    for name, inputs, more in (
        ("wespeaker", ["feats"], {"normalize_samples": "0"}),
        ("nemo", ["audio_signal", "length"], {"feat_dim": "80", "window_size_ms": "25", "window_stride_ms": "10"}),
    ):
        (tmp_path / name).mkdir()
        write_graph(
            tmp_path / name / "model.onnx",
            {port: (FLOAT, ["N", "T", 4]) for port in inputs},
            {"embs": (FLOAT, ["N", "T", 4])},
            {**common, **more, "framework": name},
        )
        assert recognize(tmp_path / name).family.name == "speaker-embedding"
