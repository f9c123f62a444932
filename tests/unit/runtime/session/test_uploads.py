"""Uploads, over blobs that are slow or fail."""

from __future__ import annotations

import asyncio
import gc
import secrets
import weakref
from collections.abc import AsyncIterator

import pytest

from livereactor.base.errors import ConflictError, ForbiddenError, NotFoundError, UnresolvedUploadError
from livereactor.base.limits import Limits
from livereactor.blobs.pieces import LEAST
from livereactor.blobs.port import BlobKey, BlobMissingError
from livereactor.protocol.http import UploadRequest
from livereactor.runtime.session.uploads import Uploads
from livereactor.web.problems import BodyLateError
from tests.tools.memory_blobs import MemoryBlobs


class CopyingBlobs(MemoryBlobs):
    """As a disk: each read is a copy of its own, and takes a turn of the loop."""

    reads = 0

    def __init__(self) -> None:
        super().__init__()
        self.erased = asyncio.Event()

    async def delete_prefix(self, prefix: BlobKey) -> None:
        await super().delete_prefix(prefix)
        self.erased.set()

    async def get(self, key: BlobKey) -> bytes:
        self.reads += 1
        await asyncio.sleep(0)
        return bytes(bytearray(await super().get(key)))


async def in_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def written(uploads: Uploads, data: bytes) -> str:
    upload, path = uploads.reserve(UploadRequest(name="a.bin", size=len(data), mime_type="text/plain"))
    await uploads.write(upload, query_of(path), in_pieces(data))
    return upload


def query_of(path: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in path.split("?")[1].split("&"))


@pytest.fixture
def blobs() -> CopyingBlobs:
    return CopyingBlobs()


@pytest.fixture
def uploads(blobs: CopyingBlobs) -> Uploads:
    made = Uploads(blobs, Limits())
    made.begin("ses-1")
    return made


async def test_a_file_named_by_many_commands_is_in_memory_once(uploads: Uploads, blobs: CopyingBlobs) -> None:
    upload = await written(uploads, b"bytes" * 100)
    files = await asyncio.gather(*(uploads.file(upload) for _ in range(20)))
    files.append(await uploads.file(upload))
    assert len({id(each.data) for each in files}) == 1
    assert blobs.reads == 1


async def test_a_file_that_no_call_holds_any_more_is_let_go(uploads: Uploads, blobs: CopyingBlobs) -> None:
    upload = await written(uploads, b"bytes" * 100)
    gone = weakref.ref(await uploads.file(upload))
    gc.collect()
    assert gone() is None
    assert (await uploads.file(upload)).data == b"bytes" * 100
    assert blobs.reads == 2


async def test_a_slot_whose_bytes_stopped_half_way_can_be_written_again(uploads: Uploads) -> None:
    upload, path = uploads.reserve(UploadRequest(name="a.bin", size=4, mime_type="text/plain"))

    async def stops() -> AsyncIterator[bytes]:
        yield b"ab"
        raise BodyLateError("no body within 30 s")

    with pytest.raises(BodyLateError):
        await uploads.write(upload, query_of(path), stops())
    await uploads.write(upload, query_of(path), in_pieces(b"ab", b"cd"))
    assert (await uploads.file(upload)).data == b"abcd"


async def test_errors_name_the_upload_and_neither_session_nor_key(uploads: Uploads, blobs: CopyingBlobs) -> None:
    upload = await written(uploads, b"abcd")
    key = blobs.paths()[0]
    with pytest.raises(ForbiddenError) as refused:
        await uploads.write(upload, {}, in_pieces(b"abcd"))
    await blobs.delete_prefix(BlobKey("sessions"))
    with pytest.raises(UnresolvedUploadError, match=upload) as missing:
        await uploads.file(upload)
    for error in (refused.value, missing.value):
        assert "ses-1" not in error.message
        assert key not in error.message


async def test_pieces_of_a_file_are_one_file_to_the_model(blobs: CopyingBlobs) -> None:
    landed: list[int] = []
    uploads = Uploads(blobs, Limits(), on_landed=landed.append)
    uploads.begin("ses-1")
    upload, path = uploads.reserve(UploadRequest(name="a.bin", size=LEAST + 3, mime_type="text/plain"))
    query, first = query_of(path), b"x" * LEAST
    assert await uploads.progress(upload, query) == (0, LEAST + 3)
    assert await uploads.append(upload, query, in_pieces(first), offset=0) == (LEAST, LEAST + 3)
    assert landed == []
    assert await uploads.append(upload, query, in_pieces(b"end"), offset=LEAST) == (LEAST + 3, LEAST + 3)
    assert (await uploads.file(upload)).data == first + b"end"
    assert landed == [LEAST + 3]
    assert await uploads.progress(upload, query) == (LEAST + 3, LEAST + 3)
    assert await uploads.append(upload, query, in_pieces(), offset=LEAST + 3) == (LEAST + 3, LEAST + 3)
    with pytest.raises(ConflictError):
        await uploads.append(upload, query, in_pieces(first), offset=0)
    with pytest.raises(ConflictError):
        await uploads.discard(upload, query)


async def test_what_is_half_written_when_its_url_is_long_over_is_erased(
    blobs: CopyingBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda size: "0f" * size)  # so that its key is known here
    uploads = Uploads(blobs, Limits(upload_url_lifetime=0.05))
    uploads.begin("ses-1")
    request = UploadRequest(name="a.bin", size=2 * LEAST, mime_type="text/plain")
    uploads.reserve(request)
    key = BlobKey.parse(f"sessions/ses-1/{'0f' * 16}/content")
    await blobs.put(key, b"x" * LEAST)
    await asyncio.wait_for(blobs.erased.wait(), 10)
    with pytest.raises(BlobMissingError):
        await blobs.size(key)


async def test_a_session_that_ends_takes_what_is_half_written_with_it(uploads: Uploads, blobs: CopyingBlobs) -> None:
    upload, path = uploads.reserve(UploadRequest(name="a.bin", size=2 * LEAST, mime_type="text/plain"))
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"x" * LEAST
        begun.set()
        await ended.wait()
        yield b"x" * LEAST

    writing = asyncio.create_task(uploads.append(upload, query_of(path), slowly(), offset=0))
    await begun.wait()
    await uploads.end()
    ended.set()
    with pytest.raises(NotFoundError, match="session ended"):
        await writing
    assert not blobs.paths()
