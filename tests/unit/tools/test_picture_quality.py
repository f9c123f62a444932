"""PSNR and SSIM of pictures that are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bench.official.picture import Texture
from tests.tools.picture_quality import psnr, ssim

SOURCE = Texture(320, 180).frame(1, None, 0)


def test_the_same_picture_is_perfect() -> None:
    assert psnr(SOURCE, SOURCE) > 100
    assert ssim(SOURCE, SOURCE) == pytest.approx(1.0)


def test_an_error_of_ten_everywhere_is_28_decibels() -> None:
    assert psnr(np.full((90, 160, 3), 110, np.uint8), np.full((90, 160, 3), 100, np.uint8)) == pytest.approx(
        28.13, abs=0.01
    )


def test_brightness_changes_likeness_less_than_blur_of_the_same_error() -> None:
    blurred = np.asarray(cv2.GaussianBlur(SOURCE, (5, 5), 1.5), np.uint8)
    error = 10 ** ((20 * np.log10(255) - psnr(blurred, SOURCE)) / 20)
    brighter = np.clip(SOURCE.astype(float) + error, 0, 255).astype(np.uint8)
    assert psnr(brighter, SOURCE) == pytest.approx(psnr(blurred, SOURCE), abs=1.0)
    assert ssim(blurred, SOURCE) < 0.9 < ssim(brighter, SOURCE)
