"""Statistics of a connection: an engine's counters as figures for people, the age of Frames, and the sampling.

Rates are over the time since the sample before, so the first sample has none. Above 400 lines because it is one thing:
from the engine's counters to `ConnectionStats` and to the report that servers get.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import structlog

from livereactor.base.errors import LivereactorError
from livereactor.client.errors import ReactorError, error_of
from livereactor.client.types import CandidatePairStats, ConnectionStats, ConnectionTimings, InboundStats, OutboundStats
from livereactor.protocol import messages as m

KEPT: Final = 512  # stamps between two samples: two seconds of four tracks at 60 Frames a second
WINDOWS: Final = 15  # samples among which the quickest Frame is searched: clocks drift by a millisecond in that time
SAME_CLOCK: Final = 10.0  # seconds; a Frame that looks older was stamped by another clock


class Latency:
    """The age of Frames on delivery, from the stamps of the far end, whose clock need not be ours."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._apart: deque[float] = deque(maxlen=KEPT)
        self._quickest: deque[float] = deque(maxlen=WINDOWS)

    def delivered(self, captured_us: int, now_us: int) -> None:
        """Count a Frame that was stamped at `captured_us` of the far clock; call it from any thread."""
        with self._lock:
            self._apart.append((now_us - captured_us) / 1e6)

    def percentiles(self, floor: float, *, same_machine: bool) -> tuple[float, float] | None:
        """Return p50 and p95 of the Frames since the last call, milliseconds; None if none was delivered.

        Between two machines, the quickest Frame of the last half minute is taken to have travelled for `floor` seconds,
        which gives the offset of the two clocks. A wait at the far end that every Frame shares cannot be seen.

        Args:
            floor: half a round trip and the time to receive a Frame, seconds.
            same_machine: the far end is on this machine, so its clock is ours.
        """
        with self._lock:
            apart, self._apart = sorted(self._apart), deque(maxlen=KEPT)
        if not apart:
            return None
        self._quickest.append(apart[0])
        offset = 0.0 if same_machine and 0 <= apart[0] < SAME_CLOCK else min(self._quickest) - floor
        return (_at(apart, 0.5) - offset) * 1e3, (_at(apart, 0.95) - offset) * 1e3


def _at(values: Sequence[float], share: float) -> float:
    """Return the value at a share (0..1) of sorted values."""
    return values[min(len(values) - 1, int(share * len(values)))]


if TYPE_CHECKING:
    from livereactor.engine.port import AudioOutput, CandidatePair, PeerStats, ReceivedTrack, VideoOutput

Figures: TypeAlias = Mapping[str, float | str]

# Figures of a Track that servers take from clients, under their names there.
_REPORTED: Final = {
    name: name
    for name in (
        "frames_per_second",
        "frame_width",
        "frame_height",
        "frames_decoded",
        "frames_dropped",
        "packets_received",
        "packets_lost",
        "nack_count",
        "jitter_ms",
        "packets_sent",
        "retransmitted_packets_sent",
    )
} | {"key_frame_requests": "keyframe_requests"}


_STAGES: Final = ("jitter_buffer", "decode")  # of a Frame within a client; the engine counts them in seconds, `…_s`


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float  # monotonic seconds
    peer: PeerStats


