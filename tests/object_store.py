"""A real object store for tests: OpenStack Swift with its S3 interface, from Debian, over the network of this machine.

``bucket`` gives a test an ``s3://`` URL of its own and the environment to reach it. One server serves all tests that
run at once: whoever needs it first starts it, and it ends with the last process that used it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from plain_http import loopback
from ports import free_port

SYSTEM_PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).with_name("swift_server.py")
PACKAGES = "swift-proxy swift-account swift-container swift-object python3-swift"
ACCESS_KEY, SECRET_KEY, REGION = "test:tester", "testing", "us-east-1"


@dataclass(frozen=True)
class ObjectStore:
    """Where it is, and what to sign with."""

    endpoint: str

    def environment(self, endpoint: str = "") -> dict[str, str]:
        """The variables of a process that uses it, perhaps through a proxy."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
        }

    def keys(self, url: str) -> list[str]:
        """What lies under an ``s3://`` URL."""
        import obstore

        name, _, prefix = url.removeprefix("s3://").partition("/")
        pages = obstore.list(self._open(name, prefix))
        return sorted(meta["path"].removeprefix(f"{prefix}/") for page in pages for meta in page)

    def read(self, url: str) -> bytes:
        """The one blob under an ``s3://`` URL."""
        import obstore

        (key,) = self.keys(url)
        name, _, prefix = url.removeprefix("s3://").partition("/")
        return bytes(obstore.get(self._open(name, prefix), key).bytes())

    def blob(self, url: str, key: str) -> bytes:
        """One blob under an ``s3://`` URL; raises FileNotFoundError."""
        import obstore

        name, _, prefix = url.removeprefix("s3://").partition("/")
        return bytes(obstore.get(self._open(name, prefix), key).bytes())

    def make_bucket(self) -> str:
        """An empty bucket that nobody else has; its name."""
        import obstore

        name = f"tests-{uuid.uuid4().hex}"
        url = obstore.sign(self._open(name), "PUT", "", timedelta(seconds=60))
        httpx.put(url, timeout=60).raise_for_status()
        return name

    def _open(self, name: str, prefix: str | None = None) -> Any:
        from obstore.store import S3Store

        return S3Store(
            name, prefix=prefix, region=REGION, endpoint=self.endpoint, access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY, client_options={"allow_http": True},
        )  # fmt: skip


def missing() -> str:
    """Why there is no server, empty if there is one."""
    if not Path(SYSTEM_PYTHON).exists():
        return f"no {SYSTEM_PYTHON}"
    look = "import importlib.util as u, sys; sys.exit(not (u.find_spec('swift') and u.find_spec('eventlet')))"
    if subprocess.run([SYSTEM_PYTHON, "-c", look], check=False).returncode:
        return f"Swift is not installed (Debian: apt-get install {PACKAGES})"
    with tempfile.NamedTemporaryFile() as file:
        try:
            os.setxattr(file.name, "user.swift", b"x")  # where Swift keeps what it knows of an object
        except OSError:
            return f"the file system of {tempfile.gettempdir()} keeps no extended attributes"
    return ""


@contextmanager
def running(folder: Path | None = None, port: int = 0) -> Iterator[ObjectStore]:
    """A server of one's own, to be killed and restarted on the same folder and port if a test wants that."""
    with tempfile.TemporaryDirectory(prefix="swift-") as made:
        process = start(folder or Path(made), port := port or free_port())
        try:
            yield ObjectStore(f"http://127.0.0.1:{port}")
        finally:
            stop(process)


def start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start the server and wait until it answers. It ends when its standard input is closed, or is killed."""
    with (folder / "log").open("ab") as log:
        command = [SYSTEM_PYTHON, str(SERVER), str(folder), str(port)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env={"PATH": os.defpath})
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        with suppress(httpx.TransportError):
            loopback.get(f"http://127.0.0.1:{port}/", timeout=10)
            return process
        time.sleep(0.05)
    stop(process)
    raise AssertionError(f"the object store did not start:\n{(folder / 'log').read_text()[-2000:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server at once: nothing of it is needed any more."""
    process.kill()
    process.wait()
    if process.stdin:
        process.stdin.close()


@contextmanager
def shared(folder: Path) -> Iterator[ObjectStore]:
    """The one server of all processes that name the same folder.

    Each of them holds a lock on ``users``; the server is the child of a process that waits for nobody to hold it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "users").open("a") as users, (folder / "starting").open("a") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        address = folder / "address"
        if not address.exists():
            address.write_text(_start_keeper(folder))
        fcntl.flock(starting, fcntl.LOCK_UN)
        yield ObjectStore(address.read_text())


def _start_keeper(folder: Path) -> str:
    """Start a process that keeps the server for as long as anybody uses it; where the server is."""
    keeper = subprocess.Popen(
        [sys.executable, __file__, str(folder)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert keeper.stdout
    with keeper.stdout:
        address = keeper.stdout.readline().strip()
    assert address, "the object store did not start"
    return address


def _keep(folder: Path) -> None:
    data = Path(tempfile.mkdtemp(prefix="swift-"))
    process = start(data, port := free_port())
    os.write(1, f"http://127.0.0.1:{port}\n".encode())
    os.close(1)
    with (folder / "users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_EX)  # once nobody holds it
        stop(process)
        shutil.rmtree(data, ignore_errors=True)
        (folder / "address").unlink(missing_ok=True)


# --- fixtures ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A running object store, shared with the other processes of this run; skipped where Swift is not installed."""
    if reason := missing():
        pytest.skip(reason)
    base = tmp_path_factory.getbasetemp()
    with shared((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "object-store") as found:
        yield found


@pytest.fixture(scope="session")
def bucket_name(object_store: ObjectStore) -> str:
    """A bucket that the tests of one process share."""
    return object_store.make_bucket()


@pytest.fixture
def bucket(object_store: ObjectStore, bucket_name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An ``s3://`` URL under which there is nothing yet; the environment leads there."""
    for name, value in object_store.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://{bucket_name}/{uuid.uuid4().hex}"


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
