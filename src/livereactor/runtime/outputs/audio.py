"""One audio track on its way out: a queue, a clock, and 10 ms blocks to every viewer. A thread per track.

`SoundPlayout` decides when each block leaves and is pure; `AudioOutputTrack` is the thread around it.

The clock is continuous while somebody listens: a block every 10 ms, silence where the model gave none. Sound that
starts after silence waits `LEAD`, so that a model which makes it in bits as long as its Frames does not run dry between
two of them; a bit that is a little late is awaited for `GRACE`, since a short delay is not heard and a hole is. Sound
that came after its time is left out (`SoundLateness`): what is heard belongs to the picture that is seen.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import structlog

from livereactor.base.clock import Clock
from livereactor.media.frames import Samples, Sound
from livereactor.runtime.interfaces import OutputDeclaration, SoundSink
from livereactor.runtime.outputs.tap import PlayedSound, Tap

log = structlog.get_logger(__name__)

IN_STEP: Final = 0.1  # seconds that sound may be off the clock, as steps come early and late
SURE: Final = 20  # bits in step, after which a model is taken to go by the clock
LAGGING: Final = 3  # bits in a row that may lag; a model that read the clock before the stall makes up for it in one
UNNOTICED: Final = 0.06  # seconds; so far behind its picture sound may be (EBU R 37)


class SoundLateness:
    """The part of the waiting sound that has missed its time.

    A model that makes sound by the clock gives, after a stall, all that belonged to the stall at once. That time has
    passed in silence: played whole, the sound would stay behind its picture for good. A model that speaks ahead gives
    as much at once, and all of it is wanted. Their pace tells the two apart: sound that came in step with the clock all
    the time, and yet leaves more waiting than before, is sound for which silence was played.
    """

    def __init__(self) -> None:
        self._began: float | None = None  # None = with the next bit
        self._given = self._waiting = 0.0  # seconds of sound: since it began; that waited then
        self._in_step = self._lagging = 0  # bits
        self._recent = deque[float]([0.0], maxlen=SURE)  # seconds of each bit

    def pushed(self, seconds: float, *, waiting: float, now: float) -> float:
        """Take `seconds` of new sound, with which `waiting` seconds are queued. Return the seconds that are late."""
        usual = max(self._recent)
        self._recent.append(seconds)
        self._given += seconds
        ahead = 0.0 if self._began is None else self._given - (now - self._began)
        self._lagging = self._lagging + 1 if ahead < -IN_STEP else 0
        if self._began is None or ahead > IN_STEP or self._lagging > LAGGING:
            self._began, self._given, self._waiting = now, 0.0, waiting
            self._in_step = self._lagging = 0
            return 0.0
        self._in_step += not self._lagging
        # A model whose steps have become slow gives longer bits: less than one of them would leave a hole before each.
        late = waiting - max(self._waiting, usual) - max(0.0, ahead)
        return late if self._in_step >= SURE and not self._lagging and late > UNNOTICED else 0.0


BLOCK: Final = 0.010  # seconds
LEAD: Final = 0.010
GRACE: Final = 0.015
STALL: Final = 0.5  # seconds; what is later (the machine slept) is lost, or sound would lag behind the picture for good
AHEAD: Final = 5.0  # seconds the model may be ahead before it has to wait


class SoundPlayout:
    """The queue between a model's step and one audio track.

    Args:
        rate: samples a second, a multiple of 100.
        channels: of the track.

    Attributes:
        left_at: when the first of the blocks left that `due` gave last.
        left_out: samples that were too late to be played.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._channels = rate, channels
        self._block = round(rate * BLOCK)
        self._segments: deque[tuple[Samples, int]] = deque()  # samples, and the capture time of their first one
        self._queued = 0
        self.left_at = 0.0
        self.left_out = 0
        self._lateness = SoundLateness()
        self._next_at: float | None = None  # when the next block leaves; None = the clock stands
        self._sounding = False  # the last block held the model's sound
        self._from = float("-inf")  # no sound before this

    @property
    def seconds(self) -> float:
        """Sound that is queued."""
        return self._queued / self._rate

    def has_capacity(self) -> bool:
        return self.seconds <= AHEAD

    def push(self, samples: Samples, *, now: float, chunk: bool = False) -> None:
        """Queue sound captured at `now`; `chunk`: with pictures that all are shown, so that none of it is left out."""
        if not len(samples):
            return
        if not self._queued and not self._sounding:
            self._from = now + LEAD
        if self._next_at is None:
            self._next_at = now + LEAD
        self._segments.append((samples, round(now * 1e6)))
        self._queued += len(samples)
        if chunk:
            self._lateness = SoundLateness()
        else:
            late = self._lateness.pushed(len(samples) / self._rate, waiting=self.seconds, now=now)
            self._leave_out(round(late * self._rate))

    def listen(self, now: float) -> None:
        """Somebody listens from now on."""
        if self._next_at is None:
            self._next_at = now

    def flush(self) -> None:
        self._segments.clear()
        self._queued = 0
        self._sounding = False
        self._lateness = SoundLateness()

    def deadline(self, *, wanted: bool) -> float | None:
        """Return the time to call `due`; None while nobody listens and nothing is queued."""
        if self._next_at is None or not (wanted or self._queued):
            return None
        return self._next_at + (GRACE if self._awaits() else 0)

    def due(self, now: float, *, wanted: bool) -> list[Sound]:
        """Blocks of 10 ms that should have left by `now`, in order. With nobody there the queue drains just so."""
        blocks = list[Sound]()
        while (at := self.deadline(wanted=wanted)) is not None and at <= now:
            assert self._next_at is not None
            if not self._queued and now - self._next_at > STALL:
                self._next_at = now
            waiting, block = self._queued, self._next_block(self._next_at)
            if now - self._next_at <= STALL:
                self.left_at = self.left_at if blocks else self._next_at
                blocks.append(block)
            else:
                self.left_out += waiting - self._queued
            self._next_at += BLOCK
        if not wanted and not self._queued:
            self._next_at, self._sounding = None, False
        return blocks

    def _awaits(self) -> bool:
        """The next block has begun to sound and its rest is on its way."""
        return self._sounding and self._queued < self._block

    def _leave_out(self, count: int) -> None:
        """Drop the oldest. What is left of a bit keeps its capture time: it is of the moment at which it came."""
        self.left_out += count
        self._queued -= count
        while count:
            samples, stamp = self._segments.popleft()
            if len(samples) > count:
                self._segments.appendleft((samples[count:], stamp))
            count -= min(count, len(samples))

    def _next_block(self, at: float) -> Sound:
        if at < self._from or not self._queued:
            self._sounding = False
            return Sound(np.zeros((self._block, self._channels), np.int16), self._rate, round(at * 1e6))
        captured_us, parts, missing = self._segments[0][1], list[Samples](), self._block
        while missing and self._segments:
            samples, stamp = self._segments.popleft()
            parts.append(samples[:missing])
            if len(samples) > missing:
                rest_us = stamp + round(missing / self._rate * 1e6)
                self._segments.appendleft((samples[missing:], rest_us))
            missing -= len(parts[-1])
        self._queued -= self._block - missing
        self._sounding = not missing
        if missing:
            parts.append(np.zeros((missing, self._channels), np.int16))
        return Sound(np.concatenate(parts), self._rate, captured_us)


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


class AudioOutputTrack:
    """One output track of kind audio; threads and `on_capacity` as in `VideoOutputTrack`."""

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
        if repr(error) != self._last_failure:  # logged once, counted per block
            self._last_failure = repr(error)
            log.error("sending sound failed", track=self._declaration.name, exc_info=error)
