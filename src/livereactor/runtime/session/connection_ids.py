"""The ids of a Session's Connections, and the client that each belongs to. Pure.

A coordinator marks every request with its caller: a client with another share link must not read or replace what the
owner has negotiated. A stand-alone runtime does not tell callers apart: all are "", as behind one key.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import cycle
from typing import Final

from livereactor.base.errors import ConflictError, PeerError

FLAT_CONNECTION: Final = 1001  # the implicit Connection of old clients
FIRST_MINTED, LAST_CONNECTION = 5000, 9999  # 1002 to 4999 are left to callers


class ConnectionIds:
    """The connection ids of the Session that runs.

    A minted id belongs to its caller until the Session ends, so that the caller can return on it. An id that a client
    chose by itself, and the flat one, belong to a client while it is connected.
    """

    def __init__(self) -> None:
        self._next = cycle(range(FIRST_MINTED, LAST_CONNECTION + 1))
        self._minted: set[int] = set()
        self._callers: dict[int, str] = {}

    def forget(self) -> None:
        """Forget all ids: another Session begins."""
        self._minted.clear()
        self._callers.clear()

    def mint(self, caller: str, there: Collection[int]) -> int:
        """Return a fresh id for the caller, beside those that are `there`."""
        number = next(number for number in self._next if number not in there)
        self._minted.add(number)
        self._callers[number] = caller
        return number

    def is_minted(self, number: int) -> bool:
        """Return whether the id was given out in this Session."""
        return number in self._minted

    def claim(self, number: int, caller: str) -> None:
        """Give the id to the caller, whose offer was accepted."""
        self._callers[number] = caller

    def check(self, number: int, caller: str, there: Collection[int]) -> None:
        """Check that the caller may use an id.

        Args:
            there: ids of the present Connections.

        Raises:
            PeerError: not an id that a Connection can have.
            ConflictError: the id belongs to another client.
        """
        if not FLAT_CONNECTION <= number <= LAST_CONNECTION:
            raise PeerError(f"a connection id is {FLAT_CONNECTION} to {LAST_CONNECTION}; POST …/connections gives one")
        if (number in self._minted or number in there) and self._callers.get(number, caller) != caller:
            raise ConflictError(f"connection {number} is another client's; POST …/connections gives one of your own")
