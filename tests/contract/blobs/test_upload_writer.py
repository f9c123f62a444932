"""Uploads that come in pieces, into each adapter: what broke off goes on, and what is wrong leaves nothing."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livereactor.base.errors import ConflictError, PeerError
from livereactor.blobs import pieces
from livereactor.blobs.pieces import LEAST
from livereactor.blobs.port import BlobExistsError, BlobKey, BlobMissingError, Blobs
from livereactor.blobs.signing import UploadExpiredError
from livereactor.blobs.upload_writer import UploadCorruptedError, UploadOffsetError, UploadWriter
from tests.tools.memory_blobs import MemoryBlobs

KEY = BlobKey.parse("sessions/s1/ab/content")
DATA = bytes(range(256)) * 2048  # 512 KiB
SIZE = len(DATA)
DIGEST = hashlib.sha256(DATA).digest()
HALF = SIZE // 2


class LeftError(Exception):
    """The client has gone."""


async def sent(data: bytes, *, cut: bool = False, by: int = 50_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), by):
        yield data[start : start + by]
    if cut:
        raise LeftError


async def cut_off(writer: UploadWriter, data: bytes, *, offset: int = 0, digest: bytes | None = None) -> None:
    with pytest.raises(LeftError):
        await writer.append(KEY, SIZE, offset, sent(data, cut=True), digest)


@pytest.fixture
def writer(blobs: Blobs) -> UploadWriter:
    return UploadWriter(blobs, timeout=30)


async def test_a_file_in_one_request_is_one_blob(writer: UploadWriter, blobs: Blobs) -> None:
    assert await writer.append(KEY, SIZE, 0, sent(DATA), DIGEST) == SIZE
    assert await blobs.get(KEY) == await pieces.read(blobs, KEY, SIZE) == DATA


async def test_what_was_cut_off_goes_on_from_what_landed(writer: UploadWriter, blobs: Blobs) -> None:
    assert await writer.offset(KEY, SIZE) == 0
    await cut_off(writer, DATA[:HALF], digest=DIGEST)
    assert await writer.offset(KEY, SIZE) == HALF
    assert await writer.append(KEY, SIZE, HALF, sent(DATA[HALF:]), DIGEST) == SIZE
    assert await pieces.read(blobs, KEY, SIZE) == DATA


async def test_another_replica_goes_on(writer: UploadWriter, blobs: Blobs) -> None:
    await cut_off(writer, DATA[:HALF])
    other = UploadWriter(blobs, timeout=30)
    assert await other.append(KEY, SIZE, await other.offset(KEY, SIZE), sent(DATA[HALF:]), DIGEST) == SIZE
    assert await pieces.read(blobs, KEY, SIZE) == DATA


async def test_a_long_file_is_stored_piece_by_piece(
    writer: UploadWriter, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE", 100_000)
    assert await writer.append(KEY, SIZE, 0, sent(DATA), DIGEST) == SIZE
    assert await blobs.size(KEY) == 100_000
    assert await pieces.read(blobs, KEY, SIZE) == DATA
    assert await pieces.sha256(blobs, KEY, SIZE) == DIGEST


async def test_crumbs_are_not_kept(writer: UploadWriter, blobs: Blobs) -> None:
    await cut_off(writer, DATA[: LEAST - 1])
    assert await writer.offset(KEY, SIZE) == 0
    await cut_off(writer, DATA[:LEAST])
    assert await writer.offset(KEY, SIZE) == LEAST
    await cut_off(writer, DATA[LEAST : SIZE - 1], offset=LEAST)
    assert await writer.append(KEY, SIZE, SIZE - 1, sent(DATA[-1:]), DIGEST) == SIZE, "the end may be as short as it is"


async def test_bytes_that_begin_elsewhere_are_refused(writer: UploadWriter) -> None:
    await cut_off(writer, DATA[:HALF])
    for offset in (0, HALF - 1, HALF + 1, SIZE):
        with pytest.raises(UploadOffsetError, match=f"{HALF} of {SIZE} bytes have arrived"):
            await writer.append(KEY, SIZE, offset, sent(DATA[offset:]), None)


async def test_more_than_was_announced_completes_nothing(writer: UploadWriter, blobs: Blobs) -> None:
    with pytest.raises(PeerError, match="more than"):
        await writer.append(KEY, SIZE, 0, sent(DATA + b"x"), None)
    assert await writer.offset(KEY, SIZE) < SIZE
    with pytest.raises(PeerError, match="more than"):
        await writer.write(BlobKey.parse("sessions/s1/cd/content"), SIZE, sent(DATA + b"x"))
    with pytest.raises(BlobMissingError):
        await blobs.size(BlobKey.parse("sessions/s1/cd/content"))


@pytest.mark.parametrize("first", [0, HALF])
async def test_a_file_with_another_digest_is_erased_and_may_be_sent_again(
    writer: UploadWriter, blobs: Blobs, first: int
) -> None:
    if first:
        await cut_off(writer, DATA[:first])
    wrong = DATA[first:-1] + b"?"
    with pytest.raises(UploadCorruptedError, match="send it again"):
        await writer.append(KEY, SIZE, first, sent(wrong), DIGEST)
    with pytest.raises(BlobMissingError):
        await blobs.size(KEY)
    assert await writer.append(KEY, SIZE, 0, sent(DATA), DIGEST) == SIZE
    assert await pieces.read(blobs, KEY, SIZE) == DATA


async def test_what_is_complete_but_was_never_said_to_be_is_finished_by_an_empty_piece(writer: UploadWriter) -> None:
    await cut_off(writer, DATA[:-1])
    assert await writer.append(KEY, SIZE, SIZE - 1, sent(DATA[-1:], cut=True), None) == SIZE
    assert await writer.append(KEY, SIZE, SIZE, sent(b""), DIGEST) == SIZE


async def test_a_whole_file_that_breaks_off_leaves_nothing(writer: UploadWriter, blobs: Blobs) -> None:
    with pytest.raises(LeftError):
        await writer.write(KEY, SIZE, sent(DATA[:HALF], cut=True))
    with pytest.raises(PeerError, match=f"{HALF} of the {SIZE}"):
        await writer.write(KEY, SIZE, sent(DATA[:HALF]))
    with pytest.raises(BlobMissingError):
        await blobs.size(KEY)
    await writer.write(KEY, SIZE, sent(DATA))
    with pytest.raises(BlobExistsError):
        await writer.write(KEY, SIZE, sent(DATA))


async def test_of_two_replicas_at_one_offset_one_wins(blobs: Blobs) -> None:
    one, other = UploadWriter(blobs, timeout=30), UploadWriter(blobs, timeout=30)
    outcomes = await asyncio.gather(
        *(each.append(KEY, SIZE, 0, sent(DATA), DIGEST) for each in (one, other)), return_exceptions=True
    )
    assert SIZE in outcomes
    assert [type(each) for each in outcomes if each != SIZE] in ([], [UploadOffsetError])
    assert await pieces.read(blobs, KEY, SIZE) == DATA


class Stalled:
    """Half of the file, and then a client that keeps the connection and sends no more."""

    def __init__(self) -> None:
        self.waits = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        yield DATA[:HALF]
        self.waits.set()
        await asyncio.Event().wait()


async def test_who_asks_for_the_offset_takes_over_from_a_request_that_hangs(writer: UploadWriter, blobs: Blobs) -> None:
    hanging = Stalled()
    first = asyncio.create_task(writer.append(KEY, SIZE, 0, hanging.chunks(), DIGEST))
    await hanging.waits.wait()
    with pytest.raises(ConflictError, match="another request"):
        await writer.append(KEY, SIZE, 0, sent(DATA), DIGEST)
    assert await writer.offset(KEY, SIZE) == HALF
    with pytest.raises(ConflictError, match="continued this upload"):
        await first
    assert await writer.append(KEY, SIZE, HALF, sent(DATA[HALF:]), DIGEST) == SIZE
    assert await pieces.read(blobs, KEY, SIZE) == DATA


async def test_erasing_ends_the_request_that_writes(writer: UploadWriter, blobs: Blobs) -> None:
    hanging = Stalled()
    first = asyncio.create_task(writer.append(KEY, SIZE, 0, hanging.chunks(), None))
    await hanging.waits.wait()
    await writer.erase(KEY)
    assert await asyncio.gather(first, return_exceptions=True) != [SIZE]
    with pytest.raises(BlobMissingError):
        await blobs.size(KEY)
    assert await writer.offset(KEY, SIZE) == 0


@pytest.mark.parametrize("whole", [True, False])
async def test_a_client_that_trickles_is_given_up(blobs: Blobs, whole: bool) -> None:
    writer, hanging = UploadWriter(blobs, timeout=0.05), Stalled()
    write = writer.write if whole else partial(writer.append, offset=0, digest=None)
    writing = write(KEY, SIZE, chunks=hanging.chunks())
    with pytest.raises(UploadExpiredError, match=r"no complete body in 0\.05 s"):
        await writing
    assert await writer.offset(KEY, SIZE) == (0 if whole else HALF)


@settings(max_examples=40)
@given(st.lists(st.integers(0, SIZE), max_size=6), st.integers(5_000, 200_000), st.integers(LEAST, SIZE))
def test_wherever_it_is_cut_the_same_bytes_arrive(cuts: list[int], by: int, piece: int) -> None:
    async def upload() -> bytes:
        blobs = MemoryBlobs()
        writer = UploadWriter(blobs, timeout=30)
        for cut in cuts:
            at = await writer.offset(KEY, SIZE)
            if at < SIZE:
                with suppress(LeftError):  # cut behind the last byte is not cut
                    await writer.append(KEY, SIZE, at, sent(DATA[at:cut], cut=True, by=by), DIGEST)
        at = await writer.offset(KEY, SIZE)
        assert await writer.append(KEY, SIZE, at, sent(DATA[at:], by=by), DIGEST) == SIZE
        return await pieces.read(blobs, KEY, SIZE)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pieces, "PIECE", piece)
        assert asyncio.run(upload()) == DATA
