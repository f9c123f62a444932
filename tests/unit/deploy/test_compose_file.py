"""`deploy/compose.yaml` as Docker's own parser reads it: whole, and each setting and command known to us."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from livereactor.wiring.coordinator import coordinator_options
from tests.tools.composed import COMPOSE, rendered
from tests.tools.processes import REPOSITORY, ProcessFailedError
from tests.unit.deploy.said import DEPLOY, check_command, check_environment

_FILLED = "0123456789abcdef0123456789abcdef"


def filled_in() -> dict[str, str]:
    """`deploy/env.example` as an operator fills it in."""
    pairs = [line.split("=", 1) for line in (DEPLOY / "env.example").read_text().splitlines() if "=" in line[:30]]
    return {name: value or _FILLED for name, value in pairs if not name.startswith("#")}


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    return rendered(COMPOSE, environment=filled_in())


def ours(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: each for name, each in said["services"].items() if each["image"] == "livereactor"}


def test_every_setting_and_every_command_of_it_is_known(said: dict[str, Any]) -> None:
    assert sorted(ours(said)) == ["coordinator-1", "coordinator-2", "worker-1", "worker-2"]
    for service in ours(said).values():
        check_command(service["command"])
        check_environment(service["environment"])


def test_ours_have_no_right_that_they_do_not_need(said: dict[str, Any]) -> None:
    for service in ours(said).values():
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])


def test_every_image_of_others_can_be_given_with_its_digest(said: dict[str, Any]) -> None:
    others = {each["image"] for each in said["services"].values()} - {"livereactor"}
    named = re.findall(r"\b([A-Z0-9]+_IMAGE)\b", (DEPLOY / "env.example").read_text())
    given = {name: f"{name.lower()}@sha256:{_FILLED * 2}" for name in named}
    found = rendered(COMPOSE, environment={**filled_in(), **given})["services"].values()
    assert not others & {each["image"] for each in found}
    assert {each["build"]["args"]["PYTHON_IMAGE"] for each in found if "build" in each} == {given["PYTHON_IMAGE"]}


def test_both_coordinators_are_the_same_but_for_where_they_are(said: dict[str, Any]) -> None:
    first, second = (ours(said)[f"coordinator-{number}"] for number in (1, 2))
    differs = {name for name in first["environment"] if first["environment"][name] != second["environment"][name]}
    assert differs <= {"LIVEREACTOR_COORDINATOR__PEER_URL"}
    settings = check_environment(first["environment"]).settings
    assert settings.store.url is not None
    assert settings.store.url.startswith("postgresql://livereactor:")
    assert settings.blobs.url is not None
    assert settings.blobs.url.startswith("s3://")
    options = coordinator_options(settings)
    assert options.turn.secret == filled_in()["TURN_SECRET"]
    assert not options.guests


@pytest.mark.parametrize("missing", ["SECRET", "PUBLIC_ADDRESS", "POSTGRES_PASSWORD"])
def test_nothing_starts_without_a_secret_or_an_address(missing: str) -> None:
    with pytest.raises(ProcessFailedError, match=r"see deploy/env\.example"):
        rendered(COMPOSE, environment={**filled_in(), missing: ""})


def test_files_that_it_mounts_are_there(said: dict[str, Any]) -> None:
    for service in said["services"].values():
        for volume in service.get("volumes") or []:
            assert volume["type"] == "volume" or Path(volume["source"]).exists(), volume


def test_the_proxy_is_told_of_every_coordinator_and_believed(said: dict[str, Any]) -> None:
    named = re.findall(r"server (\S+):8080", (DEPLOY / "nginx-two.conf").read_text())
    assert named == [name for name in ours(said) if name.startswith("coordinator-")]
    environment = ours(said)["coordinator-1"]["environment"]
    proxy = said["services"]["proxy"]["networks"]["inside"]["ipv4_address"]
    assert proxy in check_environment(environment).settings.coordinator.proxies


def test_its_relay_is_no_way_into_private_networks_either() -> None:
    def denied(name: str) -> list[str]:
        text = (DEPLOY / name).read_text()
        return re.findall(r"^(?:denied-peer-ip|no-tcp-relay|no-multicast-peers|user-quota).*$", text, re.MULTILINE)

    assert denied("coturn-compose.conf") == denied("coturn.conf")
    assert len(denied("coturn.conf")) > 10


def test_chaos_changes_only_what_there_is() -> None:
    here = REPOSITORY / "bench/chaos/compose.yaml"
    said = rendered(COMPOSE, here, environment={**filled_in(), "MODELS": "/models/pond.py"})
    assert sorted(each for each in said["services"] if each.startswith("worker-")) == [
        f"worker-{number}" for number in (1, 2, 3, 4)
    ]
    for service in ours(said).values():
        check_environment(service["environment"])
