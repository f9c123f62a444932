"""What only the adapter over HTTP can get wrong."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from livereactor.blobs.folder import FolderBlobs
from livereactor.blobs.http import HttpBlobs
from livereactor.blobs.port import BlobEntry, BlobKey, BlobsUnavailableError
from tests.contract.blobs.over_http import over_http
from tests.tools.memory_blobs import MemoryBlobs
from tests.tools.processes import free_port

KEY = BlobKey.parse("sessions/s1/up-1/content")
MIB = 1024 * 1024


async def test_a_coordinator_that_is_away_is_unavailable() -> None:
    blobs = HttpBlobs(f"http://127.0.0.1:{free_port()}", "secret")
    for reading in (blobs.get(KEY), blobs.size(KEY), blobs.put(KEY, b"x"), blobs.delete_prefix(KEY)):
        with pytest.raises(BlobsUnavailableError, match="coordinator is away"):
            await reading
    with pytest.raises(BlobsUnavailableError, match="coordinator is away"):
        await anext(blobs.list(KEY))
    await blobs.aclose()


async def test_a_wrong_secret_reads_nothing() -> None:
    async with over_http(MemoryBlobs(), secret="another") as blobs:
        for reading in (blobs.get(KEY), anext(blobs.list(KEY))):
            with pytest.raises(BlobsUnavailableError, match="secret"):
                await reading


class _Away(MemoryBlobs):
    """Lists two blobs, and then is away."""

    async def list(self, prefix: BlobKey) -> AsyncIterator[BlobEntry]:
        for name in "ab":
            yield BlobEntry(BlobKey(f"{prefix.path}/{name}"), 1, 0.0)
        raise BlobsUnavailableError("files cannot be stored or read now")


async def test_a_list_that_is_cut_off_is_no_list() -> None:
    async with over_http(_Away()) as blobs:
        entries = blobs.list(KEY)
        assert [(await anext(entries)).key.path for _ in range(2)] == [f"{KEY.path}/a", f"{KEY.path}/b"]
        with pytest.raises(BlobsUnavailableError):
            await anext(entries)


async def test_what_passes_through_is_not_kept_in_memory(tmp_path: Path) -> None:
    async def big() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield bytes(MIB)

    async with over_http(FolderBlobs(tmp_path)) as blobs:
        tracemalloc.start()
        try:
            assert await blobs.put(KEY, big()) == 64 * MIB
            seen = 0
            async for piece in blobs.stream(KEY):
                seen += len(piece)
            assert seen == 64 * MIB
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 24 * MIB
