"""What only a store on a disk can break: its memory while streaming, and a disk that is full."""

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from livereactor.base.errors import ConflictError
from livereactor.blobs.folder import FolderBlobs
from livereactor.blobs.port import PIECE_BYTES, BlobKey, BlobMissingError, BlobsUnavailableError

KEY = BlobKey.parse("sessions/s1/uploads/big.bin")
MIB = 1024 * 1024


@pytest.fixture
def disk_of_two_mebibytes() -> Iterator[None]:
    """Writes past 2 MiB of one file fail, as on a full disk; a real small disk would need root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_memory_does_not_grow_with_a_streamed_blob(tmp_path: Path) -> None:
    process, blobs = psutil.Process(os.getpid()), FolderBlobs(tmp_path)
    await blobs.put(BlobKey.parse("warm"), _mebibytes(4, []))
    before, highest = process.memory_info().rss, list[int]()

    def note() -> None:
        highest.append(process.memory_info().rss)

    await blobs.put(KEY, _mebibytes(64, [note]))
    async for _piece in blobs.stream(KEY):
        note()
    assert len(highest) == 128
    assert max(highest) - before < 16 * MIB


async def test_a_full_disk_is_unavailable_and_leaves_nothing(
    tmp_path: Path, files: Callable[[], list[str]], disk_of_two_mebibytes: None
) -> None:
    blobs = FolderBlobs(tmp_path)
    for put in (blobs.put(KEY, b"x" * (3 * MIB)), blobs.put(KEY, _mebibytes(5, []))):
        with pytest.raises(BlobsUnavailableError) as caught:
            await put
        assert KEY.path not in caught.value.message  # it may reach a client
        assert str(tmp_path) not in caught.value.message
    with pytest.raises(BlobMissingError):
        await blobs.get(KEY)
    assert files() == []


async def test_a_folder_that_was_taken_away_comes_back_with_the_next_put(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "made" / "here")
    (tmp_path / "made" / "here").rmdir()
    await blobs.put(KEY, b"abc")
    assert await blobs.get(KEY) == b"abc"


async def test_a_file_in_place_of_the_folder_is_unavailable_and_nobody_elses_fault(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    blobs = FolderBlobs(root)
    root.rmdir()
    root.write_text("in the way")
    for attempt in (
        blobs.put(KEY, b"abc"),
        blobs.put(KEY, _streamed(b"abc")),
        blobs.get(KEY),
        blobs.delete_prefix(KEY),
    ):
        with pytest.raises(BlobsUnavailableError):
            await attempt


async def _mebibytes(count: int, hooks: list[Callable[[], None]]) -> AsyncIterator[bytes]:
    for n in range(count):
        yield bytes([n]) * MIB
        for hook in hooks:
            hook()


async def test_a_blob_and_a_folder_of_its_name_cannot_both_be(tmp_path: Path) -> None:
    blobs, blob = FolderBlobs(tmp_path), BlobKey.parse("a/b")
    await blobs.put(blob, b"x")
    below, above = BlobKey.parse("a/b/c"), BlobKey.parse("a")
    for key in (below, above):
        with pytest.raises(ConflictError, match="use a new key"):
            await blobs.put(key, _streamed(b"y"))
        with pytest.raises(BlobMissingError):
            await blobs.get(key)
        with pytest.raises(BlobMissingError):
            await blobs.size(key)
    await blobs.delete_prefix(below)
    assert await blobs.get(blob) == b"x"


async def _streamed(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
@pytest.mark.parametrize("size", [5, 2 * PIECE_BYTES + 5])
async def test_files_can_be_read_by_nobody_else_whatever_the_umask_and_the_mode_of_the_folder(
    tmp_path: Path, size: int
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(size)

    await asyncio.to_thread(tmp_path.chmod, 0o755)
    usual = os.umask(0)
    try:
        await FolderBlobs(tmp_path).put(BlobKey("sessions/a/content"), chunks())
    finally:
        os.umask(usual)
    written = await asyncio.to_thread((tmp_path / "sessions/a/content").stat)
    assert written.st_mode & 0o777 == 0o600
