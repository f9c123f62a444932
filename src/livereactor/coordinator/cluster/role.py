"""One of several coordinators does this, and the others stand by: a term in the database, renewed by its holder.

What is done in a role is decided in transactions that ask for it, so one who was frozen, wakes up and still takes
itself for the holder changes nothing any more.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress

from livereactor.store.port import Store, StoreUnavailableError, Tx


class Role:
    """One coordinator's candidature.

    Args:
        name: of the role.
        lasts: seconds; another takes over so long after the holder's last word.
        holder: this coordinator's name among those who stand for it.
        unix_us: the clock, microseconds of Unix time.
    """

    def __init__(self, name: str, *, lasts: float, unix_us: Callable[[], int], holder: str | None = None) -> None:
        self._name, self._lasts_us, self._unix_us = name, round(lasts * 1e6), unix_us
        self._holder = holder or secrets.token_hex(8)

    def is_held(self, tx: Tx) -> bool:
        """It is ours, from now on for another term; False while it is another's."""
        now_us = self._unix_us()
        return tx.lead(self._name, self._holder, now_us=now_us, until_us=now_us + self._lasts_us)

    async def release(self, store: Store) -> None:
        """Let the next one begin at once; nothing happens where it is not ours, or the store is away."""
        with suppress(StoreUnavailableError):
            await store.transact(self._end)

    def _end(self, tx: Tx) -> None:
        if self.is_held(tx):
            now_us = self._unix_us()
            tx.lead(self._name, self._holder, now_us=now_us, until_us=now_us)
