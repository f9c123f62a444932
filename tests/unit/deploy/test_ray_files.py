"""Ray in `deploy/`: the compose file's second shape and the cluster file, read by Docker, by Ray and by us."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import yaml

from tests.tools.composed import COMPOSE, rendered
from tests.unit.deploy.said import DEPLOY, check_command, check_environment
from tests.unit.deploy.test_compose_file import filled_in

scripts: Any = pytest.importorskip("ray.scripts.scripts", reason="no Ray for this Python")


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    return rendered(COMPOSE, DEPLOY / "compose.ray.yaml", environment=filled_in())


def check_start(words: list[str]) -> None:
    """Raise where `ray start` would refuse these arguments."""
    assert words[:2] == ["ray", "start"], words
    scripts.start.make_context("ray start", words[2:]).close()


def test_every_setting_and_every_command_of_its_compose_file_is_known(said: dict[str, Any]) -> None:
    for name in ("coordinator-1", "coordinator-2"):
        service = said["services"][name]
        assert service["entrypoint"] == ["sh", "-c"]
        joins, serves = re.fullmatch(r"(.*) && exec livereactor (.*)\n?", service["command"][0]).groups()  # type: ignore[union-attr]  # fullmatch: the test fails where there is none
        check_start(shlex.split(joins))
        check_command(shlex.split(serves))
        assert "--pool ray" in serves
        check_environment(service["environment"])
    for name in ("ray-head", "ray-node-1", "ray-node-2"):
        service = said["services"][name]
        check_start([*service["entrypoint"], *service["command"]])
    assert [name for name, each in said["services"].items() if each.get("deploy", {}).get("replicas") == 0] == [
        "worker-1",
        "worker-2",
    ]


def test_the_whole_cluster_has_one_token_and_one_image(said: dict[str, Any]) -> None:
    names = ("coordinator-1", "coordinator-2", "ray-head", "ray-node-1", "ray-node-2")
    joined = [said["services"][name] for name in names]
    assert {each["environment"]["RAY_AUTH_TOKEN"] for each in joined} == {filled_in()["RAY_TOKEN"]}
    assert {each["environment"]["RAY_AUTH_MODE"] for each in joined} == {"token"}
    assert {each["image"] for each in joined} == {"livereactor:ray"}
    assert {each["build"]["args"]["EXTRAS"] for each in joined} == {"postgres,ray"}


def test_its_relay_reaches_the_machines_of_the_cluster_and_nothing_else(said: dict[str, Any]) -> None:
    allowed = [each for each in said["services"]["coturn"]["command"] if "allowed-peer-ip" in each]
    first, last = (said["services"][f"ray-node-{number}"]["networks"]["inside"]["ipv4_address"] for number in (1, 2))
    assert allowed == [f"--allowed-peer-ip={first}-{last}"]


def test_ray_takes_the_cluster_file() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    cluster = yaml.safe_load((DEPLOY / "ray-cluster.yaml").read_text())
    validate_config(prepare_config(cluster))
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        words = shlex.split(cluster[key][-1])
        begins = words.index("/opt/livereactor/bin/ray")
        assert "RAY_AUTH_MODE=token" in words[:begins]
        check_start(["ray", *words[begins + 1 :]])
