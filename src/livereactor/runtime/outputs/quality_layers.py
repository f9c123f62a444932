"""The quality layers of a video track: the main stream, and a small one for viewers too slow for it. Pure.

The main layer's rate is the lowest among its viewers, but not below 60 % of the best viewer's. A viewer below that for
half a second moves to the low layer, and returns after five seconds above it, so one slow viewer costs the others
nothing. Rates move with hysteresis, since VP8 pays for each change with a key frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from livereactor.media.rate import FALL_BELOW, FLOOR, FollowedRate

SHARE: Final = 0.6  # of the best viewer's rate
DOWN_AFTER, UP_AFTER = 0.5, 5.0  # seconds on the other side of the share before a viewer moves
LOW_BPS: Final = (80_000, 800_000)  # floor and ceiling of the low layer: 320x180 at 15 fps is sharp at the latter


class QualityLayer(Enum):
    """A quality the track is encoded in."""

    MAIN = "main"  # the model's size and fps
    LOW = "low"  # 320x180 at 15


@dataclass(frozen=True, slots=True)
class ViewerJoined:
    """A viewer receives from now on, on the main layer."""

    viewer: int


@dataclass(frozen=True, slots=True)
class ViewerLeft:
    """A viewer receives no more."""

    viewer: int


@dataclass(frozen=True, slots=True)
class ViewerRate:
    """Congestion control allows a viewer this many bits a second."""

    viewer: int
    bps: int


@dataclass(frozen=True, slots=True)
class CeilingChanged:
    """The highest rate that the picture's size and fps deserve; no stream gets more."""

    bps: int


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The deadline came."""


LayerEvent: TypeAlias = ViewerJoined | ViewerLeft | ViewerRate | CeilingChanged | DeadlinePassed


@dataclass(frozen=True, slots=True)
class MoveViewer:
    """Send this layer to the viewer from now on, starting with a key frame."""

    viewer: int
    layer: QualityLayer


@dataclass(frozen=True, slots=True)
class SetRate:
    """Encode this layer at this rate from now on."""

    layer: QualityLayer
    bps: int


LayerEffect: TypeAlias = MoveViewer | SetRate


@dataclass(slots=True)
class _Viewer:
    layer: QualityLayer = QualityLayer.MAIN
    bps: int | None = None  # unknown until heard; a recorder never says
    crossed_at: float | None = None  # since when its rate is the other layer's


class QualityLayers:
    """The layers of one video track."""

    def __init__(self, ceiling: int) -> None:
        self._ceiling = ceiling
        self._viewers: dict[int, _Viewer] = {}
        self._rates = {QualityLayer.MAIN: FollowedRate(ceiling), QualityLayer.LOW: FollowedRate(LOW_BPS[1])}

    def deadline(self) -> float | None:
        """Return the time to deliver `DeadlinePassed`; None while nothing is pending."""
        times = [
            viewer.crossed_at + _patience(viewer) for viewer in self._viewers.values() if viewer.crossed_at is not None
        ]
        times += [at for rate in self._rates.values() if (at := rate.deadline()) is not None]
        return min(times, default=None)

    def bearable(self, layer: QualityLayer) -> float:
        """Bits a second that the ways to this layer's viewers take: above its rate, where the ways are better.

        Who is about to move to the low layer does not count. Above the rate by what `FollowedRate` does not follow, so
        that an encoder that keeps to its rate is never held.
        """
        threshold = self._threshold()
        heard = [
            viewer.bps
            for viewer in self._viewers.values()
            if viewer.layer is layer
            and viewer.bps is not None
            and (layer is QualityLayer.LOW or viewer.bps >= threshold)
        ]
        return max(min(heard, default=self._ceiling), FLOOR) / FALL_BELOW

    def handle(self, event: LayerEvent, now: float) -> list[LayerEffect]:
        """Return what changes, in order; events of viewers who are not there are ignored (they left meanwhile)."""
        effects = list[LayerEffect]()
        match event:
            case ViewerJoined(viewer):
                self._viewers.setdefault(viewer, _Viewer())
            case ViewerLeft(viewer):
                self._viewers.pop(viewer, None)
            case ViewerRate(viewer, bps):
                if viewer in self._viewers:
                    self._viewers[viewer].bps = bps
            case CeilingChanged(bps):
                effects += self._set_ceiling(bps)
            case DeadlinePassed():
                pass
        effects += self._move(now)
        effects += self._follow(QualityLayer.MAIN, self._main_target(), now)
        effects += self._follow(QualityLayer.LOW, self._low_target(), now)
        return effects

    def _set_ceiling(self, bps: int) -> list[LayerEffect]:
        if bps == self._ceiling:
            return []
        self._ceiling = bps
        self._rates[QualityLayer.MAIN] = FollowedRate(self._main_target())
        return [SetRate(QualityLayer.MAIN, self._rates[QualityLayer.MAIN].bps)]

    def _known(self, layer: QualityLayer | None = None) -> list[int]:
        """Rates heard, of one layer's viewers or of all; above the ceiling all are equal."""
        viewers = self._viewers.values()
        return [
            min(viewer.bps, self._ceiling)
            for viewer in viewers
            if viewer.bps is not None and layer in (None, viewer.layer)
        ]

    def _threshold(self) -> float:
        return SHARE * max(self._known(), default=0)

    def _move(self, now: float) -> list[LayerEffect]:
        effects, threshold = list[LayerEffect](), self._threshold()
        for number, viewer in self._viewers.items():
            fits = QualityLayer.MAIN if viewer.bps is None or viewer.bps >= threshold else QualityLayer.LOW
            if fits is viewer.layer:
                viewer.crossed_at = None
            elif viewer.crossed_at is None:
                viewer.crossed_at = now
            elif now >= viewer.crossed_at + _patience(viewer):
                viewer.layer, viewer.crossed_at = fits, None
                effects.append(MoveViewer(number, fits))
                effects += self._first_on_low()
        return effects

    def _first_on_low(self) -> list[LayerEffect]:
        """Begin the low layer at the rate of its first viewer, without waiting to follow."""
        if sum(viewer.layer is QualityLayer.LOW for viewer in self._viewers.values()) != 1:
            return []
        self._rates[QualityLayer.LOW] = FollowedRate(self._low_target())
        return [SetRate(QualityLayer.LOW, self._rates[QualityLayer.LOW].bps)]

    def _main_target(self) -> int:
        target = max(self._threshold(), min(self._known(QualityLayer.MAIN), default=self._ceiling), FLOOR)
        return min(round(target), self._ceiling)

    def _low_target(self) -> int:
        floor, ceiling = LOW_BPS
        return max(floor, min([*self._known(QualityLayer.LOW), ceiling]))

    def _follow(self, layer: QualityLayer, target: int, now: float) -> list[LayerEffect]:
        return [SetRate(layer, target)] if self._rates[layer].aim(target, now) else []


def _patience(viewer: _Viewer) -> float:
    return DOWN_AFTER if viewer.layer is QualityLayer.MAIN else UP_AFTER
