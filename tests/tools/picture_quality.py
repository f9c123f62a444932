"""Picture quality against the source: PSNR and SSIM. Pure."""

from __future__ import annotations

from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from livereactor.media.frames import Pixels

Plane: TypeAlias = NDArray[np.float32]
# Of the original (Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity").
WINDOW, SIGMA = (11, 11), 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
EQUAL: Final = 1e-6  # mean square below which pictures count as the same: 108 dB


def psnr(pixels: Pixels, source: Pixels) -> float:
    """Decibels over all three channels; both of one shape."""
    error = float(np.mean((pixels.astype(np.float32) - source.astype(np.float32)) ** 2))
    return float(10 * np.log10(255.0**2 / max(error, EQUAL)))


def ssim(pixels: Pixels, source: Pixels) -> float:
    """Structural similarity of the luma, 1 = the same; both of one shape, 11 pixels a side or more."""
    x, y = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY).astype(np.float32) for each in (pixels, source))
    mean_x, mean_y = _smooth(x), _smooth(y)
    variance_x, variance_y = _smooth(x * x) - mean_x**2, _smooth(y * y) - mean_y**2
    covariance = _smooth(x * y) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
    return float(np.mean(alike / ((mean_x**2 + mean_y**2 + C1) * (variance_x + variance_y + C2))))


def _smooth(plane: Plane) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, WINDOW, SIGMA), np.float32)
