"""What ``deploy/`` has for many machines agrees with the program and with itself."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_deploy import CHECKOUT, DEPLOY, DOCKERFILE, KUBERNETES, instruction, parsed

from dashscribe.config import Settings, load
from dashscribe.db import connecting
from dashscribe.telemetry.metrics import METRICS
from dashscribe.weights.known import KNOWN
from dashscribe.wire.app import create_probe_app, health

SCALE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.scale.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = SCALE["services"]
SECRETS = (DEPLOY / "scale.env.example").read_text(encoding="utf-8")
NGINX = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
GARAGE = (DEPLOY / "garage.toml").read_text(encoding="utf-8")
WORKER_UNIT = (DEPLOY / "dashscribe-worker.service").read_text(encoding="utf-8")
PAGES = [CHECKOUT / "docs" / "deployment.md", CHECKOUT / "docs" / "capacity.md"]
FOLDERS = [
    path.parent
    for path in sorted(KUBERNETES.rglob("kustomization.yaml"))
    if path.parent.name not in ("base", "gpu") or path.parent.parent.name == "components"
]


def documents(*folders: str) -> Iterator[dict[str, Any]]:
    """Every object in the manifests of these folders below ``kubernetes/``."""
    for folder in folders:
        for path in sorted((KUBERNETES / folder).glob("*.yaml")):
            if path.name != "kustomization.yaml":
                yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def everything() -> list[dict[str, Any]]:
    folders = [str(folder.relative_to(KUBERNETES)) for folder in FOLDERS]
    return [document for document in documents(*folders) if document]


def deployments() -> dict[str, dict[str, Any]]:
    return {d["metadata"]["name"]: d["spec"] for d in everything() if d["kind"] == "Deployment"}


def main_container(deployment: dict[str, Any]) -> dict[str, Any]:
    (container,) = deployment["template"]["spec"]["containers"]
    return container


def component(deployment: dict[str, Any]) -> str:
    return deployment["template"]["metadata"]["labels"]["app.kubernetes.io/component"]


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a Kubernetes label selector of our two forms takes these labels."""
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items()) and all(
        labels.get(rule["key"]) in rule["values"] for rule in selector.get("matchExpressions", [])
    )


def pod_labels(deployment: dict[str, Any]) -> dict[str, str]:
    """Those of a pod, with the one that the kustomization adds."""
    return {"app.kubernetes.io/name": "dashscribe", **deployment["template"]["metadata"]["labels"]}


# -- images and rights ----------------------------------------------------------------------------------------------


def images() -> set[str]:
    found = {service["image"] for service in SERVICES.values()}
    for path in KUBERNETES.rglob("kustomization.yaml"):
        rules = yaml.safe_load(path.read_text(encoding="utf-8"))
        found |= {f"{image['newName']}:{image['newTag']}" for image in rules.get("images", [])}
    return found


def test_images_are_pinned_to_a_version() -> None:
    found = images()
    assert "dashscribe" in found  # built from this checkout
    assert len(found) > 4
    for image in found - {"dashscribe"}:
        assert re.fullmatch(r"[a-z./]+:v?\d+\.\d+[a-z0-9.-]*", image), image
    names = {c["image"] for d in deployments().values() for c in d["template"]["spec"]["containers"]}
    assert names == {"dashscribe", "dashscribe-cuda"}  # which kustomize replaces


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_services_get_no_more_rights_than_they_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "userns_mode"} & service.keys()
    assert service.get("network_mode") in (None, "none")
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["restart"] in ("unless-stopped", "no")
    if service["image"] != "dashscribe":  # whose Dockerfile says it
        assert int(service["user"].split(":")[0]) > 0
    assert not any("docker.sock" in volume for volume in service.get("volumes", []))


