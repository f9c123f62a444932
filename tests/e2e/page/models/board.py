"""A board for the page's tests: every control it has can be read off its picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval

import livereactor as lr

Unit = Annotated[float, Interval(ge=0, le=1)]


class Marked(lr.Message):
    x: float
    y: float


class Weighed(lr.Message):
    size: int


class Board(lr.Model):
    """A board in the colour of your choice. Touch it to mark a place."""

    main_video = lr.VideoOut(width=320, height=180, fps=30)
    webcam = lr.VideoIn(width=320, height=180, fit="cover")
    red: float = lr.param(0.0, ge=0, le=1, description="How red the board is.")
    mood: Literal["calm", "stormy"] = lr.param("calm", description="Another word for it.")
    title: str = lr.param("nothing yet", max_length=20)

    def open(self, session: lr.Session) -> None:
        self.frame, self.place, self.ending = 0, (0.5, 0.5), ""

    @lr.command
    def mark(self, x: Unit, y: Unit) -> Marked:
        """Mark a place."""
        self.place = (x, y)
        return Marked(x=x, y=y)

    @lr.command
    def refuse(self) -> None:
        """Say no."""
        raise lr.CommandError("dry", "the board is dry; wet it first")

    @lr.command
    def weigh(self, thing: lr.File) -> Weighed:
        """Say how many bytes a file has."""
        return Weighed(size=len(thing.data))

    @lr.command
    def finish(self) -> None:
        """End the stream in good order."""
        self.ending = "finish"

    @lr.command
    def crash(self) -> None:
        """Fail in the middle of a step."""
        self.ending = "crash"

    def stream(self) -> Iterator[np.ndarray]:
        while self.ending == "":
            yield self.draw()
        if self.ending == "crash":
            raise RuntimeError("asked to")

    def draw(self) -> np.ndarray:
        """Left: the colour. Right: the camera. Below: a bar that moves, and a white square at the marked place."""
        picture = np.zeros((180, 320, 3), np.uint8)
        picture[:, :160, 0] = round(self.red * 255)
        if (seen := self.webcam.latest()) is not None:
            picture[:, 160:] = seen.pixels[:, 160:]
        self.frame += 1
        bar = self.frame * 4 % 300
        picture[164:, bar : bar + 20] = 255
        column, row = round(self.place[0] * 319), round(self.place[1] * 179)
        picture[max(0, row - 8) : row + 8, max(0, column - 8) : column + 8] = 255
        return picture
