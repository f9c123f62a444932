"""`deploy/Dockerfile` as Docker's own parser reads it, and each thing it names."""

from __future__ import annotations

import tomllib

import dockerfile
import pytest

from tests.tools.processes import REPOSITORY
from tests.unit.deploy.said import DEPLOY

_LINES = dockerfile.parse_file(str(DEPLOY / "Dockerfile"))


def stages() -> dict[str, list[dockerfile.Command]]:
    found: dict[str, list[dockerfile.Command]] = {}
    for line in _LINES:
        if line.cmd.lower() == "from":
            found[line.value[2]] = []
        else:
            found[list(found)[-1]].append(line)
    return found


def test_it_has_the_stages_that_are_asked_for() -> None:
    assert list(stages()) == ["wheel", "cpu", "cuda"]


@pytest.mark.parametrize("stage", ["cpu", "cuda"])
def test_an_image_runs_our_command_as_nobody_special(stage: str) -> None:
    last = {line.cmd.lower(): line.value for line in stages()[stage]}
    assert last["user"] == ("livereactor",)
    assert last["entrypoint"] == ("livereactor",)
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    assert last["entrypoint"][0] in scripts


@pytest.mark.parametrize("stage", ["cpu", "cuda"])
def test_what_is_installed_is_the_package_with_extras_that_it_has(stage: str) -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    runs = " ".join(" ".join(line.value) for line in stages()[stage] if line.cmd.lower() == "run")
    assert "livereactor[${EXTRAS}] @ " in runs
    asked = [line.value[0].partition("=")[2] for line in stages()[stage] if line.cmd.lower() == "arg"]
    assert set(asked[0].split(",")) <= set(extras)
    assert "--constraint /wheel/requirements.lock" in runs


def test_what_is_copied_is_there_and_not_ignored() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert all((REPOSITORY / each).exists() for each in kept)
    copied = [line.value[0] for line in _LINES if line.cmd.lower() == "copy" and not line.flags]
    assert {"."} | kept >= set(copied)
    # What hatchling reads to build the wheel: the package, the demos it puts in, and what the project table names.
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    needed = {"src", project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"}
    assert needed | {each.partition("/")[0] for each in included} <= kept
