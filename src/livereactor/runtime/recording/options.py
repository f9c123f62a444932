"""The options of recording, and the choice of the recorded tracks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from livereactor.base.errors import ConfigError
from livereactor.media.aac import BPS
from livereactor.media.presets import Preset
from livereactor.media.segments import SEGMENT_SECONDS
from livereactor.runtime.interfaces import OutputDeclaration


@dataclass(frozen=True, slots=True)
class RecorderOptions:
    """The settings of an operator for recording.

    Attributes:
        clip_max_seconds: of one Clip; so much stays on the disk of the runtime, too.
        video_track, audio_track: output tracks to record; None = the only one there is.
        retention_hours: how long a Clip can be fetched.
        segment_seconds: of a Segment, at most.
        video_preset, video_quality: of x264 (its CRF), for pictures that no viewer got in H.264.
        audio_bitrate: bits a second of each channel.
    """

    clip_max_seconds: float = 300.0
    video_track: str | None = None
    audio_track: str | None = None
    retention_hours: float = 24.0
    segment_seconds: float = SEGMENT_SECONDS
    video_preset: Preset = "ultrafast"
    video_quality: int = 23
    audio_bitrate: int = BPS


@dataclass(frozen=True, slots=True)
class RecordedTracks:
    """The tracks that a recording holds; `audio` None = no sound."""

    video: OutputDeclaration
    audio: OutputDeclaration | None


def recorded_tracks(options: RecorderOptions, declared: Sequence[OutputDeclaration]) -> RecordedTracks | None:
    """Return the output tracks of a model to record; None for a model without a picture.

    Raises:
        ConfigError: there are several and none is named, or the named one is not there.
    """
    video = _picked("video", options.video_track, declared)
    audio = _picked("audio", options.audio_track, declared)
    return None if video is None else RecordedTracks(video, audio)


def segments_of(options: RecorderOptions | None, declared: Sequence[OutputDeclaration]) -> float | None:
    """Return the length of a Segment in seconds, or None if Sessions of this model are not recorded."""
    try:
        if options is None or recorded_tracks(options, declared) is None:
            return None
    except ConfigError:  # of a reloaded class: the reason is logged when a Session begins
        return None
    return options.segment_seconds


def _picked(
    kind: Literal["video", "audio"], named: str | None, declared: Sequence[OutputDeclaration]
) -> OutputDeclaration | None:
    tracks = {track.name: track for track in declared if track.kind == kind}
    names = ", ".join(tracks) or "none"
    if named is not None:
        if named not in tracks:
            raise ConfigError(f"recorder.{kind}_track: no {kind} output {named!r}; the model has {names}")
        return tracks[named]
    if len(tracks) > 1:
        raise ConfigError(
            f"recorder.{kind}_track: the model has the {kind} outputs {names}; name the one to record, "
            "or set recorder.enabled = false"
        )
    return next(iter(tracks.values()), None)