class Statistics:
    """The figures of one transport.

    Args:
        latency: the age of Frames.
        same_machine: the far end is on this machine, and has the same clock.

    Attributes:
        stages: the time that Frames spent in each stage of this client between the last two samples, by Track.
    """

    def __init__(self, latency: Latency, *, same_machine: bool) -> None:
        self._latency, self._same_machine = latency, same_machine
        self._before: _Sample | None = None
        self.stages: Mapping[str, tuple[m.FrameStage, ...]] = {}

    def sample(
        self, peer: PeerStats, names: Mapping[str, str], timings: ConnectionTimings | None, *, now: float, now_at: float
    ) -> ConnectionStats:
        """Return the figures of a sample.

        Args:
            names: the names of the Tracks, by section (mid).
            timings: passed on.
            now: monotonic seconds; now_at: Unix seconds.
        """
        window = _Window(self._before, _Sample(now, peer))
        self._before = window.after
        pair = window.carrying()
        self.stages = {names[mid]: window.stages(mid) for mid in peer.inbound if mid in names}
        inbound = {names[mid]: window.received(mid) for mid in peer.inbound if mid in names}
        fps = [each.frames_per_second for each in inbound.values() if each.frames_per_second is not None]
        jitters = [each.jitter_s for each in inbound.values() if each.jitter_s is not None]
        return ConnectionStats(
            timestamp=now_at,
            rtt_ms=None if pair is None else pair.rtt_ms,
            candidate_type=None if pair is None else pair.local_type,
            remote_candidate_type=None if pair is None else pair.remote_type,
            relay_protocol=None if pair is None else pair.relay_protocol,
            available_incoming_bitrate_bps=None if pair is None else pair.incoming_bps,
            available_outgoing_bitrate_bps=None if pair is None else pair.outgoing_bps,
            incoming_bitrate_bps=window.bps(pair, "bytes_received"),
            outgoing_bitrate_bps=window.bps(pair, "bytes_sent"),
            frames_per_second=max(fps, default=None),
            packet_loss_ratio=window.lost(),
            jitter_s=max(jitters, default=None),
            glass_to_glass_ms=self._latency.percentiles(window.floor(pair), same_machine=self._same_machine),
            connection_timings=timings,
            inbound=inbound,
            outbound={names[mid]: window.sent(mid) for mid in peer.outbound if mid in names},
            candidate_pairs=tuple(_path(each, each is pair) for each in peer.pairs),
        )


class _Window:
    """A pair of samples of one transport, and the differences between them."""

    def __init__(self, before: _Sample | None, after: _Sample) -> None:
        self._before, self.after = before, after
        self._seconds = 0.0 if before is None else after.at - before.at

    def carrying(self) -> CandidatePair | None:
        """Return the path that carries the media now; after a change of path, more than one may be nominated."""
        usable = [pair for pair in self.after.peer.pairs if pair.nominated and pair.succeeded]
        return max(usable, key=lambda pair: sum(self._carried(pair)), default=None)

    def bps(self, pair: CandidatePair | None, direction: str) -> float | None:
        """Return bits a second over a path."""
        if pair is None or self._seconds <= 0:
            return None
        received, sent = self._carried(pair)
        return 8 * (received if direction == "bytes_received" else sent) / self._seconds

    def received(self, mid: str) -> InboundStats:
        """Return the figures of a section that we receive."""
        now = self.after.peer.inbound[mid]
        jitter_ms = _number(now, "jitter_ms")
        return InboundStats(
            codec=_codec(now),
            width=_count(now, "frame_width"),
            height=_count(now, "frame_height"),
            frames_per_second=self._rate("inbound", mid, "frames_decoded"),
            frames_decoded=_count(now, "frames_decoded"),
            frames_dropped=_count(now, "frames_dropped"),
            nack_count=_count(now, "nack_count"),
            key_frame_requests=_count(now, "key_frame_requests"),
            bytes_received=_count(now, "bytes_received"),
            packets_lost=_count(now, "packets_lost"),
            jitter_s=None if jitter_ms is None else jitter_ms / 1e3,
        )

    def sent(self, mid: str) -> OutboundStats:
        """Return the figures of a section that we send."""
        now = self.after.peer.outbound[mid]
        return OutboundStats(
            codec=_codec(now),
            width=_count(now, "frame_width"),
            height=_count(now, "frame_height"),
            frames_per_second=self._rate("outbound", mid, "frames_sent"),
            frames_sent=_count(now, "frames_sent"),
            nack_count=_count(now, "nack_count"),
            key_frame_requests=_count(now, "key_frame_requests"),
            bytes_sent=_count(now, "bytes_sent"),
            packets_lost=_count(now, "packets_lost"),
        )

    def stages(self, mid: str) -> tuple[m.FrameStage, ...]:
        """Return the time of a section's Frames in the jitter buffer and in the decoder; empty without a Frame."""
        if self._before is None or mid not in self._before.peer.inbound:
            return ()
        before, after = self._before.peer.inbound[mid], self.after.peer.inbound[mid]
        if (frames := _count(after, "frames_decoded") or 0) <= (earlier := _count(before, "frames_decoded") or 0):
            return ()
        grown = ((name, _number(after, f"{name}_s"), _number(before, f"{name}_s") or 0.0) for name in _STAGES)
        return tuple(
            m.FrameStage(name, max(0.0, 1e3 * (now - then)), frames - earlier)
            for name, now, then in grown
            if now is not None
        )

    def lost(self) -> float | None:
        """Return the share of packets that were lost, 0..1; a count may fall, as late packets are subtracted again."""
        lost = self._grown("inbound", "packets_lost")
        received = self._grown("inbound", "packets_received")
        expected = lost + received
        return None if self._before is None or expected <= 0 else min(1.0, max(0.0, lost / expected))

    def floor(self, pair: CandidatePair | None) -> float:
        """Return the least seconds that a Frame takes: half a round trip, and from its first packet to the picture."""
        half = 0.0 if pair is None or pair.rtt_ms is None else pair.rtt_ms / 2e3
        frames = self._grown("inbound", "frames_decoded")
        return half + (self._grown("inbound", "processing_s") / frames if frames > 0 else 0.0)

    def _carried(self, pair: CandidatePair) -> tuple[int, int]:
        """Return bytes received and sent since the sample before, or since a new path came up."""
        pairs = () if self._before is None else self._before.peer.pairs
        before = next((each for each in pairs if each.id == pair.id), None)
        if before is None:
            return pair.bytes_received, pair.bytes_sent
        return pair.bytes_received - before.bytes_received, pair.bytes_sent - before.bytes_sent

    def _rate(self, direction: str, mid: str, name: str) -> float | None:
        """Return the growth of a section's counter in a second; without an earlier sample, the engine's own rate."""
        sections: Mapping[str, Figures] = getattr(self.after.peer, direction)
        after = _number(sections[mid], name)
        if after is None or self._before is None or self._seconds <= 0:
            return _number(sections[mid], "frames_per_second")
        earlier: Mapping[str, Figures] = getattr(self._before.peer, direction)
        return max(0.0, after - (_number(earlier.get(mid, {}), name) or 0.0)) / self._seconds

    def _grown(self, direction: str, name: str) -> float:
        """Return the growth of a counter over all sections."""

        def total(sample: _Sample | None) -> float:
            sections: Mapping[str, Figures] = {} if sample is None else getattr(sample.peer, direction)
            return sum(_number(figures, name) or 0.0 for figures in sections.values())

        return total(self.after) - total(self._before)


