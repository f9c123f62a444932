"""Something to play: what keys, gamepad and touches ask of it can be read off its picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval

import livereactor as lr

Unit = Annotated[float, Interval(ge=0, le=1)]


class Walk(lr.Model):
    """Walk about. Hold the keys, a gamepad or the sticks on the glass."""

    main_video = lr.VideoOut(width=320, height=180, fps=30)
    forward: float = lr.param(0.0, ge=-1, le=1, keys=("s", "w"), gamepad="left_y")
    turn: float = lr.param(0.0, ge=-1, le=1, keys=("a", "d"), gamepad="left_x")
    run: bool = lr.param(False, keys="shift", gamepad="left_trigger")
    said: str = lr.param("nothing")
    sky: Literal["dawn", "day", "dusk", "night", "storm", "snow"] = lr.param("day")

    def open(self, session: lr.Session) -> None:
        self.jumps, self.place = 0, (0.5, 0.5)

    @lr.command(keys="space", gamepad="a")
    def jump(self) -> None:
        """Leave the ground."""
        self.jumps += 1

    @lr.command(keys="enter", gamepad="start")
    def leave(self) -> None:
        """There is no way out."""
        raise lr.CommandError("locked", "the door is locked; find the key")

    @lr.command
    def look(self, x: Unit, y: Unit) -> None:
        """Turn to a place."""
        if x > 0.9:
            raise lr.CommandError("wall", "there is a wall; look elsewhere")
        self.place = (x, y)

    def stream(self) -> Iterator[np.ndarray]:
        while True:
            yield self.draw()

    def draw(self) -> np.ndarray:
        """Left: forward is red. Right: turn is green. All: run is blue. Below: a white bar of 32 pixels a jump, and a
        white square at the place that is looked at."""
        picture = np.zeros((180, 320, 3), np.uint8)
        picture[:, :160, 0] = round((self.forward + 1) * 127.5)
        picture[:, 160:, 1] = round((self.turn + 1) * 127.5)
        picture[..., 2] = 255 * self.run
        picture[164:] = 0
        picture[164:, : 32 * self.jumps] = 255
        column, row = round(self.place[0] * 319), round(self.place[1] * 179)
        picture[max(0, row - 8) : row + 8, max(0, column - 8) : column + 8] = 255
        return picture
