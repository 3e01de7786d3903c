"""A model is pulled from the first place that has it and is installed whole or not at all."""

import hashlib
import os
import re
import subprocess
import threading
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from weight_files import TRAINED, Mirror, answer, pack, paraformer, sensevoice, serving, silero, tar_of

from dashscribe.errors import WeightsError
from dashscribe.weights import Installed, find, find_task, installed
from dashscribe.weights import pull as module
from dashscribe.weights.families import FAMILIES
from dashscribe.weights.installing import Watch
from dashscribe.weights.known import APACHE, KNOWN, Known, Origin
from dashscribe.weights.pull import pull
from dashscribe.weights.room import NoRoomLeftError
from dashscribe.weights.shelf import Shelf, remove

pytestmark = pytest.mark.usefixtures("no_proxy")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    folder = sensevoice(tmp_path / "upstream" / "sherpa-onnx-sense-voice", weight_bytes=200_000)
    (folder / "README.md").write_text("hello")
    return pack(folder, tmp_path / "a.tar.bz2").read_bytes()


def known_at(*origins: Origin, family: str = "sensevoice", **changes: Any) -> Known:
    return replace(Known(name="small", family=family, license=APACHE, origins=origins), **changes)


def at(mirror: Mirror, *files: str, base: str = "") -> Origin:
    return Origin(mirror.url + base, files or ("a.tar.bz2",))


def get(known: Known, models: Path, **options: Any) -> Installed:
    return pull(known, models, sleep=lambda seconds: None, **options)


def leftovers(models: Path) -> list[str]:
    """What lies in the folder besides models and the notes about them."""
    kept = {"lock", "seen.json", "license"}
    return [
        path.relative_to(models).as_posix()
        for path in sorted(models.rglob(".*/**/*"))
        if path.is_file() and path.name not in kept
    ]


def test_model_is_installed_with_its_card(mirror: Mirror, models: Path, archive: bytes) -> None:
    mirror.paths["/a.tar.bz2"] = serving(archive)
    model = get(known_at(at(mirror), languages=("zh", "en")), models)
    assert installed(models) == {"small": model}
    assert {path.name for path in model.folder.iterdir()} == {
        "model.int8.onnx",
        "tokens.txt",
        "README.md",
        "model.toml",
    }
    card = tomllib.loads((model.folder / "model.toml").read_text(encoding="utf-8"))
    assert card["files"] == {"model": "model.int8.onnx", "tokens": "tokens.txt"}
    assert card["languages"] == ["zh", "en"]
    assert card["source"] == f"{mirror.url}/a.tar.bz2"
    assert card["license"] == "Apache-2.0"
    assert card["sha256"].keys() == {"model.int8.onnx", "tokens.txt", "README.md"}
    weights = (model.folder / "model.int8.onnx").read_bytes()
    assert card["sha256"]["model.int8.onnx"] == hashlib.sha256(weights).hexdigest()
    model.check()
    assert leftovers(models) == []


def test_installed_model_is_not_pulled_again(mirror: Mirror, models: Path, archive: bytes) -> None:
    mirror.paths["/a.tar.bz2"] = serving(archive)
    first = get(known_at(at(mirror)), models)
    said: list[str] = []
    assert get(known_at(at(mirror)), models, watch=Watch(said.append)) == first
    assert len(mirror.seen) == 1
    assert "small is installed" in said[0]


def test_next_mirror_is_taken_when_one_fails(mirror: Mirror, models: Path, archive: bytes) -> None:
    mirror.paths["/page/a.tar.bz2"] = lambda handler: answer(handler, 200, {}, b"<html>log in</html>")
    mirror.paths["/cut/a.tar.bz2"] = serving(archive[:-100])
    mirror.paths["/other/a.tar.bz2"] = serving(
        pack(paraformer(models.parent / "p"), models.parent / "p.tar").read_bytes()
    )
    mirror.paths["/broken/a.tar.bz2"] = serving(archive, cuts=[10] * 20, ranges=False)
    mirror.paths["/good/a.tar.bz2"] = serving(archive)
    said: list[str] = []
    places = [at(mirror, base=f"/{name}") for name in ("gone", "page", "cut", "other", "broken", "good")]
    model = get(known_at(*places), models, watch=Watch(said.append))
    assert model.source == f"{mirror.url}/good/a.tar.bz2"
    for why in ("answered 404", "sent a web page", "damaged or cut short", "is a Paraformer model, not", "failed"):
        assert any(why in line for line in said), why
    assert leftovers(models) == []


def test_all_that_was_wrong_is_told_at_the_end(mirror: Mirror, models: Path) -> None:
    mirror.paths["/b/a.tar.bz2"] = lambda handler: answer(handler, 403)
    known = known_at(at(mirror), at(mirror, base="/b"), Origin("http://127.0.0.1:1", ("a.tar.bz2",)))
    with pytest.raises(WeightsError) as caught:
        get(known, models)
    message = str(caught.value)
    assert message.startswith("small could not be pulled: ")
    assert all(
        part in message for part in ("404", "403", "the connection to 127.0.0.1 failed", "--mirror", "models add")
    )
    assert installed(models) == {}


