"""Figures out of counters: rates over the window, the path that carries, the age of Frames, None for the unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livereactor.base.errors import EngineError
from livereactor.client import stats as stats_sampler
from livereactor.client.errors import ReactorError
from livereactor.client.stats import Latency, Statistics, StatsSampler, stats_report
from livereactor.client.types import ConnectionStats, ConnectionTimings, InboundStats, OutboundStats
from livereactor.engine.memory.media import MemoryInput
from livereactor.engine.port import CandidatePair, PeerStats
from livereactor.protocol import messages as m

NAMES = {"0": "main_video", "1": "webcam"}
TIMINGS = ConnectionTimings(1.0, 2.0, 3.0, 6.0)
DIRECT = CandidatePair("direct", True, True, "host", "srflx", None, 4.0, 1_000, 9_000, 2e6, None)
RELAYED = CandidatePair("relayed", True, True, "relay", "host", "tcp", 40.0, 0, 0)


def figures_of(statistics: Statistics, peer: PeerStats, now: float = 0.0) -> ConnectionStats:
    return statistics.sample(peer, NAMES, TIMINGS, now=now, now_at=1_000.0 + now)


def after(first: PeerStats, second: PeerStats, seconds: float = 2.0) -> ConnectionStats:
    """The figures of the second sample."""
    statistics = Statistics(Latency(), same_machine=False)
    figures_of(statistics, first)
    return figures_of(statistics, second, seconds)


def test_before_anything_is_measured_there_is_nothing_and_no_zero() -> None:
    stats = figures_of(Statistics(Latency(), same_machine=True), PeerStats())
    assert stats == ConnectionStats(1_000.0, connection_timings=TIMINGS)


def test_the_first_sample_has_no_rates() -> None:
    stats = figures_of(Statistics(Latency(), same_machine=True), PeerStats(pairs=(DIRECT,)))
    assert (stats.incoming_bitrate_bps, stats.outgoing_bitrate_bps, stats.packet_loss_ratio) == (None, None, None)
    assert (stats.rtt_ms, stats.candidate_type, stats.remote_candidate_type) == (4.0, "host", "srflx")
    assert (stats.available_outgoing_bitrate_bps, stats.available_incoming_bitrate_bps) == (2e6, None)


def test_bitrates_are_over_the_window() -> None:
    later = replace(DIRECT, bytes_sent=2_000, bytes_received=59_000)
    stats = after(PeerStats(pairs=(DIRECT,)), PeerStats(pairs=(later,)))
    assert (stats.incoming_bitrate_bps, stats.outgoing_bitrate_bps) == (200_000.0, 4_000.0)


def test_after_a_change_of_path_the_one_that_carries_now_speaks() -> None:
    before = PeerStats(pairs=(replace(DIRECT, bytes_received=9_000_000), RELAYED))
    later = PeerStats(pairs=(replace(DIRECT, bytes_received=9_000_100), replace(RELAYED, bytes_received=5_000)))
    stats = after(before, later)
    assert (stats.candidate_type, stats.relay_protocol, stats.rtt_ms) == ("relay", "tcp", 40.0)
    assert stats.incoming_bitrate_bps == 20_000.0
    assert [(pair.local_type, pair.selected) for pair in stats.candidate_pairs] == [("host", False), ("relay", True)]


def test_a_path_that_is_new_counts_from_when_it_came_up() -> None:
    stats = after(PeerStats(), PeerStats(pairs=(DIRECT,)))
    assert stats.incoming_bitrate_bps == 36_000.0


@pytest.mark.parametrize("unused", [replace(DIRECT, nominated=False), replace(DIRECT, succeeded=False)])
def test_a_path_that_is_not_in_use_says_nothing(unused: CandidatePair) -> None:
    stats = figures_of(Statistics(Latency(), same_machine=True), PeerStats(pairs=(unused,)))
    assert (stats.candidate_type, stats.rtt_ms, stats.candidate_pairs[0].selected) == (None, None, False)


FIRST: Mapping[str, Any] = {
    "codec": "video/VP8",
    "frame_width": 640,
    "frame_height": 360,
    "frames_decoded": 60,
    "frames_per_second": 24.0,
    "frames_dropped": 1,
    "packets_received": 900,
    "packets_lost": 100,
    "nack_count": 3,
    "key_frame_requests": 2,
    "bytes_received": 10_000,
    "jitter_ms": 5.0,
}


def test_a_received_track_has_its_figures_by_name() -> None:
    later = {**FIRST, "frames_decoded": 120, "packets_received": 990, "packets_lost": 110}
    stats = after(PeerStats(inbound={"0": FIRST}), PeerStats(inbound={"0": later, "9": FIRST}))
    shown = InboundStats("VP8", 640, 360, 30.0, 120, 1, 3, 2, 10_000, 110, 0.005)
    assert stats.inbound == {"main_video": shown}
    assert (stats.frames_per_second, stats.jitter_s, stats.packet_loss_ratio) == (30.0, 0.005, 0.1)


def test_a_sent_track_has_its_figures_by_name() -> None:
    first = {"codec": "video/H264", "frames_sent": 10, "bytes_sent": 5, "packets_lost": 0, "nack_count": 0}
    stats = after(PeerStats(outbound={"1": first}), PeerStats(outbound={"1": {**first, "frames_sent": 60}}))
    assert stats.outbound == {"webcam": OutboundStats("H264", None, None, 25.0, 60, 0, None, 5, 0)}
    assert stats.frames_per_second is None


def test_the_engines_own_frame_rate_stands_in_until_there_is_a_window() -> None:
    stats = figures_of(Statistics(Latency(), same_machine=True), PeerStats(inbound={"0": FIRST}))
    assert stats.inbound["main_video"].frames_per_second == 24.0


def test_late_packets_that_are_taken_back_are_no_negative_loss() -> None:
    later = {**FIRST, "packets_lost": 40, "packets_received": 2_000}
    assert after(PeerStats(inbound={"0": FIRST}), PeerStats(inbound={"0": later})).packet_loss_ratio == 0.0


def test_where_nothing_came_the_loss_is_not_known() -> None:
    assert after(PeerStats(inbound={"0": FIRST}), PeerStats(inbound={"0": FIRST})).packet_loss_ratio is None


def test_an_operator_gets_the_figures_under_their_names_on_the_wire() -> None:
    peer = PeerStats(pairs=(DIRECT,), inbound={"0": FIRST})
    message = stats_report(peer, after(PeerStats(inbound={"0": FIRST}), peer), NAMES, ["main_video"], {})
    (track,) = message.tracks
    assert (track.track, track.paused) == ("main_video", True)
    assert track.metrics["keyframe_requests"] == 2
    assert track.metrics["frames_per_second"] == 0.0
    assert "codec" not in track.metrics
    assert message.connection == {"rtt_ms": 4.0, "incoming_bitrate_bps": 36_000.0, "outgoing_bitrate_bps": 4_000.0}


def test_an_operator_gets_where_frames_were_within_the_client_and_nothing_where_none_came() -> None:
    first = {**FIRST, "jitter_buffer_s": 1.0, "decode_s": 0.5}
    later = {**first, "frames_decoded": 120, "jitter_buffer_s": 1.25, "decode_s": 0.75}
    statistics = Statistics(Latency(), same_machine=True)
    figures_of(statistics, PeerStats(inbound={"0": first}))
    assert statistics.stages == {"main_video": ()}
    stats = figures_of(statistics, peer := PeerStats(inbound={"0": later, "9": later}), 2.0)
    (track,) = stats_report(peer, stats, NAMES, (), statistics.stages).tracks
    assert track.stages == (m.FrameStage("jitter_buffer", 250.0, 60), m.FrameStage("decode", 250.0, 60))
    figures_of(statistics, peer, 4.0)
    assert statistics.stages == {"main_video": ()}


# --- the age of Frames -------------------------------------------------------------------------------------------


def ages(latency: Latency, milliseconds: list[float], *, offset: float = 0.0) -> None:
    for number, age in enumerate(milliseconds):
        captured = 1e6 * number
        latency.delivered(int(captured), int(captured + 1e3 * age + 1e6 * offset))


def test_on_one_machine_the_clocks_are_one() -> None:
    latency = Latency()
    ages(latency, [10.0] * 90 + [50.0] * 10)
    assert latency.percentiles(0.5, same_machine=True) == pytest.approx((10.0, 50.0))


def test_between_machines_the_quickest_frame_tells_the_offset() -> None:
    latency = Latency()
    ages(latency, [10.0] * 50 + [25.0] * 50, offset=-86_400.0)
    assert latency.percentiles(0.004, same_machine=False) == pytest.approx((19.0, 19.0))
    ages(latency, [30.0] * 100, offset=-86_400.0)
    assert latency.percentiles(0.004, same_machine=False) == pytest.approx((24.0, 24.0))


def test_a_far_runtime_behind_a_local_address_is_told_by_its_clock() -> None:
    latency = Latency()
    ages(latency, [10.0, 12.0], offset=3_600.0)
    assert latency.percentiles(0.004, same_machine=True) == pytest.approx((6.0, 6.0))


def test_without_frames_there_is_no_age() -> None:
    latency = Latency()
    assert latency.percentiles(0.0, same_machine=True) is None
    ages(latency, [10.0])
    latency.percentiles(0.0, same_machine=True)
    assert latency.percentiles(0.0, same_machine=True) is None


@given(st.lists(st.floats(0.0, 1e4), min_size=1, max_size=200), st.floats(-1e6, 1e6), st.floats(0.0, 1.0))
def test_no_frame_is_quicker_than_light_whatever_the_clocks_say(
    milliseconds: list[float], offset: float, floor: float
) -> None:
    latency = Latency()
    ages(latency, milliseconds, offset=offset)
    taken = latency.percentiles(floor, same_machine=False)
    assert taken is not None
    p50, p95 = taken
    assert 1e3 * floor - 0.01 <= p50 <= p95


# --- the sampler -------------------------------------------------------------------------------------------------


class FakeTransport:
    """A transport whose figures a test sets."""

    def __init__(self) -> None:
        self.peer = PeerStats(pairs=(DIRECT,))
        self.inputs = {"main_video": MemoryInput("0", "video", lambda: None)}
        self.outputs: dict[str, Any] = {}
        self.latency = Latency()
        self.asked = 0
        self.looked = asyncio.Queue[int]()
        self.said: list[m.ClientMessage] = []
        self.fault: Exception | None = None

    async def stats(self) -> PeerStats:
        self.asked += 1
        self.looked.put_nowait(self.asked)
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        return self.peer

    def say(self, message: m.ClientMessage) -> None:
        self.said.append(message)


def sampler_of(
    transport: FakeTransport, updated: asyncio.Queue[ConnectionStats], *, reports: bool = True
) -> StatsSampler:
    return StatsSampler(
        transport,
        same_machine=True,
        timings=lambda: TIMINGS,
        paused=lambda: (),
        updated=updated.put_nowait,
        reports=reports,
    )


async def test_two_looks_in_a_row_are_one_sample() -> None:
    transport = FakeTransport()
    sampler = sampler_of(transport, asyncio.Queue())
    assert sampler.latest is None
    first, second = await asyncio.gather(sampler.fetch(), sampler.fetch())
    assert first is second is sampler.latest
    assert transport.asked == 1


async def test_a_transport_that_is_gone_is_a_transport_error() -> None:
    transport = FakeTransport()
    for transport.fault in (EngineError("closed"), RuntimeError("closed")):
        with pytest.raises(ReactorError) as raised:
            await sampler_of(transport, asyncio.Queue()).fetch()
        assert raised.value.code == "TRANSPORT_ERROR"


@pytest.mark.parametrize("reports", [True, False])
async def test_a_running_sampler_tells_the_program_and_the_server(
    monkeypatch: pytest.MonkeyPatch, reports: bool
) -> None:
    monkeypatch.setattr(stats_sampler, "INTERVAL", 0.0)
    monkeypatch.setattr(stats_sampler, "SHORTEST", 0.001)
    transport, updated = FakeTransport(), asyncio.Queue[ConnectionStats]()
    running = asyncio.create_task(sampler_of(transport, updated, reports=reports).run())
    async with asyncio.timeout(5):
        for _ in range(3):
            await updated.get()
    running.cancel()
    assert transport.asked == 4  # the first sample is only counted from
    assert len(transport.said) == (3 if reports else 0)
    assert all(isinstance(message, m.ClientStats) for message in transport.said)


async def test_a_running_sampler_outlives_a_sample_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats_sampler, "INTERVAL", 0.0)
    monkeypatch.setattr(stats_sampler, "SHORTEST", 0.001)
    transport, updated = FakeTransport(), asyncio.Queue[ConnectionStats]()
    transport.fault = EngineError("not now")
    running = asyncio.create_task(sampler_of(transport, updated).run())
    async with asyncio.timeout(5):
        while await transport.looked.get() < 2:
            pass
        transport.fault = None
        await updated.get()
    running.cancel()
