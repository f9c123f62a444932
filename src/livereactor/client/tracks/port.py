"""The interface between Tracks and the client, and the counters of a Track. Data and Protocols only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from livereactor.client.errors import ReactorError


@dataclass(frozen=True, slots=True)
class Bitrate:
    """Bounds in bits a second; None = chosen by the size of the picture.

    Raises:
        ValueError: a bound is not above 0, or they are not in order.
    """

    min_bps: int | None = None
    start_bps: int | None = None
    max_bps: int | None = None

    def __post_init__(self) -> None:
        given = [bps for bps in (self.min_bps, self.start_bps, self.max_bps) if bps is not None]
        if any(bps <= 0 for bps in given) or given != sorted(given):
            raise ValueError(f"want 0 < min_bps <= start_bps <= max_bps, got {', '.join(map(str, given))}")


if TYPE_CHECKING:
    from livereactor.engine.port import AudioOutput, VideoOutput


class TrackPort(Protocol):
    """The requests that Tracks make of the client; all raise `ReactorError`."""

    async def pause(self, name: str) -> None:
        """Ask the server to stop sending this output."""
        ...

    async def resume(self, name: str) -> None:
        """Ask the server to send this output."""
        ...

    async def publish(self, name: str) -> None:
        """Claim this input; raises `TRACK_PUBLISH_FAILED` if another Connection has it."""
        ...

    async def unpublish(self, name: str) -> None:
        """Give this input back."""
        ...

    def report(self, error: ReactorError) -> None:
        """Report a failure that no call waits for, such as a source that stopped."""
        ...


class TrackTransport(Protocol):
    """The part of a PeerTransport that Tracks use."""

    @property
    def outputs(self) -> Mapping[str, VideoOutput | AudioOutput]:
        """The outputs that may be sent on, by Track name."""
        ...


@dataclass(frozen=True, slots=True)
class TrackStats:
    """Counters of a Track's Frames; for audio, of its blocks of 10 ms. Sending is counted from `publish` on.

    Attributes:
        received: arrived from the server.
        delivered: handed to a handler or iterator, counted for each.
        dropped: receiving: a handler or iterator was too slow; sending: a newer one replaced them.
        failed: handlers, encodes and sends that raised.
        pushed, encoded, key_frames: sending: handed in, encoded, and how many of these were key frames.
        sent, refused: sending: taken or dropped by the engine.
        bytes: sending: encoded.
    """

    received: int = 0
    delivered: int = 0
    dropped: int = 0
    failed: int = 0
    pushed: int = 0
    encoded: int = 0
    key_frames: int = 0
    sent: int = 0
    refused: int = 0
    bytes: int = 0
