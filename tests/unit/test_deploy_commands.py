"""Commands on a service's data run as the service does; what the page shows for systemd and proxies can be used."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_deploy import CHECKOUT, DEPLOY, DOCKERFILE, KUBERNETES, PAGE, UNIT, parsed
from test_deploy_scale import NGINX, WORKER_UNIT, documents

WRAPPER = DEPLOY / "dashscribe-as-service"
TEXT = PAGE.read_text(encoding="utf-8")


def setting(unit: str, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE)


# -- dashscribe-as-service ------------------------------------------------------------------------------------------


def called(tmp_path: Path, *arguments: str, user: int = 0) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """The wrapper run by a user of that number, and the words that ``systemd-run`` was called with."""
    told, folder = tmp_path / "told", tmp_path / "bin"
    folder.mkdir()
    for name, script in (
        ("id", f"echo {user}"),
        ("systemd-run", f"printf '%s\\0' \"$@\" > {shlex.quote(str(told))}; exit 3"),
    ):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    done = subprocess.run(
        ["sh", WRAPPER, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
    )  # fmt: skip
    return done, told.read_text().split("\0")[:-1] if told.exists() else []


def test_commands_run_as_the_units_do(tmp_path: Path) -> None:
    done, words = called(tmp_path, "keys", "create", "--owner", "the lab", "--name", "")
    assert done.returncode == 3  # what the command ended with
    assert done.stderr == ""
    program = words.index("/opt/dashscribe/bin/dashscribe")
    assert words[program + 1 :] == ["keys", "create", "--owner", "the lab", "--name", ""]
    options = words[:program]
    assert {"--wait", "--pipe", "--pty", "--collect", "--quiet"} <= set(options)
    pairs = [(flag, value) for flag, value in pairwise(options) if flag in ("-p", "-E")]
    properties = dict(value.split("=", 1) for flag, value in pairs if flag == "-p")
    assert properties.pop("WorkingDirectory") == f"-{tmp_path}"
    for unit in (UNIT, WORKER_UNIT):
        assert shlex.split(setting(unit, "ExecStart")[0])[0] == words[program]
        assert [f"--uid={setting(unit, 'User')[0]}", f"--gid={setting(unit, 'Group')[0]}"] == [
            word for word in options if word.startswith(("--uid", "--gid"))
        ]
        assert [value for flag, value in pairs if flag == "-E"] == shlex.split(setting(unit, "Environment")[0])
        for name in ("StateDirectory", "StateDirectoryMode", "UMask"):
            assert [properties[name]] == setting(unit, name)
        assert properties["EnvironmentFile"].lstrip("-") == setting(unit, "EnvironmentFile")[0].lstrip("-")
    assert set(properties) == {"StateDirectory", "StateDirectoryMode", "UMask", "EnvironmentFile"}


def test_only_root_can_become_the_service_s_user(tmp_path: Path) -> None:
    done, words = called(tmp_path, "doctor", user=1000)
    assert done.returncode == 1
    assert "run it as root" in done.stderr
    assert not words


def test_wrapper_is_a_script_for_any_shell() -> None:
    assert WRAPPER.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
    assert WRAPPER.stat().st_mode & 0o777 == 0o755
    for shell in filter(None, (shutil.which("sh"), shutil.which("bash"), shutil.which("shellcheck"))):
        flags = [] if shell.endswith("shellcheck") else ["-n"]
        done = subprocess.run([shell, *flags, WRAPPER], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_page_runs_no_command_past_the_environment_file() -> None:
    for page in (PAGE, PAGE.with_suffix(".zh.md")):
        text = page.read_text(encoding="utf-8")
        assert "install -m 0755 deploy/dashscribe-as-service /usr/local/bin/dashscribe-as-service\n" in text
        assert not re.findall(r"(?:runuser|su|sudo) .*bin/dashscribe\b", text)
        assert not re.findall(r"DASHSCRIBE_HOME=", text)


# -- systemd --------------------------------------------------------------------------------------------------------


def drop_in() -> tuple[str, str]:
    """Where the page puts the server's drop-in, and its text."""
    return re.findall(r"^cat > (/etc/systemd/system/\S+) <<END\n(.*?\n)END$", TEXT, re.MULTILINE | re.DOTALL)[0]


