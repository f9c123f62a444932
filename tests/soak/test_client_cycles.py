"""Connecting and disconnecting leaves a client's process as it was: threads, descriptors, tasks, memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.soak.visiting import Used, is_back
from tests.tools.processes import REPOSITORY, Program, livereactor_run
from tests.tools.serving import Coordinator, livereactor_serve

MODEL = f"{Path(__file__).with_name('models.py')}:Remembers"


@pytest.fixture(params=["run", "serve"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Program]:
    if request.param == "run":
        with livereactor_run(MODEL, log_path=tmp_path / "log") as program:
            yield program
        return
    with livereactor_serve([MODEL], log_path=tmp_path / "log") as program:
        program.wait_for_worker()
        yield program


def around(server: Program, *, warm_up: int, cycles: int, timeout: float) -> tuple[Used, Used]:
    """What the client's process holds after the warm-up, and after so many more cycles."""
    options: dict[str, Any] = {"model_name": "remembers", "local": server.url}
    if isinstance(server, Coordinator):
        options = {"model_name": "remembers", "api_url": server.url, "api_key": server.key}
    command = [sys.executable, "-m", "tests.soak.cycles", json.dumps(options), str(warm_up), str(cycles)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["tasks"] == []
    return Used(**told["before"]), Used(**told["after"])


def test_fifty_cycles_leave_no_thread_and_no_descriptor(server: Program) -> None:
    before, after = around(server, warm_up=10, cycles=50, timeout=100.0)
    assert is_back(after, before), f"{before} before, {after} after"


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_thousand_cycles_leave_nothing(server: Program) -> None:
    before, after = around(server, warm_up=100, cycles=900, timeout=3000.0)
    print(before, after)
    assert is_back(after, before), f"{before} before, {after} after"
    assert after.rss < before.rss * 1.05, f"{before} before, {after} after"
