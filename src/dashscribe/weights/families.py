"""What the folders of each model family hold, and how a folder is told to be one of them.

A row per family: its files by role with the upstream's names, and the metadata keys without which the runtime ends the
process. Facts are from the runtime's sources (sherpa-onnx, ``csrc/offline-*-model.cc``) and were run. What a family can
do once it is loaded stands in ``dashscribe.engines.sherpa``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from dashscribe.errors import WeightsError
from dashscribe.weights.family import Family, Headers, Layout, Task
from dashscribe.weights.onnx_header import Header, read_header
from dashscribe.weights.other_families import MODEL, OTHER_FAMILIES

__all__ = ["FAMILIES", "Family", "Headers", "Layout", "Task", "check", "read_tokens", "recognize"]

#: Rows of the low frame rate features of SenseVoice and Paraformer: seven frames of 80 bins.
LFR_DIM = 560


def _codes(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SENSEVOICE = _codes("zh en yue ja ko")
FUNASR_NANO = _codes("zh en ja")
FUNASR_MLT_NANO = _codes(
    "zh en yue ja ko vi id th ms tl ar hi bg hr cs da nl et fi el hu ga lv lt mt pl pt ro sk sl sv"
)
QWEN3_ASR = _codes("zh en yue ar de fr es pt id it ko ru th vi ja tr hi ms nl sv da fi pl cs fil fa el hu mk ro")


def _model_type(headers: Headers, role: str) -> str:
    return headers[role].metadata.get("model_type", "")


# --- what can be wrong beyond missing files and keys ----------------------------------------------------------------


def read_tokens(path: Path) -> dict[str, int]:
    """The symbols of a tokens file (``symbol id`` a line) and their ids. Raises WeightsError naming the line."""
    tokens: dict[str, int] = {}
    try:
        # Not splitlines: a symbol may be one of the rarer line separators.
        lines = path.read_bytes().decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: this is no tokens file: {error}") from error
    for number, line in enumerate(lines, start=1):
        if match := re.fullmatch(r"(.*?)[ \t]+([0-9]{1,9})[ \t\r]*", line, re.DOTALL):
            tokens[match[1].strip(" \t") or " "] = int(match[2])
        elif line.strip():
            raise WeightsError(f"{path}, line {number}: {line[:40]!r} is not 'symbol id'")
    if not tokens:
        raise WeightsError(f"{path}: the tokens file is empty")
    return tokens


def _check_tokens(folder: Path, files: Mapping[str, str], size: str | int) -> Iterator[str]:
    """The tokens file must name as many symbols as the graph gives scores for."""
    tokens = read_tokens(folder / files["tokens"])
    if size and str(size).isdecimal() and max(tokens.values()) + 1 != int(size):
        yield (
            f"{files['tokens']} names {max(tokens.values()) + 1} symbols, the model was made for {size}: "
            "take the tokens file that came with the model"
        )


def _check_features(header: Header) -> Iterator[str]:
    """Mean and scale must fit the features."""
    for key in ("neg_mean", "inv_stddev"):
        count = len(header.metadata[key].split(","))
        if count != LFR_DIM:
            yield f"metadata {key} has {count} numbers, not {LFR_DIM}"


def _check_sensevoice(folder: Path, files: Mapping[str, str], headers: Headers) -> Iterator[str]:
    header = headers["model"]
    if len(header.inputs) != 4:
        yield f"the graph has {len(header.inputs)} inputs; a SenseVoice model has 4 (x, x_length, language, text_norm)"
    yield from _check_features(header)
    yield from _check_tokens(folder, files, header.metadata["vocab_size"])


def _check_paraformer(folder: Path, files: Mapping[str, str], headers: Headers) -> Iterator[str]:
    header = headers["model"]
    if len(header.inputs) != 2 or len(header.outputs) not in (2, 4):
        yield (
            f"the graph has {len(header.inputs)} inputs and {len(header.outputs)} outputs; "
            "a Paraformer model has 2 and 2, or 4 with time stamps"
        )
    yield from _check_features(header)
    yield from _check_tokens(folder, files, header.metadata["vocab_size"])
    if "</s>" not in read_tokens(folder / files["tokens"]):
        yield f"{files['tokens']} lacks the symbol </s>, where every Paraformer text ends"


def _check_ctc(folder: Path, files: Mapping[str, str], headers: Headers) -> Iterator[str]:
    header = headers["model"]
    yield from _check_tokens(folder, files, header.metadata.get("vocab_size", "") or sum(header.outputs[0].shape[-1:]))


def _check_transducer(folder: Path, files: Mapping[str, str], headers: Headers) -> Iterator[str]:
    yield from _check_tokens(folder, files, headers["decoder"].metadata.get("vocab_size", ""))


def _check_tokenizer(folder: Path, files: Mapping[str, str], *needed: str) -> Iterator[str]:
    """Files beside the tokenizer's: without merges Qwen3-ASR loads and spells its prompt in bytes."""
    home = (folder / files["tokenizer/"]).parent
    for name in needed:
        if not (home / name).is_file():
            yield f"the tokenizer lacks {(home / name).relative_to(folder)}"


