"""The picture of `examples/conformance.py`, free of any runtime, for the same model on the official ones.

A test holds the two equal. Needs numpy only: the official runtimes live in environments of their own.
"""

from __future__ import annotations

import binascii
import os
import time
from typing import Any

import numpy as np

WIDTH = int(os.environ.get("CONFORMANCE_WIDTH", "1280"))
HEIGHT = int(os.environ.get("CONFORMANCE_HEIGHT", "720"))
FPS = float(os.environ.get("CONFORMANCE_FPS", "30"))
SHIFT, PERIOD = 4, 256


class Pattern:
    """Gradients and a chequer that move by SHIFT pixels a frame, under a barcode."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        x, y = np.arange(width + PERIOD), np.arange(height)[:, None]
        wave = np.abs(x % PERIOD - PERIOD // 2) / (PERIOD // 2)
        chequer = np.where((x // 32 + y // 32) % 2 == 0, 24, -24)
        rise = y / height
        planes = (60 + 130 * wave + 0 * y, 60 + 130 * rise + 0 * x, 60 + 65 * (wave + 1 - rise))
        self._wide = np.stack([np.clip(plane + chequer, 0, 255) for plane in planes], axis=2).astype(np.uint8)
        self._cells = (np.arange(width) * 32 // width)[:, None].repeat(3, axis=1)  # which cell each byte shows
        self._edges = [-(-row * height // 18) for row in range(4)]

    def frame(self, counter: int, color: tuple[int, int, int] | None, clock_us: int | None = None) -> Any:
        """A fresh array, shape (height, width, 3), stamped with `clock_us` or now."""
        width, height = self.size
        left = counter * SHIFT % PERIOD
        pixels = self._wide[:, left : left + width].copy()
        if color is not None:
            begin, end = width // 4, width * 3 // 4
            pixels[height // 3 : height * 2 // 3, begin:end] = np.full((end - begin, 3), color, np.uint8)
        body = counter.to_bytes(4, "big") + ((now_us() if clock_us is None else clock_us) % 2**48).to_bytes(6, "big")
        code = body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big")
        cells = np.where(np.unpackbits(np.frombuffer(code, np.uint8)), 235, 16).astype(np.uint8).reshape(3, 32)
        for row, line in enumerate(cells):
            pixels[self._edges[row] : self._edges[row + 1]] = line[self._cells]
        return pixels


class Texture(Pattern):
    """The same movement of fine texture instead, hard to encode: noise of four sizes, the coarser the stronger."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        random = np.random.default_rng(7)
        plane = np.full((height, PERIOD, 3), 128.0)
        for size, strength in ((1, 6), (2, 10), (8, 22), (32, 34)):
            coarse = random.normal(0, strength, (-(-height // size), PERIOD // size, 3))
            plane += coarse.repeat(size, axis=0)[:height].repeat(size, axis=1)
        once = np.clip(plane, 16, 235).astype(np.uint8)
        self._wide = np.tile(once, (1, -(-width // PERIOD) + 1, 1))[:, : width + PERIOD]


def read_counter(pixels: Any) -> int | None:
    """The barcode's counter with its client bit, None where the CRC does not hold."""
    height, width = pixels.shape[:2]
    if width < 64 or height < 36:
        return None
    rows = [[int((row + share) * height / 18) for share in (0.35, 0.5, 0.65)] for row in range(3)]
    columns = [[int((column + share) * width / 32) for share in (0.35, 0.5, 0.65)] for column in range(32)]
    samples = pixels[np.ravel(rows)[:, None], np.ravel(columns)[None, :], 1]
    code = np.packbits(samples.reshape(3, 3, 32, 3).mean(axis=(1, 3)) >= 128).tobytes()
    if binascii.crc_hqx(code[:10], 0xFFFF) != int.from_bytes(code[10:], "big"):
        return None
    return int.from_bytes(code[:4], "big")


def parse_color(text: str) -> tuple[int, int, int] | None:
    """`rrggbb`, or nothing; ValueError for anything else."""
    if not text:
        return None
    red, green, blue = bytes.fromhex(text)
    return red, green, blue


def now_us() -> int:
    """CLOCK_MONOTONIC in microseconds."""
    return time.monotonic_ns() // 1000
