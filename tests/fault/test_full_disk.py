"""A disk that is full: an upload is refused with a code, leaves nothing, and goes on once there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from livereactor.blobs.folder import FolderBlobs
from livereactor.blobs.port import BlobKey, BlobsUnavailableError
from livereactor.blobs.upload_writer import UploadWriter

KEY = BlobKey.parse("sessions/s1/ab/content")
SIZE = 3_000_000
ROOM = 1024 * 1024  # bytes of the disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", tmp_path], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a small disk")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def _make_room(disk: Path) -> None:
    subprocess.run(["mount", "-o", f"remount,size={4 * ROOM}", disk], check=True)


async def sent(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 100_000):
        yield bytes(100_000)


@pytest.mark.parametrize("resumable", [True, False])
async def test_a_file_that_does_not_fit_is_refused_and_leaves_no_byte(disk: Path, resumable: bool) -> None:
    writer = UploadWriter(FolderBlobs(disk), timeout=30)
    with pytest.raises(BlobsUnavailableError) as full:
        await (writer.append(KEY, SIZE, 0, sent(SIZE), None) if resumable else writer.write(KEY, SIZE, sent(SIZE)))
    assert (full.value.code, full.value.http_status, full.value.recoverable) == ("blobs_unavailable", 503, True)
    assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize == ROOM
    assert await writer.offset(KEY, SIZE) == 0
    _make_room(disk)
    assert await writer.append(KEY, SIZE, 0, sent(SIZE), None) == SIZE
