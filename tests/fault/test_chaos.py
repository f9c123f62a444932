"""All of `deploy/compose.yaml` under load while its parts are killed and frozen (R1): no promise is broken."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.tools.netns import can_make_networks
from tests.tools.processes import REPOSITORY

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not can_make_networks(), reason="may not make network namespaces"),
]


@pytest.mark.parametrize("seed", [1, 2])
def test_forty_seconds_of_it(seed: int) -> None:
    command = [sys.executable, "-m", "bench.chaos", "--seconds", "40", "--seed", str(seed)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=540, check=False)
    told = json.loads(done.stdout)
    assert done.returncode == 0, told["wrong"]
    assert told["faults"] >= 5
    assert told["sessions"] >= 5
    assert told["frames"] > 50
