"""A model from this machine is added as it is, or refused with what is wrong with it; then it is verified."""

import shutil
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from weight_files import TRAINED, pack, paraformer, sensevoice, silero, tar_of

from dashscribe.errors import EngineUnavailableError, HostDiedError, WeightsError
from dashscribe.weights import Installed, find, installed, read_card
from dashscribe.weights.adding import add
from dashscribe.weights.cards import card_text, write_card
from dashscribe.weights.installing import Watch
from dashscribe.weights.room import NoRoomLeftError
from dashscribe.weights.verifying import verify, verify_all

FOLDERS = sorted(path for path in TRAINED.glob("*") if path.is_dir())


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return sensevoice(tmp_path / "usb" / "my-model", weight_bytes=50_000)


# --- adding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_trained_model_is_added_verified_and_moved_on(folder: Path, models: Path, tmp_path: Path) -> None:
    model = add(folder, models)
    assert (model.name, model.folder) == (folder.name, models / folder.name)
    assert verify(model).problems == []
    # From one machine to the next, as an archive of the installed folder.
    again = add(pack(model.folder, tmp_path / "moved.tar.gz"), tmp_path / "other", name=folder.name)
    assert (again.digest, again.languages, again.family) == (model.digest, model.languages, model.family)


def test_folder_is_copied_without_what_is_hidden(source: Path, models: Path) -> None:
    (source / ".git").mkdir()
    (source / ".git" / "blob").write_text("x")
    (source / "tokenizer").mkdir()
    (source / "tokenizer" / "a.json").write_text("{}")
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    model = add(source, models, languages=("zh",))
    assert model.name == "my-model"
    assert model.languages == ("zh",)
    assert {path.relative_to(model.folder).as_posix() for path in model.folder.rglob("*")} == {
        *("model.int8.onnx", "tokens.txt", "tokenizer", "tokenizer/a.json", "model.toml")
    }
    assert not any(path.is_symlink() for path in model.folder.rglob("*"))
    assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == before
    assert not list(models.rglob("draft"))


def test_folder_around_a_folder_is_looked_into(source: Path, models: Path) -> None:
    assert add(source.parent, models, name="x").family == "sensevoice"


def test_files_that_are_links_are_copied(source: Path, models: Path, tmp_path: Path) -> None:
    """A cache of Hugging Face holds links to blobs."""
    (tmp_path / "blob").write_bytes((source / "model.int8.onnx").read_bytes())
    (source / "model.int8.onnx").unlink()
    (source / "model.int8.onnx").symlink_to(tmp_path / "blob")
    model = add(source, models)
    assert not model.path("model").is_symlink()


def test_linked_folder_stays_where_it_is(source: Path, models: Path) -> None:
    model = add(source, models, link=True)
    assert model.path("model").resolve() == source / "model.int8.onnx"
    assert not (source / "model.toml").exists()
    assert verify(model).problems == []
    (source / "tokens.txt").unlink()
    assert "tokens.txt: No such file" in verify(model).problems[0]
    with pytest.raises(WeightsError, match="only a folder can be added with --link"):
        add(pack(source, source.parent / "a.tar"), models, link=True)


@pytest.mark.parametrize("name", ["m.tar.bz2", "m.tar.gz", "m.tar.xz", "m.tar", "m.tgz"])
def test_archive_is_added_under_its_name(source: Path, models: Path, tmp_path: Path, name: str) -> None:
    archive = tmp_path / "m.tar.gz"
    pack(source, archive if name == "m.tgz" else tmp_path / name)
    if name == "m.tgz":
        archive.rename(tmp_path / name)
    assert add(tmp_path / name, models).name == "m"


