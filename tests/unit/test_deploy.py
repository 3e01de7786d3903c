"""What lies in ``deploy/`` and its page agree with the program; the backup is whole while others write."""

import errno
import importlib.util
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from dashscribe import cli
from dashscribe.config import Settings, load
from dashscribe.store.folder import Folder
from dashscribe.wire.app import health

CHECKOUT = Path(__file__).resolve().parents[2]
DEPLOY, PAGE = CHECKOUT / "deploy", CHECKOUT / "docs" / "deployment.md"
CAPACITY = PAGE.with_name("capacity.md")
KUBERNETES = DEPLOY / "kubernetes"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
UNIT = (DEPLOY / "dashscribe.service").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"][
    "dashscribe"
]
EXAMPLE = (DEPLOY / "dashscribe.env.example").read_text(encoding="utf-8")


def instruction(name: str) -> Any:
    """The operand of the Dockerfile's last instruction of that name that is given as a JSON list."""
    return json.loads(re.findall(rf"^{name} (\[.+\])$", DOCKERFILE, re.MULTILINE)[-1])


def health_check() -> list[str]:
    """The command of HEALTHCHECK, which is the one that is indented."""
    return json.loads(re.findall(r"^ +CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)[0])


def stateful_set() -> dict[str, Any]:
    return yaml.safe_load((KUBERNETES / "base" / "statefulset.yaml").read_text(encoding="utf-8"))["spec"]


def parsed(words: list[str]) -> dict[str, Any]:
    """The parameters of a command of the program; ends the test if there is no such command or option."""
    command, name = cli.load(words[0]), words[0]
    rest = words[1:]
    with command.make_context(name, list(rest), resilient_parsing=bool(getattr(command, "commands", None))) as context:
        if getattr(command, "commands", None):
            command, rest = command.commands[rest[0]], rest[1:]
            with command.make_context(name, list(rest), parent=context) as inner:
                return inner.params
        return context.params


# -- settings and commands ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [PAGE, CAPACITY, *(p for p in DEPLOY.rglob("*") if p.is_file())], ids=lambda p: p.name)
def test_every_variable_is_a_setting(path: Path) -> None:
    known = {f"DASHSCRIBE_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"DASHSCRIBE_[A-Z][A-Z_]*", path.read_text(encoding="utf-8"))) <= known


def test_example_settings_are_accepted_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    given = dict(re.findall(r"^#?([A-Z_]+)=(\S+)$", EXAMPLE, re.MULTILINE))
    assert len(given) == len([line for line in EXAMPLE.splitlines() if "=" in line and " " not in line])
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = load()
    assert settings.workers == 2
    assert settings.public_url == given["DASHSCRIBE_PUBLIC_URL"]


def test_example_sets_nothing_by_itself() -> None:
    assert all(line.startswith("#") or not line for line in EXAMPLE.splitlines())


def test_image_and_unit_start_the_server_where_the_others_look_for_it() -> None:
    assert instruction("ENTRYPOINT") == ["dashscribe"]
    inside = parsed(instruction("CMD"))
    ports = {
        "default": parsed(["serve"])["port"],
        "image": inside["port"],
        "exposed": int(re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)[0]),
        "health": int(re.findall(r"'127\.0\.0\.1', (\d+)", health_check()[4])[0]),
        "compose": int(COMPOSE["ports"][0].split(":")[2]),
        "pod": stateful_set()["template"]["spec"]["containers"][0]["ports"][0]["containerPort"],
    }
    assert len(set(ports.values())) == 1, ports
    start = shlex.split(re.findall(r"^ExecStart=(.+)$", UNIT, re.MULTILINE)[0])
    assert Path(start[0]).name == "dashscribe"
    assert parsed(start[1:])["host"] == "127.0.0.1"
    assert inside["host"] == "0.0.0.0"
    assert COMPOSE["ports"][0].startswith("127.0.0.1:")


def shell_commands() -> Iterator[str]:
    """Every call of the program in the page's shell blocks."""
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for call in re.findall(r"(?:exec \S+ (?:-- )?|bin/)dashscribe ((?!install)[a-z].*)", line.split(" #")[0]):
                if not call.startswith("python"):
                    yield call.strip()


@pytest.mark.parametrize("call", sorted(set(shell_commands())))
def test_commands_of_the_page_exist(call: str) -> None:
    parsed(shlex.split(call))


def test_the_page_shows_calls_of_the_program() -> None:
    assert len(set(shell_commands())) >= 2


def test_files_that_the_page_and_compose_name_exist() -> None:
    named = set(re.findall(r"deploy/[a-z./-]*[a-z]", PAGE.read_text(encoding="utf-8")))
    assert len(named) > 5
    missing = {name for name in named if not (CHECKOUT / name).exists()}
    assert missing == {"deploy/dashscribe.env", "deploy/scale.env"}  # which the reader makes from the examples
    build = COMPOSE["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"


def test_what_the_image_copies_is_let_through() -> None:
    ignored = (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for sources in re.findall(r"^COPY (?!--from)(?:--\S+ )?(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            assert (CHECKOUT / source).exists()
            assert f"!{source}" in ignored


# -- where things lie and who may touch them ------------------------------------------------------------------------


def test_home_and_models_are_volumes_everywhere() -> None:
    folders = [re.findall(rf"{name}=(\S+)", DOCKERFILE)[0] for name in ("DASHSCRIBE_HOME", "DASHSCRIBE_MODELS_DIR")]
    assert instruction("VOLUME") == folders
    assert [volume.split(":")[1] for volume in COMPOSE["volumes"]] == folders
    spec = stateful_set()
    mounts = {m["name"]: m["mountPath"] for m in spec["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert [mounts[claim["metadata"]["name"]] for claim in spec["volumeClaimTemplates"]] == folders
    assert f"/var/lib/{re.findall('StateDirectory=(.+)', UNIT)[0]}" == folders[0]
    assert f"DASHSCRIBE_HOME={folders[0]}" in UNIT


def test_pod_runs_as_the_image_s_user() -> None:
    user, group = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[-1]
    context = stateful_set()["template"]["spec"]["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (int(user), int(group), int(group))


def test_probes_ask_routes_that_exist() -> None:
    container = stateful_set()["template"]["spec"]["containers"][0]
    asked = {
        probe: container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert set(asked.values()) <= {route.path for route in health.routes}  # type: ignore[attr-defined]
    assert asked["readinessProbe"] == "/readyz"


@pytest.mark.parametrize("folder", [KUBERNETES / "base", KUBERNETES / "overlays" / "gpu"], ids=lambda f: f.name)
def test_kustomizations_name_every_file_beside_them(folder: Path) -> None:
    rules = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    named = [*rules["resources"], *(patch["path"] for patch in rules.get("patches", []))]
    assert all((folder / name).exists() for name in named)
    beside = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert beside == {name for name in named if name.endswith(".yaml")}
    for name in beside:
        assert yaml.safe_load((folder / name).read_text(encoding="utf-8"))["kind"]


def test_settings_of_the_pods_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    base = yaml.safe_load((KUBERNETES / "base" / "kustomization.yaml").read_text(encoding="utf-8"))
    patch = yaml.safe_load((KUBERNETES / "overlays" / "gpu" / "gpu.yaml").read_text(encoding="utf-8"))
    for literal in base["configMapGenerator"][0]["literals"]:
        monkeypatch.setenv(*literal.split("=", 1))
    for variable in patch["spec"]["template"]["spec"]["containers"][0]["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    settings = load()
    assert (settings.provider, settings.workers, settings.log_format) == ("cuda", 2, "json")


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian: apt-get install systemd)")
    unit = tmp_path / "dashscribe.service"
    unit.write_text(UNIT.replace("/opt/dashscribe/bin/dashscribe", sys.executable), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60)
    assert "dashscribe.service" not in done.stderr  # of whatever else it says about this machine


# -- health check ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "exit_code"), [(200, 0), (503, 1)])
def test_health_check_tells_by_its_exit_code(status: int, exit_code: int) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *about: object) -> None:
            del about

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        _, *flags, script = health_check()
        command = [sys.executable, *flags, script.replace("8000", str(server.server_port))]
        proxied = {**os.environ, "http_proxy": "http://127.0.0.1:9"}
        assert subprocess.run(command, env=proxied, timeout=60, check=False).returncode == exit_code


def test_health_check_fails_where_nobody_listens() -> None:
    _, *flags, script = health_check()
    command = [sys.executable, *flags, script.replace("8000", "9")]
    assert subprocess.run(command, timeout=60, check=False, stderr=subprocess.DEVNULL).returncode == 1


# -- backup ---------------------------------------------------------------------------------------------------------


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
    copy.mkdir()
    assert backup.main([str(home.path), str(copy)]) == 1
    assert not any(copy.iterdir())
    home.add(2)  # the lock is free again
