"""The backup is whole while others write, or there is none; what the page says restores it."""

import errno
import importlib.util
import os
import re
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import durable
import pytest
import yaml
from test_deploy import COMPOSE, DEPLOY, DOCKERFILE, KUBERNETES, PAGE, stateful_set
from test_deploy_scale import SERVICES

from dashscribe.store.folder import Folder


@pytest.fixture
def backup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("deploy_backup", DEPLOY / "backup.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Home:
    """A home whose rows name stored files, changed by the server's rule: file, row; then row, file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.store = Folder(f"file://{path / 'store'}")
        self.database = sqlite3.connect(path / "dashscribe.db", isolation_level=None, check_same_thread=False)
        for statement in ("PRAGMA journal_mode=WAL", "CREATE TABLE blobs (key TEXT PRIMARY KEY, text TEXT)"):
            self.database.execute(statement)

    def add(self, number: int, text: str = "kept") -> None:
        self.store.put(f"blobs/{number}", text.encode())
        self.database.execute("INSERT INTO blobs VALUES (?, ?)", (f"blobs/{number}", text))

    def remove(self, number: int) -> None:
        self.database.execute("DELETE FROM blobs WHERE key = ?", (f"blobs/{number}",))
        self.store.delete(f"blobs/{number}")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "home")
    with closing(home.database):
        yield home


def kept(folder: Path) -> dict[str, str]:
    with closing(sqlite3.connect(folder / "dashscribe.db")) as database:
        return dict(database.execute("SELECT key, text FROM blobs"))


def test_rows_of_a_backup_name_files_that_are_there_while_others_write(
    home: Home, backup: ModuleType, tmp_path: Path
) -> None:
    stop, written = threading.Event(), 0

    def write() -> None:
        nonlocal written
        while not stop.is_set():
            home.add(written, f"text {written}")
            if written >= 3:
                home.remove(written - 3)
            written += 1

    home.add(-1, "old")
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for turn in range(20):
            while written <= turn and writer.is_alive():
                time.sleep(0.005)
            assert backup.main([str(home.path), str(tmp_path / f"backup-{turn}")]) == 0
    finally:
        stop.set()
        writer.join()
    seen = set[str]()
    for turn in range(20):
        folder = tmp_path / f"backup-{turn}"
        rows = kept(folder)
        assert {key: (folder / "store" / key).read_text() for key in rows} == rows
        assert rows["blobs/-1"] == "old"
        seen |= rows.keys()
    assert len(seen) > 4  # it was written meanwhile


def test_backup_keeps_what_is_replaced_or_added_to_later(home: Home, backup: ModuleType, tmp_path: Path) -> None:
    home.add(1, "before")
    (home.path / "uploads").mkdir()
    (home.path / "uploads" / "begun").write_bytes(b"half")
    (home.path / "uploads" / "gone").symlink_to("nowhere")  # as one that is finished between listing and copying
    (home.path / "store" / ".drafts" / "draft").write_bytes(b"not finished")
    assert backup.main([str(home.path), str(tmp_path / "copy")]) == 0
    home.store.put("blobs/1", b"after")
    with (home.path / "uploads" / "begun").open("ab") as file:
        file.write(b" and half")
    assert (tmp_path / "copy" / "store" / "blobs" / "1").read_text() == "before"
    assert (tmp_path / "copy" / "uploads" / "begun").read_bytes() == b"half"
    assert not (tmp_path / "copy" / "store" / ".drafts").exists()


def test_no_backup_is_better_than_half_of_one(
    home: Home, backup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home.add(1)
    copy = tmp_path / "copy"

    def other_file_system(*about: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    with monkeypatch.context() as patched:
        patched.setattr(backup.os, "link", other_file_system)
        assert backup.main([str(home.path), str(copy)]) == 1
    assert "cross-device" in capsys.readouterr().err
    assert not copy.exists()
    assert backup.main([str(tmp_path / "no-home"), str(copy)]) == 1
    assert not copy.exists()
    assert not (tmp_path / "no-home").exists()
    capsys.readouterr()
    assert backup.main([str(tmp_path / "no-home"), str(copy)]) == 1
    assert "name the SQLite file with --database" in capsys.readouterr().err
    copy.mkdir()
    assert backup.main([str(home.path), str(copy)]) == 1
    assert (
        capsys.readouterr().err
        == f"backup: {copy} is there already: remove it once it is copied elsewhere, or name another folder\n"
    )
    assert not any(copy.iterdir())
    home.add(2)  # the lock is free again


def test_backup_ends_where_a_folder_cannot_be_read(
    home: Home, backup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home.add(1)
    (home.path / "store" / "vanishes").mkdir()
    scan = os.scandir

    def scandir(path: Any) -> Any:
        name = "" if isinstance(path, int) else Path(path).name  # a number: of what is removed again
        if name == "vanishes":
            Path(path).rmdir()
        if closed and name == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    closed = ""
    assert backup.main([str(home.path), str(tmp_path / "whole")]) == 0
    assert (tmp_path / "whole" / "store" / "blobs" / "1").read_text() == "kept"
    closed = "blobs"
    assert backup.main([str(home.path), str(tmp_path / "copy")]) == 1
    assert "Permission denied" in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()


def test_backup_interrupted_leaves_nothing(
    home: Home, backup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*about: object) -> None:
        raise KeyboardInterrupt

    home.add(1)
    monkeypatch.setattr(backup.os, "link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        backup.main([str(home.path), str(tmp_path / "copy")])
    assert not (tmp_path / "copy").exists()


class Installed:
    """A home of the program's own with a task that is done, and a store that is not in it."""

    def __init__(self, tmp_path: Path) -> None:
        self.path, self.store = tmp_path / "home", tmp_path / "elsewhere"
        self.home = durable.Home(self.path, {"http://a/": durable.speech(1)}, store_url=self.store.as_uri())

    def transcribe(self) -> str:
        """The key of a result."""
        return str(durable.only(durable.run(self.home, "http://a/")).result_key)


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installed]:
    yield Installed(tmp_path)
    durable.close_homes()


