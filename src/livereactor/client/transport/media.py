"""The media of a Link: the Track of each section, and the time at which something last arrived on one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from livereactor.base.errors import EngineError, PeerError
from livereactor.client.types import TrackCapability
from livereactor.engine.port import InputTrack, Kind, Section, Use
from livereactor.media.frames import Frame, Sound
from livereactor.protocol.sdp import parse_description

USES: Final = {"recvonly": Use.RECEIVE, "sendonly": Use.SEND}
_T = TypeVar("_T")
_Media = TypeVar("_Media", Frame, Sound)


class Sections:
    """The media sections of an offer, in the order of the declared Tracks.

    Args:
        tracks: the declared Tracks.
    """

    def __init__(self, tracks: Sequence[TrackCapability]) -> None:
        self._tracks = tuple(tracks)
        self._names: dict[str, str] = {}
        self.offered = tuple(Section(track.kind, USES[track.direction], track.name) for track in self._tracks)

    def mapping(self, offer: str) -> list[tuple[str, TrackCapability]]:
        """Return the Tracks with the mids that an offer gave them; from here on, names are known."""
        try:
            media = [section for section in parse_description(offer).media if section.kind != "application"]
        except PeerError as error:
            raise EngineError(f"the engine made an offer that cannot be read: {error.message}") from error
        found = list(zip((section.mid for section in media), self._tracks, strict=True))
        self._names = {mid: track.name for mid, track in found}
        return found

    def name(self, mid: str) -> str | None:
        """Return the name of the Track on a section, or None."""
        return self._names.get(mid)

    def named(self, by_mid: Mapping[str, _T]) -> dict[str, _T]:
        """Return the values by the Track's name."""
        return {name: each for mid, each in by_mid.items() if (name := self.name(mid)) is not None}


class HeardTrack:
    """An `InputTrack` that reports each arrival and its time stamp, on the engine's thread.

    Args:
        track: the engine's track.
        heard: called with the `captured_us` of every Frame and block of Sound, before its receiver.
    """

    def __init__(self, track: InputTrack, heard: Callable[[int | None], None]) -> None:
        self._track, self._heard = track, heard

    @property
    def mid(self) -> str:
        return self._track.mid

    @property
    def kind(self) -> Kind:
        return self._track.kind

    def on_frame(self, callback: Callable[[Frame], None] | None) -> None:
        self._track.on_frame(self._telling(callback))

    def on_sound(self, callback: Callable[[Sound], None] | None) -> None:
        self._track.on_sound(self._telling(callback))

    def _telling(self, callback: Callable[[_Media], None] | None) -> Callable[[_Media], None] | None:
        if callback is None:
            return None

        def came(media: _Media) -> None:
            self._heard(media.captured_us)
            callback(media)

        return came
