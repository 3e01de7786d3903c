"""What lies in ``deploy/`` and its page agree with the program."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashscribe import cli
from dashscribe.config import Settings, load
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


FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and path.parent.name != "__pycache__")


@pytest.mark.parametrize("path", [PAGE, CAPACITY, *FILES], ids=lambda p: p.name)
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
            said = line.split(" #")[0]
            calls = r"(?:\bexec [a-z/]+ (?:-- )?dashscribe|/bin/dashscribe|^dashscribe-as-service) ([a-z].*)"
            yield from (call.strip() for call in re.findall(calls, said) if not call.startswith("python"))


@pytest.mark.parametrize("call", sorted(set(shell_commands())))
def test_commands_of_the_page_exist(call: str) -> None:
    parsed(shlex.split(call))


def test_the_page_shows_calls_of_the_program() -> None:
    assert len(set(shell_commands())) >= 5


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
    assert asked["readinessProbe"] == "/readyz"  # of one pod, in whose place nobody answers


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
