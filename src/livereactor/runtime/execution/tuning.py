"""How a model is paced, read from its tracks. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from livereactor.runtime.authoring.tracks import AudioOut, Track, VideoOut
from livereactor.runtime.execution.pacing import Tuning


def tuning_of(tracks: Mapping[str, Track]) -> Tuning:
    """By the first video output; with sound beside it on the beat only, since kicks would make the sound run ahead."""
    outputs = [each for each in tracks.values() if isinstance(each, VideoOut | AudioOut)]
    video = next((each for each in outputs if isinstance(each, VideoOut)), None)
    if video is None:
        return Tuning("sound" if outputs else "free")
    if video.fps is None or video.pacing == "free":
        return Tuning("free")
    sounds = any(isinstance(each, AudioOut) for each in outputs)
    return Tuning("steady" if sounds else video.pacing, video.fps)