def test_zip_is_added(source: Path, models: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for path in source.iterdir():
            archive.write(path, path.name)
    assert add(tmp_path / "z.zip", models).name == "z"


def test_known_archive_gets_its_short_name_and_license(source: Path, models: Path, tmp_path: Path) -> None:
    archive = pack(source, tmp_path / "sherpa-onnx-sense-voice-zh-en-ja-ko-yue-int8-2024-07-17.tar.bz2")
    model = add(archive, models)
    assert model.name == "sensevoice"
    assert model.license.startswith("FunASR")
    assert model.source == str(archive)


def test_single_graph_is_added(models: Path, tmp_path: Path) -> None:
    model = add(silero(tmp_path / "silero_vad.onnx"), models)
    assert (model.name, model.family, model.files) == ("silero-vad", "silero-vad", {"model": "silero_vad.onnx"})
    with pytest.raises(WeightsError, match=r"for .* it lacks tokens"):
        add(sensevoice(tmp_path / "s") / "model.int8.onnx", models)


Build = Callable[[Path], Path]


@pytest.mark.parametrize(
    ("build", "options", "why"),
    [
        (lambda t: t / "missing", {}, r"missing: there is no such file or folder"),
        (lambda t: t, {"name": "x"}, r"no known model lies here"),
        (lambda t: sensevoice(t / "openai"), {}, r"'openai' is the name of an engine.*--name"),
        (lambda t: sensevoice(t / "ä"), {}, r"cannot be the name of a model.*--name"),
        (lambda t: sensevoice(t / "m"), {"name": "a/b"}, r"cannot be the name of a model"),
        (lambda t: sensevoice(t / "m"), {"languages": ("Chinese",)}, r"'Chinese' is no language code"),
        (lambda t: sensevoice(t / "m", tokens=4), {}, r"m: tokens.txt names 4 symbols, the model was made for 5"),
        (lambda t: paraformer(t / "m"), {"name": "sensevoice"}, r"is a Paraformer model, not SenseVoice.*--name"),
        (lambda t: pack(paraformer(t / "m"), t / "m.tar"), {"name": "sensevoice"}, r"m.tar is a Paraformer model, not"),
        (lambda t: tar_of(t / "m.tar.bz2", ("m/a", b"1")), {}, r"m.tar.bz2: no known model lies here"),
        (lambda t: tar_of(t / "m.tar.bz2", ("../a", b"1")), {}, r"leads out of it"),
        (lambda t: sensevoice(t / "m") / "tokens.txt", {}, r"neither a folder nor an archive .* nor an .onnx"),
    ],
)
def test_what_cannot_be_added_says_why(
    tmp_path: Path, models: Path, build: Build, options: dict[str, Any], why: str
) -> None:
    path = build(tmp_path)
    with pytest.raises(WeightsError, match=why) as caught:
        add(path, models, **options)
    assert installed(models) == {}
    assert ".work" not in str(caught.value)
    assert not list(tmp_path.rglob("draft"))


def test_nothing_is_overwritten_unless_asked(source: Path, models: Path, tmp_path: Path) -> None:
    first = add(source, models)
    other = sensevoice(tmp_path / "b", weight_bytes=7)
    with pytest.raises(WeightsError, match=r"'my-model' is installed already, from .*--replace .*--name"):
        add(other, models, name="my-model")
    assert find(models, "my-model").digest == first.digest
    with pytest.raises(WeightsError):
        add(tmp_path / "usb" / "my-model" / "tokens.txt", models, name="my-model", replace=True)
    assert find(models, "my-model").digest == first.digest, "what cannot be installed replaces nothing"
    second = add(other, models, name="my-model", replace=True)
    assert find(models, "my-model").digest == second.digest != first.digest
    assert not (models / ".work" / "my-model" / "old").exists()


def test_folder_among_the_models_gets_its_card_in_place(source: Path, models: Path) -> None:
    shutil.copytree(source, models / "byhand")
    inode = (models / "byhand" / "model.int8.onnx").stat().st_ino
    assert installed(models) == {}
    model = add(models / "byhand", models)
    assert installed(models) == {"byhand": model}
    assert (models / "byhand" / "model.int8.onnx").stat().st_ino == inode
    with pytest.raises(WeightsError, match=r"is installed already; --replace writes its model\.toml anew"):
        add(models / "byhand", models)
    (models / "byhand" / "notes.txt").write_text("changed on purpose")
    assert add(models / "byhand", models, replace=True).digest != model.digest


def test_card_that_came_along_is_heeded(source: Path, models: Path, tmp_path: Path) -> None:
    first = add(source, models, name="a", languages=("yue",))
    usb = shutil.copytree(first.folder, tmp_path / "stick" / "a")
    assert add(usb, tmp_path / "other").languages == ("yue",)
    data = bytearray((usb / "model.int8.onnx").read_bytes())
    data[data.index(b"noise") + 50] ^= 1
    (usb / "model.int8.onnx").write_bytes(data)
    with pytest.raises(WeightsError, match=r"model\.int8\.onnx has the SHA-256 .*damaged or changed on its way"):
        add(usb, tmp_path / "third")


def test_full_disk_is_told_before_copying(source: Path, models: Path) -> None:
    with pytest.raises(NoRoomLeftError, match="are to stay free"):
        add(source, models, reserve_bytes=10**15)
    assert not list(models.rglob("model.int8.onnx"))


def test_progress_is_told(source: Path, models: Path) -> None:
    seen: set[str] = set()
    add(source, models, watch=Watch(moved=lambda what, done, total: seen.add(what)))
    assert seen == {"copying model.int8.onnx", "copying tokens.txt", "checking my-model"}


# --- the card --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["plain", 'quo"te\\', "中文", "a\tb", "line\nbreak", "\x7f", "😀", "€#='"])
def test_card_is_read_as_it_was_written(tmp_path: Path, text: str) -> None:
    model = Installed(
        name=tmp_path.name,
        folder=tmp_path,
        family="sensevoice",
        files={"model": text},
        sums={text: "0" * 64},
        languages=("zh",),
        source=text,
        license=text,
        batches={"cpu": 4, "cuda": 32},
    )
    assert tomllib.loads(card_text(model))["source"] == text
    write_card(model)
    assert replace(read_card(tmp_path), digest="") == model
    assert [path.name for path in tmp_path.iterdir()] == ["model.toml"]


# --- verifying -------------------------------------------------------------------------------------------------------


def test_what_a_gpu_may_decode_at_once_is_kept_apart_from_what_a_processor_may(source: Path, models: Path) -> None:
    model = add(source, models)
    assert read_card(model.folder).batches == {"cpu": 1}
    on_gpu = verify(model, decode=lambda m: "text", find_batch=lambda m: ("cuda", 32))
    assert on_gpu.notes == ["decodes 32 pieces at once on cuda, with the same results as one by one"]
    assert read_card(model.folder).batches == {"cpu": 1, "cuda": 32}
    verify(read_card(model.folder), decode=lambda m: "text", find_batch=lambda m: ("cpu", 8))
    assert read_card(model.folder).batches == {"cpu": 8, "cuda": 32}
    assert verify(read_card(model.folder), decode=lambda m: "text", find_batch=lambda m: ("cuda", 1)).notes == [
        "decodes one by one on cuda"
    ]
    assert read_card(model.folder).batches == {"cpu": 8, "cuda": 1}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda f: (f / "tokens.txt").write_text("x 0\n"), "tokens.txt has the SHA-256"),
        (lambda f: (f / "model.int8.onnx").unlink(), "model.int8.onnx: No such file"),
    ],
)
def test_changed_or_missing_file_is_found(
    source: Path, models: Path, change: Callable[[Path], object], why: str
) -> None:
    model = add(source, models)
    change(model.folder)
    asked: list[Installed] = []
    verdict = verify(model, decode=lambda m: asked.append(m) or "text")
    assert why in verdict.problems[0] and f"`dashscribe models rm {model.name}`" in verdict.problems[0]
    assert asked == [], "nothing that is damaged is loaded"


