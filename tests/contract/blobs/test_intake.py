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
from livereactor.blobs.intake import Intake, UploadCorruptedError, UploadOffsetError
from livereactor.blobs.memory import MemoryBlobs
from livereactor.blobs.pieces import LEAST
from livereactor.blobs.port import BlobExistsError, BlobKey, BlobMissingError, Blobs
from livereactor.blobs.signing import UploadExpiredError

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


async def cut_off(intake: Intake, data: bytes, *, offset: int = 0, digest: bytes | None = None) -> None:
    with pytest.raises(LeftError):
        await intake.more(KEY, SIZE, offset, sent(data, cut=True), digest)


@pytest.fixture
def intake(blobs: Blobs) -> Intake:
    return Intake(blobs, patience=30)


async def test_a_file_in_one_request_is_one_blob(intake: Intake, blobs: Blobs) -> None:
    assert await intake.more(KEY, SIZE, 0, sent(DATA), DIGEST) == SIZE
    assert await blobs.get(KEY) == await pieces.read(blobs, KEY, SIZE) == DATA


async def test_what_was_cut_off_goes_on_from_what_landed(intake: Intake, blobs: Blobs) -> None:
    assert await intake.offset(KEY, SIZE) == 0
    await cut_off(intake, DATA[:HALF], digest=DIGEST)
    assert await intake.offset(KEY, SIZE) == HALF
    assert await intake.more(KEY, SIZE, HALF, sent(DATA[HALF:]), DIGEST) == SIZE
    assert await pieces.read(blobs, KEY, SIZE) == DATA


async def test_another_replica_goes_on(intake: Intake, blobs: Blobs) -> None:
    await cut_off(intake, DATA[:HALF])
    other = Intake(blobs, patience=30)
    assert await other.more(KEY, SIZE, await other.offset(KEY, SIZE), sent(DATA[HALF:]), DIGEST) == SIZE
    assert await pieces.read(blobs, KEY, SIZE) == DATA


