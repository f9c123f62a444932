"""Tracks, as a model's class declares them and as its instances use them: a copy each, bound to a Host."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from livereactor.base.limits import Limits
from livereactor.media.fit import Fit, fitted
from livereactor.media.frames import Frame, Sound
from livereactor.runtime.authoring.host import ModelHost, NoHost
from livereactor.runtime.authoring.inputs import FrameQueue, InputQueue, Resampler, SoundQueue
from livereactor.runtime.interfaces import Pacing

MAX_SIDE, MAX_FPS = 8192, 240


class Track:
    """One named, one-way lane of media. Its attribute's name on the model is the track's name."""

    name: str = ""
    _host: ModelHost = NoHost()

    def bound(self, name: str, host: ModelHost) -> Track:
        """This declaration as one instance of a model uses it."""
        track = copy.copy(self)
        track.name, track._host = name, host
        return track


class VideoOut(Track):
    """A video the model makes.

    Args:
        width, height: pixels of its Frames, a hint for what waits for the first one; a Frame of another size is fine.
        fps: Frames a second it plays at; None = as fast as the model makes them.
        pacing: `eager` (default) keeps the fps and makes the next Frame at once when a command or an input Frame comes,
            at most at twice the fps; `steady` keeps the fps only; `free` runs as fast as the model can.

    `fps`, `pacing`, `width` and `height` may be set while running.
    """

    def __init__(
        self,
        *,
        width: int | None = None,
        height: int | None = None,
        fps: float | None = 30.0,
        pacing: Pacing = "eager",
    ) -> None:
        self.width: int | None = _side(width, "width")
        self.height: int | None = _side(height, "height")
        self._fps: float | None = _fps(fps)
        self._pacing: Pacing = _pacing(pacing)
        self._declared = (self.width, self.height, self._fps, self._pacing)

    @property
    def fps(self) -> float | None:
        return self._fps

    @fps.setter
    def fps(self, value: float | None) -> None:
        self._fps = _fps(value)
        self._host.retuned(self.name)

    @property
    def pacing(self) -> Pacing:
        return self._pacing

    @pacing.setter
    def pacing(self, value: Pacing) -> None:
        self._pacing = _pacing(value)
        self._host.retuned(self.name)

    @property
    def wanted(self) -> bool:
        """At least one client receives this track: skip work for one that nobody sees."""
        return self._host.wanted(self.name)

    def flush(self) -> None:
        """Drop what is queued for play-out."""
        self._host.flush(self.name)

    def reset(self) -> None:
        """Back to what the class declares; the runtime calls it between Sessions."""
        changed = (self._fps, self._pacing) != self._declared[2:]
        self.width, self.height, self._fps, self._pacing = self._declared
        if changed:
            self._host.retuned(self.name)


class AudioOut(Track):
    """A sound the model makes.

    Args:
        sample_rate: samples a second of what the model yields.
        channels: 1 or 2.
    """

    def __init__(self, *, sample_rate: int = 48_000, channels: int = 1) -> None:
        self.sample_rate = _rate(sample_rate)
        self.channels = _channels(channels)

    @property
    def wanted(self) -> bool:
        """At least one client receives this track."""
        return self._host.wanted(self.name)

    def flush(self) -> None:
        """Drop what is queued for play-out."""
        self._host.flush(self.name)


class VideoIn(Track):
    """A video a client sends, decoded to RGB.

    Args:
        width, height: Frames are fitted to this size where both are given; without it they come as sent, and their
            shape may change at any time.
        fit: how: `cover` crops, `contain` adds bars, `stretch` distorts.
        buffer: unread Frames kept; past it the oldest goes.
    """

    def __init__(
        self,
        *,
        width: int | None = None,
        height: int | None = None,
        fit: Fit = "cover",
        buffer: int = Limits().input_frames,
    ) -> None:
        self.width, self.height = _side(width, "width"), _side(height, "height")
        if (width is None) != (height is None):
            raise ValueError("width and height go together; give both or neither")
        if fit not in get_args(Fit):
            raise ValueError(f"fit: {fit!r} is not one of cover, contain, stretch")
        if buffer < 1:
            raise ValueError(f"buffer: {buffer} is below 1; keep at least one frame")
        self.fit: Fit = fit
        self.buffer = buffer
        self._active = False
        self._queue = FrameQueue(buffer)

    def bound(self, name: str, host: ModelHost) -> VideoIn:
        track = copy.copy(self)
        track.name, track._host, track._queue = name, host, FrameQueue(self.buffer)
        return track

    @property
    def active(self) -> bool:
        """A client publishes this track now."""
        return self._active

    @property
    def queue(self) -> FrameQueue:
        """Where the runtime puts what arrives."""
        return self._queue

    def latest(self) -> Frame | None:
        """The newest Frame of this Session, None before the first; older ones are dropped. Never blocks."""
        frame = self._queue.latest()
        return frame and self._fitted(frame)

    def take(self, count: int | None = None) -> list[Frame]:
        """The `count` oldest unread Frames, all of one shape; an empty list while fewer wait. Never blocks.

        Without `count`: all that are unread, up to a change of shape.
        """
        frames = self._queue.take_all() if count is None else self._queue.take(count)
        return [self._fitted(frame) for frame in frames]

    def frames(self, timeout: float | None = None) -> Iterator[Frame]:
        """Every Frame, oldest first, waiting for more; commands run while it waits.

        Args:
            timeout: seconds without a Frame after which the iteration ends; None = never.
        """
        while True:
            if (frame := self._queue.next()) is not None:
                yield self._fitted(frame)
            elif not self._host.wait_input(self._queue, timeout):
                return

    def clear(self) -> None:
        """Forget what came so far."""
        self._queue.clear()

    def publish(self, active: bool) -> None:
        """The runtime says that a publisher came or went."""
        self._active = active

    def reset(self) -> None:
        """As at the start of a Session."""
        self._active = False
        self._queue.clear()

    def _fitted(self, frame: Frame) -> Frame:
        # Here, on the model's thread: only Frames that are looked at are worth scaling.
        if self.width is None or self.height is None:
            return frame
        pixels = fitted(frame.pixels, width=self.width, height=self.height, fit=self.fit)
        return frame if pixels is frame.pixels else dataclasses.replace(frame, pixels=pixels)


class AudioIn(Track):
    """A sound a client sends, as int16 samples of shape (samples, channels).

    Args:
        sample_rate: samples a second the model gets, whatever is sent.
        channels: 1 or 2.
        buffer_seconds: unread sound kept; past it the oldest goes.
    """

    def __init__(self, *, sample_rate: int = 48_000, channels: int = 1, buffer_seconds: float = 5.0) -> None:
        self.sample_rate = _rate(sample_rate)
        self.channels = _channels(channels)
        if not 0.02 <= buffer_seconds <= 60:
            raise ValueError(f"buffer_seconds: {buffer_seconds} is not within 0.02 to 60")
        self.buffer_seconds = buffer_seconds
        self._active = False
        self._queue = SoundQueue(buffer_seconds, sample_rate)
        self._resampler = Resampler(sample_rate, channels)

    def bound(self, name: str, host: ModelHost) -> AudioIn:
        track = copy.copy(self)
        track.name, track._host = name, host
        track._queue = SoundQueue(self.buffer_seconds, self.sample_rate)
        track._resampler = Resampler(self.sample_rate, self.channels)
        return track

    @property
    def active(self) -> bool:
        """A client publishes this track now."""
        return self._active

    @property
    def queue(self) -> SoundQueue:
        """Where the runtime puts what arrives."""
        return self._queue

    def latest(self) -> Sound | None:
        """The newest block of this Session, None before the first; older ones are dropped. Never blocks."""
        return self._queue.latest()

    def take(self, count: int) -> Sound | None:
        """The `count` oldest unread samples; None while fewer wait. Never blocks."""
        return self._queue.take(count)

    def frames(self, timeout: float | None = None) -> Iterator[Sound]:
        """Every block, oldest first, waiting for more; commands run while it waits.

        Args:
            timeout: seconds without sound after which the iteration ends; None = never.
        """
        while True:
            if (sound := self._queue.next()) is not None:
                yield sound
            elif not self._host.wait_input(self._queue, timeout):
                return

    def clear(self) -> None:
        """Forget what came so far."""
        self._queue.clear()

    def hear(self, sound: Sound) -> None:
        """The runtime puts in what arrived, of any rate and one or two channels; from one thread at a time."""
        if (fitting := self._resampler.sound(sound)) is not None:
            self._queue.push(fitting)

    def publish(self, active: bool) -> None:
        """The runtime says that a publisher came or went."""
        self._active = active

    def reset(self) -> None:
        """As at the start of a Session."""
        self._active = False
        self._queue.clear()
        self._resampler = Resampler(self.sample_rate, self.channels)  # its filter holds the last samples it was given


@dataclass(frozen=True, slots=True)
class WaitFor:
    """What `lr.wait_for` makes; a model yields it."""

    queues: tuple[InputQueue, ...]
    timeout: float | None

    def over(self) -> bool:
        """Something came."""
        return any(queue.unread() for queue in self.queues)


def wait_for(*inputs: VideoIn | AudioIn, timeout: float | None = None) -> WaitFor:
    """`yield lr.wait_for(self.webcam)`: a step without output; the next one runs when something unread is there.

    A command ends the wait too, since it may have changed what the model waits for.

    Args:
        inputs: the tracks; any of them will do.
        timeout: seconds after which the next step runs anyway; None = never.
    """
    if not inputs:
        raise ValueError("wait_for needs at least one input; write wait_for(self.webcam)")
    return WaitFor(tuple(each.queue for each in inputs), timeout)


def _side(value: int | None, what: str) -> int | None:
    if value is not None and not 2 <= value <= MAX_SIDE:
        raise ValueError(f"{what}: {value} is not within 2 to {MAX_SIDE} pixels")
    return value


def _fps(value: float | None) -> float | None:
    if value is not None and not 0 < value <= MAX_FPS:
        raise ValueError(f"fps: {value} is not above 0 and at most {MAX_FPS}; None means the model's own rate")
    return value


def _pacing(value: Pacing) -> Pacing:
    if value not in get_args(Pacing):
        raise ValueError(f"pacing: {value!r} is not one of {', '.join(get_args(Pacing))}")
    return value


def _rate(value: int) -> int:
    if not 8_000 <= value <= 96_000:
        raise ValueError(f"sample_rate: {value} is not within 8000 to 96000")
    if value % 100:  # engines take whole blocks of 10 ms; 22,050 would drift by 0.2 %
        raise ValueError(f"sample_rate: {value} has no whole number of samples in 10 ms; take a multiple of 100")
    return value


def _channels(value: int) -> int:
    if value not in (1, 2):
        raise ValueError(f"channels: {value} is not 1 or 2")
    return value
