"""All outputs of a model: what it yields goes to one thread per track, and from there to every viewer.

    ModelThread (model's thread) --emit--> VideoOutputTrack, AudioOutputTrack (a thread each) --send--> engine, Tap

The model thread calls `emit`, `has_capacity`, `on_capacity`, `set_fps` and `flush` (`OutputSink`), the app the rest.
Every method may be called from any thread and returns at once. Stepped sessions send nothing through here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, cast

from livereactor.base.clock import Clock, SystemClock
from livereactor.base.errors import NotFoundError
from livereactor.base.timing import Timings
from livereactor.media.colour import convert_on_one_thread
from livereactor.media.frames import Frame, Pixels, Sound
from livereactor.protocol.stages import TrackPictures
from livereactor.runtime.interfaces import EncodedSink, OutputDeclaration, SessionOrigin, SoundSink
from livereactor.runtime.outputs.audio import AudioOutputTrack
from livereactor.runtime.outputs.tap import Tap
from livereactor.runtime.outputs.video import VideoOutputTrack

# Seconds that pictures wait where a model has sound. With a playout delay of 0..0 receivers do not line the two up, and
# sound takes longer: blocks of 10 ms here, 40 ms of jitter buffer there. Measured without: 65 ms behind, +- 1.
SOUND_LAG: Final = 0.035


class Outputs:
    """The output tracks of one model; fits `OutputSink`.

    Args:
        declarations: the model's output tracks.
        clock: gives `now`; for tests.
    """

    def __init__(self, declarations: Iterable[OutputDeclaration], *, clock: Clock | None = None) -> None:
        convert_on_one_thread()
        self._clock = clock or SystemClock()
        self._callbacks: list[Callable[[], None]] = []
        self._video: dict[str, VideoOutputTrack] = {}
        self._audio: dict[str, AudioOutputTrack] = {}
        self._before: Mapping[str, Mapping[str, float]] = {}  # what was counted before the Session
        self._declare(declarations)

    def _declare(self, declarations: Iterable[OutputDeclaration]) -> None:
        tracks = list(declarations)
        delay = SOUND_LAG if any(declared.kind == "audio" for declared in tracks) else 0.0
        for declared in tracks:
            if declared.kind == "video":
                self._video[declared.name] = VideoOutputTrack(
                    declared, clock=self._clock, on_capacity=self._capacity_freed, delay=delay
                )
            else:
                self._audio[declared.name] = AudioOutputTrack(
                    declared, clock=self._clock, on_capacity=self._capacity_freed
                )

    def redeclare(self, declarations: Iterable[OutputDeclaration]) -> None:
        """Serve a reloaded model's tracks; between Sessions, while the model thread emits nothing."""
        self.close()
        self._video.clear()
        self._audio.clear()
        self._declare(declarations)

    def emit(self, emission: Mapping[str, Sequence[Frame] | Sound], *, step_seconds: float) -> None:
        """Hand over what one `yield` gave; never blocks."""
        chunk = any(not isinstance(what, Sound) and len(what) > 1 for what in emission.values())
        for track, what in emission.items():
            if isinstance(what, Sound):
                self._audio[track].emit(what, chunk=chunk)
            else:
                self._video[track].emit(what, step_seconds=step_seconds)

    def has_capacity(self) -> bool:
        """False while the queue of any track is full; `on_capacity` tells when that may have changed."""
        room = [track.has_capacity() for track in self._tracks()]  # all are asked: each that says no tells when it has
        return all(room)

    def on_capacity(self, callback: Callable[[], None]) -> None:
        """`callback` on a track's thread whenever room may have come back after `has_capacity` said no."""
        self._callbacks.append(callback)

    def set_fps(self, track: str, fps: float | None) -> None:
        """Re-pace a video track at once; None = the model's own rate."""
        self._video[track].set_fps(fps)

    def flush(self, track: str) -> None:
        """Drop what is queued on a track; viewers keep the last picture."""
        self._track(track).flush()

    def add_viewer(self, track: str, viewer: int, sink: EncodedSink | SoundSink) -> None:
        """A Connection's sink for a track, paused at first; in the place of an earlier one of this viewer."""
        if track in self._video:
            self._video[track].add_viewer(viewer, cast(EncodedSink, sink))
        else:
            self._audio_track(track).add_viewer(viewer, cast(SoundSink, sink))

    def resume(self, track: str, viewer: int) -> None:
        """Send from now on: the newest picture at once as a key frame, even if the model makes nothing new."""
        self._track(track).resume(viewer)

    def pause(self, track: str, viewer: int) -> None:
        """Send nothing until resumed."""
        self._track(track).pause(viewer)

    def remove_viewer(self, viewer: int) -> None:
        """A Connection went: from every track."""
        for track in self._tracks():
            track.remove_viewer(viewer)

    def key_wanted(self, track: str, viewer: int) -> None:
        """A viewer cannot go on without a key frame; the newest picture is encoded again as one."""
        self._video[track].key_wanted(viewer)

    def rate_changed(self, track: str, viewer: int, bps: int) -> None:
        """Congestion control allows this viewer `bps` bits a second on this video track."""
        self._video[track].rate_changed(viewer, bps)

    def record(self, video: str | None, audio: str | None, tap: Tap | None) -> None:
        """Hand what these tracks play to a recording from now on, and of no others; None = none."""
        for name, track in (self._video | self._audio).items():
            track.record(tap if name in (video, audio) else None)

    def newest(self, track: str) -> Pixels | None:
        """The newest picture of a video track; None before the Session's first."""
        return self._video[track].newest()

    def reset(self) -> None:
        """Session end: drop queued Frames, the newest picture and all viewers; fps as declared."""
        for track in self._tracks():
            track.reset()

    def time(self, timings: Timings, origin: SessionOrigin) -> None:
        """A Session begins: `pictures` counts from here, and how long each stage takes is counted and traced."""
        for track in self._video.values():
            track.time(timings, origin)
        self._before = self.counters()

    def pictures(self) -> list[TrackPictures]:
        """Return the counts of each video track's pictures since the Session began."""
        return [_pictures(name, track.counters(), self._before.get(name, {})) for name, track in self._video.items()]

    def counters(self) -> Mapping[str, Mapping[str, float]]:
        """Return the counters of each track since the start; `video.py` and `audio.py` say what each counts."""
        return {name: track.counters() for name, track in (self._video | self._audio).items()}

    def close(self) -> None:
        """End the threads; may be called twice."""
        for track in self._tracks():
            track.close()

    def _tracks(self) -> list[VideoOutputTrack | AudioOutputTrack]:
        return [*self._video.values(), *self._audio.values()]

    def _track(self, name: str) -> VideoOutputTrack | AudioOutputTrack:
        return self._video[name] if name in self._video else self._audio_track(name)

    def _audio_track(self, name: str) -> AudioOutputTrack:
        if name not in self._audio:
            raise NotFoundError(f"no output track {name!r}; declared: {', '.join(self._video | self._audio)}")
        return self._audio[name]

    def _capacity_freed(self) -> None:
        for callback in self._callbacks:
            callback()


def _pictures(track: str, now: Mapping[str, float], before: Mapping[str, float]) -> TrackPictures:
    given, replaced, left_out, refused = (
        round(now[name] - before.get(name, 0.0)) for name in ("emitted", "dropped", "left_out", "refused")
    )
    return TrackPictures(track=track, given=given, replaced=replaced, left_out=left_out, refused=refused)
