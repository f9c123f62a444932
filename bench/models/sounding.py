"""The conformance model with sound: on a command, a click and a white picture, both at once (P27)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from conformance import Conformance  # pyright: ignore[reportMissingImports]: examples/ is on the path
from numpy.typing import NDArray

import livereactor as lr

RATE = 48_000  # samples a second
TONE = 1_000  # Hz; a whole number of periods fits into a second
QUIET, LOUD = 3_000, 30_000  # of 32767
CLICK = RATE // 50  # samples
FLASH = 5  # pictures
WHITE = (255, 255, 255)


class Sounding(Conformance):
    """A moving pattern and a quiet tone; `beep` clicks and flashes."""

    name = "conformance"
    main_audio = lr.AudioOut(sample_rate=RATE, channels=1)

    def load(self) -> None:
        super().load()
        self.wave = np.sin(2 * np.pi * TONE * np.arange(RATE) / RATE)

    def open(self, session: lr.Session) -> None:
        super().open(session)
        self.began: float | None = None  # when the first picture was made
        self.heard = self.clicking = self.flashing = 0  # samples, samples, pictures

    @lr.command
    def beep(self) -> None:
        """Click and flash."""
        self.clicking, self.flashing = CLICK, FLASH

    def stream(self) -> Iterator[Any]:
        for picture in super().stream():
            yield None if picture is None else {"main_video": picture, **self._sound()}

    def _frame(self) -> Any:
        self.color = WHITE if self.flashing else None
        self.flashing = max(0, self.flashing - 1)
        return super()._frame()

    def _sound(self) -> dict[str, NDArray[np.int16]]:
        """What belongs to the time since the last picture: by the clock, since pictures come early after a command."""
        now = time.monotonic()
        self.began = self.began or now
        end = int((now - self.began) * RATE)
        levels = np.full(end - self.heard, QUIET)
        clicked = min(self.clicking, len(levels))
        levels[:clicked] = LOUD
        self.clicking -= clicked
        samples = levels * self.wave[np.arange(self.heard, end) % RATE]
        self.heard = end
        return {"main_audio": samples.astype(np.int16)} if len(samples) else {}
