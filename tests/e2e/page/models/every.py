"""One control of every type; `tell` says what the model was given."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

import livereactor as lr

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Told(lr.Message):
    values: dict[str, Any]


class BrightSet(lr.Message):
    bright: float


class VolumeSet(lr.Message):
    volume: float


@dataclass
class Brush:
    size: int
    soft: bool = False


class Every(lr.Model):
    """Every kind of control there is."""

    main_video = lr.VideoOut(width=320, height=180, fps=30)
    bright: float = lr.param(0.5, ge=0, le=2, description="How bright it is.")
    steps: int = lr.param(4, ge=1, le=8)
    grid: int = lr.param(16, ge=0, le=64, multiple_of=8)
    gain: float = lr.param(1.0, description="Without bounds.")
    loud: bool = lr.param(False)
    mood: Literal["calm", "wild"] = lr.param("calm")
    day: Weekday = lr.param("mon")
    prompt: str = lr.param("", max_length=40)
    ink: str = lr.param("#ff8800")
    limit: float | None = lr.param(None, ge=0, le=10)
    sure: bool | None = lr.param(None)
    tags: list[str] = lr.param(("a", "b"))  # type: ignore[assignment]
    anything: Any = lr.param(None)

    def open(self, session: lr.Session) -> None:
        self.given: dict[str, Any] = {}

    @lr.command
    def tell(self) -> Told:
        names = ("bright", "steps", "grid", "gain", "loud", "mood", "day", "prompt", "ink", "limit", "sure", "tags")
        values = {name: getattr(self, name) for name in (*names, "anything")}
        return Told(values=values | self.given)

    @lr.command
    def set_volume(self, volume: float = 1.0) -> VolumeSet:
        """Never louder than 5."""
        self.given["volume"] = min(volume, 5.0)
        return VolumeSet(volume=min(volume, 5.0))

    @lr.command
    def dawn(self) -> None:
        """Be as bright as can be, and tell everybody."""
        self.bright = 2.0
        self.send(BrightSet(bright=2.0))

    @lr.command
    def say(self, text: str, times: int = 1) -> None:
        """Say it, so many times."""
        self.given["said"] = text * times

    @lr.command
    def paint(self, brush: Brush, strength: float = 1.0) -> None:
        """Paint with a brush."""
        self.given["brush"] = dataclasses.asdict(brush)

    @lr.command
    def show(self, picture: lr.File) -> None:
        """Show a file."""
        self.given["picture"] = picture.name

    def stream(self) -> Iterator[np.ndarray]:
        while True:
            yield np.full((180, 320, 3), min(255, round(self.bright * 127)), np.uint8)
