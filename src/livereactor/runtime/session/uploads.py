"""Uploads of the one Session: slots, bytes, and their way into a Command (protocol 8). Loop only.

Bytes lie in the blob store below the Session's own prefix and are erased when it ends.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from weakref import WeakValueDictionary

import structlog

from livereactor.base.errors import (
    ConflictError,
    ForbiddenError,
    LimitError,
    NotFoundError,
    UnresolvedUploadError,
    UsageError,
)
from livereactor.base.ids import upload_id as new_upload_id
from livereactor.base.limits import Limits
from livereactor.blobs import pieces
from livereactor.blobs.bodies import check_size
from livereactor.blobs.intake import Intake
from livereactor.blobs.intake import folder_of as folder_of_blob
from livereactor.blobs.port import BlobKey, BlobMissingError, Blobs
from livereactor.blobs.signing import Grant, Signer
from livereactor.protocol.http import AnnouncedUpload, UploadRequest
from livereactor.runtime.interfaces import ReceivedFile

T = TypeVar("T")
log = structlog.get_logger("livereactor.uploads")


class UploadTypeError(UsageError):
    """Files of this type are not taken here."""

    code = "UPLOAD_TYPE_REFUSED"
    http_status = 415


def folder_of(session: str) -> BlobKey:
    """Where a Session's files lie; raises `UsageError` where its id cannot be part of a path."""
    return BlobKey.parse(f"sessions/{session}")


@dataclass(slots=True, eq=False)
class _Slot:
    """One file, announced."""

    upload_id: str
    name: str
    mime_type: str
    size: int
    key: BlobKey
    is_ours: bool  # else another takes its bytes in, and erases them
    landed: asyncio.Event = field(default_factory=asyncio.Event)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    expiry: asyncio.TimerHandle | None = None  # what is half written then is erased
    noticed: bool = False  # the model has been told
    over: bool = False  # its Session has ended


