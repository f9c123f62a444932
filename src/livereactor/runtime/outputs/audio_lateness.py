"""How much of the sound that waits has missed its time (behaviour 27). Pure: `now` comes in.

A model that makes sound by the clock gives after a stall, at once, all that belonged to the stall. That time has passed
in silence: played whole, it would keep everything after it behind its picture for good. A model that speaks ahead gives
as much at once, and all of it is wanted. Their pace tells the two apart: what came in step with the clock all the time,
and yet leaves more waiting than before, is what silence was played for.
"""

from __future__ import annotations

from collections import deque
from typing import Final

IN_STEP: Final = 0.1  # seconds that sound may be off the clock, as steps come early and late
SURE: Final = 20  # bits in step, after which a model is taken to go by the clock
LAGGING: Final = 3  # bits in a row that may lag; a model that read the clock before the stall makes up for it in one
UNNOTICED: Final = 0.06  # seconds; so far behind its picture sound may be (EBU R 37)


class SoundLateness:
    """What came since the model began to go by the clock, and what waited then."""

    def __init__(self) -> None:
        self._began: float | None = None  # None = with the next bit
        self._given = self._waiting = 0.0  # seconds of sound: since it began; that waited then
        self._in_step = self._lagging = 0  # bits
        self._recent = deque[float]([0.0], maxlen=SURE)  # seconds of each bit

    def pushed(self, seconds: float, *, waiting: float, now: float) -> float:
        """So much sound came, and so much waits with it; how many seconds of that are late."""
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
