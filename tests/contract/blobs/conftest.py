"""`blobs` with one parameter per adapter; `leftovers` lists what a folder store keeps besides whole blobs."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from livereactor.blobs.folder import FolderBlobs
from livereactor.blobs.memory import MemoryBlobs
from livereactor.blobs.port import Blobs
from tests.contract.blobs.over_http import over_http

ADAPTERS = ("folder", "http", "memory")


@pytest.fixture(params=ADAPTERS)
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blobs]:
    async with AsyncExitStack() as stack:
        match request.param:
            case "folder":
                yield FolderBlobs(tmp_path)
            case "memory":
                yield MemoryBlobs()
            case _:
                yield await stack.enter_async_context(over_http(FolderBlobs(tmp_path)))


@pytest.fixture
def files(tmp_path: Path) -> Callable[[], list[str]]:
    return lambda: sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
