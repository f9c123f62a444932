"""Models for tests of the runtime: small, with everything that can be asked of one, or that can go wrong in one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from annotated_types import Interval

import livereactor as lr


class Said(lr.Message):
    text: str


class Plain(lr.Model):
    """Answers, counts and echoes."""

    main_video = lr.VideoOut(width=64, height=48, fps=30)
    main_audio = lr.AudioOut()
    webcam = lr.VideoIn()
    level: Annotated[int, Interval(ge=0, le=5)] = lr.param(1)

    def open(self, session: lr.Session) -> None:
        self.session_args = dict(session.extra_args)
        self.seen: list[str] = []

    def joined(self, client: Any) -> None:
        self.seen.append("joined")
        client.send(Said(text=f"welcome {client.role}"))

    def left(self, client: Any) -> None:
        self.seen.append("left")

    def uploaded(self, file: Any) -> None:
        self.send(Said(text=f"uploaded {file.name} {file.size}"))

    @lr.command
    def echo(self, text: str) -> Said:
        """Say it back to the caller, and to all that it was said."""
        self.send(Said(text=f"all {text}"))
        return Said(text=text)

    @lr.command
    def note(self, text: str) -> None:
        """Only acknowledged."""
        self.seen.append(text)

    @lr.command
    def told(self) -> Said:
        """What the model has seen in this session."""
        return Said(text=" ".join([*self.seen, f"level={self.level}"]))

    @lr.command
    def refuse(self) -> None:
        """Always refused."""
        raise lr.CommandError("busy", "not now")

    @lr.command
    def crash(self) -> None:
        """Always fails."""
        raise KeyError("secret detail")

    @lr.command
    def read(self, file: lr.File) -> Said:
        """Say what is in a file."""
        return Said(text=file.text())

    @lr.command
    def big(self, size: int) -> Said:
        """A message of this many letters."""
        return Said(text="x" * size)

    def stream(self) -> Iterator[Any]:
        step = 0
        while True:
            frame = self.webcam.latest()
            value = int(frame.pixels[0, 0, 0]) if frame is not None else step % 256
            step += 1
            yield np.full((48, 64, 3), value, np.uint8)


class OpenFails(Plain):
    """`open` raises as often as `failures` says."""

    failures = 1

    def open(self, session: lr.Session) -> None:
        if type(self).failures:
            type(self).failures -= 1
            raise RuntimeError("no memory left")
        super().open(session)


class StreamFails(Plain):
    """`stream` raises after its first frame when told to."""

    def open(self, session: lr.Session) -> None:
        super().open(session)
        self.failing = False

    @lr.command
    def fail(self) -> None:
        self.failing = True

    def stream(self) -> Iterator[Any]:
        while not self.failing:
            yield np.zeros((48, 64, 3), np.uint8)
        raise ValueError("a tensor of the wrong shape")


class WrongShape(Plain):
    """Yields what cannot be a frame."""

    def stream(self) -> Iterator[Any]:
        while True:
            yield np.zeros((48, 64, 3), np.int64)


class LoadFails(Plain):
    """`load` raises."""

    def load(self) -> None:
        raise RuntimeError("weights are missing")


class Gate(Plain):
    """Steps and `load` wait for a test."""

    loading = threading.Event()
    stepping = threading.Event()
    in_step = threading.Event()

    def load(self) -> None:
        type(self).loading.wait(20)

    def stream(self) -> Iterator[Any]:
        while True:
            type(self).in_step.set()
            type(self).stepping.wait(20)
            yield np.zeros((48, 64, 3), np.uint8)


class Huge(lr.Model):
    """One step gives more than a message carries."""

    main_video = lr.VideoOut(width=64, height=48, fps=None)
    side: int = lr.param(48)

    def stream(self) -> Iterator[Any]:
        while True:
            yield np.zeros((self.side, self.side, 3), np.uint8)
