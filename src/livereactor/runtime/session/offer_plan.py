"""Matching the sections of an offer with the model's tracks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from livereactor.base.errors import PeerError
from livereactor.engine.port import Use
from livereactor.media.frames import VideoCodec
from livereactor.protocol.http import TrackMapping
from livereactor.protocol.schema import TrackSchema
from livereactor.protocol.sdp import Description, MediaSection

_SERVED: Final = frozenset(codec.value for codec in VideoCodec)


def check_codecs(offer: Description) -> None:
    """Raise `PeerError` for an offer that wants video and takes none of our codecs in any section."""
    wanted = [each for each in offer.media if each.kind == "video" and each.direction == "recvonly"]
    if wanted and not any(_codecs(each) & _SERVED for each in wanted):
        found = ", ".join(sorted(offer.video_codecs)) or "none"
        raise PeerError(f"the offer's video codecs are {found}; offer one of {', '.join(sorted(_SERVED))}")


def plan(
    offer: Description, mapping: Sequence[TrackMapping], tracks: Sequence[TrackSchema]
) -> tuple[dict[str, Use], dict[str, str]]:
    """Return the use and the track of each section, by mid; unknown names and wrong kinds stay inactive."""
    declared = {track.name: track for track in tracks}
    uses: dict[str, Use] = {}
    names: dict[str, str] = {}
    for mid, name in _by_order(offer, tracks) if not mapping else [(each.mid, each.name) for each in mapping]:
        section, track = offer.section(mid), declared.get(name)
        if section is None or track is None or section.kind != track.kind or name in names.values():
            continue
        fits = {"out": ("recvonly", Use.SEND), "in": ("sendonly", Use.RECEIVE)}[track.direction]
        if section.direction in (fits[0], "sendrecv"):
            uses[mid], names[mid] = fits[1], name
    return uses, names


def _by_order(offer: Description, tracks: Sequence[TrackSchema]) -> list[tuple[str, str]]:
    """Pair sections with tracks of the same kind and direction, in order: the offer has no mapping."""
    free = list(tracks)
    pairs: list[tuple[str, str]] = []
    for section in offer.media:
        direction = {"recvonly": "out", "sendonly": "in"}.get(section.direction or "")
        match = next((each for each in free if each.kind == section.kind and each.direction == direction), None)
        if match is not None:
            free.remove(match)
            pairs.append((section.mid, match.name))
    return pairs


def _codecs(section: MediaSection) -> set[str]:
    return set(section.codec_names)
