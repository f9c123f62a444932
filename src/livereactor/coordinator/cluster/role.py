"""A role that one of several coordinators has while the others stand by: a term in the database, which it renews.

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
        lasts: seconds after the holder's last renewal until another may take over.
        holder: this coordinator's name among those who stand for it.
        unix_us: the clock, microseconds of Unix time.
    """

    def __init__(self, name: str, *, lasts: float, unix_us: Callable[[], int], holder: str | None = None) -> None:
        self._name, self._lasts_us, self._unix_us = name, round(lasts * 1e6), unix_us
        self._holder = holder or secrets.token_hex(8)

    def is_held(self, tx: Tx) -> bool:
        """Take or renew the role for another term from now; False while another coordinator holds it."""
        now_us = self._unix_us()
        return tx.lead(self._name, self._holder, now_us=now_us, until_us=now_us + self._lasts_us)

    async def release(self, store: Store) -> None:
        """Give up the role, so that another can take it at once; nothing happens while the store is away."""
        with suppress(StoreUnavailableError):
            await store.transact(self._end)

    def _end(self, tx: Tx) -> None:
        if self.is_held(tx):
            now_us = self._unix_us()
            tx.lead(self._name, self._holder, now_us=now_us, until_us=now_us)
