"""libwebrtc's statistics as ours. Pure: reads one report.

The engine writes 0 where libwebrtc reported nothing; such a figure is left out here, as nobody has measured it.
"""

from __future__ import annotations

from collections.abc import Mapping

import reactor_webrtc as rw

from livereactor.engine.port import CandidatePair, PeerStats

_TYPES = {"Host": "host", "Srflx": "srflx", "Prflx": "prflx", "Relay": "relay"}
_RELAYS = {"Udp": "udp", "Tcp": "tcp", "Tls": "tls"}


def read_stats(report: rw.StatsReport) -> PeerStats:
    """One sample; the pair that ICE selected speaks for the transport."""
    pairs = tuple(_pair(pair) for pair in report.candidate_pairs)
    selected = next((pair for pair in pairs if pair.nominated), None)
    losses = [stream.fraction_lost for stream in report.outbound_rtp]
    jitters = [stream.jitter_s for stream in report.inbound_rtp]
    return PeerStats(
        rtt_ms=None if selected is None else selected.rtt_ms,
        local_candidate=None if selected is None else selected.local_type,
        bytes_sent=0 if selected is None else selected.bytes_sent,
        bytes_received=0 if selected is None else selected.bytes_received,
        available_bps=None if selected is None else selected.outgoing_bps,
        loss_ratio=max(losses, default=None),
        jitter_ms=max(jitters) * 1e3 if jitters else None,
        outbound={stream.mid or str(stream.ssrc): _outbound(stream) for stream in report.outbound_rtp},
        inbound={stream.mid or str(stream.ssrc): _inbound(stream) for stream in report.inbound_rtp},
        pairs=pairs,
    )


def _name(value: object, names: Mapping[str, str]) -> str | None:
    return names.get(str(value).rpartition(".")[2])


def _pair(pair: rw.IceCandidatePairStats) -> CandidatePair:
    succeeded = pair.state == rw.IceCandidatePairState.Succeeded
    local = _name(pair.local_candidate_type, _TYPES)
    return CandidatePair(
        # The report has no ids; a pair's priority is made of its two candidates' (RFC 8445, section 6.1.2.3).
        id=f"{local or 'unknown'}-{pair.priority}",
        nominated=pair.nominated,
        succeeded=succeeded,
        local_type=local,
        relay_protocol=_name(pair.local_relay_protocol, _RELAYS),
        # Whole milliseconds: on a good network 0 is an answer, once there was one.
        rtt_ms=pair.current_round_trip_time_s * 1e3 if succeeded else None,
        bytes_sent=pair.bytes_sent,
        bytes_received=pair.bytes_received,
        outgoing_bps=pair.available_outgoing_bitrate_bps or None,
        incoming_bps=pair.available_incoming_bitrate_bps or None,
    )


def _measured(figures: Mapping[str, float | str | None]) -> Mapping[str, float | str]:
    return {name: value for name, value in figures.items() if value is not None}


def _outbound(stream: rw.OutboundRtpStats) -> Mapping[str, float | str]:
    video = stream.frames_sent > 0
    return _measured(
        {
            "codec": stream.codec_mime_type,
            "packets_sent": stream.packets_sent,
            "bytes_sent": stream.bytes_sent,
            "packets_lost": stream.packets_lost,
            "nack_count": stream.nack_count,
            "key_frame_requests": stream.pli_count + stream.fir_count,
            "target_bps": stream.target_bitrate_bps or None,
            "retransmitted_packets_sent": stream.retransmitted_packets_sent,
            "frames_sent": stream.frames_sent if video else None,
            "frames_per_second": stream.frames_per_second if video else None,
            # Not the size: libwebrtc is given tokens in place of pictures (frame_tokens.py), and counts theirs.
            "rtt_ms": stream.round_trip_time_s * 1e3 or None,
        }
    )


def _inbound(stream: rw.InboundRtpStats) -> Mapping[str, float | str]:
    video = stream.frames_decoded > 0
    return _measured(
        {
            "codec": stream.codec_mime_type,
            "packets_received": stream.packets_received,
            "bytes_received": stream.bytes_received,
            "packets_lost": stream.packets_lost,
            "nack_count": stream.nack_count,
            "key_frame_requests": stream.pli_count + stream.fir_count,
            "jitter_ms": stream.jitter_s * 1e3 if stream.packets_received else None,
            "frames_decoded": stream.frames_decoded if video else None,
            "frames_dropped": stream.frames_dropped if video else None,
            "frames_per_second": stream.frames_per_second if video else None,
            "frame_width": stream.frame_width or None,
            "frame_height": stream.frame_height or None,
            "jitter_buffer_s": stream.jitter_buffer_delay_s if video else None,
            "decode_s": stream.total_decode_time_s if video else None,
            "processing_s": stream.total_processing_delay_s if video else None,
        }
    )