def test_several_files_make_a_model(mirror: Mirror, models: Path, tmp_path: Path) -> None:
    folder = sensevoice(tmp_path / "s")
    for name in ("model.int8.onnx", "tokens.txt"):
        mirror.paths[f"/repo/{name}"] = serving((folder / name).read_bytes())
    known = known_at(at(mirror, "model.int8.onnx", "tokens.txt", base="/repo"))
    model = get(known, models)
    assert model.source == f"{mirror.url}/repo"
    assert leftovers(models) == []


def test_single_graph_makes_a_model(mirror: Mirror, models: Path, tmp_path: Path) -> None:
    mirror.paths["/silero_vad.onnx"] = serving(silero(tmp_path / "v.onnx").read_bytes())
    model = get(known_at(at(mirror, "silero_vad.onnx"), family="silero-vad"), models)
    assert model.files == {"model": "silero_vad.onnx"}


def test_wrong_checksum_installs_nothing_and_the_right_one_does(mirror: Mirror, models: Path, archive: bytes) -> None:
    mirror.paths["/a.tar.bz2"] = serving(archive)
    right, wrong = hashlib.sha256(archive).hexdigest(), "0" * 64
    with pytest.raises(WeightsError, match=f"has the SHA-256 {right}, not {wrong} as it should"):
        get(known_at(at(mirror), sha256={"a.tar.bz2": wrong}), models)
    assert installed(models) == {}
    assert leftovers(models) == []
    assert get(known_at(at(mirror)), models, sha256=right.upper()).family == "sensevoice"


def test_file_that_differs_from_the_first_pull_is_refused_until_it_is_confirmed(
    mirror: Mirror, models: Path, archive: bytes, tmp_path: Path
) -> None:
    mirror.paths["/a.tar.bz2"] = serving(archive)
    get(known_at(at(mirror)), models)
    remove(models, "small")
    other = pack(sensevoice(tmp_path / "b", weight_bytes=5), tmp_path / "b.tar.bz2").read_bytes()
    mirror.paths["/b/a.tar.bz2"] = serving(other)
    new = hashlib.sha256(other).hexdigest()
    with pytest.raises(WeightsError, match=f"when it was first pulled; if the change is meant, .*--sha256 {new}"):
        get(known_at(at(mirror, base="/b")), models)
    get(known_at(at(mirror, base="/b")), models, sha256=new)
    remove(models, "small")
    get(known_at(at(mirror, base="/b")), models)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no archive|no ONNX|no known model"),
        (b"BZh91AY&SY", "damaged or cut short"),
        (b"no archive at all", "no known model lies here"),
    ],
)
def test_what_is_no_model_is_told_and_not_kept(mirror: Mirror, models: Path, body: bytes, why: str) -> None:
    mirror.paths["/a.tar.bz2"] = serving(body)
    with pytest.raises(WeightsError, match=why) as caught:
        get(known_at(at(mirror)), models)
    assert f"{mirror.url}/a.tar.bz2" in str(caught.value)
    assert ".work" not in str(caught.value)
    assert leftovers(models) == []


def test_archive_that_reaches_out_installs_nothing(mirror: Mirror, models: Path, tmp_path: Path) -> None:
    evil = tar_of(tmp_path / "evil", ("m/../../../../evil", b"x")).read_bytes()
    mirror.paths["/a.tar.bz2"] = serving(evil)
    with pytest.raises(WeightsError, match="leads out of it"):
        get(known_at(at(mirror)), models)
    assert not list(tmp_path.rglob("evil/*")) and installed(models) == {}


