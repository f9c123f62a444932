"""`deploy/compose.yaml`, started as it is: each service a process in a network of its own, by the file's commands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.tools.composed import COMPOSE, Composed, composed, rendered
from tests.tools.drivers import OWN, PythonClients
from tests.tools.netns import can_make_networks
from tests.tools.processes import request
from tests.unit.deploy.test_compose_file import filled_in

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not can_make_networks(), reason="may not make network namespaces"),
]
URL = "http://127.0.0.1:8080"
PATIENCE = 60.0  # seconds


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    environment = {**filled_in(), "PUBLIC_URL": URL, "PUBLIC_ADDRESS": "172.30.77.1"}
    said = rendered(COMPOSE, environment=environment)
    with composed(said, tmp_path_factory.mktemp("compose")) as made:
        yield made


def is_up(service: Composed) -> bool:
    """Whether a coordinator answers at the proxy."""
    with service.host.inside():
        try:
            return request(f"{URL}/health", timeout=5.0)[0] == 200
        except OSError:
            return False


def key_made(service: Composed) -> str:
    """As an operator makes it, with the command that the file's head names."""
    command = ["livereactor", "keys", "create", "--name", "website", "--account", "acme", "--json"]
    return str(json.loads(service.run("coordinator-1", command))["key"])


@pytest.fixture(scope="module")
def key(service: Composed) -> str:
    service.wait_until(lambda: is_up(service), timeout=PATIENCE)
    return key_made(service)


async def test_somebody_watches_steers_and_keeps_a_clip(service: Composed, key: str, tmp_path: Path) -> None:
    """In a process of its own: libwebrtc's threads stay in the network in which a process has started them."""
    film = tmp_path / "film.mp4"
    async with AsyncExitStack() as stack:
        with service.host.inside():
            clients = await stack.enter_async_context(PythonClients.started(OWN))
        async with asyncio.timeout(2 * PATIENCE):
            viewer = await clients.new(URL, model="pond", api_key=key)
            await viewer.connect()
            assert (await viewer.frames(20, timeout=PATIENCE))["count"] >= 20
            await viewer.command("drop", x=0.5, y=0.5)
            await viewer.ask("keep", path=str(film), seconds=1)
            await viewer.ask("leave")
    assert film.stat().st_size > 1_000


def test_either_coordinator_knows_the_key_and_the_workers(service: Composed, key: str) -> None:
    for name, address in service.addresses():
        if name.startswith("coordinator-"):
            with service.host.inside():
                status, models = request(
                    f"http://{address}:8080/models", headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE
                )
            assert status == 200, (name, models)
            assert "pond" in json.dumps(models)


def test_the_doctor_finds_database_bucket_and_relay_well(service: Composed, key: str) -> None:
    told = service.run("coordinator-2", ["livereactor", "doctor"])
    assert "?transport=udp relays from 172.30.77.1" in told, told
    assert "?transport=tcp relays from 172.30.77.1" in told, told
