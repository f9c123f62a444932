"""What a client knows and hands out, as data: statuses, Capabilities, what a Session said of itself, figures."""

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
    """What the client is doing; equal to the plain string."""

    DISCONNECTED = "disconnected"  # nothing is open
    CONNECTING = "connecting"  # talking to the coordinator, or bringing the transport up again
    WAITING = "waiting"  # the Session exists: it is queued, or its Worker or its transport is being prepared
    READY = "ready"  # media and data channels are up


@dataclass(frozen=True, slots=True)
class WaitingInfo:
    """Why there is nothing to see yet.

    Attributes:
        phase: `queued`, `loading` (the model, on its Worker) or `starting` (whatever else it is).
        position: in the queue, 1 is next; None where there is no queue.
        length: Tickets in the queue, this one included.
        estimated_wait: seconds; None while nothing is known.
        progress: 0..1 of loading; None while nothing is known.
    """

    phase: str
    position: int | None = None
    length: int | None = None
    estimated_wait: float | None = None
    progress: float | None = None


@dataclass(frozen=True, slots=True)
class TrackCapability:
    """A Track that the model declares; the direction is told from the client's side."""

    name: str
    kind: Kind
    direction: Direction


@dataclass(frozen=True, slots=True)
class CommandCapability:
    """A Command that the model declares; `schema` is the JSON Schema of its arguments, None where none was sent."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a Session offers; `emission_fps` is Frames a second, None where the model does not say."""

    protocol_version: str
    tracks: tuple[TrackCapability, ...] = ()
    commands: tuple[CommandCapability, ...] = ()
    emission_fps: float | None = None


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What the server says of the Session; what has no attribute here is kept in `extra`.

    Attributes:
        state: as on the wire (`WAITING`, `ACTIVE`, `streaming`, …).
        model, model_version, cluster, server_version: which model, where, and on which server.
        created_at, expires_at: Unix seconds.
        reconnection_window: seconds that the Session outlives its last client.
        end_reason: why it ended (`stopped`, `timed_out`, `max_duration`, …).
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
    """How long the parts of the last `connect()` or `reconnect()` took, milliseconds.

    Attributes:
        session_creation_ms: until the Session existed.
        waiting_ms: from there until it was ready to be connected to.
        transport_connecting_ms: from there until media and data channels were up.
        total_ms: all of it.
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
        now_marker: where the timeline was when the Clip was asked for.
        predicted_ready_at: Unix seconds at which its last Segment should be there.
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
        """Seconds."""
        return self.end_marker - self.start_marker


@dataclass(frozen=True, slots=True)
class InboundStats:
    """What one received Track shows; None = not measured. Counters are since the transport came up.

    Attributes:
        frames_per_second: decoded, over the time since the sample before.
        nack_count, key_frame_requests: how often packets, or a Frame to start from, were asked for again.
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
    """What one sent Track shows; None = not measured. Counters are since the transport came up.

    Attributes:
        frames_per_second: sent, over the time since the sample before.
        nack_count, key_frame_requests: how often the receiver asked for packets, or for a Frame to start from, again.
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
    """A sample of the connection (behaviour 13). A value not measured yet is None, never 0.

    Attributes:
        rtt_ms, candidate_type, relay_protocol, …_bitrate_bps: of the path that carries the media now.
        candidate_type, remote_candidate_type: `host`, `srflx`, `prflx` or `relay`; libwebrtc does not tell the far one.
        relay_protocol: `udp`, `tcp` or `tls`, towards the relay.
        available_incoming_bitrate_bps, available_outgoing_bitrate_bps: what congestion control allows.
        incoming_bitrate_bps, outgoing_bitrate_bps: over the time since the sample before, as what follows.
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
