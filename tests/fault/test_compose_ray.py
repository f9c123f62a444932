"""`deploy/compose.ray.yaml`, started as it is: workers on a Ray cluster, and media that only the relay can carry."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from tests.fault.test_compose import PATIENCE, is_up, key_made
from tests.tools.composed import COMPOSE, Composed, composed, rendered
from tests.tools.drivers import OWN, PythonClients
from tests.tools.netns import Namespace, can_make_networks
from tests.unit.deploy.test_compose_file import filled_in

pytest.importorskip("ray", reason="no Ray for this Python")
pytestmark = [
    pytest.mark.long,  # five processes join a cluster: a minute of two cores
    pytest.mark.timeout(600),
    pytest.mark.skipif(not can_make_networks(), reason="may not make network namespaces"),
]
PUBLIC = "172.30.77.1"
URL = f"http://{PUBLIC}:8080"
PICTURES = 100_000  # bytes; sixty of them are more


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    environment = {**filled_in(), "PUBLIC_URL": URL, "PUBLIC_ADDRESS": PUBLIC}
    said = rendered(COMPOSE, COMPOSE.with_name("compose.ray.yaml"), environment=environment)
    with composed(said, tmp_path_factory.mktemp("compose"), without=("worker-1", "worker-2")) as made:
        # A worker's own packets would open the way for the answers.
        made.host.run(
            [
                "nft",
                "insert",
                "rule",
                "ip",
                "published",
                "passes",
                "iifname",
                "inside",
                "meta",
                "l4proto",
                "udp",
                "drop",
            ]
        )
        yield made


def received(viewer: Namespace) -> int:
    """Bytes that have come to it, from the machine with the relay and from nowhere else."""
    (device,) = json.loads(viewer.run(["ip", "-json", "-statistics", "link", "show", "dev", "eth0"]))
    return int(device["stats64"]["rx"]["bytes"])


async def test_a_picture_of_a_ray_worker_comes_through_the_relay_where_nothing_else_leads_to_it(
    service: Composed,
) -> None:
    service.wait_until(lambda: is_up(service), timeout=4 * PATIENCE)
    key = key_made(service)
    elsewhere = service.outside()
    async with AsyncExitStack() as stack:
        with elsewhere.inside():
            clients = await stack.enter_async_context(PythonClients.started(OWN))
        async with asyncio.timeout(3 * PATIENCE):
            viewer = await clients.new(URL, model="pond", api_key=key)
            await viewer.connect()
            before = received(elsewhere)
            assert (await viewer.frames(60, timeout=PATIENCE))["count"] >= 60
            assert received(elsewhere) - before > PICTURES
            await viewer.ask("leave")
