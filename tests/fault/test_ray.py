"""What can go wrong between a pool and a Ray cluster: kills at every level, frozen machines, no room, no cluster."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from livereactor.pool.port import Needs, PoolUnavailableError
from livereactor.pool.ray import pool as ray_pool
from livereactor.pool.ray.pool import RayPool
from tests.contract.pool.rig import Ends, RayRig, spec, until
from tests.tools.processes import free_port
from tests.tools.ray_cluster import RayCluster, ray_cluster

pytestmark = pytest.mark.timeout(400)  # the first one waits for the cluster
PATIENCE = 60.0  # seconds for what takes two on an idle machine


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster(cpus=2, gpus=2) as cluster, pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        # A starved machine has taken more than a minute to import ray and connect; nothing is measured by it here.
        patch.setattr("livereactor.pool.ray.pool.CONNECT_TIMEOUT", 240.0)
        yield cluster


@pytest.fixture
def rig(cluster: RayCluster, tmp_path: Path) -> Iterator[RayRig]:
    made = RayRig(cluster.address, tmp_path / "workers")
    yield made
    made.tidy()


async def test_a_killed_actor_takes_its_worker_with_it_and_is_told(rig: RayRig) -> None:
    pool = rig.pool()
    ends = Ends(pool)
    await pool.start(spec("wrk_1", "parent"))
    await rig.ready("wrk_1")
    worker = psutil.Process(await rig.pid("wrk_1"))
    family = [worker, *worker.children(recursive=True)]
    assert len(family) == 2
    worker.parent().kill()  # type: ignore[union-attr]
    assert (await ends.of("wrk_1", timeout=PATIENCE)).code is None
    await until(lambda: not any(each.is_running() and each.status() != "zombie" for each in family))
    assert await pool.list() == []
    await pool.aclose()


async def test_a_killed_driver_costs_no_worker_and_no_end(rig: RayRig) -> None:
    pool = rig.pool()
    ends = Ends(pool)
    handles = [await pool.start(spec(worker)) for worker in ("wrk_1", "wrk_2")]
    await rig.ready("wrk_2")
    driver_of_this_process().kill()
    await rig.die(pool, "wrk_1")
    assert (await ends.of("wrk_1", timeout=PATIENCE)).code == -signal.SIGKILL
    assert await pool.list() == handles[1:]
    await pool.stop("wrk_2", grace=10)
    assert (await ends.of("wrk_2")).code == 0
    await pool.aclose()
    assert [ended.worker for ended in ends.told] == ["wrk_1", "wrk_2"]


async def test_a_frozen_machine_is_given_up_and_its_worker_is_gone_when_it_wakes(
    rig: RayRig, cluster: RayCluster
) -> None:
    node = cluster.join(cpus=1, resources={"elsewhere": 1})
    pool = rig.pool()
    ends = Ends(pool)
    await pool.start(spec("wrk_1", needs=Needs(cpus=0, resources={"elsewhere": 1})))
    await rig.ready("wrk_1")
    pid = await rig.pid("wrk_1")
    assert pid in {each.pid for each in node.processes()}
    node.freeze()
    os.kill(pid, signal.SIGSTOP)
    await pool.stop("wrk_1", grace=0)
    assert (await ends.of("wrk_1", timeout=PATIENCE)).code is None
    assert await pool.list() == []
    node.wake()
    os.kill(pid, signal.SIGCONT)
    await until(lambda: not psutil.pid_exists(pid), timeout=PATIENCE)
    await pool.aclose()


async def test_each_worker_sees_the_gpus_it_was_given_and_no_others(rig: RayRig) -> None:
    pool = rig.pool()
    for worker in ("wrk_1", "wrk_2"):
        await pool.start(spec(worker, needs=Needs(cpus=0, gpus=1)))
    await pool.start(spec("wrk_3"))
    seen = {worker: psutil.Process(await rig.pid(worker)).environ() for worker in ("wrk_1", "wrk_2", "wrk_3")}
    assert sorted(seen[worker]["CUDA_VISIBLE_DEVICES"] for worker in ("wrk_1", "wrk_2")) == ["0", "1"]
    assert seen["wrk_3"].get("CUDA_VISIBLE_DEVICES", "") == ""
    assert seen["wrk_3"]["LIVEREACTOR_WORKER_SECRET"] == "not for logs"
    for worker in seen:
        await pool.stop(worker, grace=0)
    await pool.aclose()


async def test_a_worker_that_no_machine_has_room_for_is_refused_with_what_there_is(rig: RayRig) -> None:
    pool = rig.pool(place_timeout=0.5)
    with pytest.raises(
        PoolUnavailableError, match=r"'pond' .* had 3 GPU, 1 CPU free within 0\.5 s; .* of 2 GPU"
    ) as error:
        await pool.start(spec("wrk_1", needs=Needs(gpus=3)))
    assert error.value.recoverable
    assert await pool.list() == []
    await pool.aclose()


async def test_a_start_that_waits_for_room_can_be_stopped(rig: RayRig) -> None:
    pool = rig.pool()
    starting = asyncio.create_task(pool.start(spec("wrk_1", needs=Needs(gpus=3))))
    await pool.list()
    while not starting.done():
        await pool.stop("wrk_1", grace=0)
        await asyncio.wait([starting], timeout=0.1)
    with pytest.raises(PoolUnavailableError):
        await starting
    assert await pool.list() == []
    await pool.aclose()


async def test_a_cluster_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_pool, "CONNECT_TIMEOUT", 1.0)  # Ray takes a minute to find out
    pool = RayPool(f"127.0.0.1:{free_port()}", "nobody")
    with pytest.raises(PoolUnavailableError, match=r"cannot be reached .* check that its head is running"):
        await pool.list()
    await pool.aclose()


def driver_of_this_process() -> psutil.Process:
    found = [each for each in psutil.Process().children() if "livereactor.pool.ray.driver" in each.cmdline()]
    assert len(found) == 1
    return found[0]
