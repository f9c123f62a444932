"""What a Link is to be, and what it tells whoever opened it. Data only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from livereactor.client.types import TrackCapability
from livereactor.engine.port import InputTrack, PeerConfig
from livereactor.protocol.messages import ServerMessage, WireFormat

MAX_ATTEMPTS: Final = 6  # polls for an answer, as official clients make them


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """What a Link is to be.

    Attributes:
        tracks: all declared ones, in their order.
        wire: what the server is taken to understand (`signalling.format_for`); the flat routes speak JSON whatever
            this says.
        connection: its number; None = a new one.
        again: replace the Peer that this number had.
        stale: the answer that Peer had: some servers give it once more before the new one.
        resume: names of the outputs to start as soon as the channels are open.
        max_attempts: polls for the answer, at least 1.
        config: how to gather and negotiate; its ICE servers are replaced by the server's.
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
    track: InputTrack


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """Something was said: every message of the model, replies (those with a `request_id`) among them, and whatever
    else nobody asked for; a `Failure` too."""

    message: ServerMessage


@dataclass(frozen=True, slots=True)
class PingAnswered:
    """The server is one of ours, which answer pings: from now on, silence means something."""


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The transport is gone: once, after `ready` and never after `aclose`."""

    reason: str


@dataclass(frozen=True, slots=True)
class KeyFrameWanted:
    """Who receives our Track cannot go on without a key frame."""

    name: str


@dataclass(frozen=True, slots=True)
class RateChanged:
    """Our Track may take this many bits a second."""

    name: str
    bps: int


LinkEvent: TypeAlias = TrackArrived | MessageArrived | PingAnswered | LinkLost | KeyFrameWanted | RateChanged
