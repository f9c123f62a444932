"""Models of a service under fault: a small picture that says which frame it is, and a note that clients can leave."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

import livereactor as lr
from livereactor.media.frames import Pixels
from livereactor.probes.watching import Barcode, draw_barcode

WIDTH, HEIGHT = 128, 72
FPS = 4  # slow, so that a machine that is busy with tests seldom skips one: the newest picture goes first


class Kept(lr.Message):
    size: int


class Noted(lr.Message):
    before: str


class Numbered(lr.Model):
    """Grey under a barcode with the number of the frame, from 1 in each Session."""

    main_video = lr.VideoOut(width=WIDTH, height=HEIGHT, fps=FPS)

    def open(self, session: lr.Session) -> None:
        self.number, self.text = 0, ""

    def stream(self) -> Iterator[Pixels]:
        self.main_video.pacing = "steady"
        while True:
            self.number += 1
            pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            draw_barcode(pixels, Barcode(self.number, time.monotonic_ns() // 1000))
            yield pixels

    @lr.command
    def note(self, text: str) -> Noted:
        """Keep a text; what was kept before."""
        before, self.text = self.text, text
        return Noted(before=before)

    @lr.command
    def keep(self, image: lr.File) -> Kept:
        """Say how large it is."""
        return Kept(size=len(image.data))


class Pair(Numbered):
    """Two Sessions in one process."""

    max_sessions = 2


class GoesOn(Numbered):
    """Starts anew on another worker, whoever has seen it."""

    requeue = True
