"""The head of an ONNX file is read as the onnx package reads it; whatever else a file holds is one clear error."""

from pathlib import Path

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from weight_files import SENSEVOICE, TRAINED, same_graph, sensevoice, silero, write_graph

from dashscribe.errors import WeightsError
from dashscribe.weights import onnx_header
from dashscribe.weights.onnx_header import Header, read_header

FLOAT = TensorProto.FLOAT


@pytest.mark.parametrize("path", sorted(TRAINED.glob("*/*.onnx")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_trained_model_is_read_as_onnx_reads_it(path: Path) -> None:
    assert same_graph(path, read_header(path))


def test_stand_in_is_read_as_onnx_reads_it(tmp_path: Path) -> None:
    path = sensevoice(tmp_path, weight_bytes=100_000) / "model.int8.onnx"
    header = read_header(path)
    assert same_graph(path, header)
    assert header.metadata == SENSEVOICE
    assert header.inputs[0].shape == (0, 0, 560)
    assert same_graph(silero(tmp_path / "vad.onnx"), read_header(tmp_path / "vad.onnx"))


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
shapes = st.lists(st.one_of(st.integers(0, 2**40), st.just("N")), max_size=4)
ports = st.dictionaries(names, st.tuples(st.sampled_from([1, 2, 3, 7, 9, 10, 16]), shapes), min_size=1, max_size=4)


@settings(max_examples=60)
@given(inputs=ports, outputs=ports, metadata=st.dictionaries(names, st.text(max_size=300), max_size=5))
def test_any_graph_is_read_as_onnx_reads_it(
    tmp_path: Path, inputs: dict[str, object], outputs: dict[str, object], metadata: dict[str, str]
) -> None:
    path = write_graph(tmp_path / "m.onnx", inputs, outputs, metadata, weight_bytes=100)  # type: ignore[arg-type]
    assert same_graph(path, read_header(path))


def test_weights_are_skipped_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sensevoice(tmp_path, weight_bytes=5_000_000) / "model.int8.onnx"
    monkeypatch.setattr(onnx_header, "MAX_FIELD_BYTES", 100_000)
    assert same_graph(path, read_header(path))


def test_metadata_larger_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_header, "MAX_FIELD_BYTES", 1000)
    with pytest.raises(WeightsError, match=r"model.int8.onnx: .*a metadata field of [0-9]+ bytes"):
        read_header(sensevoice(tmp_path) / "model.int8.onnx")


def test_file_cut_at_any_byte_is_an_error_or_lacks_only_metadata(tmp_path: Path) -> None:
    """Metadata comes last and one entry at a time: a cut between two of them leaves a proper file with fewer."""
    path = write_graph(tmp_path / "m.onnx", {"x": (FLOAT, ["N", 80])}, {"y": (FLOAT, [1])}, {"a": "1", "b": "2" * 300})
    whole, data = read_header(path), path.read_bytes()
    passed = 0
    for length in range(len(data)):
        path.write_bytes(data[:length])
        try:
            header = read_header(path)
        except WeightsError as error:
            assert str(path) in str(error)
        else:
            passed += 1
            assert (header.inputs, header.outputs) == (whole.inputs, whole.outputs)
            assert header.metadata.items() <= whole.metadata.items()
    assert passed <= 3, "after the graph, after the version of the operators, after the first entry"


@settings(max_examples=300)
@given(data=st.binary(max_size=400))
def test_any_bytes_are_a_header_or_one_kind_of_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    try:
        assert isinstance(read_header(path), Header)
    except WeightsError as error:
        assert str(path) in str(error)


@settings(max_examples=300)
@given(changes=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_file_is_a_header_or_one_kind_of_error(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    path = write_graph(tmp_path / "m.onnx", {"x": (FLOAT, ["N", 80])}, {"y": (FLOAT, [1])}, {"a": "1" * 200})
    data = bytearray(path.read_bytes())
    for at, value in changes:
        data[at % len(data)] = value
    path.write_bytes(data)
    try:
        assert isinstance(read_header(path), Header)
    except WeightsError as error:
        assert str(path) in str(error)


def test_number_without_end_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    entry = b"\x0a" + b"\xff" * 2_000_000
    path.write_bytes(b"\x72" + b"\x81\x89\x7a" + entry)
    with pytest.raises(WeightsError):
        read_header(path)


def test_other_things_are_named_for_what_they_are(tmp_path: Path) -> None:
    pointer = tmp_path / "pointer.onnx"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    with pytest.raises(WeightsError, match=r"pointer of Git LFS.*git lfs pull"):
        read_header(pointer)
    with pytest.raises(WeightsError, match="No such file"):
        read_header(tmp_path / "missing.onnx")
    with pytest.raises(WeightsError, match="Is a directory"):
        read_header(tmp_path)
    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"")
    with pytest.raises(WeightsError, match="no ONNX model"):
        read_header(empty)
    page = tmp_path / "page.onnx"
    page.write_text("<!doctype html><html></html>")
    with pytest.raises(WeightsError, match="no ONNX file"):
        read_header(page)


def test_model_without_inputs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    model = helper.make_model(helper.make_graph([], "nothing", [], []))
    onnx.save(model, str(path))
    with pytest.raises(WeightsError, match="no graph with inputs and outputs"):
        read_header(path)
