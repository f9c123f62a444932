"""The tutorial is followed literally: its files are written and run, its commands typed, in an empty folder."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from livereactor.runtime.execution.loading import load_model
from livereactor.testing import Stage
from tests.tools.processes import REPOSITORY

TUTORIAL = REPOSITORY / "docs/first-model.md"
FENCE = re.compile(r'^```(?P<kind>python|sh)(?: title="(?P<file>[\w.]+)")?\n(?P<text>.*?)^```$', re.M | re.S)
SERVING = (
    "livereactor dev",
    "livereactor run",
    "livereactor serve",
    "make ",
)  # these wait for a person: tests/e2e/cli runs them


@dataclass(frozen=True)
class Block:
    kind: str
    file: str | None
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found.group("kind", "file", "text")) for found in FENCE.finditer(page.read_text(encoding="utf-8"))]


MODELS = [block.text for block in blocks(TUTORIAL) if block.file == "lamp.py"]


def test_the_first_model_has_at_most_fifteen_lines_of_code() -> None:
    assert len([line for line in MODELS[0].splitlines() if line.strip()]) <= 15


@pytest.mark.parametrize("text", MODELS, ids=["a model", "something to steer", "a command with an answer"])
def test_every_stage_of_the_model_runs_and_moves(tmp_path: Path, text: str) -> None:
    (tmp_path / "lamp.py").write_text(text, encoding="utf-8")
    with Stage(load_model(str(tmp_path / "lamp.py"))) as stage:
        pictures = [stage.step().frames["main_video"][0] for _ in range(5)]
    assert pictures[0].shape == (360, 640, 3)
    assert not np.array_equal(pictures[0], pictures[-1])


def test_the_page_can_be_followed_to_its_end_in_an_empty_folder(tmp_path: Path) -> None:
    typed = 0
    for block in blocks(TUTORIAL):
        if block.kind == "python":
            assert block.file is not None, "every file of the tutorial says its name"
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
            continue
        for line in block.text.splitlines():
            if line.startswith(SERVING):
                assert (tmp_path / line.split()[-1]).is_file()
                continue
            type_in(line, tmp_path)
            typed += 1
    assert typed >= 3


def type_in(line: str, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        line, shell=True, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
