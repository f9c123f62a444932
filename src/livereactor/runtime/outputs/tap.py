"""The queue between the Outputs and the recording's thread. Putting into it never waits.

The queue holds a second. Items that arrive while it is full are dropped and counted, so that a slow encoder or disk
costs the recording and never the stream.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from livereactor.media.frames import EncodedFrame, Pixels, Samples

LONGEST: Final = 1.0  # seconds that may wait
MOST_BYTES: Final = 64 * 1024 * 1024  # of pictures that wait: a second of 720p at 24 fps


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A picture as it left.

    Attributes:
        at: when it was to be seen, monotonic seconds.
        pixels: nobody writes into it any more.
        fps: pictures a second to expect.
        encoded: as viewers got it in H.264 at full size; None where none of them did.
    """

    at: float
    pixels: Pixels
    fps: float
    encoded: EncodedFrame | None


@dataclass(frozen=True, slots=True)
class PlayedSound:
    """Sound as it left: samples int16, shape (samples, channels), the first of them heard `at`, monotonic seconds."""

    at: float
    samples: Samples


Job: TypeAlias = Callable[[], None]
Item: TypeAlias = ShownPicture | PlayedSound | Job


class Tap:
    """A bounded queue; any thread puts in, one takes out.

    Attributes:
        wants_key: the next picture that is encoded for viewers should be a key frame; set by who takes out.
        dropped: pictures and blocks of sound that found no room.
    """

    def __init__(self) -> None:
        self.wants_key = False
        self.dropped = 0
        self._changed = threading.Condition(threading.Lock())
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._closed = False

    def show(self, shown: ShownPicture) -> None:
        """A picture was shown; on its output's thread."""
        with self._changed:
            if self._closed or self._is_full(shown.at) or self._bytes + shown.pixels.nbytes > MOST_BYTES:
                self.dropped += not self._closed
                return
            self._bytes += shown.pixels.nbytes
            self._put(shown)

    def play(self, played: PlayedSound) -> None:
        """Sound was played; on its output's thread."""
        with self._changed:
            if self._closed or self._is_full(played.at):
                self.dropped += not self._closed
                return
            self._put(played)

    def do(self, job: Job) -> None:
        """Run it on the recording's thread, behind what was shown and played before; jobs always find room."""
        with self._changed:
            self._put(job)

    def get(self, timeout: float | None) -> Item | None:
        """The next item; None = nothing came within `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items), timeout)
            if not self._items:
                return None
            item = self._items.popleft()
            if isinstance(item, ShownPicture):
                self._bytes -= item.pixels.nbytes
            return item

    def close(self) -> None:
        """Take no more pictures and sound; jobs still run."""
        with self._changed:
            self._closed = True

    def _is_full(self, at: float) -> bool:
        oldest = next((item.at for item in self._items if isinstance(item, ShownPicture | PlayedSound)), at)
        return at - oldest > LONGEST

    def _put(self, item: Item) -> None:
        self._items.append(item)
        self._changed.notify()
