"""`rig` with one parameter per adapter."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.pool.rig import MemoryRig, Rig, SubprocessRig


@pytest.fixture(params=["memory", "subprocess"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    made = MemoryRig() if request.param == "memory" else SubprocessRig(tmp_path / "workers")
    yield made
    made.tidy()
