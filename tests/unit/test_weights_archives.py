"""Archives are unpacked whole or refused; no name in one of them leads out of the folder."""

import io
import os
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from weight_files import link, pack, tar_of

from dashscribe.errors import WeightsError
from dashscribe.weights import archives as module
from dashscribe.weights import room as room_module
from dashscribe.weights.archives import kind, unpack
from dashscribe.weights.room import NoRoomLeftError, Room

NOISE = random.Random(3).randbytes(300_000)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def opened(out: Path) -> Callable[[Path], Path]:
    return lambda path: unpack(path, out, room=Room(out, 0))


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def a_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "some-model"
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(NOISE)
    (folder / "tokenizer" / "分词.json").write_text("{}")
    (folder / "empty").write_bytes(b"")
    return folder


@pytest.mark.parametrize("suffix", ["tar", "tar.bz2", "tar.gz", "tar.xz"])
def test_tar_is_unpacked_without_its_top_folder(tmp_path: Path, opened: Callable[[Path], Path], suffix: str) -> None:
    folder = a_folder(tmp_path)
    archive = pack(folder, tmp_path / f"a.{suffix}")
    assert kind(archive) == suffix
    assert content(opened(archive)) == content(folder)


def test_zip_is_unpacked_without_what_macos_adds(tmp_path: Path, opened: Callable[[Path], Path]) -> None:
    folder = a_folder(tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/top/._model.onnx", b"x")
        archive.writestr("top/.DS_Store", b"x")
        archive.mkdir("top/tokenizer")
        for name, data in content(folder).items():
            archive.writestr(f"top/{name}", data)
    root = opened(tmp_path / "a.zip")
    assert root.name == "top"
    assert content(root) == content(folder)


def test_files_without_a_top_folder_stay_where_they_are(tmp_path: Path, opened: Callable[[Path], Path]) -> None:
    root = opened(tar_of(tmp_path / "a.tar.bz2", ("./a", b"1"), ("./b/c", b"2")))
    assert content(root) == {"a": b"1", "b/c": b"2"}


def test_progress_counts_the_bytes_of_the_archive(tmp_path: Path, out: Path) -> None:
    archive = pack(a_folder(tmp_path), tmp_path / "a.tar.gz")
    seen: list[tuple[int, int | None]] = []
    unpack(archive, out, room=Room(out, 0), on_bytes=lambda done, total: seen.append((done, total)))
    assert 0 < seen[-1][0] <= archive.stat().st_size == seen[-1][1]


@pytest.mark.parametrize("mode", ["w", "w:bz2"])
@pytest.mark.parametrize(
    ("member", "why"),
    [
        (("../evil", b"x"), "leads out"),
        (("a/../../evil", b"x"), "leads out"),
        (("/tmp/evil", b"x"), "leads out"),
        (("a\\..\\evil", b"x"), "leads out"),
        (("a\nb", b"x"), "no proper text"),
        ((os.fsdecode(b"\xff\xfe"), b"x"), "no proper text"),
        (link("out", "/etc/passwd"), "leads out"),
        (link("a/out", "../../etc/passwd"), "leads out"),
        (link("out", "missing"), "which is no file in it"),
        (link("out", "../x", tarfile.LNKTYPE), "leads out"),
        (link("device", "", tarfile.CHRTYPE), "device or pipe"),
        (link("pipe", "", tarfile.FIFOTYPE), "device or pipe"),
    ],
)
def test_archive_that_reaches_out_is_refused(
    tmp_path: Path,
    out: Path,
    opened: Callable[[Path], Path],
    member: tarfile.TarInfo | tuple[str, bytes],
    why: str,
    mode: str,
) -> None:
    archive = tar_of(tmp_path / "a", ("model/good", b"1"), member, mode=mode)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(WeightsError, match=why) as caught:
        opened(archive)
    assert str(archive) in str(caught.value)
    assert {path for path in set(tmp_path.rglob("*")) - before if out not in path.parents} == set()


def test_zip_that_reaches_out_is_refused(tmp_path: Path, opened: Callable[[Path], Path]) -> None:
    for number, name in enumerate(("../evil", "/evil", "a/../../evil", "c:\\evil")):
        path = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"x")
        with pytest.raises(WeightsError, match="leads out"):
            opened(path)
    info = zipfile.ZipInfo("out")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(WeightsError, match="leads out"):
        opened(tmp_path / "link.zip")


def test_no_file_is_written_through_a_link(tmp_path: Path, opened: Callable[[Path], Path]) -> None:
    archive = tar_of(tmp_path / "a.tar", link("m/dir", "sub"), ("m/sub/f", b"1"), ("m/dir/evil", b"x"), mode="w")
    with pytest.raises(WeightsError):
        opened(archive)