def test_card_that_fits_its_files_does_not_make_a_model_of_them(source: Path, models: Path) -> None:
    model = add(source, models)
    (model.folder / "tokens.txt").write_text("x 0\n")
    from dashscribe.weights.cards import checksums

    write_card(replace(model, sums=checksums(model.folder)))
    assert "names 1 symbols" in verify(find(models, model.name)).problems[0]


def test_utterance_is_tried_with_models_for_speech_only(source: Path, models: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    def decode(model: Installed) -> str:
        asked.append(model.name)
        return " four score "

    add(source, models, name="speech")
    add(silero(tmp_path / "silero_vad.onnx"), models)
    verdicts = verify_all(models, decode=decode)
    assert [(v.name, v.text, v.problems) for v in verdicts] == [("silero-vad", "", []), ("speech", "four score", [])]
    assert asked == ["speech"]


def test_decode_that_fails_or_hears_nothing_is_a_problem(source: Path, models: Path) -> None:
    def die(model: Installed) -> str:
        raise HostDiedError("the child was killed by signal 11")

    def refuse(model: Installed) -> str:
        raise EngineUnavailableError("no engine")

    english, chinese = add(source, models, name="a"), add(source, models, name="b", languages=("zh",))
    assert "could not be transcribed: the child was killed by signal 11" in verify(english, decode=die).problems[0]
    assert "no engine" in verify(english, decode=refuse).problems[0]
    assert "nothing was heard" in verify(english, decode=lambda m: "").problems[0]
    quiet = verify(chinese, decode=lambda m: "")
    assert (quiet.problems, len(quiet.notes)) == ([], 1)


def test_everything_that_lies_in_the_folder_is_verified(source: Path, models: Path) -> None:
    add(source, models, name="good")
    shutil.copytree(source, models / "half")
    (models / "broken").mkdir()
    (models / "broken" / "model.toml").write_text("family = ")
    verdicts = {verdict.name: verdict.problems for verdict in verify_all(models)}
    assert verdicts["good"] == []
    assert "models add" in verdicts["half"][0]
    assert "unusable" in verdicts["broken"][0]
    assert verify_all(models, ["gone"])[0].problems == ["gone is not installed"]
    assert verify_all(models / "nowhere") == []
