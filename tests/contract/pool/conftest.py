"""`rig` with one parameter per adapter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.pool.rig import MemoryRig, RayRig, Rig, SubprocessRig
from tests.tools.ray_cluster import RayCluster, ray_cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster(cpus=2) as cluster, pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        # A starved machine has taken more than a minute to import ray and connect; nothing is measured by it here.
        patch.setattr("livereactor.pool.ray.pool.CONNECT_TIMEOUT", 240.0)
        yield cluster


# A cluster takes six seconds to start on an idle machine, and its first test waits for it.
@pytest.fixture(params=["memory", "subprocess", pytest.param("ray", marks=pytest.mark.timeout(400))])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    made = _make(request, tmp_path / "workers")
    yield made
    made.tidy()


def _make(request: pytest.FixtureRequest, folder: Path) -> Rig:
    match request.param:
        case "memory":
            return MemoryRig()
        case "subprocess":
            return SubprocessRig(folder)
        case _:
            return RayRig(request.getfixturevalue("cluster").address, folder)
