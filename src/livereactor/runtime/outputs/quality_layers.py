"""Who gets which rung at which rate: the main stream, or a small one for those too slow for it. Pure.

The main rung's rate is the lowest among its viewers, but not below 60 % of the best viewer's. Who stays below that for
half a second moves to the low rung and comes back after five seconds above it, so one slow viewer costs the others
nothing. Rates move with hysteresis, since VP8 pays for each change with a key frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from livereactor.media.rate import FALL_BELOW, FLOOR, FollowedRate

SHARE: Final = 0.6  # of the best viewer's rate
DOWN_AFTER, UP_AFTER = 0.5, 5.0  # seconds on the other side of the share before a viewer moves
LOW_BPS: Final = (80_000, 800_000)  # floor and ceiling of the low rung: 320x180 at 15 fps is sharp at the latter


class Rung(Enum):
    """A quality the track is encoded in."""

    MAIN = "main"  # the model's size and fps
    LOW = "low"  # 320x180 at 15


@dataclass(frozen=True, slots=True)
class Joined:
    """A viewer receives from now on, on the main rung."""

    viewer: int


@dataclass(frozen=True, slots=True)
class Left:
    """A viewer receives no more."""

    viewer: int


@dataclass(frozen=True, slots=True)
class RateHeard:
    """Congestion control allows a viewer this many bits a second."""

    viewer: int
    bps: int


@dataclass(frozen=True, slots=True)
class CeilingSet:
    """What the picture's size and fps deserve; more is never spent."""

    bps: int


@dataclass(frozen=True, slots=True)
class Woken:
    """The deadline came."""


RungEvent: TypeAlias = Joined | Left | RateHeard | CeilingSet | Woken


@dataclass(frozen=True, slots=True)
class Move:
    """Send this rung to the viewer from now on, starting with a key frame."""

    viewer: int
    rung: Rung


@dataclass(frozen=True, slots=True)
class SetRate:
    """Encode this rung at this rate from now on."""

    rung: Rung
    bps: int


RungEffect: TypeAlias = Move | SetRate


@dataclass(slots=True)
class _Viewer:
    rung: Rung = Rung.MAIN
    bps: int | None = None  # unknown until heard; a recorder never says
    crossed_at: float | None = None  # since when its rate is the other rung's


class Rungs:
    """The rungs of one video track."""

    def __init__(self, ceiling: int) -> None:
        self._ceiling = ceiling
        self._viewers: dict[int, _Viewer] = {}
        self._rates = {Rung.MAIN: FollowedRate(ceiling), Rung.LOW: FollowedRate(LOW_BPS[1])}

    def deadline(self) -> float | None:
        """When to deliver `Woken`; None while nothing is pending."""
        times = [
            viewer.crossed_at + _patience(viewer) for viewer in self._viewers.values() if viewer.crossed_at is not None
        ]
        times += [at for rate in self._rates.values() if (at := rate.deadline()) is not None]
        return min(times, default=None)

    def bearable(self, rung: Rung) -> float:
        """Bits a second that the ways to this rung's viewers take: above its rate, where the ways are better.

        Who is about to move to the low rung does not count. Above the rate by what `FollowedRate` does not follow, so
        that an encoder that keeps to its rate is never held.
        """
        threshold = self._threshold()
        heard = [
            viewer.bps
            for viewer in self._viewers.values()
            if viewer.rung is rung and viewer.bps is not None and (rung is Rung.LOW or viewer.bps >= threshold)
        ]
        return max(min(heard, default=self._ceiling), FLOOR) / FALL_BELOW

    def handle(self, event: RungEvent, now: float) -> list[RungEffect]:
        """Return what changes, in order; events of viewers who are not there are ignored (they left meanwhile)."""
        effects = list[RungEffect]()
        match event:
            case Joined(viewer):
                self._viewers.setdefault(viewer, _Viewer())
            case Left(viewer):
                self._viewers.pop(viewer, None)
            case RateHeard(viewer, bps):
                if viewer in self._viewers:
                    self._viewers[viewer].bps = bps
            case CeilingSet(bps):
                effects += self._set_ceiling(bps)
            case Woken():
                pass
        effects += self._move(now)
        effects += self._follow(Rung.MAIN, self._main_target(), now)
        effects += self._follow(Rung.LOW, self._low_target(), now)
        return effects

    def _set_ceiling(self, bps: int) -> list[RungEffect]:
        if bps == self._ceiling:
            return []
        self._ceiling = bps
        self._rates[Rung.MAIN] = FollowedRate(self._main_target())
        return [SetRate(Rung.MAIN, self._rates[Rung.MAIN].bps)]

    def _known(self, rung: Rung | None = None) -> list[int]:
        """Rates heard, of one rung's viewers or of all; above the ceiling all are equal."""
        viewers = self._viewers.values()
        return [
            min(viewer.bps, self._ceiling)
            for viewer in viewers
            if viewer.bps is not None and rung in (None, viewer.rung)
        ]

    def _threshold(self) -> float:
        return SHARE * max(self._known(), default=0)

    def _move(self, now: float) -> list[RungEffect]:
        effects, threshold = list[RungEffect](), self._threshold()
        for number, viewer in self._viewers.items():
            fits = Rung.MAIN if viewer.bps is None or viewer.bps >= threshold else Rung.LOW
            if fits is viewer.rung:
                viewer.crossed_at = None
            elif viewer.crossed_at is None:
                viewer.crossed_at = now
            elif now >= viewer.crossed_at + _patience(viewer):
                viewer.rung, viewer.crossed_at = fits, None
                effects.append(Move(number, fits))
                effects += self._first_on_low()
        return effects

    def _first_on_low(self) -> list[RungEffect]:
        """Nobody watched the low rung before: it begins at the rate of who comes, without waiting to follow."""
        if sum(viewer.rung is Rung.LOW for viewer in self._viewers.values()) != 1:
            return []
        self._rates[Rung.LOW] = FollowedRate(self._low_target())
        return [SetRate(Rung.LOW, self._rates[Rung.LOW].bps)]

    def _main_target(self) -> int:
        target = max(self._threshold(), min(self._known(Rung.MAIN), default=self._ceiling), FLOOR)
        return min(round(target), self._ceiling)

    def _low_target(self) -> int:
        floor, ceiling = LOW_BPS
        return max(floor, min([*self._known(Rung.LOW), ceiling]))

    def _follow(self, rung: Rung, target: int, now: float) -> list[RungEffect]:
        return [SetRate(rung, target)] if self._rates[rung].aim(target, now) else []


def _patience(viewer: _Viewer) -> float:
    return DOWN_AFTER if viewer.rung is Rung.MAIN else UP_AFTER
