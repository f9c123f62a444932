"""A mirror that transforms your camera picture. `livereactor run examples/mirror/mirror.py`

A camera may be absent, refused or switched off, and its size may change at any time, for example when you rotate a
phone. The model therefore calls `latest()` for each picture, draws an empty mirror for `None`, and creates a style's
state again whenever the size changes.
"""

import math
from collections.abc import Iterator
from typing import Literal

import cv2
import numpy as np
from glass import Datamosh, Glass, Ink, Particles, SlitScan, Thermal

import livereactor as lr

AREA = 640 * 360  # pixels at most: larger pictures are scaled down and keep their shape
Style = Literal["ink", "thermal", "slit-scan", "datamosh", "particles"]


class Mirror(lr.Model):
    """Your camera as ink, heat, time, broken video or dust. Turn it on and move."""

    main_video = lr.VideoOut(width=640, height=360, fps=30)
    webcam = lr.VideoIn()
    style: Style = lr.param("particles", description="Style of the mirror.")
    amount: float = lr.param(0.5, ge=0, le=1, description="Strength of the effect.")
    memory: float = lr.param(0.5, ge=0, le=1, description="How long the mirror remembers what it saw.")

    def load(self) -> None:
        self.empty, self.shine = empty_mirror()

    def open(self, session: lr.Session) -> None:
        self.glass: Glass | None = None
        self.time = 0.0

    def stream(self) -> Iterator[np.ndarray]:
        while True:
            self.time += 1 / 30
            if not self.webcam.active:
                self.webcam.clear()  # a camera that comes back later must not show its old picture
            frame = self.webcam.latest()
            yield self.ask() if frame is None else self.reflect(frame.pixels)

    def reflect(self, pixels: np.ndarray) -> np.ndarray:
        """Return the mirrored picture of a frame of any size."""
        seen, style, glass = fitted(pixels), STYLES[self.style], self.glass
        if glass is None or type(glass) is not style or glass.shape != seen.shape:
            self.glass = glass = style(seen)
        return glass.look(seen, self.amount, self.memory)

    def ask(self) -> np.ndarray:
        """Return the empty mirror that is shown until there is a camera."""
        self.glass = None
        breath = (26 + 18 * math.sin(self.time)) * self.shine
        return cv2.add(self.empty, cv2.merge([breath.astype(np.uint8)] * 3))


STYLES: dict[Style, type[Glass]] = {
    "ink": Ink, "thermal": Thermal, "slit-scan": SlitScan, "datamosh": Datamosh, "particles": Particles,
}  # fmt: skip


def fitted(pixels: np.ndarray) -> np.ndarray:
    """Scale down to at most AREA pixels and flip, as a mirror does."""
    height, width = pixels.shape[:2]
    scale = min(1.0, math.sqrt(AREA / (height * width)))
    size = max(16, round(width * scale)), max(16, round(height * scale))
    if size != (width, height):
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return cv2.flip(pixels, 1)


def empty_mirror() -> tuple[np.ndarray, np.ndarray]:
    """Return a mirror in a dark room with instructions, and its shine: uint8 (360, 640, 3), and 0..1 (360, 640)."""
    rows, columns = np.mgrid[0:720, 0:1280].astype(np.float32)
    away = np.hypot((columns - 640) / 190, (rows - 300) / 250)  # 1 at the rim
    sheen = np.exp(-((((columns - 640) * 0.8 + (rows - 300)) / 120 % 6 - 3) ** 2)) * (away < 0.94)
    room = np.exp(-0.7 * away)[..., None] * (58, 50, 74) + (9, 9, 14)
    inside = (1.1 - 0.75 * np.hypot((columns - 590) / 260, (rows - 200) / 330))[..., None] * (66, 86, 108)
    rim = np.exp(-((away - 1) ** 2) * 900)[..., None] * (
        1 + 0.5 * np.sin(np.arctan2(rows - 300, columns - 640) * 2 + 4)[..., None]
    )
    picture = np.clip(np.where(away[..., None] < 0.97, inside, room) + rim * (176, 138, 84), 0, 255).astype(np.uint8)
    for text, size, row, tone in (
        ("Turn on your camera", 1.5, 640, 236),
        ("and step in front of the mirror", 0.9, 686, 150),
    ):
        (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 2)
        cv2.putText(
            picture,
            text,
            (640 - width // 2, row),
            cv2.FONT_HERSHEY_SIMPLEX,
            size,
            (tone, tone, tone - 8),
            2,
            cv2.LINE_AA,
        )
    half = {"dsize": (640, 360), "interpolation": cv2.INTER_AREA}
    return cv2.resize(picture, **half), cv2.resize(np.maximum(sheen, 0.5 * np.exp(-4 * away)), **half)
