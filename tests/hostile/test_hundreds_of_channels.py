"""A visitor holds a connection and opens data channels by the hundred: it is put out, and the owner goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest
import pytest_asyncio

from livereactor.protocol import v1
from tests.hostile.watching import PATIENCE, PROGRAMS, Stage, conformance_program, engine_of, on_stage
from tests.tools.processes import Program

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
MANY: Final = 200
SILENCE: Final = str(2 * PATIENCE)  # seconds: who is put out before is not put out for saying nothing


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    log_path = tmp_path_factory.mktemp("program") / "log"
    with conformance_program(request.param, log_path, {"MAX_CONNECTIONS": "16", "CLIENT_SILENCE": SILENCE}) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(program: Program) -> AsyncIterator[Stage]:
    async with on_stage(program) as made:
        yield made


@pytest.mark.parametrize("kind", ["libwebrtc", "aiortc"])
async def test_hundreds_at_once(stage: Stage, kind: str) -> None:
    async with engine_of(kind) as engine:
        watcher = await stage.watcher(engine, v1, more_channels=[f"channel {number}" for number in range(MANY)])
        await watcher.until(lambda: watcher.is_closed)
        await stage.owner_is_served(20)
        await watcher.side.aclose()
