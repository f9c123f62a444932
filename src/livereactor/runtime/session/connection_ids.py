"""ConnectionIds of a Session's Connections, and whose each of them is. Pure.

A coordinator marks every request with who asks; whoever came by another share link must not read or replace what the
owner has negotiated. A stand-alone runtime knows no callers: everybody is "", as behind one key.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import cycle
from typing import Final

from livereactor.base.errors import ConflictError, PeerError

FLAT_CONNECTION: Final = 1001  # the implicit Connection of old clients (protocol 1.12)
FIRST_MINTED, LAST_CONNECTION = 5000, 9999  # 1002 to 4999 are left to callers


class ConnectionIds:
    """Those of the Session that runs.

    A number that was minted is its caller's until the Session ends, so that he can come back on it; one that a client
    chose by itself, or the flat one, is his while he is there.
    """

    def __init__(self) -> None:
        self._next = cycle(range(FIRST_MINTED, LAST_CONNECTION + 1))
        self._minted: set[int] = set()
        self._callers: dict[int, str] = {}

    def forget(self) -> None:
        """Another Session begins."""
        self._minted.clear()
        self._callers.clear()

    def mint(self, caller: str, there: Collection[int]) -> int:
        """A fresh number for the caller, beside those that are there."""
        number = next(number for number in self._next if number not in there)
        self._minted.add(number)
        self._callers[number] = caller
        return number

    def is_minted(self, number: int) -> bool:
        """It was given out in this Session."""
        return number in self._minted

    def claim(self, number: int, caller: str) -> None:
        """The caller's offer was taken: he is there."""
        self._callers[number] = caller

    def check(self, number: int, caller: str, there: Collection[int]) -> None:
        """Whether the caller may use a number.

        Args:
            there: numbers of the Connections that there are.

        Raises:
            PeerError: it is none.
            ConflictError: it is somebody else's.
        """
        if not FLAT_CONNECTION <= number <= LAST_CONNECTION:
            raise PeerError(f"a connection id is {FLAT_CONNECTION} to {LAST_CONNECTION}; POST …/connections gives one")
        if (number in self._minted or number in there) and self._callers.get(number, caller) != caller:
            raise ConflictError(f"connection {number} is another client's; POST …/connections gives one of your own")
