"""Which coordinator looks after recordings, and which Sessions it takes for running."""

from __future__ import annotations

import json

from livereactor.blobs.port import BlobKey
from livereactor.blobs.retention import EVERY, HOUR, RetentionLoop, Rules
from livereactor.coordinator.sweeper import RETENTION_TERM, retention_of
from livereactor.store.memory.store import MemoryStore
from livereactor.store.port import Tx
from tests.contract.store import records as r
from tests.tools.memory_blobs import MemoryBlobs


class Clock:
    now = 1_000_000.0

    def unix_us(self) -> int:
        return round(self.now * 1e6)


def keeper(store: MemoryStore, blobs: MemoryBlobs, clock: Clock, *, max_bytes: int = 100) -> RetentionLoop:
    return retention_of(store, blobs, Rules(24 * HOUR, max_bytes), unix_us=clock.unix_us)


async def record(blobs: MemoryBlobs, session: str) -> None:
    """A recording that its worker did not end."""
    folder = f"recordings/of-{session}"
    await blobs.put(BlobKey(f"{folder}/recording.json"), json.dumps({"session": session}).encode())
    await blobs.put(BlobKey(f"{folder}/chunk_00000.m4s"), bytes(200))


async def test_recordings_of_sessions_that_run_stay_and_of_those_that_are_over_or_unknown_go() -> None:
    clock, store = Clock(), MemoryStore()
    blobs = MemoryBlobs(lambda: clock.now)

    def fill(tx: Tx) -> None:
        tx.add_session(r.closed("ses_over", ended_us=1))
        tx.add_session(r.running("ses_runs"))

    await store.transact(fill)
    for session in ("ses_over", "ses_runs", "ses_pruned"):
        await record(blobs, session)
    clock.now += 2 * HOUR
    await keeper(store, blobs, clock).round()
    assert {entry.key.path.split("/")[1] async for entry in blobs.list(BlobKey("recordings"))} == {"of-ses_runs"}


async def test_one_of_two_coordinators_looks_and_the_other_follows_when_it_is_gone() -> None:
    clock, store = Clock(), MemoryStore()
    one, other = (keeper(store, MemoryBlobs(), clock) for _ in range(2))
    assert await one.leads()
    assert not await other.leads()
    clock.now += EVERY
    assert await one.leads()
    clock.now += RETENTION_TERM - 1
    assert not await other.leads()
    clock.now += 2
    assert await other.leads()
    assert not await one.leads()
