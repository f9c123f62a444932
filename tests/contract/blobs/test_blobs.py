"""What every store of bytes promises (blobs/port.py), run against each adapter."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from livereactor.base.errors import TooLargeError
from livereactor.blobs.checking import takes_writes, trouble_with
from livereactor.blobs.port import STAGING, BlobExistsError, BlobKey, BlobMissingError, Blobs

KEY = BlobKey.parse("sessions/s1/uploads/a.txt")
OTHER = BlobKey.parse("sessions/s2/uploads/a.txt")
MIB = 1024 * 1024


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(blobs: Blobs, key: BlobKey, *, start: int = 0, length: int | None = None) -> list[bytes]:
    return [piece async for piece in blobs.stream(key, start=start, length=length)]


async def until_nothing_is_left(files: Callable[[], list[str]]) -> None:
    async with asyncio.timeout(5):
        while files():  # noqa: ASYNC110  (the file goes when the store's own thread lets go of it; there is no event)
            await asyncio.sleep(0.01)


async def test_what_was_put_is_read_back_whole(blobs: Blobs) -> None:
    assert await blobs.put(KEY, b"abc") == 3
    assert await blobs.get(KEY) == b"abc"
    assert await blobs.size(KEY) == 3


async def test_a_stream_is_put_as_one_blob_whatever_its_pieces(blobs: Blobs) -> None:
    assert await blobs.put(KEY, chunks(b"", b"ab", b"", b"c" * (2 * MIB + 1), b"")) == 2 * MIB + 3
    assert await blobs.get(KEY) == b"ab" + b"c" * (2 * MIB + 1)


async def test_a_blob_may_be_empty(blobs: Blobs) -> None:
    assert await blobs.put(KEY, b"") == 0
    assert await blobs.put(OTHER, chunks()) == 0
    assert await blobs.get(KEY) == await blobs.get(OTHER) == b""
    assert await read(blobs, KEY) == []


async def test_what_was_never_put_is_missing(blobs: Blobs) -> None:
    for reading in (blobs.get(KEY), blobs.size(KEY), read(blobs, KEY)):
        with pytest.raises(BlobMissingError, match=KEY.path):
            await reading


async def test_a_folder_of_blobs_is_no_blob(blobs: Blobs) -> None:
    await blobs.put(KEY, b"abc")
    with pytest.raises(BlobMissingError):
        await blobs.get(BlobKey.parse("sessions/s1"))


async def test_a_blob_is_written_once(blobs: Blobs) -> None:
    await blobs.put(KEY, b"first")
    for again in (blobs.put(KEY, b"second"), blobs.put(KEY, chunks(b"third"))):
        with pytest.raises(BlobExistsError, match=KEY.path):
            await again
    assert await blobs.get(KEY) == b"first"


async def test_of_many_writers_of_one_key_exactly_one_wins(blobs: Blobs, files: Callable[[], list[str]]) -> None:
    puts = [blobs.put(KEY, chunks(bytes([n]) * MIB, bytes([n]) * MIB)) for n in range(6)]
    puts += [blobs.put(KEY, bytes([n]) * 2 * MIB) for n in range(6, 12)]
    results = await asyncio.gather(*puts, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["BlobExistsError"] * 11 + ["int"]
    data = await blobs.get(KEY)
    assert len(data) == 2 * MIB
    assert len(set(data)) == 1
    assert files() in ([], [KEY.path])


async def test_a_stream_that_breaks_off_leaves_nothing(blobs: Blobs, files: Callable[[], list[str]]) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (2 * MIB)
        raise TooLargeError("the body is above its limit; send less")

    with pytest.raises(TooLargeError):
        await blobs.put(KEY, broken())
    with pytest.raises(BlobMissingError):
        await blobs.get(KEY)
    await until_nothing_is_left(files)
    assert await blobs.put(KEY, b"again") == 5


async def test_a_cancelled_put_leaves_nothing(blobs: Blobs, files: Callable[[], list[str]]) -> None:
    waiting = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * (3 * MIB)
        waiting.set()
        await asyncio.Event().wait()

    put = asyncio.create_task(blobs.put(KEY, endless()))
    await asyncio.wait_for(waiting.wait(), 5)
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    with pytest.raises(BlobMissingError):
        await blobs.get(KEY)
    await until_nothing_is_left(files)


async def test_a_range_gives_just_its_bytes(blobs: Blobs) -> None:
    data = bytes(range(256)) * 10
    await blobs.put(KEY, data)
    for start, length in ((0, 10), (5, 1), (2550, None), (2550, 100), (0, 0), (2560, 1), (9999, None)):
        end = None if length is None else start + length
        assert b"".join(await read(blobs, KEY, start=start, length=length)) == data[start:end]


async def test_pieces_are_at_most_one_mebibyte(blobs: Blobs) -> None:
    await blobs.put(KEY, b"x" * (3 * MIB + 7))
    pieces = await read(blobs, KEY, start=1)
    assert sum(map(len, pieces)) == 3 * MIB + 6
    assert max(map(len, pieces)) <= MIB


async def test_delete_prefix_removes_what_is_below_and_nothing_else(blobs: Blobs) -> None:
    neighbour = BlobKey.parse("sessions/s10/uploads/a.txt")
    deep = [BlobKey.parse(f"sessions/s1/uploads/{n}/x") for n in range(120)]
    for key in (KEY, OTHER, neighbour, *deep):
        await blobs.put(key, b"abc")
    await blobs.delete_prefix(BlobKey.parse("sessions/s1"))
    for key in (KEY, *deep):
        with pytest.raises(BlobMissingError):
            await blobs.size(key)
    assert await blobs.get(OTHER) == await blobs.get(neighbour) == b"abc"


async def test_deleting_nothing_is_no_error(blobs: Blobs) -> None:
    await blobs.delete_prefix(BlobKey.parse("never/was"))


async def test_a_deleted_key_can_be_written_again(blobs: Blobs) -> None:
    await blobs.put(KEY, b"old")
    await blobs.delete_prefix(BlobKey.parse("sessions/s1"))
    await blobs.put(KEY, b"new")
    assert await blobs.get(KEY) == b"new"


async def listed(blobs: Blobs, prefix: str) -> dict[str, int]:
    return {entry.key.path: entry.size_bytes async for entry in blobs.list(BlobKey.parse(prefix))}


async def test_a_list_has_what_is_below_a_prefix_and_nothing_else(blobs: Blobs) -> None:
    neighbour = BlobKey.parse("sessions/s10/uploads/a.txt")
    many = [BlobKey.parse(f"sessions/s1/uploads/{n}/x") for n in range(60)]
    for key in (KEY, OTHER, neighbour):
        await blobs.put(key, b"abc")
    for key in many:
        await blobs.put(key, b"")
    assert await listed(blobs, "sessions/s1") == {KEY.path: 3} | {key.path: 0 for key in many}
    assert len(await listed(blobs, "sessions")) == 63
    assert await listed(blobs, KEY.path) == await listed(blobs, "never/was") == {}


async def test_a_list_tells_when_a_blob_was_written(blobs: Blobs) -> None:
    before = time.time()
    await blobs.put(KEY, b"abc")
    (entry,) = [entry async for entry in blobs.list(BlobKey.parse("sessions"))]
    assert before - 1 <= entry.modified_at <= time.time() + 1  # S3 tells whole seconds


async def test_a_list_may_be_left_half_way(blobs: Blobs) -> None:
    for n in range(3):
        await blobs.put(BlobKey.parse(f"sessions/{n}"), b"abc")
    async for _ in blobs.list(BlobKey.parse("sessions")):
        break
    assert len(await listed(blobs, "sessions")) == 3


async def test_a_large_stream_is_one_blob_and_leaves_nothing_beside_it(blobs: Blobs) -> None:
    assert await blobs.put(KEY, chunks(*(bytes([n]) * MIB for n in range(12)))) == 12 * MIB
    assert (await blobs.get(KEY))[::MIB] == bytes(range(12))
    with pytest.raises(BlobExistsError):
        await blobs.put(KEY, chunks(*(b"x" * MIB for _ in range(12))))
    assert await listed(blobs, STAGING.path) == {}


async def test_of_many_writers_of_large_streams_exactly_one_wins(blobs: Blobs) -> None:
    puts = [blobs.put(KEY, chunks(*(bytes([n]) * MIB for _ in range(7)))) for n in range(4)]
    results = await asyncio.gather(*puts, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["BlobExistsError"] * 3 + ["int"]
    assert len(set(await blobs.get(KEY))) == 1


async def test_every_adapter_is_found_fit_and_nothing_is_left_of_the_trial(blobs: Blobs) -> None:
    assert await takes_writes(blobs)
    assert await trouble_with(blobs) == ""
    assert await listed(blobs, "doctor") == {}
