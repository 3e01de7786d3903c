"""Memory, stops and settings in ``deploy/`` fit each other, and each kind of pod gets what it needs."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_deploy import COMPOSE, DEPLOY, KUBERNETES, PAGE, UNIT, stateful_set
from test_deploy_scale import SERVICES, WORKER_UNIT, component, deployments, main_container

from dashscribe.config import Settings
from dashscribe.queue.worker import GRACE_S

#: The longest synchronous call, in seconds: docs/synchronous.md.
LONGEST_CALL_S = 300
#: What the process itself and its small children take, in MiB: docs/deployment.md, "Memory".
REST_MB = 512
GPU = yaml.safe_load((KUBERNETES / "overlays" / "gpu" / "gpu.yaml").read_text(encoding="utf-8"))["spec"]
COMPONENTS = ("keda", "external-metrics")


def variables(container: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one for one in container["env"]}


def mib(quantity: str) -> int:
    number, unit = re.findall(r"^(\d+)(Gi|Mi|g)$", quantity)[0]
    return int(number) * {"Gi": 1024, "g": 1024, "Mi": 1}[unit]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every kind of pod: its name and specification, the one of the GPU overlay with what it changes."""
    yield "dashscribe", stateful_set()["template"]["spec"]
    for name, deployment in deployments().items():
        yield name, deployment["template"]["spec"]


# -- memory ---------------------------------------------------------------------------------------------------------


def ceilings() -> Iterator[tuple[str, int, int, int]]:
    """Where the memory is limited: the name, the limit, slots and the ceiling of a child."""
    containers = {name: spec["containers"][0] for name, spec in pods()}
    base, patch = containers["dashscribe"], GPU["template"]["spec"]["containers"][0]
    containers["overlays/gpu"] = {
        "env": [*(variables(base) | variables(patch)).values()],
        "resources": {kind: base["resources"][kind] | patch["resources"][kind] for kind in ("requests", "limits")},
    }
    for name, container in containers.items():
        given, resources = variables(container), container["resources"]
        slots = given["DASHSCRIBE_WORKERS"].get("value") or resources["requests"]["cpu"]
        ceiling = given["DASHSCRIBE_HOST_MEMORY_MB"]["value"]
        yield name, mib(resources["limits"]["memory"]), int(slots), int(ceiling)
    for name in ("server", "worker"):
        service = SERVICES[name]
        given = service["environment"]
        yield name, mib(service["mem_limit"]), service["cpus"], int(given["DASHSCRIBE_HOST_MEMORY_MB"])
    ceiling = COMPOSE["environment"]["DASHSCRIBE_HOST_MEMORY_MB"]
    yield "compose.yaml", mib(COMPOSE["mem_limit"]), 2, int(ceiling)


@pytest.mark.parametrize(("name", "limit", "slots", "ceiling"), list(ceilings()), ids=[c[0] for c in ceilings()])
def test_children_are_replaced_before_the_limit_is_reached(name: str, limit: int, slots: int, ceiling: int) -> None:
    assert limit >= REST_MB + (slots + 1) * ceiling, name
    assert ceiling >= 1024  # what the models of the manifests need; more than that: docs/deployment.md, "Memory"


def test_default_would_be_reached_too_late() -> None:
    assert Settings().host_memory_mb >= mib(COMPOSE["mem_limit"])


# -- stops ----------------------------------------------------------------------------------------------------------


def test_calls_under_way_are_answered_before_a_server_ends() -> None:
    for name, spec in pods():
        (container,) = spec["containers"]
        before = container.get("lifecycle", {}).get("preStop", {"exec": {"command": ["sleep", "0"]}})
        grace = variables(container).get("DASHSCRIBE_STOP_GRACE_S", {"value": "0"})["value"]
        if container.get("args", ["serve"])[0] == "serve":
            assert int(grace) == LONGEST_CALL_S, name
        rest = spec["terminationGracePeriodSeconds"] - int(before["exec"]["command"][1]) - int(grace)
        assert rest >= 3 * GRACE_S, name


def test_stops_leave_room_for_what_may_be_set() -> None:
    for service in (COMPOSE, SERVICES["server"]):
        assert int(service["stop_grace_period"].rstrip("s")) >= LONGEST_CALL_S + 3 * GRACE_S
    assert int(SERVICES["worker"]["stop_grace_period"].rstrip("s")) >= 3 * GRACE_S
    served, worked = (int(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0]) for unit in (UNIT, WORKER_UNIT))
    assert served >= LONGEST_CALL_S + 3 * GRACE_S
    assert worked >= 3 * GRACE_S


# -- what pods ask and get ------------------------------------------------------------------------------------------


def test_every_container_gets_the_settings_of_the_map() -> None:
    """Those that pull models, too: mirrors and proxies stand there."""
    for name, spec in pods():
        for container in (*spec.get("initContainers", []), *spec["containers"]):
            assert {"configMapRef": {"name": "dashscribe"}} in container["envFrom"], name


def test_servers_stay_in_the_service_while_the_bucket_is_away() -> None:
    for name, deployment in deployments().items():
        probes = {kind: main_container(deployment)[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")}
        asked = {kind: probe["httpGet"]["path"] for kind, probe in probes.items()}
        serves = component(deployment) == "server"
        assert asked["liveness"] == "/healthz"
        assert (asked["startup"], asked["readiness"]) == (
            ("/readyz", "/healthz") if serves else ("/healthz", "/readyz")
        ), name
        for kind, path in asked.items():  # /readyz decodes and waits for others
            assert probes[kind].get("timeoutSeconds", 1) >= 10 or path == "/healthz"


def test_a_limit_finds_the_node_with_a_gpu() -> None:
    for name, spec in (*pods(), ("overlays/gpu", GPU["template"]["spec"])):
        assert "nodeSelector" not in spec, name
        assert "affinity" not in spec, name
    assert GPU["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert main_container(deployments()["dashscribe-gpu-worker"])["resources"]["limits"]["nvidia.com/gpu"] == "1"


def overlays() -> list[tuple[str, set[str]]]:
    found = list[tuple[str, set[str]]]()
    for path in sorted(KUBERNETES.glob("overlays/*/kustomization.yaml")):
        rules = yaml.safe_load(path.read_text(encoding="utf-8"))
        found.append((path.parent.name, {Path(name).name for name in rules.get("components", [])}))
    return found


def test_workers_do_not_grow_by_a_queue_that_others_work_on() -> None:
    for name, components in overlays():
        assert not ("gpu" in components and components & set(COMPONENTS)), name
    assert {"scale": {"monitoring", "keda"}, "scale-gpu": {"monitoring", "gpu"}}.items() <= dict(overlays()).items()


def test_page_names_every_overlay() -> None:
    page = PAGE.read_text(encoding="utf-8")
    shown = set(re.findall(r"kubectl apply -k deploy/kubernetes/(\S+)", page))
    assert shown == {"base", "scale", *(f"overlays/{name}" for name, _ in overlays())}


def test_example_environment_says_what_fits() -> None:
    given = dict(
        re.findall(r"^#(DASHSCRIBE_\w+)=(\d+)$", (DEPLOY / "dashscribe.env.example").read_text(), re.MULTILINE)
    )
    assert given["DASHSCRIBE_STOP_GRACE_S"] == str(LONGEST_CALL_S)
    assert given["DASHSCRIBE_HOST_MEMORY_MB"] == COMPOSE["environment"]["DASHSCRIBE_HOST_MEMORY_MB"]
    assert shlex.split(re.findall(r"^ExecStart=(.+)$", UNIT, re.MULTILINE)[0])[1] == "serve"