def verified(folder: Path, extra: str) -> str:
    """What ``systemd-analyze`` says of the server's unit with these lines in the page's drop-in."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian: apt-get install systemd)")
    there = folder / drop_in()[0].removeprefix("/etc/systemd/system/")
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_text(extra.replace("/opt/dashscribe/bin/dashscribe", sys.executable), encoding="utf-8")
    unit = folder / "dashscribe.service"
    unit.write_text(UNIT.replace("/opt/dashscribe/bin/dashscribe", sys.executable), encoding="utf-8")
    command = ["systemd-analyze", "verify", "--man=no", unit]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return "\n".join(line for line in done.stderr.splitlines() if "dashscribe.service" in line)


def test_server_without_a_worker_takes_back_the_unit_s_own_start(tmp_path: Path) -> None:
    lines = drop_in()[1].splitlines()
    assert lines[:2] == ["[Service]", "ExecStart="]
    (start,) = [line.removeprefix("ExecStart=") for line in lines[2:]]
    words = shlex.split(start)
    assert words[0] == shlex.split(setting(UNIT, "ExecStart")[0])[0]
    given = parsed(words[1:])
    assert given["worker"] is False
    assert not given["host"].startswith("127.")
    assert f"curl -fsS http://{given['host']}:{given['port']}/readyz\n" in TEXT
    assert verified(tmp_path, drop_in()[1]) == ""
    assert "more than one ExecStart=" in verified(tmp_path, drop_in()[1].replace("ExecStart=\n", "", 1))


def test_each_machine_starts_its_part_only() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    installing = [block for block in blocks if "useradd" in block]
    assert len(installing) == 1
    assert "systemctl enable" not in installing[0]
    for name in ("dashscribe.service", "dashscribe-worker.service"):
        assert f"deploy/{name}" in installing[0]
    enabling = [re.findall(r"systemctl enable --now (\S+)", block) for block in blocks]
    assert sorted(names[0] for names in enabling if names) == ["dashscribe", "dashscribe", "dashscribe-worker"]
    assert all(len(names) < 2 for names in enabling)


def test_units_close_the_devices_with_two_lines_that_the_page_names() -> None:
    for unit in (UNIT, WORKER_UNIT):
        above = unit[: unit.index("PrivateDevices=yes\nProtectClock=yes\n")].splitlines()[-1]
        assert above.startswith("# For a GPU")
    assert "`PrivateDevices=no` and `ProtectClock=no`" in TEXT


# -- proxies and the image ------------------------------------------------------------------------------------------


def ingress() -> dict[str, Any]:
    for block in re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL):
        found = yaml.safe_load(block)
        if isinstance(found, dict) and found.get("kind") == "Ingress":
            return found
    raise AssertionError("the page shows no Ingress")


def test_ingress_lets_through_what_the_other_proxy_does() -> None:
    shown = ingress()
    prefix = "nginx.ingress.kubernetes.io/"
    given = {name.removeprefix(prefix): value for name, value in shown["metadata"]["annotations"].items()}
    assert all(name.startswith(prefix) for name in shown["metadata"]["annotations"])
    assert all(isinstance(value, str) for value in given.values())  # others are refused

    def of_nginx(name: str) -> str:
        return re.findall(rf"\b{name} (\S+?)s?;", NGINX)[0]

    assert given == {
        "proxy-body-size": of_nginx("client_max_body_size"),
        "proxy-request-buffering": of_nginx("proxy_request_buffering"),
        "proxy-buffering": of_nginx("proxy_buffering"),
        "proxy-read-timeout": of_nginx("proxy_read_timeout"),
        "proxy-send-timeout": of_nginx("proxy_send_timeout"),
    }


@pytest.mark.parametrize("folder", ["base", "scale"])
def test_ingress_leads_to_the_service(folder: str) -> None:
    shown = ingress()
    (rule,) = shown["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    backend = path["backend"]["service"]
    (service,) = [document for document in documents(folder) if document["kind"] == "Service"]
    assert backend["name"] == service["metadata"]["name"]
    assert backend["port"]["name"] in [port["name"] for port in service["spec"]["ports"]]
    rules = yaml.safe_load((KUBERNETES / folder / "kustomization.yaml").read_text(encoding="utf-8"))
    assert shown["metadata"]["namespace"] == rules["namespace"]
    (public,) = [one for one in rules["configMapGenerator"][0]["literals"] if one.startswith("DASHSCRIBE_PUBLIC_URL=")]
    assert public == f"DASHSCRIBE_PUBLIC_URL=https://{rule['host']}"
    assert shown["spec"]["tls"][0]["hosts"] == [rule["host"]]


def test_image_can_be_built_with_other_extras() -> None:
    known = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (usual,) = re.findall(r"^ARG EXTRAS=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert set(usual.split(",")) == {"postgres", "s3"}  # what many machines need
    assert '".[${EXTRAS}]"' in DOCKERFILE
    (shown,) = re.findall(r"--build-arg EXTRAS=([a-z0-9,]+)", TEXT)
    assert set(usual.split(",")) < set(shown.split(",")) <= set(known)
