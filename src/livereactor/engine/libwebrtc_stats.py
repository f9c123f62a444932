"""libwebrtc's statistics as ours. Pure: reads one report."""

from __future__ import annotations

from collections.abc import Mapping

import reactor_webrtc as rw

from livereactor.engine.port import PeerStats

_TYPES = {"Host": "host", "Srflx": "srflx", "Prflx": "prflx", "Relay": "relay"}


def read_stats(report: rw.StatsReport) -> PeerStats:
    """One sample; the pair that ICE selected speaks for the transport."""
    pair = next((pair for pair in report.candidate_pairs if pair.nominated), None)
    losses = [stream.fraction_lost for stream in report.outbound_rtp]
    jitters = [stream.jitter_s for stream in report.inbound_rtp]
    return PeerStats(
        rtt_ms=None if pair is None else pair.current_round_trip_time_s * 1e3,
        local_candidate=None if pair is None else _TYPES.get(str(pair.local_candidate_type).rpartition(".")[2]),
        bytes_sent=0 if pair is None else pair.bytes_sent,
        bytes_received=0 if pair is None else pair.bytes_received,
        available_bps=None if pair is None else pair.available_outgoing_bitrate_bps,
        loss_ratio=max(losses, default=None),
        jitter_ms=max(jitters) * 1e3 if jitters else None,
        outbound={stream.mid or str(stream.ssrc): _outbound(stream) for stream in report.outbound_rtp},
        inbound={stream.mid or str(stream.ssrc): _inbound(stream) for stream in report.inbound_rtp},
    )


def _outbound(stream: rw.OutboundRtpStats) -> Mapping[str, float | str]:
    return {
        "codec": stream.codec_mime_type or "",
        "packets_sent": stream.packets_sent,
        "bytes_sent": stream.bytes_sent,
        "frames_sent": stream.frames_sent,
        "frames_per_second": stream.frames_per_second,
        "packets_lost": stream.packets_lost,
        "nack_count": stream.nack_count,
        "key_frame_requests": stream.pli_count + stream.fir_count,
        "target_bps": stream.target_bitrate_bps,
        "retransmitted_packets_sent": stream.retransmitted_packets_sent,
    }


def _inbound(stream: rw.InboundRtpStats) -> Mapping[str, float | str]:
    return {
        "codec": stream.codec_mime_type or "",
        "packets_received": stream.packets_received,
        "bytes_received": stream.bytes_received,
        "packets_lost": stream.packets_lost,
        "nack_count": stream.nack_count,
        "key_frame_requests": stream.pli_count + stream.fir_count,
        "frames_decoded": stream.frames_decoded,
        "frames_dropped": stream.frames_dropped,
        "frames_per_second": stream.frames_per_second,
        "frame_width": stream.frame_width,
        "frame_height": stream.frame_height,
        "jitter_ms": stream.jitter_s * 1e3,
    }
