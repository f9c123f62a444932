"""What killed programs left of recordings, uploads and half-written streams is gone once another one starts."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.tools.processes import REPOSITORY, Program, livereactor_run
from tests.tools.serving import livereactor_serve

MODEL = REPOSITORY / "tests/fault/models_served.py"
DAYS = 2 * 86_400.0  # seconds


def left(root: Path, path: str, *, age: float, data: bytes = b"x") -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    then = time.time() - age
    os.utime(file, (then, then))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with what is old, and what is not."""
    root, head = tmp_path / "data" / "blobs", json.dumps({"session": "ses_of_long_ago"}).encode()
    for path in (
        "recordings/old/chunk_00000.m4s",
        "clips/old/asked.json",
        "sessions/old/x/content",
        "staging/old/content",
    ):
        left(root, path, age=DAYS)
    left(root, "recordings/old/recording.json", age=DAYS, data=head)
    left(root, "recordings/new/recording.json", age=60.0, data=head)
    left(root, "clips/new/asked.json", age=60.0)
    return root


def files(root: Path) -> list[str]:
    # Folders go while they are looked at, which `rglob` does not stand.
    return sorted(str((Path(at) / name).relative_to(root)) for at, _, names in os.walk(root) for name in names)


def until_tidy(program: Program, root: Path) -> None:
    young = ["clips/new/asked.json", "recordings/new/recording.json"]
    program.wait_until(lambda: files(root) == young, timeout=30.0)


def test_a_runtime_that_starts_tidies_its_folder(root: Path, tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(REPOSITORY), "LIVEREACTOR_BLOBS__URL": str(root)}
    with livereactor_run(f"{MODEL}:Numbered", log_path=tmp_path / "log", environment=environment) as program:
        until_tidy(program, root)


def test_a_coordinator_that_starts_tidies_its_folder(root: Path, tmp_path: Path) -> None:
    with livereactor_serve([], log_path=tmp_path / "log", data_dir=root.parent) as program:
        until_tidy(program, root)