def _check_qwen3(folder: Path, files: Mapping[str, str], headers: Headers) -> Iterator[str]:
    yield from _check_tokenizer(folder, files, "vocab.json", "merges.txt")


def _check_nano(folder: Path, files: Mapping[str, str], headers: Headers) -> Iterator[str]:
    yield from _check_tokenizer(folder, files, "vocab.json", "merges.txt")
    model_type = _model_type(headers, "llm")
    if "kv_delta" not in model_type:
        yield f"{files['llm']}: metadata model_type is {model_type!r}; the runtime takes kv_delta exports only"


# --- the rows -------------------------------------------------------------------------------------------------------

_LFR = ("vocab_size", "lfr_window_size", "lfr_window_shift", "neg_mean", "inv_stddev")
_WHISPER = (
    *("model_type", "n_mels", "n_vocab", "n_text_ctx", "n_text_state", "n_text_layer", "sot_sequence", "sot", "eot"),
    *("all_language_tokens", "all_language_codes", "blank_id", "is_multilingual", "no_speech", "transcribe"),
    *("translate", "no_timestamps"),
)
_CTC_TYPES = ("zipformer2_ctc", "EncDecCTCModelBPE", "EncDecCTCModel", "EncDecHybridRNNTCTCBPEModel", "wenet_ctc")
_TOKENS = ("tokens.txt", "*tokens.txt")

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="funasr-nano",
            title="Fun-ASR-Nano",
            task="speech",
            files={
                "encoder": ("encoder_adaptor*.int8.onnx", "encoder_adaptor*.onnx"),
                "llm": ("llm*.int8.onnx", "llm*.onnx"),
                "embedding": ("embedding*.int8.onnx", "embedding*.onnx"),
                "tokenizer/": ("*/tokenizer.json", "tokenizer.json"),
            },
            metadata={
                "encoder": ("lfr_window_size", "lfr_window_shift", "llm_dim"),
                "llm": ("model_type", "vocab_size", "max_total_len"),
            },
            check=_check_nano,
            languages=FUNASR_NANO,
        ),
        Family(
            name="qwen3-asr",
            title="Qwen3-ASR",
            task="speech",
            files={
                "frontend": ("conv_frontend*.onnx",),
                "encoder": ("encoder*.int8.onnx", "encoder*.onnx"),
                "decoder": ("decoder*.int8.onnx", "decoder*.onnx"),
                "tokenizer/": ("*/tokenizer_config.json", "tokenizer_config.json"),
            },
            metadata={},
            check=_check_qwen3,
            languages=QWEN3_ASR,
        ),
        Family(
            name="whisper",
            title="Whisper",
            task="speech",
            files={
                "encoder": ("*encoder*.int8.onnx", "*encoder*.onnx"),
                "decoder": ("*decoder*.int8.onnx", "*decoder*.onnx"),
                "tokens": _TOKENS,
            },
            metadata={"encoder": _WHISPER},
            fits=lambda headers: _model_type(headers, "encoder").startswith("whisper"),
        ),
        Family(
            name="transducer",
            title="Zipformer transducer",
            task="speech",
            files={
                "encoder": ("encoder*.int8.onnx", "encoder*.onnx", "*encoder*.onnx"),
                "decoder": ("decoder*.onnx", "*decoder*.onnx"),
                "joiner": ("joiner*.int8.onnx", "joiner*.onnx", "*joiner*.onnx"),
                "tokens": _TOKENS,
                "bpe": ("bpe.vocab",),
            },
            optional=frozenset({"bpe"}),
            metadata={"decoder": ("vocab_size", "context_size")},
            check=_check_transducer,
        ),
        Family(
            name="sensevoice",
            title="SenseVoice",
            task="speech",
            files={"model": MODEL, "tokens": _TOKENS},
            metadata={
                "model": (
                    *_LFR,
                    *("normalize_samples", "with_itn", "without_itn"),
                    *(f"lang_{code}" for code in ("auto", *SENSEVOICE)),
                )
            },
            fits=lambda headers: "lang_auto" in headers["model"].metadata,
            check=_check_sensevoice,
            languages=SENSEVOICE,
        ),
        Family(
            name="paraformer",
            title="Paraformer",
            task="speech",
            files={"model": MODEL, "tokens": _TOKENS},
            metadata={"model": _LFR},
            fits=lambda headers: "lfr_window_size" in headers["model"].metadata,
            check=_check_paraformer,
        ),
        Family(
            name="ctc",
            title="CTC (Zipformer, NeMo or WeNet)",
            task="speech",
            files={"model": MODEL, "tokens": _TOKENS},
            metadata={"model": ("model_type",)},
            fits=lambda headers: _model_type(headers, "model") in _CTC_TYPES,
            check=_check_ctc,
        ),
        *OTHER_FAMILIES,
    )
}