def stats_report(
    peer: PeerStats,
    stats: ConnectionStats,
    names: Mapping[str, str],
    paused: Collection[str],
    stages: Mapping[str, tuple[m.FrameStage, ...]],
) -> m.ClientStats:
    """Return a sample as the report that the server's operator gets."""
    tracks = [
        m.TrackStats(names[mid], names[mid] in paused, _metrics(figures, stats, names[mid]), stages.get(names[mid], ()))
        for mid, figures in (*peer.inbound.items(), *peer.outbound.items())
        if mid in names
    ]
    connection = {
        name: value
        for name in ("rtt_ms", "incoming_bitrate_bps", "outgoing_bitrate_bps", "packet_loss_ratio")
        if (value := getattr(stats, name)) is not None
    }
    return m.ClientStats(tuple(tracks), connection)


def _metrics(figures: Figures, stats: ConnectionStats, name: str) -> dict[str, float]:
    metrics = {reported: value for ours, reported in _REPORTED.items() if (value := _number(figures, ours)) is not None}
    shown: InboundStats | OutboundStats | None = stats.inbound.get(name) or stats.outbound.get(name)
    if shown is not None and shown.frames_per_second is not None:
        metrics["frames_per_second"] = shown.frames_per_second
    return metrics


def _path(pair: CandidatePair, selected: bool) -> CandidatePairStats:
    return CandidatePairStats(
        local_type=pair.local_type,
        remote_type=pair.remote_type,
        relay_protocol=pair.relay_protocol,
        succeeded=pair.succeeded,
        selected=selected,
        rtt_ms=pair.rtt_ms,
        bytes_sent=pair.bytes_sent,
        bytes_received=pair.bytes_received,
    )


