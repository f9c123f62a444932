"""Statistics of a live connection, against our servers over the real engine."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import numpy as np
import pytest

from livereactor.client.errors import NotReadyError
from livereactor.client.types import ConnectionStats
from livereactor.probes.watching import read_barcode
from tests.e2e.client.conftest import Make
from tests.tools.processes import Program, request
from tests.tools.trying import in_one_of_three

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_before_connecting_there_are_none(make: Make, server: Program) -> None:
    reactor = make(server)
    assert reactor.stats is None
    assert reactor.get_stats() is None
    with pytest.raises(NotReadyError):
        await reactor.fetch_stats()


async def test_a_watched_track_shows_in_every_figure_there_is(make: Make, server: Program) -> None:
    reactor = make(server)
    samples = asyncio.Queue[ConnectionStats]()
    reactor.on("stats_update", samples.put_nowait)
    await reactor.connect()
    async with asyncio.timeout(20):
        stats = await samples.get()
        while "main_video" not in stats.inbound or not stats.frames_per_second:
            stats = await samples.get()
    assert reactor.stats is stats
    assert stats.candidate_type in ("host", "prflx")
    assert stats.relay_protocol is None
    assert stats.rtt_ms is not None
    assert 0 <= stats.rtt_ms < 1_000
    assert stats.incoming_bitrate_bps is not None
    assert stats.incoming_bitrate_bps > 10_000
    assert stats.packet_loss_ratio is not None
    assert 0 <= stats.packet_loss_ratio <= 1
    assert stats.connection_timings == reactor.connection_timings
    assert abs(stats.timestamp - time.time()) < 5
    shown = stats.inbound["main_video"]
    assert (shown.codec, shown.width, shown.height) == ("VP8", 640, 360)
    assert shown.frames_decoded
    assert shown.bytes_received
    assert [pair.selected for pair in stats.candidate_pairs].count(True) == 1


@in_one_of_three
async def test_updates_come_every_two_seconds_while_ready_and_not_afterwards(make: Make, server: Program) -> None:
    reactor = make(server)
    times: list[float] = []
    three = asyncio.Event()

    def updated(stats: ConnectionStats) -> None:
        times.append(time.monotonic())
        if len(times) == 3:
            three.set()

    reactor.on("stats_update", updated)
    await reactor.connect()
    times.append(time.monotonic())
    async with asyncio.timeout(20):
        await three.wait()
    assert [after - before for before, after in pairwise(times)] == pytest.approx([2.0, 2.0], abs=0.3)
    await reactor.disconnect()
    assert reactor.stats is None
    seen = len(times)
    await asyncio.sleep(2.5)
    assert len(times) == seen


@in_one_of_three
async def test_two_looks_within_200_ms_are_one(make: Make, server: Program) -> None:
    reactor = make(server)
    await reactor.connect()
    first = await reactor.fetch_stats()
    assert await reactor.fetch_stats() is first
    await asyncio.sleep(0.25)
    assert (await reactor.fetch_stats()).timestamp > first.timestamp


@in_one_of_three
async def test_the_age_of_frames_is_what_their_barcodes_say(make: Make, server: Program) -> None:
    """The picture carries the moment it was made, on the same machine's clock."""
    reactor = make(server)
    await reactor.connect()
    ages: list[float] = []
    async with asyncio.timeout(30):
        await reactor.fetch_stats()
        async for frame in reactor.track("main_video").frames():
            now_us = time.monotonic_ns() // 1000
            if (code := read_barcode(frame)) is not None:
                ages.append(code.age_us(now_us) / 1e3)
            if len(ages) == 60:
                break
    stats = await reactor.fetch_stats()
    assert stats.glass_to_glass_ms is not None
    p50, p95 = stats.glass_to_glass_ms
    assert 0 < p50 <= p95
    assert p50 == pytest.approx(float(np.median(ages)), abs=30.0)


@pytest.mark.parametrize("door", ["run"], indirect=True)  # a worker's metrics are behind its coordinator
async def test_the_servers_operator_sees_what_clients_measure(make: Make, server: Program) -> None:
    before, reactor = _reported(server), make(server)
    updates = asyncio.Queue[ConnectionStats]()
    reactor.on("stats_update", updates.put_nowait)
    await reactor.connect()
    async with asyncio.timeout(20):
        while _reported(server) == before:
            await updates.get()


def _reported(server: Program) -> int:
    status, text = request(server.url + "/metrics")
    assert status == 200
    (line,) = [each for each in str(text).splitlines() if each.startswith("livereactor_client_frames_per_second_count")]
    return int(float(line.split()[-1]))
