"""Publisher slots: who may send on which input Track (protocol 5.9). Pure.

One holder per Track and Session, first come first served; a holder that asks again is refused like anybody else.
"""

from __future__ import annotations

from collections.abc import Iterable


class Publishing:
    """The slots of a Session's input Tracks."""

    def __init__(self, tracks: Iterable[str]) -> None:
        self._holders: dict[str, int | None] = dict.fromkeys(tracks)

    def knows(self, track: str) -> bool:
        """True for the name of an input Track."""
        return track in self._holders

    def holder(self, track: str) -> int | None:
        """The Connection that may send, None = the slot is free."""
        return self._holders.get(track)

    def claim(self, connection: int, track: str) -> bool:
        """Take a free slot; False when it is held, by whomever, or unknown."""
        if track not in self._holders or self._holders[track] is not None:
            return False
        self._holders[track] = connection
        return True

    def release(self, connection: int, track: str) -> bool:
        """Give a slot back; False for one who does not hold it."""
        if self._holders.get(track) != connection:
            return False
        self._holders[track] = None
        return True

    def held_by(self, connection: int) -> list[str]:
        """The Tracks a Connection holds, in declaration order."""
        return [track for track, holder in self._holders.items() if holder == connection]
