"""Conversion of pushed pictures and sound into the form that encoders take.

A picture is converted where it is pushed, in one pass over its pixels, and the caller's buffer is free again when the
call returns: 0.2 ms at 640x360, 0.7 ms at 1280x720.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from livereactor.base.clock import monotonic_us
from livereactor.base.limits import Limits
from livereactor.media.arrays import as_array, described
from livereactor.media.colour import Planes, to_planes
from livereactor.media.frames import Frame, Pixels, Samples, Sound

if TYPE_CHECKING:
    import av

RATES: Final = (8_000, 16_000, 24_000, 32_000, 44_100, 48_000)
USUAL_RATE: Final = 48_000
BYTES: Final = (bytes, bytearray, memoryview)
WANTED: Final = "uint8 of shape (height, width, 3) in RGB or (height, width, 4) in BGRA"


@dataclass(frozen=True, slots=True, eq=False)
class PushedPicture:
    """A picture on its way to the encoder; `captured_us` is monotonic microseconds."""

    planes: Planes
    user_data: bytes
    captured_us: int


def picture_of(
    value: object,
    *,
    where: str,
    width: int | None = None,
    height: int | None = None,
    user_data: bytes | None = None,
    captured_us: int | None = None,
) -> PushedPicture:
    """Convert one picture.

    Args:
        value: an array (RGB with three channels, BGRA with four), bytes of either with `width` and `height`, a `Frame`
            (its tag and capture time are kept), a picture of PIL or PyAV. An odd last row or column is cropped.
        where: the Track's name, for messages.
        user_data: at most 1 KiB.
        captured_us: monotonic microseconds; None = now.

    Raises:
        TypeError: the value is not a picture, or has another number type.
        ValueError: the shape, the sizes, the length of the tag or the time is not valid.
    """
    if isinstance(value, PushedPicture):
        return value
    if isinstance(value, Frame):
        user_data, captured_us = user_data or value.user_data, value.captured_us if captured_us is None else captured_us
        value = value.pixels
    tag = _tag(user_data, where)
    captured_us = monotonic_us() if captured_us is None else captured_us
    if captured_us < 0:
        raise ValueError(f"{where}: capture_time_us counts from 0, got {captured_us}; it is monotonic microseconds")
    if _is_of_pyav(value):
        return PushedPicture(_planes_of_pyav(cast("av.VideoFrame", value)), tag, captured_us)
    pixels = _pixels(value, where, width, height)
    return PushedPicture(to_planes(pixels, order="rgb" if pixels.shape[2] == 3 else "bgra"), tag, captured_us)


def sound_of(value: object, *, where: str, rate: int = USUAL_RATE, channels: int | None = None) -> Sound:
    """Convert one push of sound.

    Args:
        value: int16 of shape (samples,) or (samples, channels), interleaved bytes of it, or a `Sound`.
        rate: samples a second, one of `RATES`.
        channels: 1 or 2; None = those of the array, else 1.

    Raises:
        TypeError: the value is not samples, or has another number type.
        ValueError: the rate, the number of channels or the shape is not valid.
    """
    if isinstance(value, Sound):
        value, rate = value.samples, value.rate
    array = np.frombuffer(cast(bytes, value), "<i2") if isinstance(value, BYTES) else as_array(value)
    if array is None or array.dtype != np.int16:
        raise TypeError(f"{where}: want int16 samples, got {_named(cast(object, value))}")
    if array.ndim == 1 and len(array) % (channels or 1) == 0:
        array = array.reshape(-1, channels or 1)
    if rate not in RATES or array.ndim != 2 or array.shape[1] not in (1, 2) or channels not in (None, array.shape[1]):
        raise ValueError(
            f"{where}: want 1 or 2 channels at {', '.join(map(str, RATES))} Hz, got {array.shape} at {rate} Hz"
            + ("" if channels is None else f" for {channels} channels")
        )
    return Sound(np.array(array, np.int16), rate)  # a copy: the caller may use its buffer again


def _named(value: object) -> str:
    array = as_array(value)
    return type(value).__name__ if array is None else described(array)


def _tag(user_data: object, where: str) -> bytes:
    limit = Limits().frame_tag_bytes
    if user_data is not None and not isinstance(user_data, BYTES):
        raise TypeError(f"{where}: user_data is bytes, got {type(user_data).__name__}")
    tag = bytes(cast(bytes, user_data or b""))
    if len(tag) > limit:
        raise ValueError(f"{where}: user_data may hold {limit} bytes, got {len(tag)}; send a command instead")
    return tag


def _pixels(value: object, where: str, width: int | None, height: int | None) -> Pixels:
    if isinstance(value, BYTES):
        return _pixels_of_bytes(cast(bytes, value), where, width, height)
    array = as_array(value)
    if array is None or array.dtype != np.uint8:
        raise TypeError(f"{where}: want {WANTED}, got {_named(value)}")
    if array.ndim != 3 or array.shape[2] not in (3, 4) or min(array.shape[:2]) < 2:
        raise ValueError(f"{where}: want {WANTED}, both sides at least 2, got {array.shape}")
    if (height or array.shape[0], width or array.shape[1]) != array.shape[:2]:
        raise ValueError(f"{where}: an array of {array.shape} is not {width} wide and {height} high; drop the sizes")
    return cast(Pixels, array)


def _pixels_of_bytes(data: bytes | bytearray | memoryview, where: str, width: int | None, height: int | None) -> Pixels:
    if width is None or height is None:
        raise ValueError(f"{where}: bytes carry no size; pass width and height")
    flat = np.frombuffer(data, np.uint8)
    channels = {width * height * count: count for count in (3, 4)}.get(flat.size)
    if channels is None or min(width, height) < 2:
        raise ValueError(f"{where}: {flat.size} bytes are not a picture of {width}x{height} in RGB or BGRA")
    return flat.reshape(height, width, channels)


def _is_of_pyav(value: object) -> bool:
    return type(value).__module__.startswith("av.") and hasattr(value, "reformat")


def _planes_of_pyav(frame: av.VideoFrame) -> Planes:
    """Return a picture of PyAV as planes; FFmpeg converts it to what encoders get here (BT.601, limited, 4:2:0)."""
    width, height = frame.width & ~1, frame.height & ~1
    made = frame.reformat(width=width, height=height, format="yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG")
    return Planes(cast(Any, made.to_ndarray()), width, height)


class SoundReader:
    """Converts PyAV's blocks of sound, of any rate and layout, to Sound at 48 kHz with one or two channels."""

    def __init__(self) -> None:
        self._resampler: Any = None

    def read(self, frame: av.AudioFrame) -> Sound:
        """Return the samples that `frame` completes; the filter keeps a few for the next."""
        from av.audio.resampler import AudioResampler

        channels = min(2, len(frame.layout.channels))
        if self._resampler is None:
            self._resampler = AudioResampler("s16", "mono" if channels == 1 else "stereo", USUAL_RATE)
        parts = [made.to_ndarray().reshape(-1, channels) for made in self._resampler.resample(frame)]
        samples = np.concatenate(parts) if parts else np.empty((0, channels), np.int16)
        return Sound(cast(Samples, samples), USUAL_RATE)
