"""The time of the model's next step. Pure: the model thread passes `now`, obeys `deadline()` and reports each event.

    eager   the tick of the fps, and at once after a command or an input Frame, at most at twice the fps
    steady  the tick only
    free    as soon as the Outputs have room; so does a track whose fps is None
    sound   a model with sound alone: a step when its sound is about to run out

Twice the fps is a rate, not a gap: a command just after a tick is answered at once, the next one then waits its turn.
A step is late rather than lost: the tick catches up by at most one interval, in gaps of half an interval.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, Never, TypeAlias

from livereactor.base.machine import IGNORED, Machine, Table
from livereactor.runtime.authoring.tracks import AudioOut, Track, VideoOut

MAX_FREE_RATE = 240.0  # steps a second of a free model: no screen shows more, and a trivial one would eat a core
IDLE_RATE = 30.0  # a free model that idles is asked this often, so that its `yield None` never spins
IDLE_STEPS, IDLE_TIME = 4, 0.002  # it idles after so many steps without output, each shorter than this (seconds)
INPUT_GRACE = 0.25  # of an interval: the camera's next Frame, jitter included, comes before the tick, not just after it
SOUND_LEAD = 0.04  # seconds of sound kept ahead: two packets, so that a late step is not heard
RECENT = 8  # steps whose shortest is taken for the model's own time

Mode: TypeAlias = Literal["eager", "steady", "free", "sound"]


@dataclass(frozen=True, slots=True)
class Tuning:
    """The pacing of a model. `fps` matters to eager and steady only."""

    mode: Mode
    fps: float = 30.0


class PacingState(Enum):
    """Whether a step will come."""

    OFF = "off"  # no Session, or its stream has ended
    RUNNING = "running"  # the next step has a time
    WAITING = "waiting"  # the model waits for input: only what arrives, or its timeout, makes a step


@dataclass(frozen=True, slots=True)
class Opened:
    """A Session begins: its first step is due."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The session or its stream is over: no more steps run."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The model's outputs are wanted, or no longer are."""

    wanted: bool


@dataclass(frozen=True, slots=True)
class Backpressure:
    """The Outputs can take another emission, or their queues are full."""

    has_capacity: bool


@dataclass(frozen=True, slots=True)
class Kicked:
    """A command ran, or unread input arrived."""

    cause: Literal["command", "input"]


@dataclass(frozen=True, slots=True)
class Stepped:
    """A step that began at `started` is over.

    Attributes:
        emitted: it had output.
        sound: seconds of sound in it.
        waits: the model asked to wait for input, at most until `until`.
    """

    started: float
    emitted: bool
    sound: float = 0.0
    waits: bool = False
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Retuned:
    """The model changed its pacing or fps."""

    tuning: Tuning


PacingEvent: TypeAlias = Opened | Closed | Wanted | Backpressure | Kicked | Stepped | Retuned

_S = PacingState
LEGAL: Final[Table[PacingState, PacingEvent]] = Table(
    "Pacing",
    {
        _S.OFF: {
            Opened: _S.RUNNING,
            Closed: _S.OFF,
            Wanted: _S.OFF,
            Backpressure: _S.OFF,
            Retuned: _S.OFF,
            Kicked: IGNORED,  # what a client sends may arrive before the Session opens and after it closed
        },
        _S.RUNNING: {
            Closed: _S.OFF,
            Wanted: _S.RUNNING,
            Backpressure: _S.RUNNING,
            Retuned: _S.RUNNING,
            Kicked: _S.RUNNING,
            Stepped: (_S.RUNNING, _S.WAITING),
        },
        _S.WAITING: {
            Closed: _S.OFF,
            Wanted: _S.WAITING,
            Backpressure: _S.WAITING,
            Retuned: _S.WAITING,
            Kicked: _S.RUNNING,
            Stepped: (_S.RUNNING, _S.WAITING),
        },
    },
)


