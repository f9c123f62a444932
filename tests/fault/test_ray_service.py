"""`livereactor serve --pool ray`: pictures from a cluster to our client, while parts of it die and freeze."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from livereactor import Reactor
from tests.e2e.client.noting import Noted
from tests.fault.services import PATIENCE, Service, service
from tests.tools.ray_cluster import ray_cluster

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    settings = {
        "POOL__IDLE_STOP": "1",
        "COORDINATOR__LEASE": "8",
        "POOL__NEEDS": '{"goes-on": {"resources": {"seat": 1}}}',
    }
    with ray_cluster(cpus=4, resources={"seat": 2}) as cluster, pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        arguments = ("--pool", "ray", "--max-workers", "3", "--min-ready", "0")
        settings["POOL__RAY_ADDRESS"] = cluster.address
        with service(folder, "Pair", "GoesOn", arguments=arguments, **settings) as made:
            yield made


async def watching(served: Service, model: str) -> tuple[Reactor, dict[str, Any]]:
    """A client that has seen a frame, and the worker it comes from."""
    reactor = Reactor(model, served.at.key, api_url=served.at.url, auto_reconnect=True)
    await reactor.connect(timeout=PATIENCE)
    await reactor.track("main_video").read(timeout=PATIENCE)
    return reactor, await worker_of(served, reactor)


async def worker_of(served: Service, reactor: Reactor) -> dict[str, Any]:
    await asyncio.to_thread(served.state_of, reactor.session_id or "", "ACTIVE")
    return await asyncio.to_thread(served.worker_of, reactor.session_id or "")


def actor_of(worker: dict[str, Any]) -> psutil.Process:
    actor = psutil.Process(worker["pid"]).parent()
    assert actor is not None
    assert "ray::" in actor.name() or "ray::" in " ".join(actor.cmdline())
    return actor


def is_confined(worker: dict[str, Any]) -> bool:
    """As far as on a machine whose folders we do not know; and it holds its own credential alone."""
    process = Path(f"/proc/{worker['pid']}")
    given = [each for each in (process / "environ").read_text().split("\0") if "WORKER_SECRET=" in each]
    return "NoNewPrivs:\t1" in (process / "status").read_text() and all("=wk_" in each for each in given)


async def until_gone(served: Service, worker: dict[str, Any]) -> None:
    await asyncio.to_thread(served.at.wait_until, lambda: not psutil.pid_exists(worker["pid"]), timeout=PATIENCE)


async def test_two_sessions_are_played_by_one_worker_of_the_cluster(served: Service) -> None:
    (one, first), (two, second) = await watching(served, "pair"), await watching(served, "pair")
    assert first["worker"] == second["worker"]
    assert actor_of(first)
    assert is_confined(first)
    assert one.session_id != two.session_id
    for reactor in (one, two):
        await reactor.track("main_video").read(timeout=PATIENCE)
        await reactor.disconnect()
    await until_gone(served, first)


async def test_the_next_coordinator_adopts_workers_that_still_play_and_replaces_those_whose_actor_dies(
    served: Service,
) -> None:
    (one, first), (two, second) = await watching(served, "goes-on"), await watching(served, "goes-on")
    assert first["worker"] != second["worker"]  # one for whoever waited
    served.kill()
    await asyncio.to_thread(served.start)
    served.at.wait_until(lambda: served.at.log().count("worker adopted") == 2, timeout=PATIENCE)
    for reactor in (one, two):
        await reactor.track("main_video").read(timeout=PATIENCE)
    noted = Noted(one)
    session = one.session_id
    actor_of(first).kill()
    await noted.until(lambda: noted.statuses[-1:] == ["ready"], timeout=PATIENCE)
    await one.track("main_video").read(timeout=PATIENCE)
    assert one.session_id == session
    third = await worker_of(served, one)
    assert third["worker"] not in (first["worker"], second["worker"])
    await two.disconnect()
    await until_gone(served, second)  # drained, though its neighbour plays on
    await one.track("main_video").read(timeout=PATIENCE)
    await one.disconnect()
    await until_gone(served, third)


async def test_a_frozen_worker_is_replaced_and_ends_when_it_wakes(served: Service) -> None:
    reactor, worker = await watching(served, "goes-on")
    noted, session = Noted(reactor), reactor.session_id
    frozen = [psutil.Process(worker["pid"]), actor_of(worker)]
    try:
        for process in frozen:
            process.suspend()
        await noted.until(lambda: noted.statuses[-1:] == ["ready"], timeout=PATIENCE)
        await reactor.track("main_video").read(timeout=PATIENCE)
        assert reactor.session_id == session
        assert (await worker_of(served, reactor))["worker"] != worker["worker"]
    finally:
        for process in frozen:
            with suppress(psutil.NoSuchProcess):
                process.resume()
    await until_gone(served, worker)
    await reactor.track("main_video").read(timeout=PATIENCE)
    await reactor.disconnect()
