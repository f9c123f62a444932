"""The clock of a recording: seconds of play-out, which stand still while no step may run. Pure: moments come in."""

from __future__ import annotations

import threading
from typing import Final

# A chunk that was made plays to its end though nobody watches any more: the clock goes on with it so long.
PLAYS_ON: Final = 2.0


class MediaClock:
    """A clock that turns monotonic seconds into seconds of the recording, 0 being its first picture. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = False
        self._running = False
        self._elapsed = 0.0  # at the anchor
        self._anchor = 0.0  # when it began, or last started or stopped

    @property
    def has_begun(self) -> bool:
        """The first picture has been shown."""
        with self._lock:
            return self._began

    @property
    def is_running(self) -> bool:
        """The recording has begun, and steps may run."""
        with self._lock:
            return self._began and self._running

    def begin(self, at: float) -> None:
        """The first picture is shown at this moment."""
        with self._lock:
            self._began, self._anchor = True, at

    def run(self, running: bool, now: float) -> None:
        """Steps may run from now on, or not."""
        with self._lock:
            if running == self._running:
                return
            if self._began:
                self._elapsed, self._anchor = self._at(now), max(now, self._anchor)
            self._running = running

    def carry(self, at: float) -> None:
        """A picture was shown though the clock stands."""
        with self._lock:
            if self._began and not self._running and at > self._anchor:
                self._elapsed += at - self._anchor if at - self._anchor <= PLAYS_ON else 0.0
                self._anchor = at

    def at(self, moment: float) -> float:
        """Seconds of the recording at this moment, which may lie a little before the last change; from 0 up."""
        with self._lock:
            return self._at(moment)

    def _at(self, moment: float) -> float:
        if not self._began:
            return 0.0
        passed = moment - self._anchor
        return max(0.0, self._elapsed + (max(0.0, passed) if self._running else min(0.0, passed)))