class Pacing(Machine[PacingState, PacingEvent, Never]):
    """The machine; one per model thread."""

    def __init__(self, tuning: Tuning) -> None:
        super().__init__(LEGAL)
        self._tuning = tuning
        self._wanted = self._has_capacity = True
        self._due: float | None = None  # when the next step runs
        self._tick = 0.0  # the beat the next step belongs to
        self._kick: Literal["command", "input"] | None = None  # why the next step runs off the beat
        self._emitted_at = float("-inf")  # start of the last step with output
        self._spent = float("-inf")  # when the steps with output so far would all have had their half interval
        self._durations: deque[float] = deque(maxlen=RECENT)
        self._idle = 0  # short steps without output in a row

    def deadline(self) -> float | None:
        """Return the time of the next step; a past time = now; None = only an event can make a step due."""
        if self.state is PacingState.OFF or not self._wanted or not self._has_capacity:
            return None
        return self._due

    def _decide(self, event: PacingEvent, now: float) -> list[Never]:
        match event:
            case Opened():
                self._emitted_at = self._spent = float("-inf")
                self._durations.clear()
                self._restart(now)
            case Closed():
                self._due = None
            case Wanted(wanted):
                if wanted and not self._wanted and self.state is PacingState.RUNNING:
                    self._restart(max(now, self._earliest()))
                self._wanted = wanted
            case Backpressure(has_capacity):
                self._has_capacity = has_capacity
            case Kicked(cause):
                self._kicked(cause, now)
            case Stepped():
                self._stepped(event, now)
            case Retuned(tuning):
                self._retuned(tuning, now)
        return []

    def _restart(self, at: float) -> None:
        """Begin the beat anew."""
        self._kick = None
        self._tick = at - SOUND_LEAD if self._tuning.mode == "sound" else at
        self._due = at

    def _kicked(self, cause: Literal["command", "input"], now: float) -> None:
        if self.state is PacingState.RUNNING and self._tuning.mode in ("steady", "sound"):
            return
        due = max(now, self._earliest(kicked=True))
        if self._due is None or due < self._due:
            self._due, self._kick = due, cause

    def _stepped(self, step: Stepped, now: float) -> None:
        if step.emitted:
            self._emitted_at = step.started
            self._spent = max(self._spent, step.started) + 0.5 / self._tuning.fps
        self._durations.append(now - step.started)
        self._idle = 0 if step.emitted or now - step.started > IDLE_TIME else self._idle + 1
        kick, self._kick = self._kick, None
        self._go(PacingState.WAITING if step.waits else PacingState.RUNNING)
        match self._tuning.mode:
            case "free":
                self._due = self._tick = max(now, self._free_due(step))
            case "sound":
                self._tick = max(self._tick + step.sound, now - SOUND_LEAD)
                self._due = max(self._tick, step.started + (0 if step.sound else 1 / IDLE_RATE))
            case "eager" | "steady":
                self._tick = self._next_tick(step, kick, now)
                self._due = max(self._tick, self._earliest())
        if step.waits:
            self._due = step.until

    def _free_due(self, step: Stepped) -> float:
        if step.emitted:
            return step.started + 1 / MAX_FREE_RATE
        return step.started + (1 / IDLE_RATE if self._idle >= IDLE_STEPS else 0.0)

    def _next_tick(self, step: Stepped, kick: Literal["command", "input"] | None, now: float) -> float:
        interval = 1 / self._tuning.fps
        if kick is None:
            return max(self._tick + interval, now - interval)
        # A model that sleeps to its own rate slept in this step too: its beat is where it would have begun without
        # the sleep, and asking it earlier would hold up the next command for the rest of its sleep.
        slept = (now - step.started) - min(self._durations)
        grace = INPUT_GRACE * interval if kick == "input" else 0.0
        return step.started + slept + interval + grace

    def _retuned(self, tuning: Tuning, now: float) -> None:
        self._tuning = tuning
        if self.state is PacingState.RUNNING:
            self._restart(max(now, self._earliest()))

    def _earliest(self, *, kicked: bool = False) -> float:
        """Return the earliest time of the next step. A kick may be a frame ahead of twice the fps; a tick never is."""
        if self._tuning.mode in ("free", "sound"):
            return float("-inf")
        half = 0.5 / self._tuning.fps
        return self._spent - half if kicked else self._emitted_at + half


def tuning_of(tracks: Mapping[str, Track]) -> Tuning:
    """Return the pacing of the first video output; a paced one keeps the beat with sound, which would run ahead."""
    outputs = [each for each in tracks.values() if isinstance(each, VideoOut | AudioOut)]
    video = next((each for each in outputs if isinstance(each, VideoOut)), None)
    if video is None:
        return Tuning("sound" if outputs else "free")
    if video.fps is None or video.pacing == "free":
        return Tuning("free")
    sounds = any(isinstance(each, AudioOut) for each in outputs)
    return Tuning("steady" if sounds else video.pacing, video.fps)