def test_files_that_lie_elsewhere_are_told_of(
    installed: Installed, backup: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, copy = str(installed.path), tmp_path / "copy"
    assert backup.main([home, str(tmp_path / "fresh")]) == 0  # no store yet, and no row that names a file
    assert "dashscribe.db and 0 stored files" in capsys.readouterr().out
    result = installed.transcribe()
    assert backup.main([home, str(copy)]) == 1
    said = capsys.readouterr().err
    assert f"{installed.path / 'store'} holds none of the files that rows name, such as tasks/" in said
    assert "--store" in said
    assert "--no-store" in said
    assert not copy.exists()
    (installed.path / "store" / "tasks").mkdir(parents=True)  # of earlier times
    assert backup.main([home, str(copy)]) == 1
    assert backup.main([home, str(copy), "--store", str(installed.store)]) == 0
    assert (copy / "store" / result).is_file()


def test_bucket_is_left_out_if_so_told(
    installed: Installed, backup: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed.transcribe()
    copy = tmp_path / "copy"
    assert backup.main([str(installed.path), str(copy), "--no-store"]) == 0
    assert capsys.readouterr().out == f"{copy}: dashscribe.db and no stored files\n"
    assert [path.name for path in copy.iterdir()] == ["dashscribe.db"]


def test_uploads_alone_are_missed_too_but_not_what_was_deleted(
    installed: Installed, backup: ModuleType, tmp_path: Path
) -> None:
    sound = tmp_path / "a.wav"
    sound.write_bytes(b"sound")
    upload = installed.home.uploads.keep("default", "a.wav", sound)
    assert backup.main([str(installed.path), str(tmp_path / "copy")]) == 1
    assert backup.main([str(installed.path), str(tmp_path / "whole"), "--store", str(installed.store)]) == 0
    assert installed.home.uploads.remove("default", upload.key)
    installed.transcribe()
    with closing(sqlite3.connect(installed.path / "dashscribe.db")) as database, database:
        database.execute("UPDATE files SET hidden = 1")  # its blobs may be gone already
    assert backup.main([str(installed.path), str(tmp_path / "copy")]) == 0


def test_configuration_comes_along(
    home: Home, backup: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home.path / "config.toml").write_text("workers = 2\n")
    (home.path / "config.toml").chmod(0o600)
    assert backup.main([str(home.path), str(tmp_path / "copy")]) == 0
    assert (tmp_path / "copy" / "config.toml").read_text() == "workers = 2\n"
    assert (tmp_path / "copy" / "config.toml").stat().st_mode & 0o777 == 0o600
    assert "dashscribe.db, config.toml and 0 stored files" in capsys.readouterr().out


# -- what the page says ---------------------------------------------------------------------------------------------


def shell_blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def block_with(text: str) -> str:
    (found,) = [block for block in shell_blocks() if text in block]
    return found


def test_backup_of_the_page_is_restored_by_the_page_into_a_volume(
    home: Home, backup: ModuleType, tmp_path: Path
) -> None:
    """The shell's part of both recipes for containers, with folders in the place of volumes."""
    scripts = [re.findall(r"\bsh .*-euc '\n(.*?)\n' < (\S+)", block, re.DOTALL) for block in shell_blocks()]
    (script, archive), other = [one for found in scripts for one in found]
    assert (script, archive) == other
    taken = [re.findall(r"tar (-C \S+ -czf - backup-today)(?: >|\n| &&)", block) for block in shell_blocks()]
    assert len({one for found in taken for one in found}) == 1
    home.add(1, "then")
    (home.path / "config.toml").write_text("workers = 2\n")
    assert backup.main([str(home.path), str(home.path / "backup-today")]) == 0
    packed = subprocess.run(["tar", "-C", home.path, "-czf", "-", "backup-today"], capture_output=True, check=True)
    shutil.rmtree(home.path / "backup-today")
    home.remove(1)
    home.database.close()
    (home.path / "lost+found").mkdir()
    there = script.replace("/var/lib/dashscribe", str(home.path))
    subprocess.run(["sh", "-euc", there], input=packed.stdout, check=True, timeout=60)
    assert kept(home.path) == {"blobs/1": "then"}
    assert (home.path / "store" / "blobs" / "1").read_text() == "then"
    assert (home.path / "config.toml").read_text() == "workers = 2\n"
    assert kept(home.path / "before-restore") == {}
    assert {path.name for path in home.path.iterdir()} == {
        "before-restore", "config.toml", "dashscribe.db", "lost+found", "store",
    }  # fmt: skip
    again = subprocess.run(["sh", "-euc", there], input=packed.stdout, capture_output=True, timeout=60, check=False)
    assert again.returncode != 0  # what was there before is not lost by a second try
    assert kept(home.path / "before-restore") == {}


def test_pod_that_restores_reaches_the_claim_as_the_server_does() -> None:
    pod = yaml.safe_load((KUBERNETES / "restore.yaml").read_text(encoding="utf-8"))
    server = stateful_set()["template"]["spec"]
    (container,), (like,) = pod["spec"]["containers"], server["containers"]
    assert pod["spec"]["securityContext"] == server["securityContext"]
    assert container["securityContext"] == like["securityContext"]
    assert pod["spec"]["automountServiceAccountToken"] is server["automountServiceAccountToken"] is False
    assert not pod["metadata"].get("labels")  # no Service and no policy takes it for a server
    rules = yaml.safe_load((KUBERNETES / "base" / "kustomization.yaml").read_text(encoding="utf-8"))
    (image,) = rules["images"]
    assert container["image"] == f"{image['newName']}:{image['newTag']}"
    assert pod["metadata"]["namespace"] == rules["namespace"]
    (mount,), (volume,) = container["volumeMounts"], pod["spec"]["volumes"]
    assert mount in like["volumeMounts"]
    assert volume["persistentVolumeClaim"]["claimName"] == f"{mount['name']}-dashscribe-0"
    name = pod["metadata"]["name"]
    assert f"condition=Ready pod/{name} " in block_with("kubectl apply -f deploy/kubernetes/restore.yaml")


def test_database_and_bucket_of_compose_are_asked_by_their_names() -> None:
    postgres, bucket, settings = SERVICES["postgres"], SERVICES["bucket"], SERVICES["worker"]["environment"]
    assert bucket["profiles"]  # it starts only when it is asked for
    assert bucket["environment"]["RCLONE_S3_ENDPOINT"] == settings["AWS_ENDPOINT_URL"]
    assert bucket["environment"]["RCLONE_S3_REGION"] == settings["AWS_REGION"]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert bucket["environment"][name] == settings[name]
    assert bucket["networks"] == SERVICES["store"]["networks"]
    user, database = postgres["environment"]["POSTGRES_USER"], postgres["environment"]["POSTGRES_DB"]
    out, back = block_with(" postgres pg_dump "), block_with(" postgres pg_restore ")
    assert f"pg_dump -U {user} -Fc {database} " in out
    assert f"pg_restore -U {user} --no-owner --exit-on-error -d {database} " in back
    where = settings["DASHSCRIBE_STORE_URL"].replace("s3://", ":s3:")
    assert f" bucket sync {where} /backup\n" in out
    assert f" bucket sync /backup {where}\n" in back
    uid, gid = bucket["user"].split(":")
    assert f"install -d -m 0700 -o {uid} -g {gid} " in out
    assert f"USER {bucket['user']}\n" in DOCKERFILE
    services = set(re.findall(r"stop ([a-z ]+)\n", back)[0].split())
    assert services == {
        name for name, service in SERVICES.items() if name == "proxy" or "models:/models" in service.get("volumes", [])
    }


def test_backups_are_removed_only_once_they_are_elsewhere() -> None:
    for block in shell_blocks():
        lines = block.splitlines()
        for at, line in enumerate(lines):
            if re.search(r"\brm -r \S*backup-today", line):
                before = [re.sub(r"\s+#.*", "", one) for one in lines[:at]]
                assert all(one.endswith("&&") for one in before), block
    assert (DEPLOY / "backup.py").stat().st_mode & 0o111
    assert any(volume.startswith("home:") for volume in COMPOSE["volumes"])
