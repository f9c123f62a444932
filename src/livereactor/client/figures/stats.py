"""What a connection measures of itself: an engine's counters as figures people read. Pure: no clock, no IO.

Rates are over the time since the sample before, so the first sample has none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from livereactor.client.tracks.latency import Latency
from livereactor.client.types import (
    CandidatePairStats,
    ConnectionStats,
    ConnectionTimings,
    InboundStats,
    OutboundStats,
)
from livereactor.protocol import messages as m

if TYPE_CHECKING:
    from livereactor.engine.port import CandidatePair, PeerStats

Figures: TypeAlias = Mapping[str, float | str]

# Figures of a Track that servers know from clients (protocol 5.11), under their names there.
_TOLD: Final = {
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


_STAGES: Final = ("jitter_buffer", "decode")  # of a Frame within a client (protocol 5.11); ours in seconds, `…_s`


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float  # monotonic seconds
    peer: PeerStats


class Statistics:
    """The figures of one transport.

    Args:
        latency: where Frames' stamps are kept.
        same_machine: the far end is on this machine, where all clocks are one.

    Attributes:
        stages: where Frames' time went within this client between the last two samples, by Track.
    """

    def __init__(self, latency: Latency, *, same_machine: bool) -> None:
        self._latency, self._same_machine = latency, same_machine
        self._before: _Sample | None = None
        self.stages: Mapping[str, tuple[m.FrameStage, ...]] = {}

    def take(
        self,
        peer: PeerStats,
        names: Mapping[str, str],
        timings: ConnectionTimings | None,
        *,
        now: float,
        now_at: float,
    ) -> ConnectionStats:
        """The figures of a sample.

        Args:
            names: of the Tracks, by section (mid).
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
            glass_to_glass_ms=self._latency.take(window.floor(pair), same_machine=self._same_machine),
            connection_timings=timings,
            inbound=inbound,
            outbound={names[mid]: window.sent(mid) for mid in peer.outbound if mid in names},
            candidate_pairs=tuple(_path(each, each is pair) for each in peer.pairs),
        )


class _Window:
    """Two samples of one transport and what happened between them."""

    def __init__(self, before: _Sample | None, after: _Sample) -> None:
        self._before, self.after = before, after
        self._seconds = 0.0 if before is None else after.at - before.at

    def carrying(self) -> CandidatePair | None:
        """The path that carries the media now: after a change of path more than one may be nominated."""
        usable = [pair for pair in self.after.peer.pairs if pair.nominated and pair.succeeded]
        return max(usable, key=lambda pair: sum(self._carried(pair)), default=None)

    def bps(self, pair: CandidatePair | None, direction: str) -> float | None:
        """Bits a second over a path."""
        if pair is None or self._seconds <= 0:
            return None
        received, sent = self._carried(pair)
        return 8 * (received if direction == "bytes_received" else sent) / self._seconds

    def received(self, mid: str) -> InboundStats:
        """The figures of a section that we receive."""
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
        """The figures of a section that we send."""
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
        """How long the Frames of a section were in the jitter buffer and in the decoder; none without a Frame."""
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
        """The share of packets that did not come, 0..1; RTP takes late ones back, so a count may fall."""
        lost = self._grown("inbound", "packets_lost")
        received = self._grown("inbound", "packets_received")
        expected = lost + received
        return None if self._before is None or expected <= 0 else min(1.0, max(0.0, lost / expected))

    def floor(self, pair: CandidatePair | None) -> float:
        """Seconds that no Frame is quicker than: half a round trip, and from the first packet to the picture."""
        half = 0.0 if pair is None or pair.rtt_ms is None else pair.rtt_ms / 2e3
        frames = self._grown("inbound", "frames_decoded")
        return half + (self._grown("inbound", "processing_s") / frames if frames > 0 else 0.0)

    def _carried(self, pair: CandidatePair) -> tuple[int, int]:
        """Bytes received and sent since the sample before; of a path that is new, since it came up."""
        pairs = () if self._before is None else self._before.peer.pairs
        before = next((each for each in pairs if each.id == pair.id), None)
        if before is None:
            return pair.bytes_received, pair.bytes_sent
        return pair.bytes_received - before.bytes_received, pair.bytes_sent - before.bytes_sent

    def _rate(self, direction: str, mid: str, name: str) -> float | None:
        """How much a counter of a section grows in a second; what it shows by itself where there was no sample."""
        sections: Mapping[str, Figures] = getattr(self.after.peer, direction)
        after = _number(sections[mid], name)
        if after is None or self._before is None or self._seconds <= 0:
            return _number(sections[mid], "frames_per_second")
        earlier: Mapping[str, Figures] = getattr(self._before.peer, direction)
        return max(0.0, after - (_number(earlier.get(mid, {}), name) or 0.0)) / self._seconds

    def _grown(self, direction: str, name: str) -> float:
        """How much a counter grew, over all sections."""

        def total(sample: _Sample | None) -> float:
            sections: Mapping[str, Figures] = {} if sample is None else getattr(sample.peer, direction)
            return sum(_number(figures, name) or 0.0 for figures in sections.values())

        return total(self.after) - total(self._before)


def told(
    peer: PeerStats,
    stats: ConnectionStats,
    names: Mapping[str, str],
    paused: Collection[str],
    stages: Mapping[str, tuple[m.FrameStage, ...]],
) -> m.ClientStats:
    """A sample as operators of the server get it (protocol 5.11)."""
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
    metrics = {told: value for ours, told in _TOLD.items() if (value := _number(figures, ours)) is not None}
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
