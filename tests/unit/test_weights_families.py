"""A folder's family is told from its files; what would not load, or end the process that loads it, is told before."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from onnx import TensorProto
from weight_files import LFR, TRAINED, paraformer, sensevoice, silero, write_graph

from dashscribe.errors import WeightsError
from dashscribe.weights.families import FAMILIES, Layout, check, read_tokens, recognize

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
TRAINED_FAMILIES = {
    "sensevoice-small": "sensevoice",
    "paraformer-small": "paraformer",
    "funasr-nano-tiny": "funasr-nano",
    "qwen3-asr-tiny": "qwen3-asr",
    "whisper-tiny": "whisper",
    "transducer-tiny": "transducer",
    "zipformer-ctc-tiny": "ctc",
    "punctuation-tiny": "ct-transformer",
    "ced-tagging-small": "ced-tagging",
    "gtcrn-tiny": "gtcrn",
    "segmentation-small": "pyannote-segmentation",
    "speaker-embedding-small": "speaker-embedding",
}


@pytest.mark.parametrize(("name", "family"), TRAINED_FAMILIES.items())
def test_trained_model_is_recognized(name: str, family: str) -> None:
    if not (TRAINED / name).is_dir():
        pytest.skip(f"{TRAINED / name} is not made yet")
    layout = recognize(TRAINED / name)
    assert layout.family.name == family
    assert all((TRAINED / name / file).is_file() for file in layout.files.values())


def test_stand_ins_are_recognized(tmp_path: Path) -> None:
    found = recognize(sensevoice(tmp_path / "a"))
    assert (found.family.name, found.languages) == ("sensevoice", ("zh", "en", "yue", "ja", "ko"))
    assert recognize(paraformer(tmp_path / "b")).languages == ("zh",)
    (tmp_path / "c").mkdir()
    assert recognize(silero(tmp_path / "c" / "silero_vad.onnx").parent).family.name == "silero-vad"


def test_int8_graph_goes_before_float32(tmp_path: Path) -> None:
    folder = sensevoice(tmp_path)
    shutil.copyfile(folder / "model.int8.onnx", folder / "model.onnx")
    assert recognize(folder).files["model"] == "model.int8.onnx"


Break = Callable[[Path], object]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda f: (f / "tokens.txt").unlink(), r"no known model lies here; for .* it lacks tokens"),
        (lambda f: (f / "model.int8.onnx").unlink(), "no known model lies here"),
        (
            lambda f: (f / "tokens.txt").write_text("a 0\n"),
            "names 1 symbols, the model was made for 5: take the tokens",
        ),
        (lambda f: (f / "tokens.txt").write_text("a 0\nb\n"), r"tokens\.txt, line 2: 'b' is not 'symbol id'"),
        (lambda f: (f / "tokens.txt").write_bytes(b"\xff\xfe"), "this is no tokens file"),
        (lambda f: (f / "tokens.txt").write_text(""), "the tokens file is empty"),
        (lambda f: (f / "model.int8.onnx").write_bytes(b"<html>"), "no ONNX file"),
        (lambda f: (f / "model.int8.onnx").write_bytes(b""), "no ONNX model"),
        (
            lambda f: sensevoice(f, lang_yue=None, with_itn=None),
            "lacks with_itn, lang_yue: it was exported for another",
        ),
        (lambda f: sensevoice(f, neg_mean="1,2,3"), "neg_mean has 3 numbers, not 560"),
        (lambda f: sensevoice(f, vocab_size="7"), "names 5 symbols, the model was made for 7"),
    ],
)
def test_half_or_damaged_model_says_what_is_wrong(tmp_path: Path, change: Break, why: str) -> None:
    folder = sensevoice(tmp_path)
    change(folder)
    with pytest.raises(WeightsError, match=why) as caught:
        recognize(folder)
    assert str(folder) in str(caught.value)


def test_graph_with_other_inputs_is_told(tmp_path: Path) -> None:
    folder = sensevoice(tmp_path)
    one: dict[str, tuple[int, list[int | str]]] = {"x": (FLOAT, ["N", "T", 560])}
    from weight_files import SENSEVOICE

    write_graph(folder / "model.int8.onnx", one, {"logits": (FLOAT, ["N", "T", 5])}, SENSEVOICE)
    with pytest.raises(WeightsError, match="the graph has 1 inputs; a SenseVoice model has 4"):
        recognize(folder)
    write_graph(folder / "model.int8.onnx", one, {"logits": (FLOAT, ["N", 5])}, {**LFR, "vocab_size": "5"})
    with pytest.raises(WeightsError, match="a Paraformer model has 2 and 2"):
        recognize(folder)


def test_paraformer_without_the_end_symbol_is_told(tmp_path: Path) -> None:
    folder = paraformer(tmp_path)
    (folder / "tokens.txt").write_text("a 0\nb 1\nc 2\n")
    with pytest.raises(WeightsError, match="lacks the symbol </s>"):
        recognize(folder)


def test_ctc_graph_without_a_shape_is_no_crash(tmp_path: Path) -> None:
    write_graph(tmp_path / "model.onnx", {"x": (FLOAT, [])}, {"y": (FLOAT, [])}, {"model_type": "zipformer2_ctc"})
    (tmp_path / "tokens.txt").write_text("a 0\n")
    assert recognize(tmp_path).family.name == "ctc"


def test_folder_without_a_model_names_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no known model lies here. Known are Fun-ASR-Nano"):
        recognize(tmp_path)
    with pytest.raises(WeightsError, match="this is no folder"):
        recognize(tmp_path / "missing")


def test_layout_of_a_card_that_names_too_little_is_told(tmp_path: Path) -> None:
    folder = sensevoice(tmp_path)
    with pytest.raises(WeightsError, match="a SenseVoice model needs tokens; model are named"):
        check(folder, Layout(FAMILIES["sensevoice"], {"model": "model.int8.onnx"}, ()))
    with pytest.raises(WeightsError, match=r"tokens\.txt: the model of a SenseVoice model is an \.onnx file"):
        check(folder, Layout(FAMILIES["sensevoice"], {"model": "tokens.txt", "tokens": "tokens.txt"}, ()))
    with pytest.raises(WeightsError, match=r"gone\.txt: the file is missing"):
        check(folder, Layout(FAMILIES["sensevoice"], {"model": "model.int8.onnx", "tokens": "gone.txt"}, ()))
    with pytest.raises(WeightsError, match=r"no CT-Transformer punctuation model|metadata of this CT-Transformer"):
        check(folder, Layout(FAMILIES["ct-transformer"], {"model": "model.int8.onnx"}, ()))


def test_tokens_are_read_as_the_runtime_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "tokens.txt"
    path.write_bytes("<blk> 0\r\n▁the\t1\n 2\n\u2028 3\n\x85 4\n+ 5 \n\n".encode())
    assert read_tokens(path) == {"<blk>": 0, "▁the": 1, " ": 2, "\u2028": 3, "\x85": 4, "+": 5}
