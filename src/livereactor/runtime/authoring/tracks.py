"""Tracks: declared on a model's class, and used by its instances, each with its own copy bound to a host."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar, get_args

from livereactor.base.limits import Limits
from livereactor.media.fit import Fit, fitted
from livereactor.media.frames import Frame, Sound
from livereactor.runtime.authoring.host import ModelHost, NoHost
from livereactor.runtime.authoring.inputs import FrameQueue, InputQueue, Resampler, SoundQueue
from livereactor.runtime.interfaces import Pacing

MAX_SIDE, MAX_FPS = 8192, 240


class Track:
    """A named, one-way lane of media. The attribute's name on the model is the track's name."""

    name: str = ""
    _host: ModelHost = NoHost()

    def bound(self, name: str, host: ModelHost) -> Track:
        """Return a copy of this declaration for one instance of the model."""
        track = copy.copy(self)
        track.name, track._host = name, host
        return track


class VideoOut(Track):
    """A video output. The model yields pictures: uint8, or float in 0..1, shape (height, width, 3), RGB.

        main_video = lr.VideoOut(width=1280, height=720, fps=24)

    Args:
        width, height: size of the pictures in pixels, 2 to 8192. This is a hint for clients before the first picture;
            a picture may have another size.
        fps: pictures a second, above 0 up to 240; None = as fast as the model makes them.
        pacing: `eager` (default) keeps the fps, and runs the next step at once when a command or an input Frame
            arrives, at most at twice the fps. `steady` keeps the fps only. `free` runs as fast as the model can.

    Raises:
        ValueError: an argument is outside its range.

    `fps`, `pacing`, `width` and `height` may be set while running.
    """

    def __init__(
        self, *, width: int | None = None, height: int | None = None, fps: float | None = 30.0, pacing: Pacing = "eager"
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
        """Whether at least one client receives this track. Skip work for a track that nobody sees."""
        return self._host.wanted(self.name)

    def flush(self) -> None:
        """Drop the output that is queued for play-out."""
        self._host.flush(self.name)

    def reset(self) -> None:
        """Return to the declared values; the runtime calls it between Sessions."""
        changed = (self._fps, self._pacing) != self._declared[2:]
        self.width, self.height, self._fps, self._pacing = self._declared
        if changed:
            self._host.retuned(self.name)


class AudioOut(Track):
    """An audio output. The model yields samples: int16, or float in -1..1, shape (samples,) or (samples, channels).

    Args:
        sample_rate: samples a second, 8,000 to 96,000, a multiple of 100.
        channels: 1 or 2.

    Raises:
        ValueError: an argument is outside its range.
    """

    def __init__(self, *, sample_rate: int = 48_000, channels: int = 1) -> None:
        self.sample_rate = _rate(sample_rate)
        self.channels = _channels(channels)

    @property
    def wanted(self) -> bool:
        """Whether at least one client receives this track."""
        return self._host.wanted(self.name)

    def flush(self) -> None:
        """Drop the output that is queued for play-out."""
        self._host.flush(self.name)


QueueT = TypeVar("QueueT", bound=InputQueue)


class InputTrack(Track, Generic[QueueT]):
    """An input: the queue that the runtime fills, and whether a client publishes."""

    _active = False
    _queue: QueueT

    @property
    def active(self) -> bool:
        """Whether a client publishes this track now."""
        return self._active

    @property
    def queue(self) -> QueueT:
        """The queue that the runtime fills."""
        return self._queue

    def clear(self) -> None:
        """Drop all input that has arrived so far."""
        self._queue.clear()

    def publish(self, active: bool) -> None:
        """Note that a publisher came or went; the runtime calls it."""
        self._active = active

    def reset(self) -> None:
        """Return to the state at the start of a Session."""
        self._active = False
        self._queue.clear()


class VideoIn(InputTrack[FrameQueue]):
    """A video input: Frames that a client sends. `frame.pixels` is uint8, shape (height, width, 3), RGB.

        webcam = lr.VideoIn(width=512, height=512)

    Args:
        width, height: the size that Frames are fitted to, 2 to 8192 pixels; give both or neither. Without a size,
            Frames arrive as sent and may change their shape at any time.
        fit: `cover` crops, `contain` adds bars, `stretch` distorts.
        buffer: unread Frames that are kept, at least 1; when it is full, the oldest is dropped.

    Raises:
        ValueError: an argument is outside its range.
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
            raise ValueError(f"fit: {fit!r} is not one of cover, contain, stretch; give one of them")
        if buffer < 1:
            raise ValueError(f"buffer: {buffer} is below 1; keep at least one frame")
        self.fit: Fit = fit
        self.buffer = buffer
        self._queue = FrameQueue(buffer)

    def bound(self, name: str, host: ModelHost) -> VideoIn:
        track = copy.copy(self)
        track.name, track._host, track._queue = name, host, FrameQueue(self.buffer)
        return track

    def latest(self) -> Frame | None:
        """Return the newest Frame of this Session, read or not; None before the first.

        Older unread Frames are dropped. Never blocks.
        """
        frame = self._queue.latest()
        return frame and self._fitted(frame)

    def take(self, count: int | None = None) -> list[Frame]:
        """Return the `count` oldest unread Frames, all of one shape; an empty list while fewer wait. Never blocks.

        Without `count`, return all unread Frames up to a change of shape.
        """
        frames = self._queue.take_all() if count is None else self._queue.take(count)
        return [self._fitted(frame) for frame in frames]

    def frames(self, timeout: float | None = None) -> Iterator[Frame]:
        """Iterate over every Frame, oldest first, and wait for more. Commands run while it waits.

        Only in a sync `stream`; async code yields `lr.wait_for(self.webcam)` instead.

        Args:
            timeout: seconds without a Frame after which the iteration ends; None = never.

        Raises:
            UsageError: async code called it.
        """
        while True:
            if (frame := self._queue.next()) is not None:
                yield self._fitted(frame)
            elif not self._host.wait_input(self._queue, timeout):
                return

    def _fitted(self, frame: Frame) -> Frame:
        # Here, on the model's thread: only Frames that are looked at are worth scaling.
        if self.width is None or self.height is None:
            return frame
        pixels = fitted(frame.pixels, width=self.width, height=self.height, fit=self.fit)
        return frame if pixels is frame.pixels else dataclasses.replace(frame, pixels=pixels)


