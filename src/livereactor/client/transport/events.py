"""Options and events of a PeerTransport. Data only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from livereactor.client.types import TrackCapability
from livereactor.engine.port import PeerConfig, ReceivedTrack
from livereactor.protocol.messages import ServerMessage, WireFormat

MAX_ATTEMPTS: Final = 6  # polls for an answer, as official clients make them


@dataclass(frozen=True, slots=True)
class PeerTransportOptions:
    """The options of a PeerTransport.

    Attributes:
        tracks: all declared Tracks, in their order.
        wire: the format that the server should understand (`signalling.format_for`); the flat routes speak JSON in any
            case.
        connection: its number; None = a new one.
        again: replace the Peer of this number.
        stale: the answer of that Peer, which some servers give once more before the new one.
        resume: names of the outputs to start as soon as the channels are open.
        max_attempts: polls for the answer, at least 1.
        config: the configuration of the Peer; its ICE servers are replaced by the server's.
    """

    tracks: Sequence[TrackCapability]
    wire: WireFormat = WireFormat.V1
    connection: int | None = None
    again: bool = False
    stale: str = ""
    resume: Sequence[str] = ()
    max_attempts: int = MAX_ATTEMPTS
    config: PeerConfig = field(default_factory=PeerConfig)


@dataclass(frozen=True, slots=True)
class TrackArrived:
    """The other side may send on this Track from now on."""

    name: str
    track: ReceivedTrack


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """A message arrived: one of the model's, replies (with a `request_id`) included, or one that no request awaits."""

    message: ServerMessage


@dataclass(frozen=True, slots=True)
class PingAnswered:
    """The server answered a ping, as ours do: from now on, its silence means a problem."""


@dataclass(frozen=True, slots=True)
class PeerTransportLost:
    """The transport is gone. Emitted once, after `ready` and never after `aclose`."""

    reason: str


@dataclass(frozen=True, slots=True)
class KeyFrameWanted:
    """The receiver of our Track needs a key frame to go on."""

    name: str


@dataclass(frozen=True, slots=True)
class RateChanged:
    """Our Track may take this many bits a second."""

    name: str
    bps: int


PeerTransportEvent: TypeAlias = (
    TrackArrived | MessageArrived | PingAnswered | PeerTransportLost | KeyFrameWanted | RateChanged
)