class Uploads:
    """The Uploads of a runtime.

    Args:
        blobs: where bytes are kept.
        limits: sizes, counts, waits.
        types: MIME types that may be uploaded, `image/*` for all of a family; none = any.
        on_landed: called with the size of each file taken in.
    """

    def __init__(
        self,
        blobs: Blobs,
        limits: Limits,
        types: Sequence[str] = (),
        on_landed: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._blobs, self._limits, self._types = blobs, limits, tuple(types)
        self._intake = Intake(blobs, patience=limits.upload_url_lifetime)
        self._signer = Signer(secrets.token_bytes(32))
        self._on_landed = on_landed
        self._session: str | None = None
        self._slots: dict[str, _Slot] = {}
        self._erasing: set[asyncio.Task[None]] = set()
        # Shared by the calls that name it: twenty commands with one file are one copy, gone with the last of them.
        self._files: WeakValueDictionary[BlobKey, ReceivedFile] = WeakValueDictionary()

    def begin(self, session: str) -> None:
        """A Session opens; it sees nothing of the one before."""
        folder_of(session)
        self._session, self._slots = session, {}

    async def end(self) -> None:
        """The Session is over: its files go."""
        session, slots = self._session, self._slots
        self._session, self._slots = None, {}
        for slot in slots.values():
            slot.over = True
            if slot.expiry is not None:
                slot.expiry.cancel()
        if session is not None and any(slot.is_ours for slot in slots.values()):
            await self._blobs.delete_prefix(folder_of(session))

    def reserve(self, request: UploadRequest) -> tuple[str, str]:
        """A slot for one file.

        Returns:
            its id, and the path with query that takes its bytes once.

        Raises:
            TooLargeError: file or Session over its size.
            LimitError: too many files.
            ConflictError: the id is taken.
            UploadTypeError: files of this type are not taken.
        """
        session = self._check(request)
        upload = request.upload_id or new_upload_id()
        if upload in self._slots:
            raise ConflictError(f"upload {upload!r} exists already; leave upload_id out to get a fresh one")
        key = BlobKey.parse(f"{folder_of(session).path}/{secrets.token_hex(16)}/content")
        slot = self._slots[upload] = _Slot(upload, request.name, request.mime_type, request.size, key, is_ours=True)
        # Whoever began in time may take as long again.
        slot.expiry = asyncio.get_running_loop().call_later(2 * self._limits.upload_url_lifetime, self._expire, slot)
        expires = int(time.time() + self._limits.upload_url_lifetime)
        grant = Grant("PUT", key, expires, max_bytes=request.size, exact_bytes=request.size)
        return upload, f"/uploads/{upload}?{self._signer.sign(grant)}"

    def announce(self, announced: AnnouncedUpload) -> None:
        """A file whose bytes a coordinator takes in, and erases; the same one again is no error.

        Raises:
            as `reserve`; UsageError: the key is none.
        """
        key = BlobKey.parse(announced.key)
        known = self._slots.get(announced.upload_id)
        if known is not None and known.key == key:
            return
        self._check(announced)
        if known is not None:
            raise ConflictError(f"upload {announced.upload_id!r} exists already; take another id")
        slot = _Slot(announced.upload_id, announced.name, announced.mime_type, announced.size, key, is_ours=False)
        self._slots[announced.upload_id] = slot

    def landed(self, upload: str) -> None:
        """The bytes of an announced file are in the store; raises `NotFoundError` for one that is not announced."""
        slot = self._slot(upload)
        if not slot.is_ours:
            slot.landed.set()

    async def write(self, upload: str, query: Mapping[str, str], chunks: AsyncIterator[bytes]) -> None:
        """The bytes of a slot, once and of exactly the announced size.

        Raises:
            NotFoundError: no such slot, or its Session has ended.
            ForbiddenError: the URL is not ours, or has expired.
            ConflictError: written already, or being written now.
            PeerError: another length than announced.
        """
        slot = self._own(upload, query)
        if slot.landed.is_set():
            raise _written(slot)
        await self._in_its_session(slot, self._intake.whole(slot.key, slot.size, _while_open(chunks, slot)))
        self._land(slot)

    async def append(
        self,
        upload: str,
        query: Mapping[str, str],
        chunks: AsyncIterator[bytes],
        *,
        offset: int,
        digest: bytes | None = None,
    ) -> tuple[int, int]:
        """The next bytes of a slot; see `Intake.more`.

        Returns:
            how many are there now, and how many there will be.

        Raises:
            as `write`; UploadOffsetError: they begin elsewhere. UploadCorruptedError: not what was told.
        """
        slot = self._own(upload, query)
        if slot.landed.is_set():
            if offset == slot.size:  # the answer to the last bytes was lost
                return slot.size, slot.size
            raise _written(slot)
        writing = self._intake.more(slot.key, slot.size, offset, _while_open(chunks, slot), digest)
        reached = await self._in_its_session(slot, writing)
        if reached == slot.size:
            self._land(slot)
        return reached, slot.size

    async def progress(self, upload: str, query: Mapping[str, str]) -> tuple[int, int]:
        """How many bytes of a slot are there, and how many there will be; who asks goes on (see `Intake.offset`)."""
        slot = self._own(upload, query)
        return slot.size if slot.landed.is_set() else await self._intake.offset(slot.key, slot.size), slot.size

    async def discard(self, upload: str, query: Mapping[str, str]) -> None:
        """Nothing of a slot's bytes is left; raises `ConflictError` where all have landed."""
        slot = self._own(upload, query)
        if slot.landed.is_set():
            raise _written(slot)
        await self._intake.erase(slot.key)

    def _land(self, slot: _Slot) -> None:
        slot.landed.set()
        self._on_landed(slot.size)

    async def _in_its_session(self, slot: _Slot, writing: Awaitable[T]) -> T:
        try:
            result = await writing
        finally:
            if slot.over:  # the folder was emptied while the last bytes were written
                await self._blobs.delete_prefix(folder_of_blob(slot.key))
        if slot.over:
            raise NotFoundError(f"the session of upload {slot.upload_id!r} has ended; start another")
        return result

    def _own(self, upload: str, query: Mapping[str, str]) -> _Slot:
        slot = self._slot(upload)
        if not slot.is_ours:
            raise ForbiddenError(f"upload {upload[:64]!r} is taken in by the coordinator; write its bytes there")
        self._signer.verify("PUT", slot.key, query, now_at=time.time())
        return slot

    async def file(self, upload: str) -> ReceivedFile:
        """A file of this Session, waiting for bytes that are on their way.

        Raises:
            UnresolvedUploadError: no such upload here, or its bytes do not come.
        """
        slot = self._slots.get(upload)
        if slot is None:
            raise UnresolvedUploadError(f"upload {upload[:64]!r} is not of this session; upload the file again")
        try:
            async with asyncio.timeout(self._limits.upload_wait):
                await slot.landed.wait()
        except TimeoutError:
            wait = self._limits.upload_wait
            raise UnresolvedUploadError(f"upload {upload!r} has no content after {wait:g} s; write its bytes") from None
        async with slot.reading:
            file = self._files.get(slot.key)
            if file is None:
                file = ReceivedFile(upload, slot.name, slot.mime_type, await self._read(slot))
                self._files[slot.key] = file
        return file

    async def _read(self, slot: _Slot) -> bytes:
        try:
            return await pieces.read(self._blobs, slot.key, slot.size)
        except BlobMissingError as error:  # removed by the Session's end, or by somebody else
            text = f"upload {slot.upload_id!r} has been removed; upload the file again"
            raise UnresolvedUploadError(text) from error

    def notice(self, upload: str) -> bool:
        """True the first time it is said of a file of this Session that it has been written."""
        slot = self._slots.get(upload)
        if slot is None or slot.noticed:
            return False
        slot.noticed = True
        return True

    def _expire(self, slot: _Slot) -> None:
        if not slot.landed.is_set():
            erasing = asyncio.get_running_loop().create_task(self._intake.erase(slot.key), name="uploads")
            self._erasing.add(erasing)
            erasing.add_done_callback(self._erased)

    def _erased(self, task: asyncio.Task[None]) -> None:
        self._erasing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("upload not erased", reason=str(task.exception()))

    def _slot(self, upload: str) -> _Slot:
        if (slot := self._slots.get(upload)) is None:
            raise NotFoundError(f"no upload {upload[:64]!r}; reserve a slot first")
        return slot

    def _check(self, request: UploadRequest) -> str:
        """The Session that takes one more such file."""
        if self._session is None:
            raise NotFoundError("no session is open; start one with POST /start_session")
        self._check_type(request.mime_type)
        check_size(request.size, sum(slot.size for slot in self._slots.values()), self._limits)
        if len(self._slots) >= self._limits.upload_slots:
            used = f"{len(self._slots)} of {self._limits.upload_slots} files"
            raise LimitError(f"{used} of this session are reserved; use those that are there")
        return self._session

    def _check_type(self, mime_type: str) -> None:
        plain = mime_type.split(";", 1)[0].strip().lower()
        if self._types and plain not in self._types and f"{plain.split('/', 1)[0]}/*" not in self._types:
            taken = ", ".join(self._types)
            raise UploadTypeError(f"files of type {plain[:64]!r} are not taken; send one of {taken}")


def _written(slot: _Slot) -> ConflictError:
    return ConflictError(f"upload {slot.upload_id!r} has its bytes already; reserve another slot")


async def _while_open(chunks: AsyncIterator[bytes], slot: _Slot) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        if slot.over:
            raise NotFoundError("the session has ended while the file was written; start another")
        yield chunk
