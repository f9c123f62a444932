"""Fitting a picture of any size to the size a track declares. Pure."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, cast

import cv2
import numpy as np

from livereactor.media.frames import Pixels

Fit: TypeAlias = Literal["cover", "contain", "stretch"]


def fitted(pixels: Pixels, *, width: int, height: int, fit: Fit) -> Pixels:
    """Scale a picture to exactly `width` x `height`.

    Args:
        pixels: uint8, shape (height, width, 3), RGB; only read.
        width, height: pixels wanted, at least 1.
        fit: `cover` fills and crops the longer side evenly, `contain` shows all within black bars, `stretch` ignores
            the proportions.

    Returns:
        uint8, shape (height, width, 3), contiguous; `pixels` itself where it has that size.
    """
    had_height, had_width = pixels.shape[:2]
    if (had_width, had_height) == (width, height):
        return pixels
    if fit == "stretch":
        return _scaled(pixels, width, height)
    ratios = (width / had_width, height / had_height)
    if fit == "cover":
        ratio = max(ratios)
        cut_width, cut_height = max(1, round(width / ratio)), max(1, round(height / ratio))
        left, top = (had_width - cut_width) // 2, (had_height - cut_height) // 2
        return _scaled(pixels[top : top + cut_height, left : left + cut_width], width, height)
    ratio = min(ratios)
    inner_width = min(width, max(1, round(had_width * ratio)))
    inner_height = min(height, max(1, round(had_height * ratio)))
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[top : top + inner_height, left : left + inner_width] = _scaled(pixels, inner_width, inner_height)
    return canvas


def _scaled(pixels: Pixels, width: int, height: int) -> Pixels:
    # Averaging when shrinking: linear would skip lines and shimmer.
    shrinking = width < pixels.shape[1] or height < pixels.shape[0]
    how = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return cast(Pixels, cv2.resize(pixels, (width, height), interpolation=how))


WIDTH: Final = 320  # pixels, at most
QUALITY: Final = 75


def thumbnail(pixels: Pixels) -> bytes:
    """A JPEG at most `WIDTH` wide, in the picture's proportions.

    Args:
        pixels: uint8, shape (height, width, 3), RGB.
    """
    height, width = pixels.shape[:2]
    if width > WIDTH:
        size = (WIDTH, max(1, round(height * WIDTH / width)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()
