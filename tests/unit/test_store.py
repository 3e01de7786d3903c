import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dashscribe.config import Settings
from dashscribe.errors import ConfigError
from dashscribe.store import MAX_KEY_CHARS, Drafts, Store, open_store

HOSTILE = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "../outside",
    "a/../../outside",
    "a/./b",
    "a//b",
    "a/",
    ".hidden",
    ".drafts/x",
    "a\\b",
    "a\x00b",
    "a b",
    "a\nb",
    "ä/b",
    "٣",
    "a*",
    "~root/x",
    "a%2e%2e/b",
    "C:/x",
    "x" * 101,
    "/".join(["x" * 50] * 20),
]


@pytest.fixture
def folder(tmp_path: Path) -> Store:
    return open_store(Settings(home=tmp_path / "home", store_url=(tmp_path / "a store").as_uri()))


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each kind of store."""
    if request.param == "folder":
        return request.getfixturevalue("folder")
    url = f"{request.getfixturevalue('bucket')}/pre-fix/of_2.parts"
    return open_store(Settings(home=tmp_path / "home", store_url=url))


def test_what_is_put_is_read(store: Store) -> None:
    stored = store.put("tasks/1/a.json", b"{}")
    assert (stored.size_bytes, stored.sha256) == (2, hashlib.sha256(b"{}").hexdigest())
    assert store.read("tasks/1/a.json") == b"{}"
    assert store.size("tasks/1/a.json") == 2
    with store.path("tasks/1/a.json") as path:
        assert path.read_bytes() == b"{}"


def test_missing_blob_is_told_apart_from_an_empty_one(store: Store) -> None:
    store.put("empty", b"")
    assert store.size("empty") == 0
    assert store.exists("empty")
    assert store.size("none") is None
    assert store.size("empty/below-a-blob") is None
    with pytest.raises(FileNotFoundError):
        store.read("none")
    with pytest.raises(FileNotFoundError), store.path("none"):
        pass


def test_file_is_put_and_outlives_its_origin(store: Store, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    origin.write_bytes(b"sound" * 1000)
    stored = store.put("s", origin)
    origin.unlink()
    assert stored.sha256 == hashlib.sha256(b"sound" * 1000).hexdigest()
    assert store.read("s") == b"sound" * 1000


def test_file_from_another_file_system_is_copied(
    folder: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError("cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    origin = tmp_path / "origin"
    origin.write_bytes(b"sound")
    assert folder.put("s", origin).size_bytes == 5
    assert folder.read("s") == b"sound"
    assert origin.exists()


def test_replacing_shows_the_old_blob_or_the_new_one_and_nothing_between(store: Store) -> None:
    blobs = [bytes([n]) * 200_000 for n in range(2)]
    store.put("k", blobs[0])
    stop = threading.Event()
    seen: set[bytes] = set()

    def watch() -> None:
        while not stop.is_set():
            seen.add(store.read("k"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for n in range(20):
        store.put("k", blobs[n % 2])
    stop.set()
    watcher.join()
    assert seen <= set(blobs)


def test_blob_is_on_disk_before_it_gets_its_name(folder: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("fsync"), sync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda self, target: (events.append("name"), replace(self, target))[1])
    folder.put("a", b"1")
    events.clear()
    folder.put("a", b"2")
    assert events == ["fsync", "name", "fsync"]  # the data, the name, the folder that holds the name


def test_failed_put_leaves_nothing(folder: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.put("a", b"old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        folder.put("a", b"new")
    assert folder.read("a") == b"old"
    files = [path for path in (tmp_path / "a store").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert [path.name for path in files] == ["a"]


def test_hostile_keys_are_refused_by_every_method(store: Store, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    acts = (
        store.read,
        store.size,
        store.exists,
        store.delete,
        store.delete_prefix,
        lambda key: store.put(key, b"x"),
        lambda key: list(store.chunks(key)),
        lambda key: store.path(key).__enter__(),
    )
    for key in HOSTILE:
        for act in acts:
            with pytest.raises(ValueError, match="no store key"):
                act(key)
    assert (tmp_path / "outside").read_bytes() == b"secret"


def test_longest_key_is_taken(store: Store) -> None:
    key = "/".join(["x" * 99] * 5)
    assert len(key) <= MAX_KEY_CHARS
    store.put(key, b"x")
    assert store.read(key) == b"x"


def test_delete_prefix_takes_whole_parts_only(store: Store) -> None:
    for key in ("tasks/1/a", "tasks/1/b/c", "tasks/10/a"):
        store.put(key, b"x")
    store.delete_prefix("tasks/1")
    store.delete_prefix("tasks/none")
    store.delete("tasks/none")
    assert [store.exists(key) for key in ("tasks/1/a", "tasks/1/b/c", "tasks/10/a")] == [False, False, True]


def test_drafts_of_a_process_that_was_killed_are_cleaned_and_those_of_a_living_one_are_not(tmp_path: Path) -> None:
    folder = tmp_path / ".drafts"
    program = (
        "import os, sys; from pathlib import Path; from dashscribe.store import Drafts\n"
        "with Drafts(Path(sys.argv[1])).draft() as path:\n"
        "    path.write_bytes(b'half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(folder)], check=False)
    assert len(list(folder.rglob("*"))) == 3  # its lock, its folder, its draft
    living = Drafts(folder)
    with living.draft() as draft:
        draft.write_bytes(b"half")
        Drafts(folder).clean()
        assert draft.exists()
    assert not any(path.is_file() and path.suffix != ".lock" for path in folder.rglob("*"))
    assert len(list(folder.iterdir())) == 2


NO_STORES = """relative/path file://elsewhere/path file:relative gs://bucket/x s3:// s3:///x s3://b s3://a\u00e4b/c
s3://bucket/a//b s3://bucket/../x s3://bucket/x?y=1 s3://bucket:9000/x file:///a?b file:///a#b"""


@pytest.mark.parametrize("url", NO_STORES.split())
def test_url_that_is_no_store_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="store_url"):
        open_store(Settings(home=tmp_path, store_url=url))


def test_password_in_a_url_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="AWS_") as caught:
        open_store(Settings(home=tmp_path, store_url="s3://name:hush@bucket/x"))
    assert "hush" not in str(caught.value)


def test_free_space_is_known_before_the_folder_exists(folder: Store) -> None:
    assert folder.free_bytes() > 0
