"""A tone and its picture. Each step yields both, so they stay in sync."""

from collections.abc import Iterator

import numpy as np

import livereactor as lr

RATE, FPS = 48_000, 30


class NewModel(lr.Model):
    """A tone with its wave. Change its pitch and volume."""

    main_video = lr.VideoOut(width=640, height=360, fps=FPS)
    main_audio = lr.AudioOut(sample_rate=RATE)
    pitch: float = lr.param(220.0, ge=55, le=880, description="Pitch in hertz.")
    volume: float = lr.param(0.3, ge=0, le=1, description="Loudness.")

    def open(self, session: lr.Session) -> None:
        self.phase = 0.0

    def stream(self) -> Iterator[dict[str, np.ndarray]]:
        columns = np.arange(640)
        while True:
            step = 2 * np.pi * self.pitch / RATE
            angles = self.phase + step * np.arange(RATE // FPS)
            self.phase = float((angles[-1] + step) % (2 * np.pi))
            sound = (np.sin(angles) * self.volume * 32767).astype(np.int16)
            picture = np.full((360, 640, 3), 18, np.uint8)
            rows = (180 - sound[columns] / 32767 * 170).astype(int)
            picture[rows, columns] = picture[np.minimum(rows + 1, 359), columns] = (120, 220, 255)
            yield {"main_video": picture, "main_audio": sound}
