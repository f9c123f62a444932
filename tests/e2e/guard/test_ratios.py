"""What must not get slower, as ratios of processor time within one run: never a time by itself.

A regression shows in every round, what else the machine does does not: one round within the bound is enough. Processor
time, not the clock's: who waits for a core uses none.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

import pytest
import pytest_asyncio

from bench.official.picture import Pattern
from livereactor.media.encoder import make_encoder
from livereactor.media.frames import VideoCodec
from tests.tools.drivers import OWN, Client, PythonClients
from tests.tools.fixtures import SMALL
from tests.tools.netns import private_network
from tests.tools.processes import REPOSITORY, Program, livereactor_run

ROUNDS = 5
FRAMES = 45  # a round
VIEWERS = 4
# Measured: 1.6; with an encoder for each viewer it is 3.4, as with the official runtime.
MOST_FOR_FOUR = 2.4
# Measured: 1.4.
MOST_FOR_ONE = 2.8
WIDTH, HEIGHT, BPS = 640, 360, 2_000_000

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The conformance model, not recorded."""
    environment = {**SMALL, "LIVEREACTOR_RECORDER__ENABLED": "false"}
    log_path = tmp_path_factory.mktemp("server") / "log"
    with (
        private_network(),
        livereactor_run(
            REPOSITORY / Path("examples/conformance.py"), log_path=log_path, environment=environment
        ) as program,
    ):
        yield program


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def first(server: Program) -> AsyncIterator[Client]:
    """The viewer that is always there."""
    async with PythonClients.started(OWN) as clients:
        viewer = await clients.new(server.url)
        await viewer.connect()
        await viewer.command("set_pacing", pacing="backpressure")
        await viewer.frames(FRAMES, timeout=30.0)
        yield viewer
        await viewer.ask("drop")


async def test_further_viewers_cost_little_beside_the_first(server: Program, first: Client) -> None:
    session = (await first.state())["session"]
    ratios: list[float] = []
    while len(ratios) < ROUNDS and not any(ratio <= MOST_FOR_FOUR for ratio in ratios):
        alone = await cost(first)
        async with AsyncExitStack() as stack:
            for _ in range(VIEWERS - 1):
                further = await first.driver.new(server.url)  # type: ignore[attr-defined]
                await further.connect(session_id=session)
                stack.push_async_callback(further.ask, "leave")
                await further.frames(1)
            ratios.append(await cost(first) / alone)
    assert min(ratios) <= MOST_FOR_FOUR, ratios


async def test_one_viewer_costs_little_more_than_to_make_and_encode_the_picture(first: Client) -> None:
    ratios: list[float] = []
    while len(ratios) < ROUNDS and not any(ratio <= MOST_FOR_ONE for ratio in ratios):
        ratios.append(await cost(first) / bare_cost())
    assert min(ratios) <= MOST_FOR_ONE, ratios


async def cost(viewer: Client) -> float:
    """Processor seconds of the server for one frame that came."""
    before = (await viewer.command("get_state"))["data"]["cpu_s"]
    came = await viewer.frames(FRAMES, timeout=30.0)
    after = (await viewer.command("get_state"))["data"]["cpu_s"]
    assert came["count"] >= FRAMES
    return (after - before) / came["count"]


def bare_cost() -> float:
    """Processor seconds to make a picture and to encode it, in this process."""
    pattern = Pattern(WIDTH, HEIGHT)
    encoder = make_encoder(VideoCodec.VP8, width=WIDTH, height=HEIGHT, fps=30, bps=BPS)
    costs: list[float] = []
    for number in range(FRAMES):
        began = time.process_time()
        encoder.encode(pattern.frame(number, None), key=False, captured_us=number * 33_333)
        costs.append(time.process_time() - began)
    return median(costs)