async def test_a_long_file_is_stored_piece_by_piece(
    intake: Intake, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE", 100_000)
    assert await intake.more(KEY, SIZE, 0, sent(DATA), DIGEST) == SIZE
    assert await blobs.size(KEY) == 100_000
    assert await pieces.read(blobs, KEY, SIZE) == DATA
    assert await pieces.sha256(blobs, KEY, SIZE) == DIGEST


async def test_crumbs_are_not_kept(intake: Intake, blobs: Blobs) -> None:
    await cut_off(intake, DATA[: LEAST - 1])
    assert await intake.offset(KEY, SIZE) == 0
    await cut_off(intake, DATA[:LEAST])
    assert await intake.offset(KEY, SIZE) == LEAST
    await cut_off(intake, DATA[LEAST : SIZE - 1], offset=LEAST)
    assert await intake.more(KEY, SIZE, SIZE - 1, sent(DATA[-1:]), DIGEST) == SIZE, "the end may be as short as it is"


async def test_bytes_that_begin_elsewhere_are_refused(intake: Intake) -> None:
    await cut_off(intake, DATA[:HALF])
    for offset in (0, HALF - 1, HALF + 1, SIZE):
        with pytest.raises(UploadOffsetError, match=f"{HALF} of {SIZE} bytes are there"):
            await intake.more(KEY, SIZE, offset, sent(DATA[offset:]), None)


async def test_more_than_was_announced_completes_nothing(intake: Intake, blobs: Blobs) -> None:
    with pytest.raises(PeerError, match="more than"):
        await intake.more(KEY, SIZE, 0, sent(DATA + b"x"), None)
    assert await intake.offset(KEY, SIZE) < SIZE
    with pytest.raises(PeerError, match="more than"):
        await intake.whole(BlobKey.parse("sessions/s1/cd/content"), SIZE, sent(DATA + b"x"))
    with pytest.raises(BlobMissingError):
        await blobs.size(BlobKey.parse("sessions/s1/cd/content"))


@pytest.mark.parametrize("first", [0, HALF])
async def test_a_file_with_another_digest_is_erased_and_may_be_sent_again(
    intake: Intake, blobs: Blobs, first: int
) -> None:
    if first:
        await cut_off(intake, DATA[:first])
    wrong = DATA[first:-1] + b"?"
    with pytest.raises(UploadCorruptedError, match="send it again"):
        await intake.more(KEY, SIZE, first, sent(wrong), DIGEST)
    with pytest.raises(BlobMissingError):
        await blobs.size(KEY)
    assert await intake.more(KEY, SIZE, 0, sent(DATA), DIGEST) == SIZE
    assert await pieces.read(blobs, KEY, SIZE) == DATA


async def test_what_is_complete_but_was_never_said_to_be_is_finished_by_an_empty_piece(intake: Intake) -> None:
    await cut_off(intake, DATA[:-1])
    assert await intake.more(KEY, SIZE, SIZE - 1, sent(DATA[-1:], cut=True), None) == SIZE
    assert await intake.more(KEY, SIZE, SIZE, sent(b""), DIGEST) == SIZE


async def test_a_whole_file_that_breaks_off_leaves_nothing(intake: Intake, blobs: Blobs) -> None:
    with pytest.raises(LeftError):
        await intake.whole(KEY, SIZE, sent(DATA[:HALF], cut=True))
    with pytest.raises(PeerError, match=f"{HALF} of the {SIZE}"):
        await intake.whole(KEY, SIZE, sent(DATA[:HALF]))
    with pytest.raises(BlobMissingError):
        await blobs.size(KEY)
    await intake.whole(KEY, SIZE, sent(DATA))
    with pytest.raises(BlobExistsError):
        await intake.whole(KEY, SIZE, sent(DATA))


async def test_of_two_replicas_at_one_offset_one_wins(blobs: Blobs) -> None:
    one, other = Intake(blobs, patience=30), Intake(blobs, patience=30)
    outcomes = await asyncio.gather(
        *(each.more(KEY, SIZE, 0, sent(DATA), DIGEST) for each in (one, other)), return_exceptions=True
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


async def test_who_asks_for_the_offset_takes_over_from_a_request_that_hangs(intake: Intake, blobs: Blobs) -> None:
    hanging = Stalled()
    first = asyncio.create_task(intake.more(KEY, SIZE, 0, hanging.chunks(), DIGEST))
    await hanging.waits.wait()
    with pytest.raises(ConflictError, match="another request"):
        await intake.more(KEY, SIZE, 0, sent(DATA), DIGEST)
    assert await intake.offset(KEY, SIZE) == HALF
    with pytest.raises(ConflictError, match="goes on with this upload"):
        await first
    assert await intake.more(KEY, SIZE, HALF, sent(DATA[HALF:]), DIGEST) == SIZE
    assert await pieces.read(blobs, KEY, SIZE) == DATA


async def test_erasing_ends_the_request_that_writes(intake: Intake, blobs: Blobs) -> None:
    hanging = Stalled()
    first = asyncio.create_task(intake.more(KEY, SIZE, 0, hanging.chunks(), None))
    await hanging.waits.wait()
    await intake.erase(KEY)
    assert await asyncio.gather(first, return_exceptions=True) != [SIZE]
    with pytest.raises(BlobMissingError):
        await blobs.size(KEY)
    assert await intake.offset(KEY, SIZE) == 0


@pytest.mark.parametrize("whole", [True, False])
async def test_a_client_that_trickles_is_given_up(blobs: Blobs, whole: bool) -> None:
    intake, hanging = Intake(blobs, patience=0.05), Stalled()
    write = intake.whole if whole else partial(intake.more, offset=0, digest=None)
    writing = write(KEY, SIZE, chunks=hanging.chunks())
    with pytest.raises(UploadExpiredError, match=r"no whole body in 0\.05 s"):
        await writing
    assert await intake.offset(KEY, SIZE) == (0 if whole else HALF)


@settings(max_examples=40)
@given(st.lists(st.integers(0, SIZE), max_size=6), st.integers(5_000, 200_000), st.integers(LEAST, SIZE))
def test_wherever_it_is_cut_the_same_bytes_arrive(cuts: list[int], by: int, piece: int) -> None:
    async def upload() -> bytes:
        blobs = MemoryBlobs()
        intake = Intake(blobs, patience=30)
        for cut in cuts:
            at = await intake.offset(KEY, SIZE)
            if at < SIZE:
                with suppress(LeftError):  # cut behind the last byte is not cut
                    await intake.more(KEY, SIZE, at, sent(DATA[at:cut], cut=True, by=by), DIGEST)
        at = await intake.offset(KEY, SIZE)
        assert await intake.more(KEY, SIZE, at, sent(DATA[at:], by=by), DIGEST) == SIZE
        return await pieces.read(blobs, KEY, SIZE)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pieces, "PIECE", piece)
        assert asyncio.run(upload()) == DATA
