"""What Tracks and the client ask of each other, and what a Track counts. Data and Protocols only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from livereactor.client.errors import ReactorError


@dataclass(frozen=True, slots=True)
class Bitrate:
    """Bounds in bits a second; None = as the size of the picture deserves.

    Raises:
        ValueError: a bound that is not above 0, or they are not in order.
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
    """What Tracks need of the client; all raise `ReactorError`."""

    async def pause(self, name: str) -> None:
        """Have the server send this output no more."""
        ...

    async def resume(self, name: str) -> None:
        """Have the server send this output."""
        ...

    async def publish(self, name: str) -> None:
        """Claim this input; `TRACK_PUBLISH_FAILED` where another Connection has it."""
        ...

    async def unpublish(self, name: str) -> None:
        """Give this input back."""
        ...

    def report(self, error: ReactorError) -> None:
        """Tell the program of a failure that nobody awaits: a source that stopped."""
        ...


class Outputs(Protocol):
    """The part of a Link that Tracks use."""

    @property
    def outputs(self) -> Mapping[str, VideoOutput | AudioOutput]:
        """What may be sent, by Track name."""
        ...


@dataclass(frozen=True, slots=True)
class TrackStats:
    """What became of a Track's Frames; for audio, of its blocks of 10 ms. Sending is counted from `publish` on.

    Attributes:
        received: came from the server.
        delivered: handed to a handler or iterator, counted for each.
        dropped: receiving: a handler or iterator was too slow for them; sending: a newer one came first.
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
