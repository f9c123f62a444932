"""Requests for key frames, and when one is made for them. Pure: `now` is passed in.

A key frame costs every viewer of the stream bits, so requests are bounded: one a second for all of them together; for
viewers who join, and have no picture until then, four a second. A recording that takes the stream over begins a Segment
each second; what it asks for is bounded apart, or a viewer who lost a picture would always wait for its turn. One key
frame fulfils all that are waiting.
"""

from __future__ import annotations

from collections import deque
from typing import Final

REQUEST_INTERVAL: Final = 1.0
JOINS_A_SECOND: Final = 4
RECORD_INTERVAL: Final = 0.9  # seconds; a little less than a Segment, so that none is missed by a hair


class KeyFrameRequests:
    """The requests for key frames of one encoded stream."""

    def __init__(self) -> None:
        self._requested = False
        self._joined = False
        self._last_request = float("-inf")  # when the last key frame for a request was granted
        self._recorded = float("-inf")  # and for a recording
        self._joins: deque[float] = deque(maxlen=JOINS_A_SECOND)  # when the last ones for a join were

    def request(self) -> None:
        """A viewer cannot go on without a key frame."""
        self._requested = True

    def request_for_join(self) -> None:
        """A viewer starts."""
        self._joined = True

    def deadline(self) -> float | None:
        """Return when the next key frame may be made, or None without a request."""
        times = list[float]()
        if self._requested:
            times.append(self._last_request + REQUEST_INTERVAL)
        if self._joined:
            times.append(self._joins[0] + 1.0 if len(self._joins) == JOINS_A_SECOND else float("-inf"))
        return min(times, default=None)

    def grant(self, now: float) -> bool:
        """Whether the Frame encoded now is to be a key frame; if so all requests are fulfilled by it."""
        at = self.deadline()
        if at is None or at > now:
            return False
        if self._joined and (len(self._joins) < JOINS_A_SECOND or self._joins[0] + 1.0 <= now):
            self._joins.append(now)
        else:
            self._last_request = now
        self._requested = self._joined = False
        return True

    def grant_recording(self, now: float) -> bool:
        """Whether the Frame encoded now is to be a key frame because a recording asks; if so, all are served by it."""
        if now < self._recorded + RECORD_INTERVAL:
            return False
        self._recorded = now
        self._requested = self._joined = False
        return True
