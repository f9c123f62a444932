"""A store that does not keep its word is found out."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from livereactor.blobs.checking import KEEPS, OVERWRITES, READS_OTHERS, trouble_with
from livereactor.blobs.port import BlobKey
from tests.tools.memory_blobs import MemoryBlobs


class Overwriting(MemoryBlobs):
    async def put(self, key: BlobKey, chunks: AsyncIterator[bytes] | bytes) -> int:
        self._blobs.pop(key.path, None)
        return await super().put(key, chunks)


class Forgetful(MemoryBlobs):
    async def size(self, key: BlobKey) -> int:
        return await super().size(key) - 1


class Hoarding(MemoryBlobs):
    async def delete_prefix(self, prefix: BlobKey) -> None:
        pass


@pytest.mark.parametrize(
    ("blobs", "trouble"),
    [(MemoryBlobs(), ""), (Overwriting(), OVERWRITES), (Forgetful(), READS_OTHERS), (Hoarding(), KEEPS)],
)
async def test_what_is_wrong_with_a_store_is_told(blobs: MemoryBlobs, trouble: str) -> None:
    assert await trouble_with(blobs) == trouble
