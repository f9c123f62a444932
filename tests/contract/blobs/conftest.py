"""`blobs` with one parameter per adapter; `files` lists what a folder store keeps besides whole blobs."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from livereactor.base.ids import uuid7
from livereactor.blobs.folder import FolderBlobs
from livereactor.blobs.port import Blobs
from livereactor.blobs.s3 import Bucket, S3Blobs
from tests.contract.blobs.over_http import over_http
from tests.tools.memory_blobs import MemoryBlobs
from tests.tools.s3 import S3Server, s3_server

ADAPTERS = ("folder", "http", "memory", "s3")


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def s3_blobs(s3: S3Server) -> S3Blobs:
    """Below a prefix of this test's own."""
    return S3Blobs(Bucket.parse(s3.url("blobs", uuid7().hex)))


@pytest.fixture(params=ADAPTERS)
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blobs]:
    async with AsyncExitStack() as stack:
        match request.param:
            case "folder":
                yield FolderBlobs(tmp_path)
            case "memory":
                yield MemoryBlobs()
            case "s3":
                yield request.getfixturevalue("s3_blobs")
            case _:
                yield await stack.enter_async_context(over_http(FolderBlobs(tmp_path)))


@pytest.fixture
def files(tmp_path: Path) -> Callable[[], list[str]]:
    return lambda: sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
