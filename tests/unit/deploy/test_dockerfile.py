"""`deploy/Dockerfile` as Docker's own parser reads it, and each thing it names."""

from __future__ import annotations

import re
import tomllib

import dockerfile
import pytest

from scripts import audit
from tests.tools.processes import REPOSITORY
from tests.unit.deploy.said import DEPLOY

_LINES = dockerfile.parse_file(str(DEPLOY / "Dockerfile"))
_FROM = next(index for index, line in enumerate(_LINES) if line.cmd.lower() == "from")


def stages() -> dict[str, list[dockerfile.Command]]:
    found: dict[str, list[dockerfile.Command]] = {}
    for line in _LINES[_FROM:]:
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
    assert "--require-hashes --constraint /wheel/requirements.lock" in runs


def test_base_images_can_be_given_with_their_digests() -> None:
    given = {line.value[0].partition("=")[0] for line in _LINES[:_FROM]}
    based = {line.value[0] for line in _LINES if line.cmd.lower() == "from"}
    assert based == {f"${{{name}}}" for name in given}


def test_nothing_is_installed_without_a_hash() -> None:
    runs = [" ".join(line.value) for line in _LINES if line.cmd.lower() == "run"]
    fetching = [each for each in runs if re.search(r"\b(pip install|uv build)\b", each)]
    assert len(fetching) == 4
    assert [each for each in fetching if "--require-hashes" not in each] == []
    setup = (REPOSITORY / "scripts/setup.sh").read_text().replace("\\\n", " ")
    installed = [line.strip() for line in setup.splitlines() if "pip install" in line]
    ours = [line for line in installed if "--require-hashes" not in line]
    # Our own folder has no hash; what builds it has.
    assert [line for line in ours if "-e " not in line or "--build-constraints deploy/build.lock" not in line] == []


def test_what_builds_and_installs_is_locked() -> None:
    built_by = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["build-system"]["requires"]
    found = audit.locked((DEPLOY / "build.lock").read_text())
    assert {"uv", *built_by} <= set(found)
    packages = re.split(r"\n(?=\w)", (DEPLOY / "build.lock").read_text())
    assert [each for each in packages if "--hash=sha256:" not in each] == []


def test_what_is_copied_is_there_and_not_ignored() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert all((REPOSITORY / each).exists() for each in kept)
    copies = [line.value[:-1] for line in _LINES if line.cmd.lower() == "copy" and not line.flags]
    assert {"."} | kept >= {each for copied in copies for each in copied}
    # What hatchling reads to build the wheel: the package, the demos it puts in, and what the project table names.
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    needed = {"src", project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"}
    assert needed | {each.partition("/")[0] for each in included} <= kept
