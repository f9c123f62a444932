"""All Tracks of a client: declared, paused and published ones, over transports that come and go.

The client calls `Tracks` on its loop; programs get each `Track`, and a `TrackList` of the declared ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

import structlog

from livereactor.client.errors import ReactorError
from livereactor.client.tracks.port import TrackPort, TrackStats, TrackTransport
from livereactor.client.tracks.track import Track
from livereactor.client.types import Direction, Kind, TrackCapability

if TYPE_CHECKING:
    from livereactor.engine.port import ReceivedTrack

__all__ = ["Track", "TrackList", "TrackPort", "TrackStats", "TrackTransport", "Tracks"]

log = structlog.get_logger(__name__)


class TrackList(list[Track]):
    """Tracks in the order of their declaration; a list with filters that can be chained."""

    def with_kind(self, kind: Kind) -> TrackList:
        """Return the Tracks that carry `video` or `audio`."""
        return TrackList(track for track in self if track.kind == kind)

    def with_direction(self, direction: Direction) -> TrackList:
        """Return the model's outputs (`recvonly`) or inputs (`sendonly`)."""
        return TrackList(track for track in self if track.direction == direction)

    def one(self) -> Track:
        """Return the only Track.

        Raises:
            ValueError: the list holds none, or several.
        """
        if len(self) != 1:
            raise ValueError(f"wanted one track, there are {len(self)}: {_names(self)}")
        return self[0]


class Tracks:
    """The Tracks of one client.

    Args:
        port: sends requests to the server.
    """

    def __init__(self, port: TrackPort) -> None:
        self._port = port
        self._known: dict[str, Track] = {}
        self._is_closed = False
        self.declared = TrackList()

    # --- for programs ---

    def track(self, name: str) -> Track:
        """Return the Track of this name, the same object each time; before a Session has declared its Tracks, any name.

        Raises:
            ValueError: the Session has declared no such Track.
        """
        track = self._known.get(name)
        if self.declared and (track is None or track not in self.declared):
            raise ValueError(f"no track {name!r}; declared: {_names(self.declared)}")
        return track or self._known.setdefault(name, self._made(name))

    def sendable(self, name: str) -> Track:
        """Return the input of this name.

        Raises:
            ValueError: no input has this name.
        """
        track = self._known.get(name)
        if self.declared and (track is None or track.direction != "sendonly"):
            inputs = self.declared.with_direction("sendonly")
            raise ValueError(f"no sendable track {name!r}; declared: {_names(inputs)}")
        return self.track(name)

    # --- receiving ---

    @property
    def paused(self) -> list[str]:
        """The names of the outputs that this client does not receive."""
        return [track.name for track in self._receiving() if track.paused]

    @property
    def wanted(self) -> list[str]:
        """The names of the outputs to resume on a new connection."""
        return [track.name for track in self._receiving() if not track.paused]

    # --- a Session ---

    def declare(self, capabilities: Iterable[TrackCapability], *, resumes: bool) -> None:
        """Take the Session's Tracks, in their order.

        Args:
            resumes: receive outputs unless the program has said otherwise.
        """
        self.declared.clear()
        for capability in capabilities:
            track = self._known.setdefault(capability.name, Track(capability.name, self._port))
            track.declare(capability, resumes=resumes)
            self.declared.append(track)
        if unknown := [name for name, track in self._known.items() if track not in self.declared]:
            log.error("no such track in this session", tracks=unknown, declared=_names(self.declared))

    async def release(self) -> None:
        """Unpublish, release sources and forget the newest Frames, as the Session is over. Handlers stay."""
        self.disconnected()
        self.declared.clear()
        await asyncio.gather(*(track.release() for track in self._known.values()))

    # --- a transport ---

    def attach(self, outputs: TrackTransport) -> None:
        """Send on a transport that is up."""
        for track in self.declared:
            track.attach(outputs)

    def arrived(self, name: str, source: ReceivedTrack) -> None:
        """Receive from a track of the engine."""
        if name in self._known:
            self._known[name].arrived(source)

    def key_frame_wanted(self, name: str) -> None:
        """Send a key frame on this input, which the model needs to go on."""
        if name in self._known:
            self._known[name].key_frame_wanted()

    def rate_changed(self, name: str, bps: int) -> None:
        """Follow the rate that congestion control allows this input, bits a second."""
        if name in self._known:
            self._known[name].rate_changed(bps)

    def detach(self, *, quiet: bool = False) -> None:
        """Drop a transport that is gone.

        Args:
            quiet: another follows at once, unnoticed by the program: pushed Tracks stay published.
        """
        for track in self._known.values():
            track.detach(quiet=quiet)

    async def restore(self) -> None:
        """Publish Tracks again that were published, after `attach`; report a refusal."""
        for track in self.declared:
            try:
                await track.restore()
            except ReactorError as error:
                self._port.report(error)

    def disconnected(self) -> None:
        """End iterators and the threads of handlers, as the status is `disconnected`."""
        self.detach()
        for track in self._known.values():
            track.disconnected(for_good=self._is_closed)

    def close(self) -> None:
        """Release everything, for good, without waiting."""
        self._is_closed = True
        self.disconnected()
        for track in self._known.values():
            track.close()

    def _made(self, name: str) -> Track:
        track = Track(name, self._port)
        if self._is_closed:
            track.disconnected(for_good=True)
        return track

    def _receiving(self) -> TrackList:
        return self.declared.with_direction("recvonly")


def _names(tracks: Iterable[Track]) -> str:
    return ", ".join(track.name for track in tracks) or "none"
