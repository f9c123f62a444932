"""The queues of input tracks: filled on the engine's threads, read on the model's. Bounded; the oldest is dropped."""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import numpy as np

from livereactor.media.frames import Frame, Samples, Sound

# 128 Frames of 720p would be 350 MB for a model that never looks: a second of it is enough for any batch.
MAX_BYTES = 96 * 1024 * 1024

Item = TypeVar("Item", Frame, Sound)


class InputQueue(Protocol):
    """The part of both queues that the model thread waits on."""

    def unread(self) -> bool: ...
    def clear(self) -> None: ...


class FrameQueue:
    """The Frames of one video input, oldest first.

    Args:
        limit: Frames kept; past it the oldest goes.
    """

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._frames: deque[Frame] = deque()
        self._limit, self._bytes, self._count = limit, 0, 0
        self._newest: Frame | None = None

    def push(self, frame: Frame) -> None:
        with self._lock:
            self._count += 1
            if frame.number == 0:
                frame = dataclasses.replace(frame, number=self._count)
            self._frames.append(frame)
            self._newest = frame
            self._bytes += frame.pixels.nbytes
            while len(self._frames) > self._limit or (self._bytes > MAX_BYTES and len(self._frames) > 1):
                self._drop_oldest()

    def latest(self) -> Frame | None:
        """The newest Frame, read or not; what came before it is dropped."""
        with self._lock:
            self._frames.clear()
            self._bytes = 0
            return self._newest

    def take(self, count: int) -> list[Frame]:
        """The `count` oldest unread Frames, all of one shape; none while there are fewer."""
        with self._lock:
            while len(self._frames) >= count:
                batch = [self._frames[index] for index in range(count)]
                odd = _first_of_another_shape(batch)
                # A batch that straddles a change of size can never be completed in its old shape.
                for _ in range(odd or count):
                    self._drop_oldest()
                if odd == 0:
                    return batch
            return []

    def take_all(self) -> list[Frame]:
        """All unread Frames up to a change of shape."""
        with self._lock:
            frames = list(self._frames)
            return [self._drop_oldest() for _ in range(_first_of_another_shape(frames) or len(frames))]

    def next(self) -> Frame | None:
        """The oldest unread Frame."""
        with self._lock:
            return self._drop_oldest() if self._frames else None

    def unread(self) -> bool:
        return bool(self._frames)

    def clear(self) -> None:
        """Forget everything, the newest too, and count from 1 again."""
        with self._lock:
            self._frames.clear()
            self._bytes = self._count = 0
            self._newest = None

    def _drop_oldest(self) -> Frame:
        frame = self._frames.popleft()
        self._bytes -= frame.pixels.nbytes
        return frame


class SoundQueue:
    """The samples of one audio input.

    Args:
        seconds: how much is kept; past it the oldest goes.
        rate: samples a second of what is pushed.
    """

    def __init__(self, seconds: float, rate: int) -> None:
        self._lock = threading.Lock()
        self._sounds: deque[Sound] = deque()
        self._limit, self._held = max(1, round(seconds * rate)), 0
        self._newest: Sound | None = None

    def push(self, sound: Sound) -> None:
        with self._lock:
            self._sounds.append(sound)
            self._newest = sound
            self._held += len(sound.samples)
            while self._held > self._limit and len(self._sounds) > 1:
                self._held -= len(self._sounds.popleft().samples)

    def latest(self) -> Sound | None:
        """The newest block, read or not; what came before it is dropped."""
        with self._lock:
            self._sounds.clear()
            self._held = 0
            return self._newest

    def take(self, count: int) -> Sound | None:
        """The `count` oldest unread samples as one Sound; None while there are fewer."""
        with self._lock:
            if self._held < count or not self._sounds:
                return None
            first, wanted, parts = self._sounds[0], count, list[np.ndarray]()
            while wanted:
                sound = self._sounds.popleft()
                parts.append(sound.samples[:wanted])
                if (rest := sound.samples[wanted:]).size:
                    self._sounds.appendleft(dataclasses.replace(sound, samples=rest, captured_us=None))
                wanted -= len(parts[-1])
            self._held -= count
            return dataclasses.replace(first, samples=np.concatenate(parts))

    def next(self) -> Sound | None:
        """The oldest unread block."""
        with self._lock:
            if not self._sounds:
                return None
            sound = self._sounds.popleft()
            self._held -= len(sound.samples)
            return sound

    def unread(self) -> bool:
        return bool(self._sounds)

    def clear(self) -> None:
        """Forget everything, the newest too."""
        with self._lock:
            self._sounds.clear()
            self._held = 0
            self._newest = None


def _first_of_another_shape(frames: Iterable[Frame]) -> int:
    """Index of the first Frame whose shape differs from the first one's; 0 if none does."""
    shapes = [frame.pixels.shape for frame in frames]
    return next((index for index, shape in enumerate(shapes) if shape != shapes[0]), 0)


if TYPE_CHECKING:
    from av.audio.resampler import AudioResampler


class Resampler:
    """Brings one track's blocks to its rate and channels; what already fits passes untouched.

    Args:
        rate, channels: what comes out.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._channels = rate, channels
        self._source: tuple[int, int] | None = None  # rate and channels that `_filter` was made for
        self._filter: AudioResampler | None = None

    def sound(self, sound: Sound) -> Sound | None:
        """The block in the track's form; None while the filter still fills."""
        source = (sound.rate, sound.samples.shape[1])
        if source == (self._rate, self._channels):
            return sound
        if self._filter is None or source != self._source:
            self._source, self._filter = source, self._made()
        samples = self._filtered(self._filter, sound)
        return Sound(samples, self._rate, sound.captured_us, sound.client) if len(samples) else None

    def _made(self) -> AudioResampler:
        # FFmpeg through PyAV, imported at first need: a model without sound never pays for it.
        from av.audio.resampler import AudioResampler

        return AudioResampler("s16", _layout(self._channels), self._rate)

    def _filtered(self, resampler: AudioResampler, sound: Sound) -> Samples:
        from av.audio.frame import AudioFrame

        packed = np.ascontiguousarray(sound.samples).reshape(1, -1)
        frame = AudioFrame.from_ndarray(packed, format="s16", layout=_layout(sound.samples.shape[1]))
        frame.sample_rate = sound.rate
        parts = [made.to_ndarray().reshape(-1, self._channels) for made in resampler.resample(frame)]
        return cast("Samples", np.concatenate(parts)) if parts else np.empty((0, self._channels), np.int16)


def _layout(channels: int) -> str:
    return "mono" if channels == 1 else "stereo"
