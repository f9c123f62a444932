"""The conformance model with sound: a tone, and once a second a click together with a white flash.

Run it with `livereactor run examples/conformance_av.py`. From click and flash, a client can tell how far sound and
picture are apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from conformance import FPS, Conformance
from numpy.typing import NDArray

import livereactor as lr

RATE = 48_000  # samples a second
TONE = 1_000  # Hz; whole periods per second
CLICK = RATE // 100  # samples
WHITE = (255, 255, 255)


class ConformanceAv(Conformance):
    """A moving pattern with a barcode, a 1 kHz tone, and a click with a white flash each second."""

    name = "conformance_av"

    main_audio = lr.AudioOut(sample_rate=RATE, channels=1)
    mic = lr.AudioIn(sample_rate=RATE, channels=1)

    def load(self) -> None:
        super().load()
        wave = np.sin(2 * np.pi * TONE * np.arange(RATE) / RATE)
        self.second = (6_000 * wave).astype(np.int16)
        self.second[:CLICK] = (30_000 * wave[:CLICK]).astype(np.int16)

    def open(self, session: lr.Session) -> None:
        super().open(session)
        self.frame_number = 0
        self.heard = 0  # samples yielded so far

    def stream(self) -> Iterator[Any]:
        for picture in super().stream():
            yield None if picture is None else {"main_video": picture, "main_audio": self._sound()}

    def _frame(self) -> Any:
        chosen, flashes = self.color, self.frame_number % round(FPS) == 0
        self.color = WHITE if flashes else chosen
        self.frame_number += 1
        picture = super()._frame()
        self.color = chosen
        return picture

    def _sound(self) -> NDArray[np.int16]:
        """Return the samples of the frame just made, so that click and flash coincide."""
        end = round(self.frame_number * RATE / FPS)
        samples = self.second[np.arange(self.heard, end) % RATE]
        self.heard = end
        return samples
