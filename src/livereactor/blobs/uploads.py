"""The upload service that a coordinator and a stand-alone runtime share: signed addresses, and bytes into blobs.

A subclass keeps the slots: the coordinator in its store, a runtime in memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from livereactor.base.errors import ConflictError, LimitError, NotFoundError, TooLargeError
from livereactor.base.limits import MIB, Limits
from livereactor.blobs.port import BlobExistsError, BlobKey, Blobs
from livereactor.blobs.signing import Grant, Signer
from livereactor.blobs.upload_writer import UploadWriter, folder_of

UPLOAD_TOO_LARGE = "UPLOAD_TOO_LARGE"


class Slot(Protocol):
    """A place for one file, reserved before its bytes are sent.

    Attributes:
        key: of the blob that holds its bytes.
        landed: all bytes are there.
        expires_us: when its address expires, microseconds of Unix time.
        link: id of the share link that its client came by; "" = none.
    """

    @property
    def id(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def landed(self) -> bool: ...
    @property
    def expires_us(self) -> int: ...
    @property
    def link(self) -> str: ...


S = TypeVar("S", bound=Slot)


class UploadService(ABC, Generic[S]):
    """Takes in the bytes of reserved slots, on one event loop.

    Args:
        blobs: where bytes are kept.
        signer: signs and checks addresses; every replica needs the same secret.
        limits: sizes, counts, lifetimes.
        now: the clock, seconds of Unix time.
    """

    def __init__(self, blobs: Blobs, signer: Signer, limits: Limits, *, now: Callable[[], float]) -> None:
        self._blobs, self._signer, self._limits, self._now = blobs, signer, limits, now
        self._writer = UploadWriter(blobs, timeout=limits.upload_url_lifetime)

    @abstractmethod
    async def _find(self, upload: str) -> S:
        """Return a slot whose bytes are taken in here; raises `NotFoundError`, or another error of its own."""

    @abstractmethod
    async def _is_over(self, slot: S) -> bool:
        """Return whether the slot's session has ended, or has given the slot up."""

    @abstractmethod
    async def _land(self, slot: S) -> bool:
        """Record that all bytes are there; False, and nothing is recorded, where `_is_over`."""

    def _while_open(self, slot: S, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Return the chunks; a subclass may end them with `NotFoundError` as soon as the session ends."""
        return chunks

    async def write(self, upload: str, query: Mapping[str, str], chunks: AsyncIterator[bytes]) -> None:
        """Write the bytes of a slot, once and of exactly the announced size.

        Raises:
            NotFoundError: no such slot, or its session has ended.
            ForbiddenError: the address was not signed here, or has expired.
            ConflictError: written already, or being written now.
            PeerError: another length than announced.
            UnavailableError: blobs or store are away; the slot can be written again.
        """
        slot = await self._granted(upload, query)
        if slot.landed:
            raise _written(upload)
        key = BlobKey.parse(slot.key)
        try:
            await self._writer.write(key, slot.size_bytes, self._while_open(slot, chunks))
        except BlobExistsError:
            # Another replica was faster, or a process died between the bytes and their record: these are the bytes.
            if await self._blobs.size(key) != slot.size_bytes:
                raise _written(upload) from None
        await self._finish(slot)

    async def append(
        self,
        upload: str,
        query: Mapping[str, str],
        chunks: AsyncIterator[bytes],
        *,
        offset: int,
        digest: bytes | None = None,
    ) -> tuple[int, int]:
        """Append the next bytes of a slot; see `UploadWriter.append`.

        Returns:
            The number of bytes there are now, and the number there will be.

        Raises:
            as `write`
            UploadOffsetError: the bytes begin elsewhere.
            UploadCorruptedError: the digest differs.
        """
        slot = await self._granted(upload, query)
        if slot.landed:
            if offset == slot.size_bytes:  # the answer to the last bytes was lost
                return offset, offset
            raise _written(upload)
        key, size = BlobKey.parse(slot.key), slot.size_bytes
        try:
            reached = await self._writer.append(key, size, offset, self._while_open(slot, chunks), digest)
        except BaseException:
            await self._erase_if_over(slot)
            raise
        if reached == size:
            await self._finish(slot)
        elif await self._erase_if_over(slot):
            raise _over(slot)
        return reached, size

    async def progress(self, upload: str, query: Mapping[str, str]) -> tuple[int, int]:
        """Return the number of bytes there are, and will be; a request that is still writing is stopped."""
        slot = await self._granted(upload, query)
        if slot.landed:
            return slot.size_bytes, slot.size_bytes
        return await self._writer.offset(BlobKey.parse(slot.key), slot.size_bytes), slot.size_bytes

    async def discard(self, upload: str, query: Mapping[str, str]) -> None:
        """Erase what was written of a slot; raises `ConflictError` once all bytes have landed."""
        slot = await self._granted(upload, query)
        if slot.landed:
            raise _written(upload)
        await self._writer.erase(BlobKey.parse(slot.key))

    def _address(self, slot: S, expires_at: int) -> str:
        """Return the path with query that takes the slot's bytes until a Unix time in seconds."""
        size = slot.size_bytes
        grant = Grant("PUT", BlobKey.parse(slot.key), expires_at, max_bytes=size, exact_bytes=size)
        return f"/uploads/{slot.id}?{self._signer.sign(grant)}"

    async def _granted(self, upload: str, query: Mapping[str, str]) -> S:
        slot = await self._find(upload)
        self._signer.verify("PUT", BlobKey.parse(slot.key), query, now_at=self._now())
        return slot

    async def _finish(self, slot: S) -> None:
        if not await self._land(slot):
            await self._erase_pieces(slot)
            raise _over(slot)

    async def _erase_if_over(self, slot: S) -> bool:
        """Erase bytes that came in after their session's files were erased; return whether the session has ended."""
        is_over = await self._is_over(slot)
        if is_over:
            await self._erase_pieces(slot)
        return is_over

    async def _erase_pieces(self, slot: S) -> None:
        await self._blobs.delete_prefix(folder_of(BlobKey.parse(slot.key)))


def make_room(asked: Slot, slots: Sequence[S], limits: Limits, *, now: float, is_taken: bool) -> Sequence[S]:
    """Return the slots without their bytes that a session gives up, so that it can reserve another.

    First go those whose address has expired, the oldest first. For a slot that no share link asks for, those of share
    links go too, the newest first. Written files stay, so share links never hold all places: one has at most half of a
    session's files and bytes, and all together leave a quarter to the owner.

    Args:
        asked: the other slot.
        slots: of the session.
        now: Unix time in seconds.
        is_taken: a slot of this id exists already.

    Raises:
        LimitError: too many files, or its share link, or all of them, would have too much.
        TooLargeError: the file, or all of the session's, would be too large.
        ConflictError: the id is taken.
    """
    if asked.size_bytes > limits.upload_bytes:
        most = _mib(limits.upload_bytes)
        text = f"{_mib(asked.size_bytes)} exceeds {most} per file; send a smaller one"
        raise TooLargeError(text, code=UPLOAD_TOO_LARGE)
    unwritten = sorted((each for each in slots if not each.landed), key=lambda each: each.expires_us)
    expired = [each for each in unwritten if each.expires_us <= now * 1e6]
    pending = [each for each in unwritten if each.expires_us > now * 1e6 and each.link]
    if asked.link:
        held = [each for each in slots if each.link and (each.landed or each.expires_us > now * 1e6)]
        own = [each for each in held if each.link == asked.link]
        slots_most, bytes_most = limits.upload_slots, limits.upload_session_bytes
        if own:  # a link's only file may be larger than half
            _check_share(asked, own, "one share link", slots_most // 2, bytes_most // 2, now=now)
        _check_share(asked, held, "all share links", 3 * slots_most // 4, 3 * bytes_most // 4, now=now)
    given_up: list[S] = []
    count, used = len(slots), sum(each.size_bytes for each in slots)
    for each in expired if asked.link else [*expired, *reversed(pending)]:
        if count < limits.upload_slots and used + asked.size_bytes <= limits.upload_session_bytes:
            break
        given_up.append(each)
        count, used = count - 1, used - each.size_bytes
    if count >= limits.upload_slots:
        most_slots = f"{limits.upload_slots} files (upload_slots)"
        raise LimitError(f"{count} of {most_slots} of this session are reserved; use those, or start a new session")
    if used + asked.size_bytes > limits.upload_session_bytes:
        raise TooLargeError(
            f"{_mib(used)} of {_mib(limits.upload_session_bytes)} (upload_session_bytes) are used and "
            f"{_mib(asked.size_bytes)} more exceed it; start a new session",
            code=UPLOAD_TOO_LARGE,
        )
    if is_taken:
        raise ConflictError(f"upload {asked.id!r} already exists; omit upload_id to get a new one")
    return given_up


def _check_share(
    asked: Slot, held: Sequence[Slot], whose: str, slots_most: int, bytes_most: int, *, now: float
) -> None:
    """Raise `LimitError` if another slot would exceed a share of the session's files or bytes."""
    count, used = len(held), sum(each.size_bytes for each in held)

    def fits(count: int, used: int) -> bool:
        return count < slots_most and used + asked.size_bytes <= bytes_most

    if fits(count, used):
        return
    come_back = "written files stay until the session ends"
    left, kept = count, used
    for each in sorted((each for each in held if not each.landed), key=lambda each: each.expires_us):
        left, kept = left - 1, kept - each.size_bytes
        if fits(left, kept):
            come_back = f"try again in {max(1, round(each.expires_us / 1e6 - now))} s"
            break
    raise LimitError(
        f"{count} of {slots_most} files (upload_slots) and {_mib(used)} of {_mib(bytes_most)} (upload_session_bytes) "
        f"that {whose} may have are taken, and {_mib(asked.size_bytes)} are asked for; {come_back}"
    )


def no_upload(upload: str) -> NotFoundError:
    """Return the error for an upload without a slot."""
    return NotFoundError(f"no upload {upload[:64]!r}; reserve a slot first")


def _over(slot: Slot) -> NotFoundError:
    return NotFoundError(f"the session of upload {slot.id!r} has ended, or gave its place to another; reserve again")


def _written(upload: str) -> ConflictError:
    return ConflictError(f"upload {upload!r} already has its content; reserve another slot")


def _mib(size: int) -> str:
    return f"{f'{size / MIB:.1f}'.removesuffix('.0')} MiB" if size >= MIB / 10 else f"{size} bytes"
