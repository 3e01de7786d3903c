"""Does ``dashscribe doctor`` find what is wrong, say what helps, and leave everything as it was?"""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from cli_inputs import dashscribe, environment, program
from tenacity import stop_after_attempt

from dashscribe import fleet
from dashscribe.config import Settings
from dashscribe.db import connecting, open_database
from dashscribe.fleet import Member
from dashscribe.keys import Keys
from plain_http import loopback
from ports import free_port
from postgres import Cluster
from small_models import install

pytestmark = pytest.mark.usefixtures("lasting_children")

CHECKS = {"python", "settings", "home", "database", "store", "keys", "clock", "port", "isolation", "codecs"}
CHECKS |= {"models", "engine"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home as a server leaves it, with one key."""
    folder = tmp_path / "home"
    settings = Settings(home=folder)
    engine = open_database(settings.resolved_database_url)
    Keys(engine, settings).create()
    engine.dispose()
    (folder / "store").mkdir()
    return folder


@pytest.fixture
def port() -> str:
    return str(free_port())


def findings(port: str, **variables: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """The exit code, and the findings by name; in this process, whose imports are there already.

    Whoever wants to see the program itself runs ``program``.
    """
    done = dashscribe("doctor", "--json", "--port", port, **variables)
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["ok"] == (done.returncode == 0)
    found: dict[str, list[dict[str, str]]] = {}
    for finding in told["findings"]:
        found.setdefault(finding["name"], []).append(finding)
        assert finding["status"] == "ok" or finding["remedy"], f"no remedy: {finding}"
    return done.returncode, found


def only(found: dict[str, list[dict[str, str]]], name: str) -> tuple[str, str, str]:
    (finding,) = found[name]
    return finding["status"], finding["detail"], finding["remedy"]


def state(folder: Path) -> list[tuple[str, int, int]]:
    paths = sorted([folder, *folder.rglob("*")])
    return [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in paths]


# --- a home in order ------------------------------------------------------------------------------------------------


def test_a_good_home_passes_and_stays_as_it_was(home: Path, port: str) -> None:
    before = state(home)
    code, found = findings(port)
    assert code == 0
    assert set(found) == CHECKS
    assert {f["status"] for name, several in found.items() for f in several if name not in ("isolation",)} == {"ok"}
    assert only(found, "engine")[1] == "standin, for fun-asr, heard half a second"
    assert only(found, "keys")[1] == "1 in the database"
    assert "schema" in only(found, "database")[1]
    assert state(home) == before


def test_before_the_first_start_nothing_is_made(tmp_path: Path, port: str) -> None:
    code, found = findings(port)
    assert code == 0
    assert only(found, "home")[0] == "ok" and "does not exist yet" in only(found, "home")[1]
    assert "does not exist yet" in only(found, "database")[1]
    assert "makes and shows one" in only(found, "keys")[1]
    assert not (tmp_path / "home").exists()


def test_people_get_a_line_per_finding(home: Path, port: str) -> None:
    done = program("doctor", "--port", port, DASHSCRIBE_WORKER="3")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[0].split()[:2] == ["ok", "python"]
    assert "warn  settings   the variable DASHSCRIBE_WORKER has no effect -> did you mean DASHSCRIBE_WORKERS?" in lines
    assert lines[-1].startswith(f"{len(lines) - 2} checks, 0 failed, ")


def test_the_embedded_engine_and_small_models_pass(home: Path, port: str) -> None:
    install(home / "models", "sensevoice-small")
    code, found = findings(port, DASHSCRIBE_ENGINE="")
    assert code == 0, found
    assert only(found, "models")[1].startswith("sensevoice-small, sensevoice ")
    assert only(found, "engine")[1].startswith("sensevoice-small, ")
    code, found = findings(port, DASHSCRIBE_ENGINE="pocketsphinx")
    assert code == 0
    assert only(found, "engine")[1].startswith("pocketsphinx, ")


def answers(port: str) -> bool:
    with suppress(httpx.TransportError):
        return loopback.get(f"http://127.0.0.1:{port}/healthz", timeout=30).is_success
    return False


def test_it_works_beside_a_server_that_runs(tmp_path: Path, port: str) -> None:
    home = tmp_path / "home"
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "dashscribe", "serve", "--port", port],
        env=environment(), stdout=subprocess.PIPE, stderr=log, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        assert any("/docs" in line for line in server.stdout)
        until_s = time.monotonic() + 60
        while not answers(port):
            assert time.monotonic() < until_s, "the server does not answer"
        code, found = findings(port)
        assert code == 0, found
        assert only(found, "port") == ("ok", f"a server of dashscribe answers on 127.0.0.1 port {port}", "")
        assert only(found, "keys")[1] == "1 in the database"
        assert server.poll() is None
        assert (home / "dashscribe.db-wal").exists(), "the server's own journal was left alone"
    finally:
        server.terminate()
        server.wait(60)


# --- homes that are not ---------------------------------------------------------------------------------------------


def test_a_home_that_cannot_be_written_fails(home: Path, port: str) -> None:
    command = [sys.executable, "-m", "dashscribe", "doctor", "--json", "--port", port]
    if os.geteuid() == 0:  # for whom modes do not count, unless that right is given up
        if not (setpriv := shutil.which("setpriv")):
            pytest.skip("setpriv is not installed (Debian: apt-get install util-linux)")
        command = [setpriv, "--bounding-set", "-dac_override,-dac_read_search", "--", *command]
    home.chmod(0o500)
    (home / "store").chmod(0o500)
    try:
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=120)
    finally:
        home.chmod(0o700)
        (home / "store").chmod(0o700)
    told = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert told["home"]["status"] == told["store"]["status"] == "fail"
    assert "Permission denied" in told["home"]["detail"]
    assert "DASHSCRIBE_HOME" in told["home"]["remedy"]
    assert told["database"]["status"] == "ok", "it can still be read"


def test_a_home_or_a_store_that_others_can_read_is_a_warning(home: Path, port: str, tmp_path: Path) -> None:
    store = tmp_path / "a store"
    for folder in (home, store):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    code, found = findings(port, DASHSCRIBE_STORE_URL=store.as_uri())
    assert code == 0
    for folder, told in ((home, found["home"]), (store, found["store"])):
        (warning,) = (finding for finding in told if finding["status"] == "warn")
        assert warning["detail"] == f"{folder} can be read by others on this machine (rights 0755)"
        assert warning["remedy"].startswith("chmod 700 ")


def test_a_full_disk_fails(home: Path, port: str) -> None:
    code, found = findings(port, DASHSCRIBE_DISK_RESERVE_BYTES=str(1 << 60))
    assert code == 1
    status, detail, remedy = only(found, "home")
    assert status == "fail" and "1073741824.0 in reserve" in detail and "DASHSCRIBE_DISK_RESERVE_BYTES" in remedy


@pytest.mark.parametrize("damage", ["torn", "missing", "half installed"])
def test_a_damaged_model_fails_with_the_command_that_helps(home: Path, port: str, damage: str) -> None:
    folder = install(home / "models", "sensevoice-small") / "sensevoice-small"
    model = next(folder.glob("*.onnx"))
    if damage == "torn":
        data = model.read_bytes()[:2000]
        model.unlink()  # it is a link to the file of all tests
        model.write_bytes(data)
    elif damage == "missing":
        model.unlink()
    else:
        (folder / "model.toml").unlink()
    code, found = findings(port)
    assert code == 1
    status, detail, remedy = only(found, "models")
    assert status == "fail"
    assert detail.startswith("sensevoice-small: ")
    assert "dashscribe models verify sensevoice-small" in remedy


def test_an_engine_that_does_not_load_fails(home: Path, port: str) -> None:
    code, found = findings(port, DASHSCRIBE_ENGINE="no-such-engine")
    assert code == 1
    assert only(found, "engine")[0] == "fail"
    assert "no-such-engine" in only(found, "engine")[1]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("RATE_LIMITS", "fun-asr=10 per minute", "cannot be read; give cloud, or rules such as fun-asr=10/minute"),
        ("RATE_LIMITS", "no-such-model=10/minute", "rate_limits='no-such-model=10/minute'"),
        ("CALLBACK_URL", "ftp://user:x@h.example/x", "DASHSCRIBE_CALLBACK_URL: leave name and password out"),
        ("CALLBACK_TOKEN", "字", "DASHSCRIBE_CALLBACK_TOKEN: give at most 256 printable ASCII characters"),
        ("FETCH_ALLOW", "http://media.internal", "DASHSCRIBE_FETCH_ALLOW: 'http://media.internal' is no host name"),
        ("SENSITIVE_WORDS", "/nope.txt", "DASHSCRIBE_SENSITIVE_WORDS: /nope.txt cannot be read"),
    ],
)
def test_a_setting_with_which_no_server_starts_fails(home: Path, port: str, name: str, value: str, told: str) -> None:
    given = {"DASHSCRIBE_CALLBACK_URL": "http://h.example/x", f"DASHSCRIBE_{name}": value}
    code, found = findings(port, **given)
    assert code == 1
    (failed,) = (finding for finding in found["settings"] if finding["status"] == "fail")
    assert told in failed["detail"]
    refused = dashscribe("serve", "--port", port, **given)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == f"dashscribe: {failed['detail']}"


def test_an_unusable_setting_fails_and_nothing_else_is_tried(home: Path, port: str) -> None:
    code, found = findings(port, DASHSCRIBE_WORKERS="none")
    assert code == 1
    assert set(found) == {"python", "settings"}
    assert "workers='none'" in only(found, "settings")[1]


@pytest.mark.parametrize("text", ["wokers = 3", "workers = ", "\x00"])
def test_an_unusable_file_fails(home: Path, port: str, text: str) -> None:
    (home / "config.toml").write_text(text)
    code, found = findings(port)
    assert code == 1
    assert only(found, "settings")[0] == "fail"
    if text.startswith("wokers"):
        assert "wokers" in only(found, "settings")[1]


def test_databases_of_other_versions_and_other_files_are_told_apart(home: Path, port: str) -> None:
    path = home / "dashscribe.db"

    def set_revision(revision: str) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
            connection.commit()

    set_revision("0000")
    assert only(findings(port)[1], "database")[0] == "warn"
    set_revision("9999")
    status, detail, _ = only(findings(port)[1], "database")
    assert (status, "newer" in detail) == ("warn", True)
    path.write_bytes(b"this is no database, however long it may be" * 100)
    code, found = findings(port)
    assert code == 1
    assert only(found, "database")[0] == "fail" and "backup" in only(found, "database")[2]


def test_a_clock_that_was_set_back_is_noticed(home: Path, port: str) -> None:
    with closing(sqlite3.connect(home / "dashscribe.db")) as connection:
        names = (
            "id",
            "owner",
            "key_id",
            "request_id",
            "model",
            "shape",
            "options",
            "notes",
            "status",
            "code",
            "message",
        )
        values = dict.fromkeys(names, "") | {"status": "SUCCEEDED", "ended_ms": 4_000_000_000_000}
        numbers = ("tag_ms", "file_count", "open_files", "submitted_ms", "no_oss", "stripped", "removed")
        values |= dict.fromkeys(numbers, 0)
        marks = ", ".join("?" * len(values))
        connection.execute(f"INSERT INTO tasks ({', '.join(values)}) VALUES ({marks})", list(values.values()))
        connection.commit()
    status, detail, _ = only(findings(port)[1], "clock")
    assert status == "warn" and "a task ended" in detail


def test_no_key_that_works_and_a_zone_that_does_not_exist(home: Path, port: str) -> None:
    with closing(sqlite3.connect(home / "dashscribe.db")) as connection:
        connection.execute("UPDATE keys SET revoked_ms = 1")
        connection.commit()
    code, found = findings(port, DASHSCRIBE_TIME_ZONE="Atlantis/Center")
    assert code == 1
    assert only(found, "keys") == ("warn", "there is no key that works", "dashscribe keys create")
    assert only(found, "clock")[0] == "fail"
    code, found = findings(port, DASHSCRIBE_API_KEY="sk-secret-secret")
    assert only(found, "keys")[0] == "ok"
    assert "secret-secret" not in json.dumps(found)


def test_a_port_that_somebody_else_has_is_a_warning(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken.settimeout(0.2)
        port = str(taken.getsockname()[1])

        def hang_up() -> None:
            taken.settimeout(60)
            taken.accept()[0].close()

        Thread(target=hang_up, daemon=True).start()
        code, found = findings(port)
    assert code == 0
    assert only(found, "port")[0] == "warn" and "--port" in only(found, "port")[2]


# --- the endpoint ---------------------------------------------------------------------------------------------------


class Endpoint(BaseHTTPRequestHandler):
    """Lists a model to who has the key."""

    def do_GET(self) -> None:
        good = self.headers["authorization"] == "Bearer right"
        status = 401 if not good else 200 if self.path == "/v1/models" else 404
        body = json.dumps({"data": [{"id": "whisper-1"}]}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *about: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def test_the_endpoint_is_asked_for_its_model(home: Path, port: str, endpoint: str) -> None:
    def told(**variables: str) -> tuple[str, str, str]:
        variables = {"DASHSCRIBE_OPENAI_URL": endpoint, "DASHSCRIBE_OPENAI_API_KEY": "right", **variables}
        found = findings(port, **variables)[1]
        assert "right" not in json.dumps(found)
        return only(found, "endpoint")

    assert told() == ("ok", f"{endpoint} has whisper-1", "")
    assert told(DASHSCRIBE_OPENAI_API_KEY="wrong")[::2] == ("fail", "set DASHSCRIBE_OPENAI_API_KEY")
    assert told(DASHSCRIBE_OPENAI_MODEL="qwen3-asr")[0] == "warn"
    assert told(DASHSCRIBE_OPENAI_URL=endpoint.removesuffix("/v1"))[0] == "warn"
    assert told(DASHSCRIBE_OPENAI_URL="http://127.0.0.1:9/v1")[0] == "fail"


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def test_a_shared_database_is_looked_into(port: str, tmp_path: Path, cluster: Cluster) -> None:
    url = cluster.new_database()
    settings = Settings(home=tmp_path / "home", workers=3)
    engine = open_database(url)
    code, found = findings(port, DASHSCRIBE_DATABASE_URL=url.replace("postgresql", "postgres"))
    assert (code, only(found, "database")[0]) == (0, "ok")
    assert only(found, "workers")[:2] == ("warn", "none is at work")
    assert only(found, "keys")[:2] == ("warn", "there is no key that works")
    Keys(engine, settings).create()
    member = Member("w", ())
    fleet.beat(engine, member, {}, settings)
    _, found = findings(port, DASHSCRIBE_DATABASE_URL=url)
    assert only(found, "keys")[1].startswith("1 in the database")
    status, detail, _ = only(found, "workers")
    assert (status, "1 at work" in detail, "3 slots" in detail) == ("ok", True, True)
    fleet.leave(engine, member)
    _, found = findings(port, DASHSCRIBE_DATABASE_URL=url)
    assert only(found, "workers")[1] == "none is at work, 1 ended within a day"
    engine.dispose()


def test_a_shared_database_that_cannot_be_had_is_told_without_its_password(
    port: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(connecting.retrying, "sleep", pauses.append)
    monkeypatch.setattr(connecting.retrying, "stop", stop_after_attempt(2))
    url = cluster.url("never_made").replace("test@", "test:hush@")
    code, found = findings(port, DASHSCRIBE_DATABASE_URL=url, NO_PROXY="*")
    assert (code, only(found, "database")[0]) == (1, "fail")
    assert "never_made" in only(found, "database")[1]
    assert "createdb" in only(found, "database")[2]
    assert only(found, "keys")[2] == "mend the database first"
    assert "hush" not in str(found)
    assert pauses == []  # it was there, and said no: nothing to wait for


def test_a_shared_database_that_is_not_up_is_waited_for_once(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(connecting.retrying, "sleep", pauses.append)
    monkeypatch.setattr(connecting.retrying, "stop", stop_after_attempt(2))
    code, found = findings(port, DASHSCRIBE_DATABASE_URL="postgresql://me@127.0.0.1:1/x", NO_PROXY="*")
    assert (code, only(found, "database")[0]) == (1, "fail")
    assert "is the server up" in only(found, "database")[2]
    assert len(pauses) == 1
