"""The Helm chart, rendered by Helm itself and held against Kubernetes' schemas."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from tests.unit.deploy.said import DEPLOY, check_command, check_environment

CHART = DEPLOY / "helm/livereactor"
NEEDED = {"existingSecret": "livereactor", "publicUrl": "https://live.example.com"}
GPU: dict[str, Any] = {
    "name": "garden",
    "target": "/models/garden",
    "replicas": 3,
    "gpus": 1,
    "image": "example/garden:1",
    "publicAddress": "203.0.113.10",
    "portRange": "40000:40999",
    "nodeSelector": {"gpu": "yes"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
}
FULL = {
    **NEEDED,
    "turn": {"urls": ["turn:turn.example.com:3478?transport=udp"], "stun": ["stun:turn.example.com:3478"]},
    "settings": {"LIVEREACTOR_RUNTIME__MAX_CONNECTIONS": "8"},
    "workers": [GPU, {"name": "pond", "target": "/models/pond.py", "replicas": 1}],
}
OFF = {"enabled": False}
BARE = {**NEEDED, "ingress": OFF, "networkPolicy": OFF, "coordinator": {"replicas": 1}, "workers": []}
_SECRETS = {
    "LIVEREACTOR_STORE__URL": "postgresql://livereactor@db/livereactor",
    "LIVEREACTOR_COORDINATOR__SECRET": "0" * 32,
    "LIVEREACTOR_COORDINATOR__WORKER_SECRET": "1" * 32,
    "LIVEREACTOR_TURN__SECRET": "2" * 32,
}


def manifests(values: dict[str, Any]) -> list[dict[str, Any]]:
    with helm_python.Chart.load(str(CHART)) as chart:
        texts = chart.render(values, name="demo", namespace="live")
    return [each for text in texts.values() for each in yaml.safe_load_all(text) if each]


def containers(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = [each for each in manifests(values) if each["kind"] == "Deployment"]
    return {each["metadata"]["name"]: each["spec"]["template"]["spec"]["containers"][0] for each in found}


@pytest.mark.parametrize("kubernetes", ["1.30", "1.32", "1.34"])
@pytest.mark.parametrize("values", [NEEDED, FULL, BARE], ids=["defaults", "full", "bare"])
def test_kubernetes_takes_what_it_renders(values: dict[str, Any], kubernetes: str) -> None:
    for each in manifests(values):
        kubernetes_validate.validate(each, kubernetes, strict=True)


def test_helm_has_no_fault_to_find() -> None:
    told = helm_python.lint(str(CHART), values=NEEDED)
    assert not told["errors"], told


@pytest.mark.parametrize("values", [NEEDED, FULL, BARE], ids=["defaults", "full", "bare"])
def test_every_setting_and_every_command_of_it_is_known(values: dict[str, Any]) -> None:
    for container in containers(values).values():
        check_command(container["args"])
        check_environment(
            {each["name"]: each.get("value") or _SECRETS.get(each["name"], "") for each in container["env"]}
        )


def test_who_is_selected_is_who_is_meant() -> None:
    made = manifests(FULL)
    pods = [each["spec"]["template"]["metadata"]["labels"] for each in made if each["kind"] == "Deployment"]
    service = next(each for each in made if each["kind"] == "Service")
    chosen = [labels for labels in pods if service["spec"]["selector"].items() <= labels.items()]
    assert [labels["app.kubernetes.io/component"] for labels in chosen] == ["coordinator"]
    name, port = service["metadata"]["name"], service["spec"]["ports"][0]["port"]
    workers = {name: each for name, each in containers(FULL).items() if "worker" in name}
    assert len(workers) == 2
    for worker in workers.values():
        assert worker["args"][-1] == f"http://{name}:{port}"
    backend = next(each for each in made if each["kind"] == "Ingress")["spec"]["rules"][0]["http"]["paths"][0][
        "backend"
    ]
    assert backend["service"]["name"] == name


@pytest.mark.parametrize("values", [NEEDED, FULL, BARE], ids=["defaults", "full", "bare"])
def test_a_pod_has_no_right_that_it_does_not_need(values: dict[str, Any]) -> None:
    pods = [each["spec"]["template"]["spec"] for each in manifests(values) if each["kind"] == "Deployment"]
    assert pods
    for pod in pods:
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            # A root that is read only needs a place for temporary files.
            assert "/tmp" in [each["mountPath"] for each in container["volumeMounts"]]


def test_a_data_folder_is_not_the_mount_which_is_of_root() -> None:
    """Kubernetes makes an emptyDir of root, open to all, and a user who is not root cannot close it."""
    coordinator = containers(NEEDED)["demo-coordinator"]
    [folder] = [each["value"] for each in coordinator["env"] if each["name"] == "LIVEREACTOR_COORDINATOR__DATA_DIR"]
    assert PurePosixPath(folder).parent in [PurePosixPath(each["mountPath"]) for each in coordinator["volumeMounts"]]


def test_a_model_that_writes_anywhere_may_be_let() -> None:
    made = containers({**NEEDED, "workers": [{**GPU, "readOnlyRootFilesystem": False}]})
    assert made["demo-worker-garden"]["securityContext"]["readOnlyRootFilesystem"] is False
    assert made["demo-coordinator"]["securityContext"]["readOnlyRootFilesystem"] is True


def test_coordinators_are_reached_by_those_who_are_named_and_reach_no_metadata() -> None:
    made = manifests({**FULL, "networkPolicy": {"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}})
    [policy] = [each["spec"] for each in made if each["kind"] == "NetworkPolicy"]
    pods = {each["metadata"]["name"]: each["spec"]["template"] for each in made if each["kind"] == "Deployment"}
    chosen = policy["podSelector"]["matchLabels"]
    assert [n for n, pod in pods.items() if chosen.items() <= pod["metadata"]["labels"].items()] == ["demo-coordinator"]
    [rule] = policy["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": "http"}]
    assert rule["from"] == [{"podSelector": {"matchLabels": chosen}}, {"ipBlock": {"cidr": "192.0.2.0/24"}}]
    blocks = [each["ipBlock"] for rule in policy["egress"] for each in rule["to"] if "ipBlock" in each]
    assert {each["cidr"]: each["except"] for each in blocks} == {
        "0.0.0.0/0": ["169.254.169.254/32"],
        "::/0": ["fd00:ec2::254/128"],
    }


def test_a_worker_gets_the_gpus_it_asks_for_and_is_never_doubled_on_them() -> None:
    deployment = next(each for each in manifests(FULL) if each["metadata"]["name"] == "demo-worker-garden")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert pod["containers"][0]["image"] == "example/garden:1"
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert pod["nodeSelector"] == {"gpu": "yes"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "existingSecret"),
        ({**NEEDED, "publicUrl": "live.example.com"}, "publicUrl"),
        ({**NEEDED, "replicas": 3}, "replicas"),
        ({**NEEDED, "settings": {"MAX_CONNECTIONS": "8"}}, "MAX_CONNECTIONS"),
        ({**NEEDED, "workers": [{"name": "A b", "target": "m.py", "replicas": 1}]}, "workers"),
    ],
)
def test_values_that_cannot_be_are_refused_by_name(values: dict[str, Any], said: str) -> None:
    with pytest.raises(helm_python.HelmError, match=said):
        manifests(values)
