"""One audio track on its way out: a queue, a clock, and 10 ms blocks to every viewer. A thread per track."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import structlog

from livereactor.base.clock import Clock
from livereactor.media.frames import Sound
from livereactor.runtime.interfaces import OutputDeclaration, SoundSink
from livereactor.runtime.outputs.audio_playout import LEAD, SoundPlayout
from livereactor.runtime.outputs.tap import PlayedSound, Tap

log = structlog.get_logger(__name__)

JOIN_TIMEOUT: Final = 2.0


@dataclass(slots=True)
class _Counters:
    emitted: int = 0  # samples the model gave, per channel
    late: int = 0  # of these, left out since their time had passed
    blocks: int = 0  # 10 ms blocks that left
    sent: int = 0  # blocks taken by a viewer's sink
    refused: int = 0
    failed: int = 0


@dataclass(slots=True, eq=False)
class _Listener:
    sink: SoundSink
    resumed: bool = False


class AudioTrack:
    """One output track of kind audio; threads and `on_capacity` as in `VideoTrack`."""

    def __init__(self, declaration: OutputDeclaration, *, clock: Clock, on_capacity: Callable[[], None]) -> None:
        self._declaration, self._clock, self._on_capacity = declaration, clock, on_capacity
        self._changed = threading.Condition(threading.Lock())
        self._counters = _Counters()
        self._starved = self._closed = False
        self._tap: Tap | None = None
        self._last_failure = ""
        self._restart()
        self._thread = threading.Thread(target=self._run, name=f"output-{declaration.name}", daemon=True)
        self._thread.start()

    def emit(self, sound: Sound, *, chunk: bool = False) -> None:
        """Queue what a step gave; `chunk`: pictures came with it that play one after another."""
        with self._changed:
            self._counters.emitted += len(sound.samples)
            self._playout.push(sound.samples, now=self._clock.now(), chunk=chunk)
            self._changed.notify()

    def has_capacity(self) -> bool:
        with self._changed:
            room = self._playout.has_capacity()
            self._starved = self._starved or not room
            return room

    def record(self, tap: Tap | None) -> None:
        """Hand over to a recording from now on; None = to none."""
        with self._changed:
            self._tap = tap

    def add_viewer(self, viewer: int, sink: SoundSink) -> None:
        with self._changed:
            self._drop(viewer)
            self._listeners[viewer] = _Listener(sink)

    def remove_viewer(self, viewer: int) -> None:
        with self._changed:
            self._drop(viewer)

    def resume(self, viewer: int) -> None:
        with self._changed:
            if viewer in self._listeners:
                self._listeners[viewer].resumed = True
                self._playout.listen(self._clock.now())
                self._changed.notify()

    def pause(self, viewer: int) -> None:
        with self._changed:
            if viewer in self._listeners:
                self._listeners[viewer].resumed = False

    def flush(self) -> None:
        with self._changed:
            self._playout.flush()
            self._changed.notify()

    def reset(self) -> None:
        with self._changed:
            for viewer in list(self._listeners):
                self._drop(viewer)
            self._counters.late += self._playout.left_out
            self._restart()
            self._changed.notify()

    def counters(self) -> Mapping[str, float]:
        with self._changed:
            counted = {name: float(getattr(self._counters, name)) for name in _Counters.__slots__}
            late = counted["late"] + self._playout.left_out
            return counted | {"late": late, "queued_seconds": self._playout.seconds}

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(JOIN_TIMEOUT)

    def _restart(self) -> None:
        self._playout = SoundPlayout(self._declaration.rate, self._declaration.channels)
        self._listeners: dict[int, _Listener] = {}

    def _drop(self, viewer: int) -> None:
        if viewer in self._listeners:
            self._listeners.pop(viewer).resumed = False  # a block under way is not sent to it any more

    def _run(self) -> None:
        while True:
            with self._changed:
                blocks = self._next_blocks()
                if blocks is None:
                    return
                listeners = [each for each in self._listeners.values() if each.resumed]
                tap, began = self._tap, self._playout.left_at - LEAD
                room = self._starved and self._playout.has_capacity()
                self._starved = self._starved and not room
            if room:
                self._on_capacity()
            self._send(blocks, listeners)
            if tap is not None and blocks:
                tap.play(PlayedSound(began, np.concatenate([block.samples for block in blocks])))

    def _next_blocks(self) -> list[Sound] | None:
        """Wait until a block is due; None when closed."""
        while not self._closed:
            now = self._clock.now()
            wanted = any(each.resumed for each in self._listeners.values())
            blocks = self._playout.due(now, wanted=wanted)
            if blocks or (self._starved and self._playout.has_capacity()):
                return blocks
            at = self._playout.deadline(wanted=wanted)
            if at is None:
                self._changed.wait()
            elif at > now:
                self._changed.wait(at - now)
        return None

    def _send(self, blocks: list[Sound], listeners: list[_Listener]) -> None:
        self._counters.blocks += len(blocks)
        for listener in listeners:
            for block in blocks:
                try:
                    taken = listener.resumed and listener.sink.send(block)
                except Exception as error:
                    # The boundary of this thread: an engine that fails costs a block, and the track goes on.
                    self._failed(error)
                    continue
                self._counters.sent += taken
                self._counters.refused += not taken

    def _failed(self, error: Exception) -> None:
        self._counters.failed += 1
        if repr(error) != self._last_failure:  # told once, counted per block
            self._last_failure = repr(error)
            log.error("sending sound failed", track=self._declaration.name, exc_info=error)