def test_full_disk_tries_no_other_mirror_and_keeps_the_download(
    mirror: Mirror, models: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.paths["/a.tar.bz2"] = mirror.paths["/b/a.tar.bz2"] = serving(archive)
    known = known_at(at(mirror), at(mirror, base="/b"))

    def full(*args: object, **options: object) -> Path:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(module, "unpack", full)
        with pytest.raises(NoRoomLeftError, match=r"No space left on device.*make room"):
            get(known, models)
    assert installed(models) == {}
    assert not list(models.rglob("draft"))
    assert [path for path, _ in mirror.seen] == ["/a.tar.bz2"]
    get(known, models)
    assert len(mirror.seen) == 1, "the download was whole"


def test_room_is_asked_for_with_the_unpacked_size(mirror: Mirror, models: Path, archive: bytes) -> None:
    mirror.paths["/a.tar.bz2"] = serving(archive)
    with pytest.raises(NoRoomLeftError, match="are to stay free"):
        get(known_at(at(mirror), unpacked_bytes=10**15), models)
    with pytest.raises(NoRoomLeftError, match="are to stay free"):
        get(known_at(at(mirror)), models, reserve_bytes=10**15)


def test_second_process_waits_and_finds_it_installed(mirror: Mirror, models: Path, archive: bytes) -> None:
    gate = threading.Event()
    mirror.paths["/a.tar.bz2"] = serving(archive, cuts=[1000], stall=gate)
    results: list[Installed] = []
    threads = [threading.Thread(target=lambda: results.append(get(known_at(at(mirror)), models)))]
    threads[0].start()
    while not mirror.seen:
        threads[0].join(0.01)
    said: list[str] = []
    threads.append(
        threading.Thread(target=lambda: results.append(get(known_at(at(mirror)), models, watch=Watch(said.append))))
    )
    threads[1].start()
    while not said:
        threads[1].join(0.01)
    assert "another process is at work on it; waiting" in said[0]
    gate.set()
    for thread in threads:
        thread.join(30)
    assert results[0] == results[1]
    assert "small is installed" in said[1]
    assert mirror.ranges("/a.tar.bz2").count("") == 1


def test_interrupted_pull_goes_on(mirror: Mirror, models: Path, archive: bytes) -> None:
    mirror.paths["/a.tar.bz2"] = serving(archive)

    def press_ctrl_c(what: str, done: int, total: int | None) -> None:
        if what == "a.tar.bz2" and done >= 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(known_at(at(mirror)), models, watch=Watch(moved=press_ctrl_c))
    assert installed(models) == {}
    get(known_at(at(mirror)), models)
    begin = int(re.fullmatch(r"bytes=(\d+)-", mirror.ranges("/a.tar.bz2")[1])[1])  # type: ignore[index]
    assert begin >= 100_000


@pytest.mark.parametrize("what", ["unpacking a.tar.bz2", "checking small"])
def test_interrupted_install_is_cleared_and_needs_no_second_download(
    mirror: Mirror, models: Path, archive: bytes, what: str
) -> None:
    mirror.paths["/a.tar.bz2"] = serving(archive)

    def press_ctrl_c(now: str, done: int, total: int | None) -> None:
        if now == what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(known_at(at(mirror)), models, watch=Watch(moved=press_ctrl_c))
    assert installed(models) == {} and not list(models.rglob("draft"))
    get(known_at(at(mirror)), models)
    assert len(mirror.seen) == 1


def test_folder_in_the_way_is_left_alone(mirror: Mirror, models: Path) -> None:
    (models / "small").mkdir(parents=True)
    (models / "small" / "precious").write_text("x")
    with pytest.raises(WeightsError, match=r"is in the way.*models add"):
        get(known_at(at(mirror)), models)
    assert (models / "small" / "precious").exists()
    assert mirror.seen == []


def test_leftovers_of_killed_processes_are_swept(mirror: Mirror, models: Path, archive: bytes) -> None:
    mirror.paths["/a.tar.bz2"] = serving(archive)
    model = get(known_at(at(mirror)), models)
    work = models / ".work" / "small"
    for name in ("draft", "trash"):
        (work / name / "sub").mkdir(parents=True)
        (work / name / "model.toml").write_bytes((model.folder / "model.toml").read_bytes())
    ended = subprocess.Popen(["true"])
    ended.wait()
    (work / f".license.{ended.pid}").write_text("half of a na")
    (work / f".license.{os.getpid()}").write_text("of one that still writes")
    assert installed(models).keys() == {"small"}
    Shelf(models).sweep()
    (work / f".license.{os.getpid()}").unlink()
    assert {path.name for path in work.iterdir()} == {"lock", "seen.json"}
    # Killed between the two renames of a replacement: the old model comes back.
    model.folder.rename(work / "old")
    Shelf(models).sweep()
    assert find(models, "small").digest == model.digest
    # What another process is at work on is left alone.
    with Shelf(models).claimed("small") as claim:
        claim.draft()
        Shelf(models).sweep()
        assert (work / "draft").is_dir()


def test_removal_takes_models_only(mirror: Mirror, models: Path, archive: bytes) -> None:
    mirror.paths["/a.tar.bz2"] = serving(archive)
    get(known_at(at(mirror)), models)
    (models / "other").mkdir()
    with pytest.raises(WeightsError, match=r"left alone: it has no model.toml"):
        remove(models, "other")
    with pytest.raises(WeightsError, match="small2 is not installed"):
        remove(models, "small2")
    with pytest.raises(WeightsError, match="cannot be the name of a model"):
        remove(models, "../small")
    remove(models, "small")
    assert installed(models) == {} and not (models / "small").exists()


def test_folder_that_cannot_be_written_is_told(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match=r"small cannot be changed: .*file.*Not a directory"):
        get(known_at(at(mirror)), tmp_path / "file" / "models")


@pytest.mark.parametrize(
    ("name", "folder", "family"),
    [
        ("pyannote-segmentation", "segmentation-small", "pyannote-segmentation"),
        ("ced-tiny", "ced-tagging-small", "ced-tagging"),
    ],
)
def test_archives_of_models_that_read_no_speech_are_pulled(
    name: str, folder: str, family: str, mirror: Mirror, models: Path, tmp_path: Path
) -> None:
    file = KNOWN[name].origins[0].files[0]
    body = pack(TRAINED / folder, tmp_path / file, top=file.removesuffix(".tar.bz2")).read_bytes()
    mirror.paths[f"/{file}"] = serving(body)
    model = get(replace(KNOWN[name], origins=(at(mirror, file),)), models)
    assert (model.name, model.family) == (name, family)
    found = find_task(models, FAMILIES[family].task)
    assert found and found.name == name
    found.check()
