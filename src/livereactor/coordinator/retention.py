"""Retention on a coordinator: one replica at a time does it, and the store knows which Sessions run."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from livereactor.blobs.port import Blobs
from livereactor.blobs.retention import Rules
from livereactor.blobs.retention_loop import EVERY, RetentionLoop
from livereactor.store.port import Store, Tx
from livereactor.store.records import SessionState

ROLE: Final = "keeper"
LEADS_FOR: Final = 2 * EVERY  # seconds; another replica takes over so long after the last round


def retention_of(store: Store, blobs: Blobs, rules: Rules, *, unix_us: Callable[[], int]) -> RetentionLoop:
    """Return the retention loop of a coordinator's blobs.

    Args:
        unix_us: the clock, microseconds of Unix time.
    """
    holder = secrets.token_hex(8)

    def lead(tx: Tx) -> bool:
        now_us = unix_us()
        return tx.lead(ROLE, holder, now_us=now_us, until_us=now_us + round(LEADS_FOR * 1e6))

    async def leads() -> bool:
        return await store.transact(lead)

    async def is_open(session: str) -> bool:
        record = await store.read(lambda tx: tx.session(session))
        return record is not None and record.state is not SessionState.CLOSED

    return RetentionLoop(blobs, rules, is_open=is_open, leads=leads, now=lambda: unix_us() / 1e6)
