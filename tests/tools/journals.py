"""A place for a Session's journal, in memory; and Sessions played on a real model thread, for replays of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from livereactor.media.frames import Sound
from livereactor.runtime.authoring.definition import definition_of
from livereactor.runtime.authoring.model import Model
from livereactor.runtime.execution.model_thread import ModelThread
from livereactor.runtime.interfaces import SessionStart
from livereactor.runtime.replay.journal_format import SessionJournal, read_journal
from livereactor.runtime.replay.journal_writer import JournalObserver
from livereactor.runtime.replay.rerun import Rerun
from tests.unit.runtime.execution.rig import Rig, model_running


class Kept:
    """Fits `JournalSink`; its media time runs from when it is made, or from `begin` on."""

    def __init__(self, *, begun: bool = True) -> None:
        self.pieces: dict[str, bytes] = {}
        self._began = time.monotonic() if begun else None

    def begin(self) -> None:
        self._began = time.monotonic()

    def opened(self) -> None: ...
    def closed(self) -> None: ...

    def put(self, name: str, data: bytes) -> None:
        assert name not in self.pieces
        self.pieces[name] = data

    def media_time(self, moment: float) -> float | None:
        return None if self._began is None else max(0.0, moment - self._began)

    def data(self) -> bytes:
        return b"".join(data for _, data in sorted(self.pieces.items()))

    def read(self) -> SessionJournal:
        return read_journal(self.data())


def played(
    model: type[Model],
    play: Callable[[ModelThread, Rig], object],
    *,
    start: dict[str, Any] | None = None,
    **config: Any,
) -> tuple[SessionJournal, list[bytes]]:
    """A Session on a real model thread, ended when `play` returns: its journal, and each picture of its main video."""
    kept = Kept()
    session = SessionStart("ses_1", observer=JournalObserver(definition_of(model), config, kept), **(start or {}))
    with model_running(model, start=session, **config) as (thread, rig):
        play(thread, rig)
    items = [item for each in rig.emissions if not isinstance(item := each.get("main_video", ()), Sound)]
    return kept.read(), [frame.pixels.tobytes() for frames in items for frame in frames]


def replayed(model: type[Model], journal: SessionJournal, **config: Any) -> tuple[Rerun, list[bytes], list[bool]]:
    """The Session again: its pictures, and for those whose digest is kept whether they are the same."""

    def no_file(file: object) -> bytes:
        raise AssertionError(file)

    again = Rerun(model, journal, config=config, files=no_file)
    again.load()
    pictures, same = list[bytes](), list[bool]()
    for step in again.steps():
        frames = step.emission.get("main_video", ())
        assert not isinstance(frames, Sound)
        pictures += [frame.pixels.tobytes() for frame in frames]
        same += [] if step.same is None else [step.same]
    return again, pictures, same
