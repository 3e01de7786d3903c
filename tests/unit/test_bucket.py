"""A bucket that fails, is slow, is full, is somebody else's; and the copies of blobs that are kept on this machine."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from durable import Home, only, run, shorten_waits, speech

from dashscribe.cli import checkup
from dashscribe.cli.findings import Finding, Patient
from dashscribe.config import Settings
from dashscribe.errors import ConfigError
from dashscribe.store import Store, StoreError, open_store, s3
from dashscribe.store.blobs import CHUNK_BYTES
from dashscribe.store.cache import Cache
from dashscribe.tasks import Status
from object_store import SECRET_KEY, ObjectStore, missing
from store_proxy import Fault, faulty_store

LARGE = os.urandom(1024**2) * 20  # three parts


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries as they are, in less time."""
    monkeypatch.setattr(s3, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(s3, "LONGEST_PAUSE_S", 0.05)


@pytest.fixture
def settings(tmp_path: Path, bucket: str) -> Settings:
    return Settings(home=tmp_path / "home", store_url=bucket, disk_reserve_bytes=0)


@pytest.fixture
def fault(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Fault:
    """A fault that stores have which are opened from now on; none yet."""
    with ExitStack() as stack:
        fault = Fault(concerns=lambda line: False)
        monkeypatch.setenv("AWS_ENDPOINT_URL", stack.enter_context(faulty_store(os.environ["AWS_ENDPOINT_URL"], fault)))
        yield fault


def is_data(line: str) -> bool:
    """Whether a request moves a blob's bytes."""
    return line.startswith(("PUT", "GET")) and "list-type" not in line


# --- what passes ------------------------------------------------------------------------------------------------------


def once(value, otherwise):
    return lambda number: value if number % 3 == 1 else otherwise


PASSING = {
    "slow down": {"status": once(503, 0)},
    "internal error": {"status": once(500, 0), "code": "InternalError"},
    "too many": {"status": once(429, 0)},
    "cut answers": {"cut_after": once(2000, None)},
    "lost answers": {"cut_after": once(0, None)},
    "cut requests": {"cut_request_after": once(100_000, None)},
    "slow": {"delay_s": lambda number: 6 if number == 2 else 0},
}


@pytest.mark.parametrize("name", PASSING)
def test_trouble_that_passes_is_not_noticed(
    settings: Settings, fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name == "slow":
        monkeypatch.setattr(s3, "REQUEST_S", 5)
    store = open_store(settings)
    for member, value in PASSING[name].items():
        setattr(fault, member, value)
    fault.concerns = is_data
    file = tmp_path / "large"
    file.write_bytes(LARGE)
    store.put("file", file)
    store.put("small", b"sound")
    assert store.read("small") == b"sound"
    assert b"".join(store.chunks("file")) == LARGE
    with open_store(settings.model_copy(update={"home": tmp_path / "elsewhere"})).path("file") as path:
        assert path.read_bytes() == LARGE
    assert len(fault.seen) > 3


# --- what does not ----------------------------------------------------------------------------------------------------

LASTING = {
    "SlowDown": (503, errno.EBUSY, "tried again"),
    "InternalError": (500, errno.EIO, "tried again"),
    "InsufficientStorage": (507, errno.ENOSPC, "quota"),
    "QuotaExceeded": (403, errno.ENOSPC, "quota"),
    "AccessDenied": (403, errno.EACCES, "s3:GetObject"),
    "RequestTimeTooSkewed": (403, errno.EACCES, "NTP"),
    "ExpiredToken": (400, errno.EACCES, "AWS_SESSION_TOKEN"),
    "AuthorizationHeaderMalformed": (400, errno.EACCES, "AWS_REGION"),
    "NoSuchBucket": (404, errno.ENXIO, "create the bucket"),
}


@pytest.mark.parametrize("code", LASTING)
def test_trouble_that_lasts_is_an_os_error_with_a_remedy(
    settings: Settings, fault: Fault, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(s3, "RETRIES", 1)
    store = open_store(settings)
    store.put("there", b"x")
    status, number, remedy = LASTING[code]
    fault.status, fault.code, fault.concerns = lambda number: status, code, lambda line: True
    acts = [
        lambda: store.put("tasks/1", b"x"),
        lambda: store.put("tasks/1", iter([LARGE])),
        lambda: store.read("there"),
        lambda: store.size("there"),
        lambda: store.exists("none"),
        lambda: store.delete("there"),
        lambda: store.delete_prefix("tasks"),
        lambda: store.path("there").__enter__(),
        store.check_writable,
    ]
    for act in acts:
        with pytest.raises(StoreError) as caught:
            act()
        assert (caught.value.errno, remedy in str(caught.value)) == (number, True), str(caught.value)
        assert settings.store_url in str(caught.value)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_cut_that_lasts_is_an_os_error(settings: Settings, fault: Fault) -> None:
    store = open_store(settings)
    store.put("large", iter([LARGE]))
    fault.cut_after, fault.concerns = lambda number: 100_000, is_data
    with pytest.raises(StoreError, match="broke off"):
        store.read("large")
    with pytest.raises(StoreError, match="broke off"), store.path("large"):
        pass
    assert not [path for path in (settings.home / "cache").iterdir() if path.is_file()]


def test_store_that_does_not_answer_is_given_up(
    settings: Settings, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "REQUEST_S", 1)
    monkeypatch.setattr(s3, "RETRIES", 1)
    store = open_store(settings)
    fault.delay_s, fault.concerns = lambda number: 3, lambda line: True
    with pytest.raises(StoreError, match="no answer in time") as caught:
        store.read("k")
    assert caught.value.errno == errno.ETIMEDOUT


def test_put_that_fails_leaves_the_old_blob(settings: Settings, fault: Fault) -> None:
    store = open_store(settings)
    store.put("k", b"old")
    fault.status, fault.concerns = lambda number: 503, lambda line: line.startswith(("PUT", "POST"))
    for data in (b"new", iter([LARGE])):
        with pytest.raises(StoreError):
            store.put("k", data)
    fault.concerns = lambda line: False
    assert store.read("k") == b"old"


def test_blob_of_another_size_than_what_was_put_is_noticed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    send = s3.Bucket._send

    def lose_some(self: s3.Bucket, key: str, source: s3._Source) -> None:
        list(source)
        send(self, key, s3._Source(b"short"))

    monkeypatch.setattr(s3.Bucket, "_send", lose_some)
    with pytest.raises(StoreError, match="5 of 6 bytes"):
        open_store(settings).put("k", b"longer")


def test_store_that_is_not_there(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match=r"cannot be reached: check AWS_ENDPOINT_URL"):
        open_store(settings).read("k")


def test_wrong_key_is_told_and_not_repeated(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    store = open_store(settings)
    for act in (lambda: store.size("k"), lambda: store.read("k"), lambda: store.put("k", b"x")):
        with pytest.raises(StoreError, match=r"SignatureDoesNotMatch.*AWS_SECRET_ACCESS_KEY") as caught:
            act()
        assert "hush" not in str(caught.value)
        assert "StringToSign" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_bucket_that_is_gone_is_no_missing_blob(settings: Settings, bucket: str) -> None:
    store = open_store(settings.model_copy(update={"store_url": "s3://no-such-bucket/x"}))
    for act in (lambda: store.size("k"), lambda: store.read("k"), lambda: store.put("k", b"x")):
        with pytest.raises(StoreError, match="NoSuchBucket: create the bucket"):
            act()


def test_place_is_told_without_secrets(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://name:hush@127.0.0.1:9000")
    where = open_store(settings).where()
    assert where == f"{settings.store_url} at http://127.0.0.1:9000, region us-east-1"
    assert SECRET_KEY not in where


def doctor(settings: Settings) -> Finding:
    patient = Patient(settings=settings, hosts=cast("Any", None), host="127.0.0.1", port=0)
    (finding,) = checkup.CHECKS["store"](patient)
    return finding


def test_doctor_looks_into_the_bucket(
    settings: Settings, object_store: ObjectStore, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = doctor(settings)
    where = f"{settings.store_url} at {os.environ['AWS_ENDPOINT_URL']}, region us-east-1"
    assert (found.status, found.detail) == ("ok", where)
    assert object_store.keys(settings.store_url) == []
    fault.status, fault.code, fault.concerns = lambda number: 403, "RequestTimeTooSkewed", lambda line: True
    found = doctor(settings)
    assert (found.status, "NTP" in found.remedy) == ("fail", True)
    assert "RequestTimeTooSkewed" in found.detail
    assert where in found.detail
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    fault.concerns = lambda line: False
    assert "AWS_SECRET_ACCESS_KEY" in doctor(settings).remedy


def test_missing_package_is_named() -> None:
    program = (
        "import sys; sys.modules['obstore'] = None\n"
        "from dashscribe.config import Settings; from dashscribe.store import open_store\n"
        "open_store(Settings(store_url='file:///nowhere/x')); open_store(Settings(store_url='s3://bucket/x'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "ConfigError" in done.stderr
    assert "pip install 'dashscribe[s3]'" in done.stderr


def test_package_is_not_loaded_for_a_folder() -> None:
    program = (
        "import sys; from dashscribe.config import Settings; from dashscribe.store import open_store\n"
        "open_store(Settings(store_url='file:///nowhere/x')); sys.exit('obstore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
def test_work_waits_for_a_store_that_fails_and_costs_no_try(
    tmp_path: Path, bucket: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More failures in a row than a file may have: the task succeeds all the same, once the store does."""
    shorten_waits(monkeypatch)
    monkeypatch.setattr(s3, "RETRIES", 0)
    home = Home(tmp_path, {"http://x/a": speech(2)}, store_url=bucket)
    fault.status = lambda number: 503 if number < 25 else 0
    fault.concerns = lambda line: True
    task = run(home, "http://x/a")
    home.worker.stop()
    assert len(fault.seen) > 25
    assert task.status is Status.SUCCEEDED, only(task).message


# --- copies on this machine -------------------------------------------------------------------------------------------


def copies(folder: Path) -> list[int]:
    """Their sizes, in the order in which they were used."""
    found = [path.stat() for path in folder.iterdir() if path.is_file()]
    return [copy.st_size for copy in sorted(found, key=lambda copy: copy.st_mtime_ns)]


def fetched(store: Store, key: str) -> bytes:
    with store.path(key) as path:
        return path.read_bytes()


def test_blob_is_fetched_once(settings: Settings, fault: Fault) -> None:
    store = open_store(settings)
    store.put("k", b"sound")
    fault.concerns = is_data
    assert [fetched(store, "k") for _ in range(3)] == [b"sound"] * 3
    assert [fetched(open_store(settings), "k") for _ in range(2)] == [b"sound"] * 2
    assert len(fault.seen) == 1


def test_file_that_was_put_needs_no_fetching(settings: Settings, fault: Fault, tmp_path: Path) -> None:
    file = tmp_path / "home" / "given"
    file.parent.mkdir()
    file.write_bytes(b"sound")
    store = open_store(settings)
    store.put("k", file)
    file.unlink()
    fault.concerns = lambda line: line.startswith("GET")
    assert fetched(store, "k") == b"sound"
    assert fault.seen == []


def test_copy_that_is_put_is_copied_by_the_bucket(settings: Settings, fault: Fault) -> None:
    store = open_store(settings)
    store.put("large", iter([LARGE]))
    with store.path("large") as path:
        fault.concerns = lambda line: line.startswith(("PUT", "POST"))
        stored = store.put("copy", path)
        assert len(fault.seen) == 1
        assert (stored.size_bytes, stored.sha256) == (len(LARGE), hashlib.sha256(LARGE).hexdigest())
        store.put("large", b"another one")
        store.put("true", path)
        store.delete("large")
        store.put("late", path)
    assert store.read("copy") == store.read("true") == store.read("late") == LARGE


def test_blob_that_was_replaced_is_fetched_anew(settings: Settings) -> None:
    store = open_store(settings)
    for content in (b"one", b"two"):
        store.put("k", content)
        assert fetched(store, "k") == content


def test_missing_blob_has_no_copy(settings: Settings) -> None:
    store = open_store(settings)
    store.put("k", b"x")
    fetched(store, "k")
    store.delete("k")
    with pytest.raises(FileNotFoundError):
        fetched(store, "k")


def test_copies_stay_within_their_bounds(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 100, 0)

    def use(name: str, size: int) -> None:
        with cache.file(name, size, lambda file: file.write(b"x" * size) and None) as path:
            os.utime(path, (0, next(clock)))

    clock = iter(range(10**6, 10**7))
    for name, size in (("a", 40), ("b", 41), ("a", 40), ("c", 42)):
        use(name, size)
    assert copies(tmp_path / "cache") == [40, 42]  # b was used longest ago
    use("d", 101)
    assert copies(tmp_path / "cache") == []


def test_copy_in_use_stays(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 0, 10**18)
    with cache.file("a", 1, lambda file: file.write(b"x") and None) as path:
        Cache(tmp_path / "cache", 0, 10**18).free_bytes()
        assert path.read_bytes() == b"x"
    assert copies(tmp_path / "cache") == []


def test_copies_give_way_before_the_disk_is_called_low(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    with Cache(folder, 10**9, 0).file("a", 1, lambda file: file.write(b"x") and None):
        pass
    assert Cache(folder, 10**9, 0).free_bytes() > 0
    assert copies(folder) == [1]
    Cache(folder, 10**9, 10**18).free_bytes()
    assert copies(folder) == []


def test_room_is_told_without_a_look_at_each_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path / "cache", 10**9, 0)
    with cache.file("a", 1, lambda file: file.write(b"a")):
        pass
    monkeypatch.setattr(os, "scandir", lambda path: pytest.fail("each submission would take as long as this"))
    assert cache.free_bytes() > 0


def test_copy_that_a_crash_cut_short_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "a").write_bytes(b"so")
    with Cache(tmp_path / "cache", 10**9, 0).file("a", 5, lambda file: file.write(b"sound") and None) as path:
        assert path.read_bytes() == b"sound"


def test_copy_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 10**9, 0)

    def fail(file) -> None:
        file.write(b"half")
        raise StoreError(errno.EIO, "gone")

    with pytest.raises(StoreError), cache.file("a", 8, fail):
        pass
    assert copies(tmp_path / "cache") == []
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_many_processes_may_share_the_copies(settings: Settings, bucket: str) -> None:
    open_store(settings).put("k", iter([LARGE[: CHUNK_BYTES + 5]]))
    program = (
        "import hashlib, sys; from pathlib import Path\n"
        "from dashscribe.config import Settings; from dashscribe.store import open_store\n"
        "s = open_store(Settings(home=Path(sys.argv[1]), store_url=sys.argv[2], store_cache_bytes=int(sys.argv[3])))\n"
        "for _ in range(5):\n"
        "    with s.path('k') as path: assert path.stat().st_size == int(sys.argv[4])"
    )
    arguments = [sys.executable, "-c", program, str(settings.home), bucket]
    size = str(CHUNK_BYTES + 5)
    running = [
        subprocess.Popen([*arguments, limit, size], stderr=subprocess.PIPE) for limit in ("0", "0", "1000000000")
    ]
    assert [process.communicate(timeout=120)[1].decode() for process in running] == ["", "", ""]


def test_unusable_url_is_a_config_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "not a url")
    with pytest.raises((ConfigError, StoreError)):
        open_store(Settings(home=tmp_path, store_url="s3://bucket/x")).read("k")


def test_large_blob_is_never_in_memory() -> None:
    """A fast part of ``benchmarks/blobs.py``, which takes 2 GB; so does this with BLOB_MIB=2048."""
    sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    import blobs

    if reason := missing():
        pytest.skip(reason)
    size_mib = int(os.environ.get("BLOB_MIB", "200"))
    measured = blobs.measure(size_mib * blobs.MIB, stores=("s3",), steps=("put", "get"))
    assert [found["step"] for found in measured] == ["put", "get"]
    assert max(found["more_mib"] for found in measured) < min(blobs.LIMIT_MIB, size_mib * 0.6), measured
