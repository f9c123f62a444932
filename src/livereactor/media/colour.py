"""Pixels to I420, the one conversion between a picture and its encoders. Pure but for the buffer it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from livereactor.media.frames import Pixels

Order: TypeAlias = Literal["rgb", "bgr", "bgra"]  # of the channels: arrays, OpenCV's cameras, libwebrtc's bytes

_TO_I420: Final = {"rgb": cv2.COLOR_RGB2YUV_I420, "bgr": cv2.COLOR_BGR2YUV_I420, "bgra": cv2.COLOR_BGRA2YUV_I420}


@dataclass(frozen=True, slots=True)
class Planes:
    """A picture as encoders want it: BT.601, limited range, 4:2:0.

    Attributes:
        buffer: uint8, shape (height * 3 / 2, width), the planes Y, U and V one after another.
        width, height: even, at least 2.
    """

    buffer: NDArray[np.uint8]
    width: int
    height: int


def convert_on_one_thread() -> None:
    """Keep OpenCV off its worker threads, for the whole process.

    They wait spinning for their share of each picture: 0.7 ms of CPU a Frame, 2 % of a core at 30 fps, to save 0.1 ms
    at 720p. A model whose own OpenCV needs them calls `cv2.setNumThreads` in its `load`, which runs later.
    """
    cv2.setNumThreads(1)


def to_planes(pixels: Pixels, reuse: Planes | None = None, *, order: Order = "rgb") -> Planes:
    """Convert a picture; an odd last row or column is cropped.

    Args:
        pixels: uint8, shape (height, width, 3), both sides at least 2 pixels; only read.
        reuse: Planes nobody reads any more; their buffer is written again where the size is the same.
        order: what the channels are; `bgra` has four of them, and its alpha is dropped.

    Returns:
        Planes of the even size at most one pixel smaller each way.
    """
    height, width = pixels.shape[0] & ~1, pixels.shape[1] & ~1
    if (height, width) != pixels.shape[:2]:
        # Cropping, not scaling: one lost pixel line is invisible, a resample of every Frame is not free.
        pixels = pixels[:height, :width]
    if reuse is None or (reuse.width, reuse.height) != (width, height):
        reuse = Planes(np.empty((height * 3 // 2, width), np.uint8), width, height)
    cv2.cvtColor(pixels, _TO_I420[order], dst=reuse.buffer)
    return reuse


def shrink(planes: Planes, width: int, height: int) -> Planes:
    """Scale Planes down to `width` x `height`, both even; plane by plane, so no colour is converted twice.

    Returns:
        New Planes; `planes` itself where it has that size already.
    """
    if (planes.width, planes.height) == (width, height):
        return planes
    area, chroma = height * width, (height // 2) * (width // 2)
    flat = np.empty(area + 2 * chroma, np.uint8)
    targets = (flat[:area], flat[area : area + chroma], flat[area + chroma :])
    for source, target, side in zip(_split(planes), targets, (1, 2, 2), strict=True):
        shape = (height // side, width // side)
        cv2.resize(source, shape[::-1], dst=target.reshape(shape), interpolation=cv2.INTER_AREA)
    return Planes(flat.reshape(height * 3 // 2, width), width, height)


def _split(planes: Planes) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    height, width = planes.height, planes.width
    area, chroma = height * width, (height // 2) * (width // 2)
    flat, half = planes.buffer.reshape(-1), (height // 2, width // 2)
    luma = flat[:area].reshape(height, width)
    return luma, flat[area : area + chroma].reshape(half), flat[area + chroma :].reshape(half)
