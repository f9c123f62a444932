"""Values that authors yield, turned into frames and sound: numpy, PIL, anything with DLPack. Pure.

Shapes, and how the ambiguous ones are read:

    (H, W)         grey
    (H, W, C)      C = 3 RGB, 4 RGBA (alpha is dropped), 1 grey; wins where both ends could be channels
    (3, H, W)      RGB, as torch has it: never three grey Frames; (1, H, W) likewise one grey Frame
    (N, H, W)      any other N: a chunk of grey Frames
    (N, H, W, C)   a chunk; wins over (N, C, H, W) where both fit
    (N, C, H, W)   a chunk, C = 3 or 1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from livereactor.base.errors import EmissionError
from livereactor.base.limits import Limits
from livereactor.media.arrays import as_array, described, span
from livereactor.media.frames import Frame, Pixels, Samples, Sound

__all__ = ["as_frames", "as_sound"]  # one door for all that is yielded

Array: TypeAlias = NDArray[Any]

MIN_SIDE: Final = 2  # 4:2:0 colour needs two pixels each way
OVERSHOOT: Final = 0.02  # what a float may stray from 0..1 (rounding, a sharpening filter); it is clipped
WANTED: Final = "uint8, or float in 0..1, of shape (H, W, 3), (3, H, W) or (H, W), or a chunk of those (N, ...)"


def as_frames(value: object, *, where: str) -> list[Frame]:
    """Turn what one track was given in one `yield` into Frames.

    Args:
        value: an array or a chunk of them (see above), a PIL image, a `Frame` (its `user_data` is kept), or a list of
            those. uint8, or float in 0..1. Tensors on another device are fetched once.
        where: whose value it is, for the message, such as `Pond.main_video`.

    Returns:
        One or more Frames with uint8 pixels of shape (height, width, 3), contiguous. A value that is so already is not
        copied: the Frame looks at the author's memory.

    Raises:
        EmissionError: names `where`, what was expected and what came.
    """
    array = as_array(value)
    if array is not None:
        return [Frame(pixels) for pixels in _pictures(array, where)]
    if isinstance(value, Frame):
        return [_tagged(value, where)]
    if isinstance(value, (list, tuple)):
        frames = [frame for item in cast(Sequence[object], value) for frame in as_frames(item, where=where)]
        if not frames:
            raise EmissionError(f"{where}: expected {WANTED}, got an empty list; yield None for a step without output")
        return frames
    raise EmissionError(f"{where}: expected {WANTED}, got {type(value).__name__}; yield an array")


def _tagged(frame: Frame, where: str) -> Frame:
    inner = as_frames(frame.pixels, where=where)
    if len(inner) != 1:
        raise EmissionError(f"{where}: a Frame holds one picture, got a chunk of {len(inner)}; yield a list of Frames")
    limit = Limits().frame_tag_bytes
    if len(frame.user_data) > limit:
        raise EmissionError(f"{where}: user_data may hold {limit} bytes, got {len(frame.user_data)}; send a Message")
    return Frame(inner[0].pixels, user_data=bytes(frame.user_data))


def _pictures(array: Array, where: str) -> list[Pixels]:
    chunk = _with_axes(array)
    if chunk is None:
        raise EmissionError(f"{where}: expected {WANTED}, got {described(array)}; reshape it")
    if min(chunk.shape[1:3]) < MIN_SIDE or chunk.shape[0] == 0:
        raise EmissionError(f"{where}: expected sides of 2 pixels or more, got {described(array)}; yield None instead")
    whole = _bytes_of(chunk, array, where)
    return [_rgb(picture) for picture in whole]


def _with_axes(array: Array) -> Array | None:
    """The array as a view of shape (N, H, W, C), or None where it cannot be one."""
    shape = array.shape
    if array.ndim == 2:
        return array[None, :, :, None]
    if array.ndim == 3:
        if shape[2] in (1, 3, 4):
            return array[None]
        return array.transpose(1, 2, 0)[None] if shape[0] in (1, 3) else array[:, :, :, None]
    if array.ndim == 4:
        if shape[3] in (1, 3, 4):
            return array
        return array.transpose(0, 2, 3, 1) if shape[1] in (1, 3) else None
    return None


def _bytes_of(chunk: Array, array: Array, where: str) -> NDArray[np.uint8]:
    if chunk.dtype == np.uint8:
        return chunk
    low, high = span(array)
    if not np.issubdtype(chunk.dtype, np.floating) or not (low >= -OVERSHOOT and high <= 1 + OVERSHOOT):
        raise EmissionError(f"{where}: expected {WANTED}, got {described(array)}; {_advice(array.dtype, high)}")
    return np.rint(np.clip(chunk, 0, 1) * np.float32(255)).astype(np.uint8)


def _advice(dtype: np.dtype[Any], high: float) -> str:
    if np.issubdtype(dtype, np.floating):
        return "divide by 255" if 1 < high <= 256 else "scale it to 0..1"
    return "convert it with .astype(numpy.uint8)"


def _rgb(picture: NDArray[np.uint8]) -> Pixels:
    channels = picture.shape[2]
    if channels == 1:
        grey = np.ascontiguousarray(picture[:, :, 0])
        return cast(Pixels, cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB))
    if channels == 3 and not picture.flags.c_contiguous and picture.transpose(2, 0, 1).flags.c_contiguous:
        return cast(Pixels, cv2.merge(list(picture.transpose(2, 0, 1))))  # planes: ten times as fast as numpy's copy
    return np.ascontiguousarray(picture[:, :, :3])


LOUDEST: Final = 2.0  # floats beyond 1 are clipped, as mixers do; beyond this they are in another unit
FULL_SCALE: Final = 32767


def as_sound(value: object, *, rate: int, channels: int, where: str) -> Sound:
    """Turn what one audio track was given in one `yield` into Sound.

    Args:
        value: int16, or float in -1..1, of one of the shapes above; or a `Sound` of this rate.
        rate: samples a second, as the track declares it; nothing is resampled.
        channels: of the track.
        where: whose value it is, for the message, such as `Pond.voice`.

    Returns:
        Sound with int16 samples of shape (samples, channels), not copied where it is so already.

    Raises:
        EmissionError: names `where`, what was expected and what came.
    """
    wanted = f"int16, or float in -1..1, of shape (samples,) or (samples, {channels})"
    if isinstance(value, Sound):
        if value.rate != rate:
            raise EmissionError(f"{where}: expected {rate} samples a second, got {value.rate}; declare that rate")
        value = value.samples
    array = as_array(value)
    if array is None:
        raise EmissionError(f"{where}: expected {wanted}, got {type(value).__name__}; yield an array")
    shaped = _with_sample_axes(array, channels)
    if shaped is None or not _fits(array):
        raise EmissionError(f"{where}: expected {wanted}, got {described(array)}; reshape or convert it")
    return Sound(_int16(shaped), rate)


def _fits(array: Array) -> bool:
    low, high = span(array)
    return array.dtype == np.int16 or (np.issubdtype(array.dtype, np.floating) and low >= -LOUDEST and high <= LOUDEST)


def _with_sample_axes(array: Array, channels: int) -> Array | None:
    if array.ndim == 1:
        return np.broadcast_to(array[:, None], (array.shape[0], channels))
    if array.ndim == 2 and array.shape[1] == channels:
        return array
    return array.T if array.ndim == 2 and array.shape[0] == channels else None


def _int16(array: Array) -> Samples:
    if array.dtype == np.int16:
        return np.ascontiguousarray(cast(Samples, array))
    return np.rint(np.clip(array, -1, 1) * np.float32(FULL_SCALE)).astype(np.int16)