def test_only_the_proxy_is_published_and_the_data_has_no_way_out() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(published) == ["proxy"]
    assert all(port.startswith("127.0.0.1:") for port in published["proxy"])
    assert SCALE["networks"]["data"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == SERVICES["store"]["networks"] == ["data"]


@pytest.mark.parametrize("name", sorted(deployments()))
def test_pods_get_no_more_rights_than_they_need(name: str) -> None:
    spec = deployments()[name]["template"]["spec"]
    user, group = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[-1]
    context = spec["securityContext"]
    assert context["runAsNonRoot"] is True
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (int(user), int(group), int(group))
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts == {*instruction("VOLUME"), "/tmp"}


# -- commands, ports, probes ----------------------------------------------------------------------------------------


def test_services_start_what_there_is_where_the_others_look_for_it() -> None:
    server, worker = parsed(SERVICES["server"]["command"]), parsed(SERVICES["worker"]["command"])
    assert (server["host"], server["worker"], worker["host"]) == ("0.0.0.0", False, "0.0.0.0")
    assert server["port"] == parsed(instruction("CMD"))["port"]  # so that the image's health check fits
    assert re.findall(r"set \$servers http://(\w+):(\d+);", NGINX) == [("server", str(server["port"]))]
    check = SERVICES["worker"]["healthcheck"]["test"]
    assert check[0] == "CMD"
    assert f"'127.0.0.1', {worker['port']}" in check[-1]
    assert check[-1].replace(str(worker["port"]), "8000") == health_check_of_the_image()
    listening = re.findall(r"listen (\d+);", NGINX)[0]
    assert SERVICES["proxy"]["ports"][0].endswith(f":{listening}")
    assert f":{listening}/" in SERVICES["proxy"]["healthcheck"]["test"][-1]


def health_check_of_the_image() -> str:
    return json.loads(re.findall(r"^ +CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)[0])[-1]


def test_what_is_asked_on_a_worker_s_port_is_answered_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashscribe.wire.app._install", lambda app, parts: None)
    paths = set(create_probe_app(None).openapi()["paths"])  # type: ignore[arg-type]
    for name, deployment in deployments().items():
        container = main_container(deployment)
        (port,) = container["ports"]
        assert port["containerPort"] == parsed(container["args"])["port"]
        assert parsed(container["args"])["host"] == "0.0.0.0"
        probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
        assert {probe["port"] for probe in probes.values()} == {port["name"]}
        assert {probe["path"] for probe in probes.values()} <= paths
        assert parsed(container["args"]).get("worker") is (False if name == "dashscribe-server" else None)
    monitored = [d["spec"] for d in everything() if d["kind"] == "PodMonitor"]
    for spec in monitored:
        (endpoint,) = spec["podMetricsEndpoints"]
        assert endpoint["path"] in paths
        for deployment in deployments().values():
            if selects(spec["selector"], pod_labels(deployment)):
                assert endpoint["port"] == main_container(deployment)["ports"][0]["name"]
    assert all(any(selects(s["selector"], pod_labels(d)) for s in monitored) for d in deployments().values())
    assert set(paths) >= {route.path for route in health.routes}  # type: ignore[attr-defined]


def test_models_are_pulled_by_a_command_that_exists() -> None:
    firsts = {name: d["template"]["spec"]["initContainers"] for name, d in deployments().items()}
    pulls = {tuple(containers[0]["args"]) for containers in firsts.values()}
    assert len(pulls) == 1  # the same everywhere, or files wait for their like
    (pull,) = pulls
    assert parsed(list(pull))
    assert_licenses_are_accepted(list(pull))
    assert {name for name, containers in firsts.items() if len(containers) > 1} == {"dashscribe-gpu-worker"}
    _, verify = firsts["dashscribe-gpu-worker"]
    assert set(parsed(verify["args"])["names"]) <= set(pull)
    assert verify["env"] == [{"name": "DASHSCRIBE_PROVIDER", "value": "cuda"}]
    assert verify["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_pages_pull_models_where_nobody_can_be_asked_with_their_licenses_accepted() -> None:
    for page in (*PAGES, *(path.with_suffix(".zh.md") for path in PAGES)):
        for line in page.read_text(encoding="utf-8").splitlines():
            words = shlex.split(line, comments=True) if line.startswith("kubectl ") and " models pull " in line else []
            if words and not {"-it", "-ti"} & set(words):
                assert_licenses_are_accepted(words[words.index("models") :])


def assert_licenses_are_accepted(pull: list[str]) -> None:
    """End the test if a command without a terminal would exit for want of somebody who accepts a license."""
    names = [word for word in pull[2:] if not word.startswith("-")]
    assert names
    assert "--yes" in pull or not any(KNOWN[name].license.accept for name in names)


# -- settings -------------------------------------------------------------------------------------------------------


def test_secrets_of_compose_are_those_of_the_example() -> None:
    text = (DEPLOY / "compose.scale.yaml").read_text(encoding="utf-8")
    asked = re.findall(r"\$\{(\w+)([^}]*)\}", text)
    assert {name for name, _ in asked} == set(re.findall(r"^(\w+)=", SECRETS, re.MULTILINE))
    assert all(rest.startswith(":?") for _, rest in asked)  # none starts half-configured


def test_settings_of_compose_are_accepted_and_fit_their_neighbors(monkeypatch: pytest.MonkeyPatch) -> None:
    given = SERVICES["worker"]["environment"]
    assert SERVICES["server"]["environment"] == given
    secrets = dict.fromkeys(re.findall(r"^(\w+)=$", SECRETS, re.MULTILINE), "abc")
    secrets |= dict(re.findall(r"^(\w+)=(\S+)$", SECRETS, re.MULTILINE))
    for name, value in given.items():
        monkeypatch.setenv(name, re.sub(r"\$\{(\w+)[^}]*\}", lambda match: secrets[match[1]], value))
    settings = load()
    assert settings.workers == SERVICES["worker"]["cpus"] == SERVICES["server"]["cpus"]
    assert settings.public_url == "http://" + SERVICES["proxy"]["ports"][0].rpartition(":")[0]
    user, host, name = re.findall(r"//(\w+):abc@(\w+)/(\w+)$", settings.database_url)[0]
    postgres = SERVICES[host]["environment"]
    assert (user, name) == (postgres["POSTGRES_USER"], postgres["POSTGRES_DB"])
    store = SERVICES[re.findall(r"//(\w+):", given["AWS_ENDPOINT_URL"])[0]]
    assert settings.store_url.split("/")[2] == store["environment"]["GARAGE_DEFAULT_BUCKET"]
    assert f'api_bind_addr = "[::]:{given["AWS_ENDPOINT_URL"].rpartition(":")[2]}"' in GARAGE
    assert f's3_region = "{given["AWS_REGION"]}"' in GARAGE
    assert "data_fsync = true" in GARAGE
    assert "metadata_fsync = true" in GARAGE


def test_database_takes_the_connections_of_what_the_page_starts() -> None:
    most = int(re.findall(r"max_connections=(\d+)", " ".join(SERVICES["postgres"]["command"]))[0])
    shown = PAGES[0].read_text(encoding="utf-8")
    workers = max(int(number) for number in re.findall(r"--scale worker=(\d+)", shown))
    each = Settings().database_connections + 2
    assert (SERVICES["server"]["scale"] + workers) * each < most


def test_proxy_lets_everything_through_that_the_server_takes() -> None:
    limit = int(re.findall(r"client_max_body_size (\d+)m;", NGINX)[0]) * 2**20
    assert limit > Settings().max_file_bytes
    for line in ("proxy_request_buffering off;", "proxy_buffering off;", "proxy_http_version 1.1;"):
        assert line in NGINX
    assert int(re.findall(r"proxy_read_timeout (\d+)s;", NGINX)[0]) >= 300  # the longest synchronous call


def test_proxy_s_configuration_is_one(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed (Debian: apt-get install nginx-light)")
    config = tmp_path / "nginx.conf"
    config.write_text(NGINX.replace("/tmp/", f"{tmp_path}/"), encoding="utf-8")
    done = subprocess.run([nginx, "-t", "-c", config], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_settings_of_the_pods_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = yaml.safe_load((KUBERNETES / "scale" / "kustomization.yaml").read_text(encoding="utf-8"))
    for literal in rules["configMapGenerator"][0]["literals"]:
        monkeypatch.setenv(*literal.split("=", 1))
    for variable in main_container(deployments()["dashscribe-gpu-worker"])["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    settings = load()
    assert (settings.provider, settings.workers, settings.log_format) == ("cuda", 2, "json")
    assert settings.store_url.startswith("s3://")


# -- Kubernetes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_kustomizations_name_every_file_beside_them(folder: Path) -> None:
    rules = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    named = [*rules["resources"], *rules.get("components", [])]
    assert all((folder / name).exists() for name in named)
    beside = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert beside == {name for name in named if name.endswith(".yaml")}


@pytest.mark.parametrize("folder", ["base", "overlays/gpu", "scale", "overlays/scale", "overlays/scale-gpu"])
def test_kustomize_builds_what_can_be_applied(folder: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    built = subprocess.run(["kubectl", "kustomize", KUBERNETES / folder], capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, built.stderr
    objects = list(yaml.safe_load_all(built.stdout))
    names = Counter((o["kind"], o["metadata"]["name"]) for o in objects)
    assert set(names.values()) == {1}
    assert {o["metadata"].get("namespace") for o in objects if o["kind"] != "Namespace"} == {"dashscribe"}
    pods = [o["spec"]["template"] for o in objects if o["kind"] in ("Deployment", "StatefulSet")]
    assert all(re.search(r":\d", c["image"]) for pod in pods for c in pod["spec"]["containers"])
    maps = {o["metadata"]["name"] for o in objects if o["kind"] == "ConfigMap"}
    containers = [c for pod in pods for c in (*pod["spec"].get("initContainers", []), *pod["spec"]["containers"])]
    sources = [[s["configMapRef"]["name"] for s in c["envFrom"] if "configMapRef" in s] for c in containers]
    assert all(set(names) == maps for names in sources)  # with the digest that kustomize adds
    scaled = {o["spec"]["scaleTargetRef"]["name"] for o in objects if "scaleTargetRef" in o.get("spec", {})}
    for deployment in (o for o in objects if o["kind"] == "Deployment" and o["metadata"]["name"] in scaled):
        assert "replicas" not in deployment["spec"]  # two would take turns in setting it


def test_every_pod_has_one_budget_and_one_set_of_doors() -> None:
    budgets = [d["spec"] for d in everything() if d["kind"] == "PodDisruptionBudget"]
    doors = [d["spec"] for d in everything() if d["kind"] == "NetworkPolicy" and d["spec"]["podSelector"]]
    for deployment in deployments().values():
        labels = pod_labels(deployment)
        assert selects(deployment["selector"], labels)
        others = [d for d in deployments().values() if d["selector"] != deployment["selector"]]
        assert not any(selects(other["selector"], labels) for other in others)
        assert len([b for b in budgets if selects(b["selector"], labels)]) == 1  # with two, nothing is ever evicted
        (door,) = [d for d in doors if selects(d["podSelector"], labels)]
        (rule,) = door["ingress"]
        assert [port["port"] for port in rule["ports"]] == [main_container(deployment)["ports"][0]["name"]]
        sources = {s["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for s in rule["from"]}
        assert ("ingress-nginx" in sources) is (component(deployment) == "server")
    (service,) = [d["spec"] for d in everything() if d["kind"] == "Service"]
    assert service["selector"] == {"app.kubernetes.io/component": "server"}


def test_private_addresses_are_closed_to_pods_as_to_the_program() -> None:
    (policy,) = [
        d["spec"] for d in everything() if d["kind"] == "NetworkPolicy" and d["metadata"]["name"] == "dashscribe"
    ]
    base = yaml.safe_load((KUBERNETES / "base" / "networkpolicy.yaml").read_text(encoding="utf-8"))["spec"]
    assert policy["egress"][:2] == base["egress"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy


def test_autoscaling_asks_for_metrics_and_stages_that_exist() -> None:
    metrics = {metric.name: metric for metric in METRICS}
    (scaled,) = [d["spec"] for d in everything() if d["kind"] == "ScaledObject"]
    queries = [trigger["metadata"]["query"] for trigger in scaled["triggers"]]
    named = [name for query in queries for name in re.findall(r"dashscribe_\w+", query)]
    (external,) = [
        d["spec"]
        for d in everything()
        if d["kind"] == "HorizontalPodAutoscaler" and any(m["type"] == "External" for m in d["spec"]["metrics"])
    ]
    asked = [metric["external"]["metric"]["name"] for metric in external["metrics"]]
    assert named == asked == ["dashscribe_queue_age_seconds", "dashscribe_waiting_audio_seconds"]
    assert {metrics[name].kind for name in asked} == {"gauge"}
    stages = re.findall(r'stage=~"([a-z|]+)"', queries[0])[0].split("|")
    assert metrics[asked[0]].labels == ("stage",)
    lookups = (CHECKOUT / "src" / "dashscribe" / "telemetry" / "lookups.py").read_text(encoding="utf-8")
    assert all(f'"{stage}"' in lookups for stage in stages)
    for spec in (scaled, external):
        assert spec["scaleTargetRef"]["name"] == "dashscribe-worker"
        assert spec.get("minReplicaCount", spec.get("minReplicas")) >= 1  # with none, tasks only wait
    told = re.findall(r"dashscribe_[a-z_]+", "".join(page.read_text(encoding="utf-8") for page in PAGES))
    series = {name for m in METRICS for name in (m.name, *(f"{m.name}_{end}" for end in ("sum", "count", "bucket")))}
    assert set(told) <= series


def test_metrics_are_asked_for_with_a_key_that_the_secret_has() -> None:
    for spec in (d["spec"] for d in everything() if d["kind"] == "PodMonitor"):
        for endpoint in spec["podMetricsEndpoints"]:
            secret = endpoint["authorization"]["credentials"]
            assert secret["key"].removeprefix("DASHSCRIBE_").lower() in Settings.model_fields
            assert all(
                {"secretRef": {"name": secret["name"]}} in main_container(deployment)["envFrom"]
                for deployment in deployments().values()
            )


# -- systemd --------------------------------------------------------------------------------------------------------


def test_worker_unit_differs_from_the_server_s_only_where_it_has_to() -> None:
    server = (DEPLOY / "dashscribe.service").read_text(encoding="utf-8")

    def settings(unit: str) -> list[list[str]]:
        return [line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#")]

    ours, theirs = settings(WORKER_UNIT), settings(server)
    assert [name for name, _ in ours] == [name for name, _ in theirs]
    different = {mine[0] for mine, other in zip(ours, theirs, strict=True) if mine != other}
    assert different == {"Description", "ExecStart", "EnvironmentFile", "TimeoutStopSec"}  # calls are a server's
    start, other = shlex.split(dict(ours)["ExecStart"]), shlex.split(dict(theirs)["ExecStart"])
    assert start[0] == other[0]
    assert parsed(start[1:])["host"] == "127.0.0.1"


def test_systemd_takes_the_worker_s_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian: apt-get install systemd)")
    unit = tmp_path / "dashscribe-worker.service"
    unit.write_text(WORKER_UNIT.replace("/opt/dashscribe/bin/dashscribe", sys.executable), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60)
    assert "dashscribe-worker.service" not in done.stderr


# -- pages ----------------------------------------------------------------------------------------------------------


def commands_of_the_page() -> list[str]:
    return re.findall(r"run --rm (?:server|worker) (\S.*?)$", PAGES[0].read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("call", commands_of_the_page())
def test_commands_of_the_page_exist(call: str) -> None:
    parsed(shlex.split(call))


def test_the_page_shows_calls_of_the_program() -> None:
    assert len(commands_of_the_page()) >= 2


def test_page_says_in_which_mode_pgbouncer_works_and_a_connection_needs_no_options_of_it() -> None:
    source = Path(connecting.__file__).read_text(encoding="utf-8")
    assert '"options"' not in source  # of a startup message, which PgBouncer refuses
    assert "pool_mode = session" in PAGES[1].read_text(encoding="utf-8")
