"""The retention loop at work on blobs in memory, with a clock turned by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from livereactor.blobs import retention as module
from livereactor.blobs.port import BlobEntry, BlobKey, BlobsUnavailableError
from livereactor.blobs.retention import HOUR, RetentionLoop, Rules, always, may_record
from tests.tools.memory_blobs import MemoryBlobs


class House:
    """Blobs, their retention, and the Sessions that run."""

    def __init__(self, max_bytes: int = 1_000) -> None:
        self.now = 1_000_000.0
        self.open: set[str] = set()
        self.asked: list[str] = []
        self.blobs = MemoryBlobs(lambda: self.now)
        self.retention = self.another(Rules(24 * HOUR, max_bytes))

    def another(self, rules: Rules) -> RetentionLoop:
        return RetentionLoop(self.blobs, rules, is_open=self.is_open, leads=always, now=lambda: self.now)

    async def is_open(self, session: str) -> bool:
        self.asked.append(session)
        return session in self.open

    async def record(self, name: str, size_bytes: int, *, session: str = "s", ended: bool = True) -> None:
        await self.put(f"recordings/{name}/recording.json", json.dumps({"session": session}).encode())
        await self.put(f"recordings/{name}/chunk_00000.m4s", bytes(size_bytes))
        if ended:
            await self.put(f"recordings/{name}/end.json")

    async def put(self, path: str, data: bytes = b"") -> None:
        await self.blobs.put(BlobKey.parse(path), data)

    async def there(self, prefix: str) -> set[str]:
        return {entry.key.path.split("/")[1] async for entry in self.blobs.list(BlobKey(prefix))}


async def test_an_old_recording_is_removed_whole() -> None:
    house = House()
    await house.record("old", 10)
    house.now += 25 * HOUR
    await house.record("new", 10)
    await house.retention.round()
    assert await house.there("recordings") == {"new"}


async def test_while_there_is_no_room_nothing_new_is_recorded_and_then_it_is_again() -> None:
    house = House(max_bytes=100)
    assert await may_record(house.blobs)
    await house.record("runs", 200, session="open", ended=False)
    for _ in range(2):
        await house.retention.round()
        assert not await may_record(house.blobs)
    await house.put("recordings/runs/end.json")
    await house.retention.round()
    assert await house.there("recordings") == set()
    assert await may_record(house.blobs)


async def test_a_quiet_recording_is_kept_while_its_session_runs_and_only_then() -> None:
    house = House(max_bytes=100)
    house.open.add("open")
    await house.record("paused", 200, session="open", ended=False)
    await house.record("killed", 200, session="gone", ended=False)
    await house.put("recordings/headless/chunk_00000.m4s", bytes(200))
    house.now += 2 * HOUR
    await house.retention.round()
    assert sorted(house.asked) == ["gone", "open"]
    assert await house.there("recordings") == {"paused"}


async def test_a_recording_with_a_broken_head_is_nobodys() -> None:
    for head in (b"", b"[]", b"{}", b"\xff"):
        house = House(max_bytes=100)
        await house.put("recordings/broken/recording.json", head)
        await house.put("recordings/broken/chunk_00000.m4s", bytes(200))
        house.now += 2 * HOUR
        await house.retention.round()
        assert await house.there("recordings") == set()


async def test_uploads_of_a_session_that_nobody_knows_go_and_those_of_an_open_one_stay() -> None:
    house = House()
    house.open.add("open")
    for session in ("open", "gone"):
        await house.put(f"sessions/{session}/1234/content", b"x")
    house.now += 25 * HOUR
    await house.retention.round()
    assert await house.there("sessions") == {"open"}


async def test_two_loops_at_once_remove_what_one_would() -> None:
    house = House(max_bytes=150)
    for n in range(3):
        await house.record(f"r{n}", 100)
        house.now += 1
    other = house.another(Rules(24 * HOUR, 150))
    await house.retention.round()
    await other.round()
    assert await house.there("recordings") == {"r2"}


class Away(MemoryBlobs):
    """A store that is away as long as it is told to be."""

    is_away = True

    async def list(self, prefix: BlobKey) -> AsyncIterator[BlobEntry]:
        if self.is_away:
            raise BlobsUnavailableError("files cannot be stored or read now")
        async for entry in super().list(prefix):
            yield entry

    async def size(self, key: BlobKey) -> int:
        if self.is_away:
            raise BlobsUnavailableError("files cannot be stored or read now")
        return await super().size(key)


async def test_a_store_that_is_away_is_looked_at_again() -> None:
    house = House()
    house.blobs = Away(lambda: house.now)
    retention = house.another(Rules(24 * HOUR, 100))
    await house.record("old", 10)
    house.now += 25 * HOUR
    with pytest.raises(BlobsUnavailableError):
        await retention.round()
    assert await may_record(house.blobs)  # nobody knows; the recorder finds out for itself
    house.blobs.is_away = False
    await retention.round()
    assert await house.there("recordings") == set()


class FullDisk(MemoryBlobs):
    """Takes nothing more."""

    is_full = False

    async def put(self, key: BlobKey, chunks: AsyncIterator[bytes] | bytes) -> int:
        if self.is_full:
            raise BlobsUnavailableError("files cannot be stored or read now")
        return await super().put(key, chunks)


async def test_a_disk_that_is_full_is_emptied_all_the_same() -> None:
    house = House()
    house.blobs = FullDisk(lambda: house.now)
    await house.record("over", 200)
    await house.record("runs", 200, ended=False)
    house.blobs.is_full = True
    with pytest.raises(BlobsUnavailableError):
        await house.another(Rules(24 * HOUR, 100)).round()
    assert await house.there("recordings") == {"runs"}


async def test_no_error_ends_the_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.01)
    house = House()
    house.blobs = Away(lambda: house.now)
    await house.record("old", 10)
    house.now += 25 * HOUR
    fails, seen = iter([BlobsUnavailableError("away"), ValueError("a bug")]), asyncio.Event()

    async def leads() -> bool:
        for error in fails:
            raise error
        seen.set()
        return True

    retention = RetentionLoop(
        house.blobs, Rules(24 * HOUR, 100), is_open=house.is_open, leads=leads, now=lambda: house.now
    )
    running = asyncio.create_task(retention.run())
    await asyncio.wait_for(seen.wait(), 5)
    house.blobs.is_away = False
    async with asyncio.timeout(5):
        while await house.there("recordings"):  # noqa: ASYNC110  (nothing tells of a removal)
            await asyncio.sleep(0.01)
    running.cancel()
