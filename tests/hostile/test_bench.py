"""Attacks of `bench.hostile` for a second each: promises are kept, whatever the load of the machine.

Milliseconds are the bench's business (docs/hostile.md).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.hostile.attack import Program
from tests.tools.netns import can_make_networks
from tests.tools.processes import REPOSITORY

SHORT: dict[Program, tuple[str, ...]] = {
    "run": ("endless-headers", "idle-sockets", "malformed-rtp"),
    "serve": ("large-messages", "pings-protobuf", "a-hundred-sections", "queue-flood"),
}
PATIENCE = 300.0  # seconds; an idle machine needs less than one minute


@pytest.mark.timeout(PATIENCE + 30)  # a loaded machine needs more than the usual time
@pytest.mark.parametrize("program", SHORT)
def test_promises_are_kept_while_others_attack(program: Program, tmp_path: Path) -> None:
    if not can_make_networks():
        pytest.skip("attackers need addresses of their own, and so root and iproute2")
    asked = [part for name in SHORT[program] for part in ("--attack", name)]
    bench = (sys.executable, "-m", "bench.hostile", "--command", program, "--seconds", "1", "--results", str(tmp_path))
    done = subprocess.run([*bench, *asked], cwd=REPOSITORY, capture_output=True, text=True, timeout=PATIENCE)
    for name in SHORT[program]:
        row = json.loads((tmp_path / f"{program}-{name}.json").read_text()), done.stderr
        assert row[0]["broken"] == [], row
        assert row[0]["sent"], row
        assert row[0]["attacked"]["commands"], row
