"""A model that could give a Session away to the next one: in its notes, its parameter and its picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import livereactor as lr
from livereactor.media.frames import Pixels


class Noted(lr.Message):
    before: str


class Remembers(lr.Model):
    """Grey, and a list of what it was told."""

    main_video = lr.VideoOut(width=64, height=48, fps=30)
    grey: int = lr.param(0, ge=0, le=255)

    def open(self, session: lr.Session) -> None:
        self.notes: list[str] = []

    @lr.command
    def note(self, text: str, grey: int) -> Noted:
        """What was noted before; from now on the picture is this grey."""
        before, self.grey = " ".join(self.notes), grey
        self.notes.append(text)
        return Noted(before=before)

    def stream(self) -> Iterator[Pixels]:
        while True:
            yield np.full((48, 64, 3), self.grey, np.uint8)