def _number(figures: Figures, name: str) -> float | None:
    value = figures.get(name)
    return None if value is None or isinstance(value, str) else value


def _count(figures: Figures, name: str) -> int | None:
    value = _number(figures, name)
    return None if value is None else int(value)


def _codec(figures: Figures) -> str | None:
    """`VP8` of `video/VP8`."""
    codec = figures.get("codec")
    return codec.rpartition("/")[2] or None if isinstance(codec, str) else None


INTERVAL: Final = 2.0  # seconds between two `stats_update`
SHORTEST: Final = 0.2  # seconds; rates over a shorter time mean nothing

log = structlog.get_logger(__name__)


class Sampled(Protocol):
    """The transport that is sampled: a `PeerTransport`."""

    @property
    def inputs(self) -> Mapping[str, ReceivedTrack]: ...
    @property
    def outputs(self) -> Mapping[str, VideoOutput | AudioOutput]: ...
    @property
    def latency(self) -> Latency: ...
    async def stats(self) -> PeerStats: ...
    def say(self, message: m.ClientMessage) -> None: ...


class StatsSampler:
    """Samples the figures of one transport: on request, and every two seconds for handlers and the server's operator.

    Args:
        transport: the transport.
        same_machine: its other end is on this machine.
        timings: returns those of the connect that made it.
        paused: returns the names of the outputs that are not received.
        updated: called with each sample of `run`, on the loop.
        reports: send the figures to the server, too.

    Attributes:
        latest: the last sample, or None.
    """

    def __init__(
        self,
        transport: Sampled,
        *,
        same_machine: bool,
        timings: Callable[[], ConnectionTimings | None],
        paused: Callable[[], Collection[str]],
        updated: Callable[[ConnectionStats], None],
        reports: bool = True,
    ) -> None:
        self.latest: ConnectionStats | None = None
        self._transport, self._timings, self._paused = transport, timings, paused
        self._updated, self._reports = updated, reports
        self._statistics = Statistics(transport.latency, same_machine=same_machine)
        self._taken_at = -SHORTEST
        self._taking = asyncio.Lock()

    async def fetch(self) -> ConnectionStats:
        """Return the figures now, or the last sample if it is less than 200 ms old.

        Raises:
            ReactorError: `TRANSPORT_ERROR`: the transport no longer reports statistics.
        """
        return (await self._fetch())[0]

    async def run(self) -> None:
        """Sample every two seconds until cancelled. The first sample is taken at once, and only counted from."""
        due = time.monotonic()
        is_first = True
        while True:
            try:
                stats, peer = await self._fetch()
            except ReactorError as error:
                # The transport is ending, and its loss is reported elsewhere.
                log.debug("no statistics", code=error.code)
            else:
                if not is_first:
                    self._updated(stats)
                    self._report(peer, stats)
            is_first = False
            due += INTERVAL
            await asyncio.sleep(max(SHORTEST, due - time.monotonic()))

    async def _fetch(self) -> tuple[ConnectionStats, PeerStats | None]:
        """Return the figures, and the engine's sample if it is new."""
        async with self._taking:
            now = time.monotonic()
            if self.latest is not None and now - self._taken_at < SHORTEST:
                return self.latest, None
            try:
                peer = await self._transport.stats()
            except (LivereactorError, RuntimeError) as error:  # RuntimeError: of the native engine
                raise error_of("TRANSPORT_ERROR", "the transport no longer reports statistics") from error
            self._taken_at = time.monotonic()
            now, now_at = self._taken_at, time.time()
            self.latest = self._statistics.sample(peer, self._names(), self._timings(), now=now, now_at=now_at)
            return self.latest, peer

    def _names(self) -> dict[str, str]:
        tracks = (*self._transport.inputs.items(), *self._transport.outputs.items())
        return {track.mid: name for name, track in tracks}

    def _report(self, peer: PeerStats | None, stats: ConnectionStats) -> None:
        if not self._reports or peer is None:
            return
        try:
            self._transport.say(stats_report(peer, stats, self._names(), self._paused(), self._statistics.stages))
        except ReactorError as error:
            log.debug("statistics not sent", code=error.code)
