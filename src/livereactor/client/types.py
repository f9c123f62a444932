"""Data that a client hands out: statuses, Capabilities, descriptions of a Session, Clips, figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from livereactor.client.errors import ReactorError

Kind: TypeAlias = Literal["video", "audio"]
Direction: TypeAlias = Literal["recvonly", "sendonly"]  # from the client's side: recvonly is a model's output

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Status(StrEnum):
    """The status of a client; equal to the plain string."""

    DISCONNECTED = "disconnected"  # nothing is open
    CONNECTING = "connecting"  # talking to the coordinator, or bringing the transport up again
    WAITING = "waiting"  # the Session exists: it is queued, or its Worker or its transport is being prepared
    READY = "ready"  # media and data channels are up


@dataclass(frozen=True, slots=True)
class WaitingInfo:
    """The reason why a Session is not ready yet.

    Attributes:
        phase: `queued`, `loading` (the model, on its Worker) or `starting` (anything else).
        position: in the queue, 1 is next; None if there is no queue.
        length: Tickets in the queue, this one included.
        estimated_wait: seconds; None while unknown.
        progress: 0..1 of loading; None while unknown.
    """

    phase: str
    position: int | None = None
    length: int | None = None
    estimated_wait: float | None = None
    progress: float | None = None


@dataclass(frozen=True, slots=True)
class TrackCapability:
    """A Track that the model declares; the direction is the client's: `recvonly` is an output of the model."""

    name: str
    kind: Kind
    direction: Direction


@dataclass(frozen=True, slots=True)
class CommandCapability:
    """A Command that the model declares; `schema` is the JSON Schema of its arguments, None if none was sent."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The Tracks and Commands of a Session; `emission_fps` is Frames a second, None if the model does not say."""

    protocol_version: str
    tracks: tuple[TrackCapability, ...] = ()
    commands: tuple[CommandCapability, ...] = ()
    emission_fps: float | None = None


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """The server's description of the Session; parts without an attribute here are kept in `extra`.

    Attributes:
        state: the state on the wire (`WAITING`, `ACTIVE`, `streaming`, …).
        model, model_version, cluster, server_version: the model, its place, and the version of its server.
        created_at, expires_at: Unix seconds.
        reconnection_window: seconds that the Session outlives its last client.
        end_reason: why the Session ended (`stopped`, `timed_out`, `max_duration`, …).
    """

    session_id: str
    state: str
    model: str = ""
    model_version: str | None = None
    cluster: str = ""
    server_version: str = ""
    created_at: float | None = None
    expires_at: float | None = None
    reconnection_window: float | None = None
    end_reason: str | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class ReactorState:
    """Status and last error, read together."""

    status: Status
    last_error: ReactorError | None


@dataclass(frozen=True, slots=True)
class ConnectionTimings:
    """The durations of the parts of the last `connect()` or `reconnect()`, milliseconds.

    Attributes:
        session_creation_ms: until the Session existed.
        waiting_ms: from then until it could be connected to.
        transport_connecting_ms: from then until media and data channels were up.
        total_ms: the whole call.
    """

    session_creation_ms: float
    waiting_ms: float
    transport_connecting_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True)
class FileRef:
    """The client's handle to an Upload, for use in Commands of the same Session; `size` in bytes."""

    upload_id: str
    name: str
    mime_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Clip:
    """A range of a Recording; markers are seconds on its timeline.

    Attributes:
        kind: `snap` (the last seconds) or `recording` (all of it).
        now_marker: the end of the timeline when the Clip was asked for.
        predicted_ready_at: Unix seconds at which its last Segment should be ready.
        playlist_url: absolute.
    """

    session_id: str
    kind: Literal["snap", "recording"]
    start_marker: float
    end_marker: float
    now_marker: float
    predicted_ready_at: float
    playlist_url: str

    @property
    def duration(self) -> float:
        """The duration, seconds."""
        return self.end_marker - self.start_marker


@dataclass(frozen=True, slots=True)
class InboundStats:
    """Figures of one received Track; None = not measured. Counters start when the transport comes up.

    Attributes:
        frames_per_second: decoded, over the time since the sample before.
        nack_count, key_frame_requests: requests for lost packets, and for a key frame.
    """

    codec: str | None = None
    width: int | None = None
    height: int | None = None
    frames_per_second: float | None = None
    frames_decoded: int | None = None
    frames_dropped: int | None = None
    nack_count: int | None = None
    key_frame_requests: int | None = None
    bytes_received: int | None = None
    packets_lost: int | None = None
    jitter_s: float | None = None


@dataclass(frozen=True, slots=True)
class OutboundStats:
    """Figures of one sent Track; None = not measured. Counters start when the transport comes up.

    Attributes:
        frames_per_second: sent, over the time since the sample before.
        nack_count, key_frame_requests: the receiver's requests for lost packets, and for a key frame.
    """

    codec: str | None = None
    width: int | None = None
    height: int | None = None
    frames_per_second: float | None = None
    frames_sent: int | None = None
    nack_count: int | None = None
    key_frame_requests: int | None = None
    bytes_sent: int | None = None
    packets_lost: int | None = None


@dataclass(frozen=True, slots=True)
class CandidatePairStats:
    """One network path that was tried.

    Attributes:
        succeeded: its checks were answered.
        selected: it carries the media now.
    """

    local_type: str | None = None
    remote_type: str | None = None
    relay_protocol: str | None = None
    succeeded: bool = False
    selected: bool = False
    rtt_ms: float | None = None
    bytes_sent: int | None = None
    bytes_received: int | None = None


@dataclass(frozen=True, slots=True)
class ConnectionStats:
    """A sample of the connection. A value that is not measured yet is None, never 0.

    Attributes:
        rtt_ms, candidate_type, relay_protocol, …_bitrate_bps: of the path that carries the media now.
        candidate_type, remote_candidate_type: `host`, `srflx`, `prflx` or `relay`; not the remote one with libwebrtc.
        relay_protocol: `udp`, `tcp` or `tls`, towards the relay.
        available_incoming_bitrate_bps, available_outgoing_bitrate_bps: allowed by congestion control.
        incoming_bitrate_bps, outgoing_bitrate_bps: over the time since the sample before, like the next two.
        frames_per_second: decoded, of the fastest video Track.
        packet_loss_ratio: 0..1, of the packets that should have come.
        timestamp: Unix seconds.
        glass_to_glass_ms: from the far end's stamp on a Frame to its delivery here: p50 and p95.
        inbound, outbound: by Track name.
    """

    timestamp: float
    rtt_ms: float | None = None
    candidate_type: str | None = None
    remote_candidate_type: str | None = None
    relay_protocol: str | None = None
    available_incoming_bitrate_bps: float | None = None
    available_outgoing_bitrate_bps: float | None = None
    incoming_bitrate_bps: float | None = None
    outgoing_bitrate_bps: float | None = None
    frames_per_second: float | None = None
    packet_loss_ratio: float | None = None
    jitter_s: float | None = None
    glass_to_glass_ms: tuple[float, float] | None = None
    connection_timings: ConnectionTimings | None = None
    inbound: Mapping[str, InboundStats] = field(default_factory=dict[str, InboundStats])
    outbound: Mapping[str, OutboundStats] = field(default_factory=dict[str, OutboundStats])
    candidate_pairs: tuple[CandidatePairStats, ...] = ()
