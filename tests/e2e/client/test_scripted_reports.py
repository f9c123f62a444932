"""What a client measures reaches its server, unless the program says otherwise."""

from __future__ import annotations

import asyncio

import pytest

from livereactor.client.types import ConnectionStats
from livereactor.protocol import messages as m
from livereactor.protocol.messages import WireFormat
from tests.e2e.client.scripting import met


async def after_two_updates(wire: WireFormat, **options: object) -> list[m.ClientStats]:
    """What the server was told meanwhile."""
    async with met(style="local", wire=wire, options=dict(options)) as them:
        updates = asyncio.Queue[ConnectionStats]()
        them.reactor.on("stats_update", updates.put_nowait)
        await them.reactor.connect()
        async with asyncio.timeout(10):
            for _ in range(2):
                await updates.get()
            # Said after the reports, and heard after them: channels keep their order.
            await them.reactor.track("main_video").pause()
            await them.server.until(lambda: bool(them.server.peer.of(m.PauseTrack)))
        return them.server.peer.of(m.ClientStats)


async def test_the_server_is_told_of_each_track() -> None:
    first, second = await after_two_updates(WireFormat.V1)
    for report in (first, second):
        assert [track.track for track in report.tracks if track.metrics.get("frames_decoded")] == ["main_video"]
    assert second.connection["incoming_bitrate_bps"] > 0


@pytest.mark.parametrize(
    ("wire", "options"), [(WireFormat.V1, {"report_stats": False}), (WireFormat.V0, {})], ids=["turned off", "JSON"]
)
async def test_it_is_told_nothing_where_that_is_turned_off_or_has_no_words(
    wire: WireFormat, options: dict[str, object]
) -> None:
    assert await after_two_updates(wire, **options) == []
