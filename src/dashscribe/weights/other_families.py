"""The families that do not read speech: punctuation, voice activity, speakers, sounds, noise.

As in ``families``, a row says which files and metadata a folder needs; the checks find what ends the process that loads
a file, or has the runtime write beyond its memory. Facts are from the runtime's sources (sherpa-onnx, ``csrc/``:
``offline-speaker-segmentation-pyannote-model.cc``, ``speaker-embedding-extractor-*.cc``, ``audio-tagging-*``,
``offline-speech-denoiser-gtcrn-model.cc``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from dashscribe.errors import WeightsError
from dashscribe.weights.family import Family, Headers
from dashscribe.weights.onnx_header import Header

#: A graph that lies in its folder alone, int8 before float32.
MODEL = ("model.int8.onnx", "model.onnx", "*model*.int8.onnx", "*model*.onnx", "*.int8.onnx", "*.onnx")
#: The same where the float32 graph is small, too, and more exact.
_EXACT = ("model.onnx", "*.onnx")
#: Frameworks that speaker embeddings come from, and what the runtime may do to their features.
_FRAMEWORKS = {"wespeaker": ("", "global-mean"), "3d-speaker": ("", "global-mean"), "nemo": ("", "per_feature")}
_NEMO = ("feat_dim", "window_size_ms", "window_stride_ms")
_WINDOWS = ("hann", "hann_sqrt", "hanning", "hamming", "povey", "rectangular", "blackman", "sine")
_CACHES = ("conv_cache_shape", "tra_cache_shape", "inter_cache_shape")
#: A line of an audio tagging model's labels: ``0,/m/09x0r,"Speech"``. The runtime takes no carriage return at its end.
_LABEL = re.compile(r'([0-9]{1,6}),[^,]*,"(.+)"')


def _positive(header: Header, *keys: str) -> Iterator[str]:
    """Keys that must be whole numbers above zero: the runtime takes anything else for 0, and divides by some."""
    for key in keys:
        value = header.metadata[key].strip()
        if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) == 0:
            yield f"metadata {key} is {value[:40]!r}, not a whole number above zero"


def _is_silero(header: Header) -> bool:
    """Whether sherpa-onnx takes the graph; others of that name end the process."""
    inputs, outputs = (tuple(port.name for port in ports) for ports in (header.inputs, header.outputs))
    return (inputs, outputs) in (
        (("input", "state", "sr"), ("output", "stateN")),
        (("input", "sr", "h", "c"), ("output", "hn", "cn")),
        (("x", "h", "c"), ("prob", "new_h", "new_c")),
    )


def _check_segmentation(folder: Path, files: Mapping[str, str], headers: Headers) -> Iterator[str]:
    """The classes must be all sets of up to two speakers: the runtime fills a table of that size without looking."""
    header = headers["model"]
    yield from _positive(header, *_SEGMENTATION)
    speakers, at_once, classes = (
        int(header.metadata[key]) for key in ("num_speakers", "powerset_max_classes", "num_classes")
    )
    if at_once > 2:
        yield f"metadata powerset_max_classes is {at_once}; the runtime takes up to two speakers at once"
    wanted = 1 + speakers + (speakers * (speakers - 1) // 2 if at_once == 2 else 0)
    if classes != wanted:
        yield f"metadata num_classes is {classes}; {speakers} speakers, up to {at_once} at once, make {wanted}"
    shape = header.outputs[0].shape
    if shape and (len(shape) != 3 or shape[2] not in (0, classes)):
        yield f"the graph's output has the shape {shape}, not windows, frames and {classes} classes"


def _check_embedding(folder: Path, files: Mapping[str, str], headers: Headers) -> Iterator[str]:
    """Another framework is a null pointer to the runtime, and a wrong dimension is written beyond the result."""
    header = headers["model"]
    framework, normalization = (header.metadata.get(key, "") for key in ("framework", "feature_normalize_type"))
    if framework not in _FRAMEWORKS:
        yield f"metadata framework is {framework!r}; the runtime takes {', '.join(_FRAMEWORKS)}"
    if normalization not in _FRAMEWORKS[framework]:
        yield f"metadata feature_normalize_type is {normalization!r}, which the runtime does not know for {framework}"
    needed = _NEMO if framework == "nemo" else ("normalize_samples",)
    if lacking := [key for key in needed if not header.metadata.get(key, "").strip()]:
        yield f"the metadata lacks {', '.join(lacking)}"
    yield from _positive(header, "output_dim", "sample_rate", *(_NEMO if framework == "nemo" else ()))
    inputs = 2 if framework == "nemo" else 1
    if len(header.inputs) != inputs:
        yield f"the graph has {len(header.inputs)} inputs; one of {framework} has {inputs}"
    shape, size = header.outputs[0].shape, int(header.metadata["output_dim"])
    if framework != "nemo" and shape and shape[-1] not in (0, size):
        yield f"the graph gives vectors of {shape[-1]} numbers, its metadata output_dim says {size}"


def read_labels(path: Path) -> list[str]:
    """The names of an audio tagging model's classes in order; raises WeightsError naming the line.

    The file has a heading and then ``index,mid,"display name"`` a line (AudioSet's class_labels_indices.csv).
    """
    try:
        lines = path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: this is no file of labels: {error}") from error
    names: list[str] = []
    for number, line in enumerate(lines[1:], start=2):
        match = _LABEL.fullmatch(line)
        if not match or int(match[1]) != len(names):
            raise WeightsError(f"""{path}, line {number}: {line[:60]!r} is not '{len(names)},id,"name"'""")
        names.append(match[2])
    return names


def _check_tagging(folder: Path, files: Mapping[str, str], headers: Headers) -> Iterator[str]:
    shape, names = headers["model"].outputs[0].shape, read_labels(folder / files["labels"])
    if len(shape) != 2 or shape[1] not in (0, len(names)):
        yield (
            f"{files['labels']} names {len(names)} classes, the graph's output has the shape {shape}: take the labels "
            "that came with the model"
        )


def _check_gtcrn(folder: Path, files: Mapping[str, str], headers: Headers) -> Iterator[str]:
    header = headers["model"]
    yield from _positive(header, "sample_rate", "n_fft", "hop_length", "window_length")
    size, window = (int(header.metadata[key]) for key in ("n_fft", "window_length"))
    if window > size:
        yield f"metadata window_length is {window}, more than n_fft, {size}"
    if (kind := header.metadata["window_type"]) not in _WINDOWS:
        yield f"metadata window_type is {kind[:40]!r}; the runtime takes {', '.join(_WINDOWS)}"
    shape = header.inputs[0].shape
    if shape[1:2] not in ((), (0,), (size // 2 + 1,)):
        yield f"the graph takes spectra of {shape[1]} lines, a transform of n_fft {size} has {size // 2 + 1}"
    for key in _CACHES:
        if not re.fullmatch(r"[1-9][0-9]{0,5}(,[1-9][0-9]{0,5})*", header.metadata[key].strip()):
            yield f"metadata {key} is {header.metadata[key][:40]!r}, not whole numbers apart by commas"
    if len(header.inputs) != 4 or len(header.outputs) != 4:
        yield (
            f"the graph has {len(header.inputs)} inputs and {len(header.outputs)} outputs; "
            "a GTCRN model has 4 of each: a frame and three caches"
        )


_SEGMENTATION = (
    *("sample_rate", "window_size", "receptive_field_size", "receptive_field_shift"),
    *("num_speakers", "powerset_max_classes", "num_classes"),
)


def _tagging(name: str, title: str, inputs: int) -> Family:
    """An audio tagging family; the layouts differ in what the graph is given: features, or features and lengths."""
    return Family(
        name=name,
        title=title,
        task="audio_tagging",
        files={"model": MODEL, "labels": ("class_labels_indices.csv", "*label*.csv", "*.csv")},
        metadata={},
        fits=lambda headers: len(headers["model"].inputs) == inputs,
        check=_check_tagging,
    )


OTHER_FAMILIES = (
    Family(
        name="ct-transformer",
        title="CT-Transformer punctuation",
        task="punctuation",
        files={"model": MODEL},
        metadata={"model": ("tokens", "vocab_size", "punctuations", "unk_symbol")},
        fits=lambda headers: "punctuations" in headers["model"].metadata,
        languages=("zh", "en"),
    ),
    Family(
        name="silero-vad",
        title="Silero voice activity detection",
        task="voice_activity",
        files={"model": ("*silero*.onnx", "*.onnx")},
        metadata={},
        fits=lambda headers: _is_silero(headers["model"]),
    ),
    Family(
        name="pyannote-segmentation",
        title="pyannote speaker segmentation",
        task="speaker_segmentation",
        files={"model": _EXACT},
        metadata={"model": _SEGMENTATION},
        fits=lambda headers: "powerset_max_classes" in headers["model"].metadata,
        check=_check_segmentation,
    ),
    Family(
        name="speaker-embedding",
        title="speaker embedding (3D-Speaker, WeSpeaker or NeMo)",
        task="speaker_embedding",
        files={"model": _EXACT},
        metadata={"model": ("framework", "output_dim", "sample_rate", "language")},
        fits=lambda headers: "output_dim" in headers["model"].metadata,
        check=_check_embedding,
    ),
    Family(
        name="gtcrn",
        title="GTCRN speech enhancement",
        task="denoise",
        files={"model": _EXACT},
        metadata={
            "model": (
                *("model_type", "version", "sample_rate", "n_fft", "hop_length", "window_length", "window_type"),
                *_CACHES,
            )
        },
        fits=lambda headers: headers["model"].metadata.get("model_type", "") == "gtcrn",
        check=_check_gtcrn,
    ),
    _tagging("ced-tagging", "CED audio tagging", 1),
    _tagging("zipformer-tagging", "Zipformer audio tagging", 2),
)
