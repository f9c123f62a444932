"""Transforms the visitor's camera. `latest()` never blocks. Without a camera, the model waits and costs nothing."""

from collections.abc import Iterator
from typing import Literal

import cv2
import numpy as np

import livereactor as lr


class NewModel(lr.Model):
    """Your camera as a drawing. Press *Use camera* to start."""

    main_video = lr.VideoOut(width=640, height=360, fps=30)
    webcam = lr.VideoIn(width=640, height=360, fit="cover")
    look: Literal["edges", "negative", "plain"] = lr.param("edges", description="Effect on the picture.")

    def stream(self) -> Iterator[np.ndarray | None]:
        while True:
            frame = self.webcam.latest()
            yield None if frame is None else self.draw(frame.pixels)

    def draw(self, pixels: np.ndarray) -> np.ndarray:
        if self.look == "negative":
            return 255 - pixels
        if self.look == "plain":
            return pixels
        edges = cv2.Canny(pixels, 60, 140)
        return cv2.cvtColor(255 - edges, cv2.COLOR_GRAY2RGB)
