"""The value of one `yield`, checked and turned into Frames and Sound per track. Pure."""

from __future__ import annotations

import dataclasses
import difflib
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from livereactor.base.errors import EmissionError
from livereactor.media.frames import Frame, Sound
from livereactor.media.pixels import as_frames, as_sound
from livereactor.runtime.authoring.tracks import AudioOut, Track, VideoOut

Emission: TypeAlias = dict[str, Sequence[Frame] | Sound]


def emission_of(value: Any, tracks: Mapping[str, Track]) -> Emission:
    """Frames and Sound of one `yield`.

    Args:
        value: what the model yielded: a frame or chunk for its first video output (or sound, where it has no video),
            or `{track: frame or sound}`; a None in it is a track without output.
        tracks: the model's output tracks by name.

    Raises:
        EmissionError: no such track, or what came cannot be a frame or sound.
    """
    if not isinstance(value, Mapping):
        return {(main := _main_track(tracks, value)): _converted(value, main, tracks[main])}
    emission: Emission = {}
    for name, item in cast("Mapping[str, Any]", value).items():
        if name not in tracks:
            raise EmissionError(_unknown(name, tracks))
        if item is not None:
            emission[name] = _converted(item, name, tracks[name])
    _check_chunks(emission)
    return emission


class Reuse:
    """Copies pixels that a model draws into again: the encoder would see the next picture half drawn.

    A model that yields a new array each time is left alone: no copy.
    """

    def __init__(self) -> None:
        self._last: dict[str, weakref.ref[np.ndarray]] = {}

    def guarded(self, emission: Emission) -> Emission:
        """`emission`, with Frames of their own where a track's array is the one of the step before."""
        return {name: item if isinstance(item, Sound) else self._frames(name, item) for name, item in emission.items()}

    def _frames(self, name: str, frames: Sequence[Frame]) -> Sequence[Frame]:
        owner = _owner(frames[0].pixels)
        last = self._last.get(name)
        self._last[name] = weakref.ref(owner)
        if last is None or last() is not owner:
            return frames
        return [dataclasses.replace(frame, pixels=frame.pixels.copy()) for frame in frames]


def _owner(array: np.ndarray) -> np.ndarray:
    """The array whose memory `array` looks at."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def sound_seconds(emission: Mapping[str, Sequence[Frame] | Sound]) -> float:
    """Seconds of the longest Sound in it; 0 without."""
    lengths = [len(each.samples) / each.rate for each in emission.values() if isinstance(each, Sound)]
    return max(lengths, default=0.0)


def _main_track(tracks: Mapping[str, Track], value: Any) -> str:
    video = next((name for name, track in tracks.items() if isinstance(track, VideoOut)), None)
    main = video or next(iter(tracks), None)
    if main is None:
        raise EmissionError(
            f"the model yielded a {type(value).__name__} and declares no output; write main_video = lr.VideoOut()"
        )
    return main


def _converted(value: Any, name: str, track: Track) -> Sequence[Frame] | Sound:
    if isinstance(track, AudioOut):
        return as_sound(value, rate=track.sample_rate, channels=track.channels, where=name)
    return as_frames(value, where=name)


def _check_chunks(emission: Emission) -> None:
    lengths = {name: len(item) for name, item in emission.items() if not isinstance(item, Sound)}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise EmissionError(f"tracks of one yield have unequal numbers of frames ({found}); yield the same number each")


def _unknown(name: Any, tracks: Mapping[str, Track]) -> str:
    near = difflib.get_close_matches(str(name), tracks, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"declared: {', '.join(tracks) or 'none'}"
    return f"the model yielded the track {name!r}, which is not one of its outputs; {hint}"