def test_links_inside_lead_to_their_files(tmp_path: Path, opened: Callable[[Path], Path]) -> None:
    archive = tar_of(
        tmp_path / "a.tar.gz",
        link("m/latest.onnx", "v1/model.onnx"),
        ("m/v1/model.onnx", b"weights"),
        link("m/v1/up.onnx", "../v1/model.onnx"),
        link("m/hard.onnx", "m/v1/model.onnx", tarfile.LNKTYPE),
        mode="w:gz",
    )
    root = opened(archive)
    moved = root.rename(tmp_path / "elsewhere")
    assert set(content(moved).values()) == {b"weights"}
    assert len(content(moved)) == 4


def test_same_name_twice_is_refused(tmp_path: Path, opened: Callable[[Path], Path]) -> None:
    with pytest.raises(WeightsError, match="holds a twice"):
        opened(tar_of(tmp_path / "a.tar", ("a", b"1"), ("./a", b"2"), mode="w"))


def test_bombs_are_refused(
    tmp_path: Path, out: Path, opened: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SMALL_BYTES", 1_000_000)
    bomb = tar_of(tmp_path / "bomb.tar.bz2", ("zeros", bytes(20_000_000)))
    with pytest.raises(WeightsError, match=r"would unpack to more than 1\.0 MB"):
        opened(bomb)
    hidden = tar_of(tmp_path / "hidden.tar.bz2", (".zeros", bytes(20_000_000)))
    with pytest.raises(WeightsError, match="would unpack to more than"):
        opened(hidden)
    assert content(out) == {}
    monkeypatch.setattr(module, "MAX_FILES", 10)
    with pytest.raises(WeightsError, match="more than 10 files"):
        opened(tar_of(tmp_path / "many.tar", *((f"f{n}", b"") for n in range(11)), mode="w"))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(20_000_000))
    with pytest.raises(WeightsError, match="would unpack to more than"):
        opened(tmp_path / "bomb.zip")


def test_header_that_asks_for_gigabytes_is_refused(tmp_path: Path, opened: Callable[[Path], Path]) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 8 * 1024**3
    (tmp_path / "a.tar").write_bytes(info.tobuf() + bytes(10_240))
    with pytest.raises(WeightsError, match="damaged or cut short"):
        opened(tmp_path / "a.tar")


def test_zip_that_lies_about_sizes_is_refused(tmp_path: Path, opened: Callable[[Path], Path]) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/model", NOISE)
    data = path.read_bytes()
    path.write_bytes(data.replace(len(NOISE).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    with pytest.raises(WeightsError):
        opened(path)


def test_full_disk_is_told(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "LOOK_BYTES", 1000)
    with pytest.raises(NoRoomLeftError, match="DASHSCRIBE_DISK_RESERVE_BYTES"):
        unpack(pack(a_folder(tmp_path), tmp_path / "a.tar"), out, room=Room(out, 10**15))


@pytest.mark.parametrize("name", ["a.tar", "a.tar.bz2", "a.tar.gz", "a.tar.xz", "a.zip"])
def test_archive_that_is_cut_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(NOISE[:3000])
    (folder / "tokens.txt").write_text("a 0\n")
    whole = tmp_path / name
    if name == "a.zip":
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in folder.iterdir():
                archive.write(path, f"m/{path.name}")
    else:
        pack(folder, whole)
    data = whole.read_bytes()
    # What follows the two empty blocks that end a plain tar is padding.
    end = len(data.rstrip(b"\0")) + 512 if name == "a.tar" else len(data) - 1
    for length in {*range(0, end, 97), end}:
        whole.write_bytes(data[:length])
        out = tmp_path / f"out{length}"
        out.mkdir()
        with pytest.raises(WeightsError):
            unpack(whole, out, room=Room(out, 0))


@settings(max_examples=150)
@given(
    name=st.sampled_from(["a.tar", "a.tar.bz2", "a.tar.gz", "a.tar.xz"]),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=5),
)
def test_damaged_archive_is_unpacked_or_one_kind_of_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    archive = tar_of(
        folder / name, ("m/a", b"1" * 2000), link("m/b", "a"), mode=f"w:{name.partition('.tar')[2].strip('.')}"
    )
    data = bytearray(archive.read_bytes())
    for at, value in changes:
        data[at % len(data)] = value
    archive.write_bytes(data)
    (folder / "out").mkdir()
    try:
        unpack(archive, folder / "out", room=Room(folder, 0))
    except WeightsError as error:
        assert str(archive) in str(error)
    assert {path.name for path in folder.iterdir()} == {name, "out"}


def test_other_things_are_no_archives(tmp_path: Path, opened: Callable[[Path], Path]) -> None:
    for data in (b"", b"<html>", b"BZ", NOISE[:1000], bytes(10_240)):
        path = tmp_path / "a.tar.bz2"
        path.write_bytes(data)
        with pytest.raises(WeightsError, match=r"no archive; known are \.tar\.bz2"):
            opened(path)
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w"):
        pass
    path.write_bytes(empty.getvalue())
    with pytest.raises(WeightsError, match="the archive is empty"):
        opened(path)


def test_encrypted_zip_is_told(tmp_path: Path, opened: Callable[[Path], Path]) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m", b"x")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="encrypted; unpack it and add the folder"):
        opened(path)
