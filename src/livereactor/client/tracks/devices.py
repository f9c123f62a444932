"""Cameras, screens, microphones, loudspeakers and media files. Only what the program names is opened.

A camera needs nothing more; `pip install livereactor[audio]` brings microphone and loudspeaker (sounddevice),
`livereactor[screen]` the screen (mss).
"""

from __future__ import annotations

import importlib
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, cast

from livereactor.base.clock import monotonic_us
from livereactor.client.errors import error_of
from livereactor.client.tracks.feed import OpenedSource, Timed
from livereactor.client.tracks.pushed import USUAL_RATE, PushedPicture
from livereactor.client.types import Kind
from livereactor.media.colour import Order, to_planes
from livereactor.media.frames import Pixels, Samples, Sound

PREROLL: Final = 0.06  # seconds of sound collected before the loudspeaker starts, so that jitter causes no clicks
MAX_DELAY: Final = 0.3  # seconds; sound that waits longer for the loudspeaker is dropped


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera of this machine.

    Args:
        device: its index, or a path such as `/dev/video0`.
        width, height: pixels to ask it for; it gives the nearest that it has. None = its default.
        fps: pictures a second to ask it for.
    """

    device: int | str = 0
    width: int | None = None
    height: int | None = None
    fps: float | None = None

    def kinds(self) -> tuple[Kind, ...]:
        return ("video",)

    def open(self, kind: Kind) -> OpenedSource:
        import cv2

        capture = cv2.VideoCapture(self.device)
        for name, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, self.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, self.height),
            (cv2.CAP_PROP_FPS, self.fps),
            (cv2.CAP_PROP_BUFFERSIZE, 1),  # of old pictures; not every driver listens
        ):
            if value is not None:
                capture.set(name, value)
        # Some drivers open a busy or forbidden camera, and only fail to give a picture.
        if not capture.isOpened() or not capture.read()[0]:
            capture.release()
            raise _missing(f"camera {self.device}", "it is missing, busy with another program, or not allowed")
        return OpenedSource(_Captured(capture, f"camera {self.device}"))


class _Captured(Iterator[PushedPicture]):
    def __init__(self, capture: Any, name: str) -> None:
        self._capture, self._name = capture, name
        self.close = capture.release

    def __next__(self) -> PushedPicture:
        read, pixels = self._capture.read()
        if not read:
            raise _missing(self._name, "it stopped delivering pictures; check that it is still plugged in")
        return _picture(pixels, "bgr")


@dataclass(frozen=True, slots=True)
class Screen:
    """The screen of this machine.

    Args:
        monitor: its number from 1; 0 = all of them side by side.
        fps: pictures a second.
    """

    monitor: int = 1
    fps: float = 30.0

    def kinds(self) -> tuple[Kind, ...]:
        return ("video",)

    def open(self, kind: Kind) -> OpenedSource:
        module = _optional("mss", "screen")
        try:
            with module.mss() as grabber:
                count = len(grabber.monitors)
        except Exception as error:  # mss has an error class of its own for each system
            raise _missing("the screen", str(error)) from error
        if not 0 <= self.monitor < count:
            raise _missing(f"monitor {self.monitor}", f"there are {count - 1}")
        return OpenedSource(_Grabbed(module, self.monitor), 1 / self.fps)


class _Grabbed(Iterator[PushedPicture]):
    """Pictures of the screen. It is opened again where it is read, as a connection to X11 belongs to one thread."""

    def __init__(self, module: Any, monitor: int) -> None:
        self._module, self._monitor = module, monitor
        self._grabber: Any = None

    def __next__(self) -> PushedPicture:
        if self._grabber is None:
            self._grabber = self._module.mss()
        shot = self._grabber.grab(self._grabber.monitors[self._monitor])
        import numpy as np

        return _picture(np.frombuffer(shot.raw, np.uint8).reshape(shot.height, shot.width, 4), "bgra")

    def close(self) -> None:
        if self._grabber is not None:
            self._grabber.close()


@dataclass(frozen=True, slots=True)
class Microphone:
    """A microphone of this machine.

    Args:
        device: its index or a part of its name; None = the system's choice.
        rate: samples a second, one of `RATES`.
        channels: 1 or 2.
    """

    device: int | str | None = None
    rate: int = USUAL_RATE
    channels: int = 1

    def kinds(self) -> tuple[Kind, ...]:
        return ("audio",)

    def open(self, kind: Kind) -> OpenedSource:
        module = _optional("sounddevice", "audio")
        try:
            stream = module.InputStream(
                device=self.device, samplerate=self.rate, channels=self.channels, dtype="int16", latency="low"
            )
            stream.start()
        except module.PortAudioError as error:
            raise _missing(f"microphone {self.device or ''}".strip(), str(error)) from error
        return OpenedSource(_Heard(stream, self.rate))


class _Heard(Iterator[Sound]):
    def __init__(self, stream: Any, rate: int) -> None:
        self._stream, self._rate = stream, rate
        self.close = stream.close

    def __next__(self) -> Sound:
        samples, _ = self._stream.read(self._rate // 100)
        return Sound(cast(Samples, samples), self._rate)


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A film, a sound file, or an address that FFmpeg opens, played once in real time.

    Raises:
        FileNotFoundError: the file does not exist.
    """

    path: str | Path

    def __post_init__(self) -> None:
        if "://" not in str(self.path) and not Path(self.path).is_file():
            raise FileNotFoundError(f"no file {str(self.path)!r} to send")

    def kinds(self) -> tuple[Kind, ...]:
        return ("video", "audio")

    def open(self, kind: Kind) -> OpenedSource:
        import av
        import av.error

        try:
            container = av.open(str(self.path))
        except av.error.FFmpegError as error:
            raise ValueError(f"{self.path} cannot be played: {error.strerror}") from error
        if not getattr(container.streams, kind):
            container.close()
            raise ValueError(f"{self.path} has no {kind}")
        return OpenedSource(_Decoded(container, kind))


