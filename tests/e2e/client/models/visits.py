"""A model that counts who came, and keeps what it was told in order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import livereactor as lr


class Seen(lr.Message):
    opened: int
    joined: int
    left: int
    notes: list[int]


class Visits(lr.Model):
    main_video = lr.VideoOut(width=320, height=180, fps=30)

    def open(self, session: lr.Session) -> None:
        self.opened = getattr(self, "opened", 0) + 1
        self.came = self.went = 0
        self.notes: list[int] = []

    def joined(self, client: lr.Client) -> None:
        self.came += 1

    def left(self, client: lr.Client) -> None:
        self.went += 1

    def stream(self) -> Iterator[np.ndarray]:
        while True:
            yield np.full((180, 320, 3), 90, np.uint8)

    @lr.command
    def note(self, number: int) -> None:
        """Keep a number."""
        self.notes.append(number)

    @lr.command
    def seen(self) -> Seen:
        """Everything noted in this session, and how many sessions there were since the process began."""
        return Seen(opened=self.opened, joined=self.came, left=self.went, notes=self.notes)
