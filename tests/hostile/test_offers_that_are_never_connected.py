"""Offers whose peers never come up: closing them leaves no task behind, and nothing in the log."""

from __future__ import annotations

import asyncio
import gc

import pytest

from livereactor.engine.aiortc.engine import AiortcEngine
from livereactor.engine.port import PeerConfig, Use
from tests.hostile.offers import good

DEAD = "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n"  # nobody is there
OFFERS = 5


@pytest.mark.parametrize("candidate", ["", DEAD], ids=["no candidate", "a dead one"])
def test_their_end_leaves_no_task_and_logs_nothing(candidate: str, caplog: pytest.LogCaptureFixture) -> None:
    async def visit() -> None:
        before = asyncio.all_tasks()
        engine = AiortcEngine()
        for _ in range(OFFERS):
            peer = await engine.peer(PeerConfig(), lambda _: None)
            await peer.accept(good().replace("a=mid:0\r\n", f"a=mid:0\r\n{candidate}"), {"0": Use.SEND})
            await peer.aclose()
            assert asyncio.all_tasks() == before
        await engine.aclose()

    loop = asyncio.new_event_loop()  # asyncio.run would cancel what is left
    try:
        loop.run_until_complete(visit())
    finally:
        loop.close()
    gc.collect()
    assert caplog.records == []