# --- telling a folder's family --------------------------------------------------------------------------------------


def recognize(folder: Path) -> Layout:
    """What model a folder holds, checked as far as is possible without loading it.

    Raises WeightsError: no model, half a model, one of a family that is not known, or one that would not load.
    """
    if not folder.is_dir():
        raise WeightsError(f"{folder}: this is no folder")
    nearest: tuple[int, str] = (0, "")
    for family in FAMILIES.values():
        files = {role: name for role, patterns in family.files.items() if (name := _find(folder, patterns))}
        missing = [role for role in family.files if role not in files and role not in family.optional]
        if not missing:
            headers = {role: read_header(folder / name) for role, name in files.items() if name.endswith(".onnx")}
            if family.fits(headers):
                return check(folder, Layout(family, files, ()), headers)
        elif len(files) > nearest[0] and any(name.endswith(".onnx") for name in files.values()):
            wanted = ", ".join(f"{role.rstrip('/')} ({' or '.join(family.files[role])})" for role in missing)
            nearest = len(files), f"; for {family.title} it lacks {wanted}"
    known = ", ".join(family.title for family in FAMILIES.values())
    raise WeightsError(f"{folder}: no known model lies here{nearest[1]}. Known are {known}.")


def check(folder: Path, layout: Layout, headers: Headers | None = None) -> Layout:
    """Look for what would keep the files from loading or, worse, end the process that loads them.

    Returns the layout with its languages. Raises WeightsError naming the file and what is wrong with it.
    """
    family, files = layout.family, layout.files
    if missing := sorted(family.files.keys() - files.keys() - family.optional):
        raise WeightsError(f"{folder}: a {family.title} model needs {', '.join(missing)}; {', '.join(files)} are named")
    for role, name in files.items():
        if not (folder / name).is_file():
            raise WeightsError(f"{folder / name}: the file is missing ({role.rstrip('/')} of a {family.title} model)")
    headers = headers or {role: read_header(folder / name) for role, name in files.items() if name.endswith(".onnx")}
    for role, keys in family.metadata.items():
        if role not in headers:
            raise WeightsError(f"{folder / files[role]}: the {role} of a {family.title} model is an .onnx file")
        if lacking := [key for key in keys if not headers[role].metadata.get(key, "").strip()]:
            raise WeightsError(
                f"{folder / files[role]}: the metadata of this {family.title} model lacks {', '.join(lacking)}: "
                "it was exported for another runtime; take an export for sherpa-onnx"
            )
    if not family.fits(headers):
        raise WeightsError(f"{folder}: these files are no {family.title} model, though they lie in its place")
    for problem in family.check(folder, files, headers):
        raise WeightsError(f"{folder}: {problem}")
    return Layout(family, files, layout.languages or _languages(folder, family, files, headers))


def _find(folder: Path, patterns: tuple[str, ...]) -> str:
    """The first file that one of the patterns names, relative to the folder; empty if there is none."""
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_file():
                return path.relative_to(folder).as_posix()
    return ""


def _languages(folder: Path, family: Family, files: Mapping[str, str], headers: Headers) -> tuple[str, ...]:
    """What the model reads, from what it says of itself."""
    if family.name == "funasr-nano" and "mlt" in folder.name.lower():
        return FUNASR_MLT_NANO
    if family.languages or "tokens" not in files:
        return family.languages
    if family.name == "whisper":
        metadata = headers["encoder"].metadata
        codes = metadata.get("all_language_codes", "") if metadata["is_multilingual"] == "1" else "en"
        return tuple(filter(None, codes.split(",")))
    # The scripts that its tokens are made of: Han, kana, Hangul, Latin letters; <blank> and the like tell none.
    tokens = read_tokens(folder / files["tokens"])
    pieces = "".join(token for token in tokens if not re.fullmatch(r"<.*>|\[.*\]", token, re.DOTALL))
    scripts = {"zh": "[\u4e00-\u9fff]", "ja": "[\u3040-\u30ff]", "ko": "[\uac00-\ud7a3]", "en": "[A-Za-z]{2}"}
    found = [code for code, pattern in scripts.items() if re.search(pattern, pieces)]
    return tuple(found) or ("en",)
