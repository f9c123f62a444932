"""The queue of one viewer: a ring of encoded frames and a cursor. Pure: `now` is passed in, no IO, no lock.

Two sides meet here. The output's thread offers Frames; libwebrtc's encoder asks to be served, but not once per Frame:
after a blackout it drops every second request (measured), so a request is a chance, not an order,
and what is served is decided here:

- the newest key Frame that was not served yet, however late, else the Frame after the last one served;
- nothing that the viewer cannot decode: deltas are held back from a loss or a wish until a key Frame;
- never far behind: past `MAX_LAG` Frames the rest is given up and a key Frame wished for.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from livereactor.media.frames import EncodedFrame

MAX_LAG: Final = 12  # Frames behind the newest; more is a delay people see, so a key Frame is cheaper
WISH_INTERVAL: Final = 1.0  # seconds between a viewer's wishes for a key Frame: each costs all viewers one
WATCH_AFTER_GAP: Final = 1.0  # seconds for which a viewer with a gap gets extra requests


class Feed:
    """The Frames of one viewer, between its output's thread and its encoder's."""

    def __init__(self) -> None:
        self._ring: deque[tuple[int, EncodedFrame]] = deque()  # not served yet: at most MAX_LAG + 1
        self._newest = 0  # place of the newest Frame offered; places count from 1
        self._cursor = 0  # place of the last Frame served
        self._last: EncodedFrame | None = None  # the newest Frame offered
        self._starved = True  # the viewer can go on with a key Frame only, and there is none in the ring
        self._key_due = False  # the viewer asked for a key Frame and was not served one since
        self._wished_at: float | None = None
        self._gap_at: float | None = None

    @property
    def newest(self) -> int:
        return self._newest

    @property
    def next_frame(self) -> EncodedFrame | None:
        """Return the frame that a request would serve now, or None."""
        found = self._choose()
        return None if found is None else found[1]

    def offer(self, frame: EncodedFrame, now: float) -> int | None:
        """Take a Frame in; its place, or None when the viewer could not decode it and it was dropped."""
        if not frame.key and not self._continues(frame):
            self._starve()
        self._last = frame
        if self._starved and not frame.key:
            return None
        if self._newest - self._cursor > MAX_LAG:
            self._starve()
            if not frame.key:
                return None
        if self._cursor < self._newest:  # the request for the Frame before this one was dropped, or is about to come
            self._gap_at = now
        self._newest += 1
        self._starved = False
        self._ring.append((self._newest, frame))
        return self._newest

    def serve(self, number: int, *, key_wanted: bool, now: float) -> EncodedFrame | None:
        """The Frame for one request of the encoder, or None when there is nothing it may have.

        Args:
            number: the place named by the request: how far this viewer could be.
            key_wanted: the receiver asked for a key Frame since the last request.
            now: monotonic seconds.
        """
        if key_wanted:
            self._key_due = True
        if number > self._cursor + 1:
            self._gap_at = now
        found = self._choose()
        if found is None:
            if self._key_due:
                self._starve()
            return None
        self._cursor, frame = found
        while self._ring and self._ring[0][0] <= self._cursor:
            self._ring.popleft()
        if frame.key:
            self._key_due = False
        return frame

    def want_key(self) -> None:
        """The receiver cannot go on, or has just come."""
        self._key_due = True
        if not any(frame.key for _, frame in self._ring):
            self._starve()

    def take_key_request(self, now: float) -> bool:
        """Whether to ask for a key Frame now; at most once in `WISH_INTERVAL`."""
        if not self._starved or (self._wished_at is not None and now - self._wished_at < WISH_INTERVAL):
            return False
        self._wished_at = now
        return True

    def is_watched(self, now: float) -> bool:
        """Whether requests may be getting lost, so that extra ones are worth their cost."""
        return self._gap_at is not None and now - self._gap_at < WATCH_AFTER_GAP

    def _continues(self, frame: EncodedFrame) -> bool:
        last = self._last
        return (
            last is not None
            and frame.number == last.number + 1
            and (frame.width, frame.height, frame.codec) == (last.width, last.height, last.codec)
        )

    def _starve(self) -> None:
        self._starved = True
        self._ring.clear()
        self._cursor = self._newest

    def _choose(self) -> tuple[int, EncodedFrame] | None:
        for entry in reversed(self._ring):
            if entry[1].key:
                return entry
        return self._ring[0] if self._ring and not self._key_due else None
