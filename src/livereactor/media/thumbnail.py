"""A small JPEG of a picture, for lists and operators. Pure; 1 ms for 1280x720."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from livereactor.media.frames import Pixels

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
