"""Files of Sessions that are over: erased in the end, whatever was away when they ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl

import pytest

from livereactor.base.errors import NotFoundError, UnavailableError
from livereactor.base.limits import Limits
from livereactor.blobs.pieces import LEAST
from livereactor.blobs.port import BlobKey, BlobMissingError
from livereactor.blobs.signing import Grant, Signer
from livereactor.coordinator import uploads as module
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.coordinator.service import Service
from livereactor.coordinator.uploads import Uploads
from livereactor.coordinator.worker_sockets import WorkerSockets
from livereactor.store.memory.store import MemoryStore
from livereactor.store.port import Tx
from tests.contract.store import records as r
from tests.tools.memory_blobs import MemoryBlobs

KEY = BlobKey.parse("sessions/ses_1/abc/content")


class AwayBlobs(MemoryBlobs):
    """Erases nothing until its disk is back."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away, self.asked, self.erased = True, asyncio.Event(), asyncio.Event()

    async def delete_prefix(self, prefix: BlobKey) -> None:
        self.asked.set()
        if self.is_away:
            raise UnavailableError("the disk is away")
        await super().delete_prefix(prefix)
        self.erased.set()


async def bytes_of_it() -> AsyncIterator[bytes]:
    yield b"12345"


@pytest.mark.parametrize("is_pruned", [False, True], ids=["its session is over", "its session is forgotten"])
async def test_what_could_not_be_erased_at_once_is_erased_later(
    monkeypatch: pytest.MonkeyPatch, *, is_pruned: bool
) -> None:
    monkeypatch.setattr(module, "ERASE_INTERVAL", 0.05)
    store, blobs = MemoryStore(), AwayBlobs()

    def fill(tx: Tx) -> None:
        tx.add_session(r.closed("ses_1", ended_us=1))
        tx.add_session(r.running("ses_2"))
        tx.put_upload(r.upload("upl_1", "ses_1", key=KEY.path, landed=True))
        tx.put_upload(r.upload("upl_2", "ses_2"))
        if is_pruned:
            tx.prune(before_us=10, events_before_us=10)

    await store.transact(fill)
    await blobs.put(KEY, bytes_of_it())
    clock = time.time_ns
    service = Service(store, WorkerSockets(), CoordinatorOptions(), unix_us=lambda: clock() // 1000)
    uploads = Uploads(service, store, blobs, Signer(b"k" * 32), Limits(), unix_us=lambda: clock() // 1000)
    await uploads.start()
    try:
        async with asyncio.timeout(20):
            await blobs.asked.wait()
            blobs.is_away = False
            while await store.read(lambda tx: tx.upload("upl_1")) is not None:  # noqa: ASYNC110  no event tells of it
                await asyncio.sleep(0.01)
    finally:
        await uploads.aclose()
    with pytest.raises(BlobMissingError):
        await blobs.size(KEY)
    assert await store.read(lambda tx: tx.upload("upl_2")) is not None, "its session goes on"


async def test_what_is_half_written_when_its_url_is_long_over_is_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ERASE_INTERVAL", 0.05)
    store, blobs, life = MemoryStore(), AwayBlobs(), Limits().upload_url_lifetime
    now_us = 10_000_000_000
    over_us = now_us - int(2e6 * life)
    kept = BlobKey.parse("sessions/ses_2/def/content")

    def fill(tx: Tx) -> None:
        tx.add_session(r.running("ses_1"))
        tx.put_upload(r.upload("upl_1", key=KEY.path, expires_us=over_us - 1))
        tx.put_upload(r.upload("upl_2", key=kept.path, expires_us=over_us + 1))

    await store.transact(fill)
    for key in (KEY, kept):
        await blobs.put(key, b"123")
    service = Service(store, WorkerSockets(), CoordinatorOptions(), unix_us=lambda: now_us)
    uploads = Uploads(service, store, blobs, Signer(b"k" * 32), Limits(), unix_us=lambda: now_us)
    await uploads.start()
    try:
        async with asyncio.timeout(20):
            await blobs.asked.wait()
            blobs.is_away = False
            await blobs.erased.wait()
    finally:
        await uploads.aclose()
    with pytest.raises(BlobMissingError):
        await blobs.size(KEY)
    assert await blobs.size(kept) == 3, "a request that began in time may still write it"


async def test_what_comes_in_while_its_session_ends_is_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ERASE_INTERVAL", 0.05)
    store, blobs, signer = MemoryStore(), AwayBlobs(), Signer(b"k" * 32)
    blobs.is_away = False
    slot = r.upload("upl_1", key=KEY.path, size_bytes=4 * LEAST, expires_us=10_000_000_000)

    def fill(tx: Tx) -> None:
        tx.add_session(r.running("ses_1"))
        tx.put_upload(slot)

    await store.transact(fill)
    service = Service(store, WorkerSockets(), CoordinatorOptions(), unix_us=lambda: 1)
    uploads = Uploads(service, store, blobs, signer, Limits(), unix_us=lambda: 1)
    size = slot.size_bytes
    query = dict(parse_qsl(signer.sign(Grant("PUT", KEY, 10_000, max_bytes=size, exact_bytes=size))))

    async def arriving() -> AsyncIterator[bytes]:
        yield bytes(LEAST)
        await store.transact(lambda tx: tx.put_session(r.closed("ses_1")))
        await asyncio.wait_for(blobs.erased.wait(), 20)
        yield bytes(LEAST)

    await uploads.start()
    try:
        with pytest.raises(NotFoundError, match="has ended"):
            await uploads.append("upl_1", query, arriving(), offset=0)
    finally:
        await uploads.aclose()
    assert [entry async for entry in blobs.list(BlobKey.parse("sessions"))] == []