class _Decoded(Iterator[object]):
    """PyAV's pictures, timed, or its sound, untimed, as sound is sent in real time anyway."""

    def __init__(self, container: Any, kind: Kind) -> None:
        self.close = container.close
        self._kind: Kind = kind
        container.streams.get(**{kind: 0})[0].thread_type = "AUTO"
        self._frames = container.decode(**{kind: 0})
        self._first: float | None = None  # time of the first picture, which need not be 0

    def __next__(self) -> object:
        frame = next(self._frames)
        if self._kind == "audio":
            return frame
        at = float(frame.time or 0.0)
        if self._first is None:
            self._first = at
        return Timed(frame, at - self._first)


class Speaker:
    """A loudspeaker, used as a handler of Frames: `track.on_frame(Speaker())`.

    It is opened at the first sound, with its rate and channels. `close()` and `with` release it.

    Args:
        device: its index or a part of its name; None = the system's choice.

    Attributes:
        dropped: samples that waited too long and were dropped.
    """

    def __init__(self, device: int | str | None = None) -> None:
        self._module = _optional("sounddevice", "audio")
        self._device = device
        self._lock = threading.Lock()
        self._waiting: deque[Samples] = deque()
        self._queued = 0
        self._rate = 0
        self._stream: Any = None
        self._is_playing = False  # True once enough was collected, until nothing is left
        self._closed = False
        self.dropped = 0

    def __call__(self, samples: Samples, rate: int, channels: int) -> None:
        """Play int16 samples of shape (samples, channels) after those that wait."""
        with self._lock:
            if self._closed:
                return
            self._waiting.append(samples)
            self._queued += len(samples)
            while self._queued > MAX_DELAY * rate and len(self._waiting) > 1:
                lost = len(self._waiting.popleft())
                self._queued -= lost
                self.dropped += lost
        if self._stream is None:
            self._open(rate, channels)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the device without playing the sound that waits; may be called twice."""
        with self._lock:
            self._closed = True
            stream, self._stream = self._stream, None
            self._waiting.clear()
        if stream is not None:
            stream.close()

    def _open(self, rate: int, channels: int) -> None:
        self._rate = rate
        try:
            self._stream = self._module.OutputStream(
                device=self._device,
                samplerate=rate,
                channels=channels,
                dtype="int16",
                latency="low",
                callback=self._fill,
            )
            self._stream.start()
        except self._module.PortAudioError as error:
            self.close()
            raise _missing(f"loudspeaker {self._device or ''}".strip(), str(error)) from error

    def _fill(self, out: Samples, *_: object) -> None:
        """Fill a block with the next samples, or silence; called on the device's thread."""
        out.fill(0)
        with self._lock:
            self._is_playing = self._is_playing or self._queued >= PREROLL * self._rate
            at = 0
            while self._is_playing and at < len(out):
                if not self._waiting:
                    self._is_playing = False
                    break
                samples = self._waiting.popleft()
                part = samples[: len(out) - at]
                out[at : at + len(part)] = part
                at += len(part)
                self._queued -= len(part)
                if len(part) < len(samples):
                    self._waiting.appendleft(samples[len(part) :])


def _picture(pixels: Pixels, order: Order) -> PushedPicture:
    return PushedPicture(to_planes(pixels, order=order), b"", monotonic_us())


def _missing(what: str, why: str) -> Exception:
    return error_of("DEVICE_ERROR", f"{what} cannot be used: {why}", operation="publish")


def _optional(module: str, extra: str) -> Any:
    with suppress(ImportError, OSError):  # OSError: sounddevice is there and PortAudio is not
        return importlib.import_module(module)
    words = f"needs {module}: pip install livereactor[{extra}]"
    raise error_of("DEVICE_ERROR", words, operation="publish", recoverable=False)
