"""A model thread with a sink and a listener that tests can wait on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from livereactor.base.limits import Limits
from livereactor.media.frames import Frame, Sound
from livereactor.runtime.authoring.model import Model
from livereactor.runtime.execution.model_thread import ModelThread
from livereactor.runtime.interfaces import (
    Call,
    ClientInfo,
    LoadFailed,
    LoadFinished,
    ModelEvent,
    SessionStart,
)

OWNER = ClientInfo(1001, "owner", 0.0)
PATIENCE = 30.0  # seconds for what takes a moment on an idle machine


class Rig:
    """Outputs and listener in one: keeps what comes and lets a test wait for it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.emissions: list[Mapping[str, Sequence[Frame] | Sound]] = []
        self.times: list[float] = []
        self.events: list[ModelEvent] = []
        self.fps: dict[str, float | None] = {}
        self.flushed: list[str] = []
        self.room = True
        self.callback: Callable[[], None] = lambda: None

    def emit(self, emission: Mapping[str, Sequence[Frame] | Sound], *, step_seconds: float) -> None:
        with self.changed:
            self.emissions.append(emission)
            self.times.append(time.monotonic())
            self.changed.notify_all()

    def has_capacity(self) -> bool:
        return self.room

    def on_capacity(self, callback: Callable[[], None]) -> None:
        self.callback = callback

    def set_fps(self, track: str, fps: float | None) -> None:
        self.fps[track] = fps

    def flush(self, track: str) -> None:
        self.flushed.append(track)

    def listen(self, event: ModelEvent) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until `condition`, which emissions and events may change."""
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE), "it did not come"

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def firsts(self, track: str = "main_video") -> list[int]:
        """The first byte of every Frame of a track: what tests let models count with."""
        items = [item for each in self.emissions if not isinstance(item := each.get(track, ()), Sound)]
        return [int(frame.pixels[0, 0, 0]) for frames in items for frame in frames]


@contextmanager
def model_running(
    model: type[Model],
    *,
    start: SessionStart | None = None,
    wanted: bool = True,
    limits: Limits | None = None,
    **config: Any,
) -> Iterator[tuple[ModelThread, Rig]]:
    """A loaded model thread with an open Session, stopped at the end."""
    rig = Rig()
    thread = ModelThread(model, sink=rig, listener=rig.listen, config=config, limits=limits)
    thread.start()
    rig.until(lambda: rig.of(LoadFinished) or rig.of(LoadFailed))
    try:
        if wanted:
            thread.want(frozenset({"main_video"}))
        if not rig.of(LoadFailed):
            thread.open(start or SessionStart("ses_1")).result(PATIENCE)
        yield thread, rig
    finally:
        assert thread.stop(PATIENCE)


def call(name: str, **arguments: Any) -> Call:
    return Call(name, arguments)
