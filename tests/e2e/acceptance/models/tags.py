"""A model that gives back what the camera sends, with its tags, and says how often its step ran."""

from __future__ import annotations

from collections.abc import Iterator

import livereactor as lr


class Counted(lr.Message):
    steps: int


class Tags(lr.Model):
    main_video = lr.VideoOut(width=640, height=360, fps=30)
    webcam = lr.VideoIn()

    def open(self, session: lr.Session) -> None:
        self.steps = 0

    def stream(self) -> Iterator[lr.Frame | None]:
        shown = 0
        while True:
            self.steps += 1
            frame = self.webcam.latest()
            if frame is None or frame.number == shown:
                yield None
                continue
            shown = frame.number
            yield lr.Frame(frame.pixels, user_data=frame.user_data)

    @lr.command
    def count(self) -> Counted:
        return Counted(steps=self.steps)