class AudioIn(InputTrack[SoundQueue]):
    """An audio input: sound that a client sends. `sound.samples` is int16, shape (samples, channels).

    Args:
        sample_rate: samples a second that the model gets, 8,000 to 96,000, a multiple of 100; sound of another rate is
            resampled.
        channels: 1 or 2; sound with another number is mixed.
        buffer_seconds: unread sound that is kept, 0.02 to 60 seconds; when it is full, the oldest is dropped.

    Raises:
        ValueError: an argument is outside its range.
    """

    def __init__(self, *, sample_rate: int = 48_000, channels: int = 1, buffer_seconds: float = 5.0) -> None:
        self.sample_rate = _rate(sample_rate)
        self.channels = _channels(channels)
        if not 0.02 <= buffer_seconds <= 60:
            raise ValueError(f"buffer_seconds: {buffer_seconds} is not within 0.02 to 60; give seconds in that range")
        self.buffer_seconds = buffer_seconds
        self._queue = SoundQueue(buffer_seconds, sample_rate)
        self._resampler = Resampler(sample_rate, channels)

    def bound(self, name: str, host: ModelHost) -> AudioIn:
        track = copy.copy(self)
        track.name, track._host = name, host
        track._queue = SoundQueue(self.buffer_seconds, self.sample_rate)
        track._resampler = Resampler(self.sample_rate, self.channels)
        return track

    def latest(self) -> Sound | None:
        """Return the newest block of this Session, read or not; None before the first.

        Older unread blocks are dropped. Never blocks.
        """
        return self._queue.latest()

    def take(self, count: int) -> Sound | None:
        """Return the `count` oldest unread samples as one Sound; None while fewer wait. Never blocks."""
        return self._queue.take(count)

    def frames(self, timeout: float | None = None) -> Iterator[Sound]:
        """Iterate over every block, oldest first, and wait for more. Commands run while it waits.

        Args:
            timeout: seconds without sound after which the iteration ends; None = never.

        Raises:
            UsageError: async code called it.
        """
        while True:
            if (sound := self._queue.next()) is not None:
                yield sound
            elif not self._host.wait_input(self._queue, timeout):
                return

    def receive(self, sound: Sound) -> None:
        """The runtime puts in what arrived, of any rate and one or two channels; from one thread at a time."""
        if (fitting := self._resampler.sound(sound)) is not None:
            self._queue.push(fitting)

    def reset(self) -> None:
        super().reset()
        self._resampler = Resampler(self.sample_rate, self.channels)  # its filter holds the last samples it was given


@dataclass(frozen=True, slots=True)
class WaitFor:
    """The result of `lr.wait_for`, which a model yields."""

    queues: tuple[InputQueue, ...]
    timeout: float | None

    def over(self) -> bool:
        """Return whether something unread has arrived."""
        return any(queue.unread() for queue in self.queues)


def wait_for(*inputs: VideoIn | AudioIn, timeout: float | None = None) -> WaitFor:
    """Make a step without output: the next step runs when one of the inputs has something unread.

        yield lr.wait_for(self.webcam, timeout=1.0)

    A command ends the wait too, since it may have changed the input that the model waits for.

    Args:
        inputs: one or more input tracks.
        timeout: seconds after which the next step runs anyway; None = never.

    Raises:
        ValueError: no input was given.
    """
    if not inputs:
        raise ValueError("wait_for needs at least one input; write wait_for(self.webcam)")
    return WaitFor(tuple(each.queue for each in inputs), timeout)


def _side(value: int | None, what: str) -> int | None:
    if value is not None and not 2 <= value <= MAX_SIDE:
        raise ValueError(f"{what}: {value} is not within 2 to {MAX_SIDE} pixels; give a size in that range")
    return value


def _fps(value: float | None) -> float | None:
    if value is not None and not 0 < value <= MAX_FPS:
        raise ValueError(
            f"fps: {value} is not above 0 and at most {MAX_FPS}; give such a number, or None for the model's own rate"
        )
    return value


def _pacing(value: Pacing) -> Pacing:
    if value not in get_args(Pacing):
        raise ValueError(f"pacing: {value!r} is not one of {', '.join(get_args(Pacing))}; give one of them")
    return value


def _rate(value: int) -> int:
    if not 8_000 <= value <= 96_000:
        raise ValueError(f"sample_rate: {value} is not within 8000 to 96000; give a rate in that range")
    if value % 100:  # engines take whole blocks of 10 ms; 22,050 would drift by 0.2 %
        raise ValueError(f"sample_rate: {value} has no whole number of samples in 10 ms; take a multiple of 100")
    return value


def _channels(value: int) -> int:
    if value not in (1, 2):
        raise ValueError(f"channels: {value} is not 1 or 2; give one of them")
    return value
