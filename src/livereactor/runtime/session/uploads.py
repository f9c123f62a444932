"""The uploads of the one session of a runtime: slots in memory, bytes into the blobs, and files for commands.

Bytes lie in the blob store below the session's own prefix and are erased when the session ends.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

import structlog

from livereactor.base.errors import ForbiddenError, NotFoundError, UnresolvedUploadError, UsageError
from livereactor.base.ids import upload_id as new_upload_id
from livereactor.base.limits import Limits
from livereactor.base.tasks import set_within
from livereactor.blobs import pieces
from livereactor.blobs.port import BlobKey, BlobMissingError, Blobs
from livereactor.blobs.signing import Signer
from livereactor.blobs.uploads import UploadService, make_room, no_upload
from livereactor.protocol.http import AnnouncedUpload, UploadRequest
from livereactor.runtime.interfaces import ReceivedFile

log = structlog.get_logger("livereactor.uploads")


class UploadTypeError(UsageError):
    """The runtime does not take files of this type."""

    code = "UPLOAD_TYPE_REFUSED"
    http_status = 415


def folder_of(session: str) -> BlobKey:
    """Return the prefix of a session's files; raises `UsageError` for an id that cannot be part of a path."""
    return BlobKey.parse(f"sessions/{session}")


@dataclass(slots=True, eq=False)
class _Slot:
    """A file that was announced; it fits `blobs.uploads.Slot`."""

    id: str
    name: str
    mime_type: str
    size_bytes: int
    key: str
    is_ours: bool  # False = a coordinator takes its bytes in, and erases them
    expires_us: int
    link: str = ""  # only a coordinator has share links
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    expiry: asyncio.TimerHandle | None = None  # what is half written then is erased
    noticed: bool = False  # the model knows of it
    over: bool = False  # its session has ended, or has given it up

    @property
    def landed(self) -> bool:
        return self.arrived.is_set()


class Uploads(UploadService[_Slot]):
    """The uploads of a runtime.

    Args:
        blobs: where bytes are kept.
        limits: sizes, counts, waits.
        types: MIME types that may be uploaded, `image/*` for all of a family; none = any.
        on_landed: called with the size of each file taken in.
    """

    def __init__(
        self, blobs: Blobs, limits: Limits, types: Sequence[str] = (), on_landed: Callable[[int], None] = lambda _: None
    ) -> None:
        super().__init__(blobs, Signer(secrets.token_bytes(32)), limits, now=time.time)
        self._types, self._on_landed = tuple(types), on_landed
        self._session: str | None = None
        self._slots: dict[str, _Slot] = {}
        self._erasing: set[asyncio.Task[None]] = set()
        # Shared by the calls that name a file: twenty commands have one copy, which goes with the last of them.
        self._files: WeakValueDictionary[str, ReceivedFile] = WeakValueDictionary()

    def begin(self, session: str) -> None:
        """Begin a session, which sees no files of the one before."""
        folder_of(session)
        self._session, self._slots = session, {}

    async def end(self) -> None:
        """End the session and erase its files."""
        session, slots = self._session, self._slots
        self._session, self._slots = None, {}
        for slot in slots.values():
            slot.over = True
            if slot.expiry is not None:
                slot.expiry.cancel()
        if session is not None and any(slot.is_ours for slot in slots.values()):
            await self._blobs.delete_prefix(folder_of(session))

    def reserve(self, request: UploadRequest) -> tuple[str, str]:
        """Reserve a slot for one file.

        Returns:
            Its id, and the path with query that takes its bytes once.

        Raises:
            TooLargeError: the file, or all of the session's, would be too large.
            LimitError: too many files.
            ConflictError: the id is taken.
            UploadTypeError: files of this type are not taken.
        """
        upload = request.upload_id or new_upload_id()
        session = self._must_be_open(request)
        key = f"{folder_of(session).path}/{secrets.token_hex(16)}/content"
        slot = self._slot_for(request, upload, key, is_ours=True)
        self._take(slot)
        # A request that began in time may take as long again.
        slot.expiry = asyncio.get_running_loop().call_later(2 * self._limits.upload_url_lifetime, self._expire, slot)
        return upload, self._address(slot, slot.expires_us // 1_000_000)

    def announce(self, announced: AnnouncedUpload) -> None:
        """Add a file whose bytes a coordinator takes in, and erases; announcing the same one again is no error.

        Raises:
            as `reserve`
            UsageError: the key is not a blob key.
        """
        key = BlobKey.parse(announced.key).path
        known = self._slots.get(announced.upload_id)
        if known is not None and known.key == key:
            return
        self._must_be_open(announced)
        self._take(self._slot_for(announced, announced.upload_id, key, is_ours=False, link=announced.link))

    def landed(self, upload: str) -> None:
        """Note that the bytes of an announced file are in the store; raises `NotFoundError` for any other."""
        slot = self._slot(upload)
        if not slot.is_ours:
            slot.arrived.set()

    async def _find(self, upload: str) -> _Slot:
        slot = self._slot(upload)
        if not slot.is_ours:
            raise ForbiddenError(f"upload {upload[:64]!r} is stored by the coordinator; write its bytes there")
        return slot

    async def _is_over(self, slot: _Slot) -> bool:
        return slot.over

    async def _land(self, slot: _Slot) -> bool:
        if slot.over:
            return False
        slot.arrived.set()
        self._on_landed(slot.size_bytes)
        return True

    async def _while_open(self, slot: _Slot, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            if slot.over:
                raise NotFoundError("the session ended, or gave the place to another file, meanwhile; reserve again")
            yield chunk

    async def file(self, upload: str) -> ReceivedFile:
        """Return a file of this session once its bytes have arrived.

        Raises:
            UnresolvedUploadError: no such upload here, or its bytes do not come.
        """
        slot = self._slots.get(upload)
        if slot is None:
            raise UnresolvedUploadError(
                f"upload {upload[:64]!r} does not belong to this session; upload the file again"
            )
        wait = self._limits.upload_wait
        if not await set_within(slot.arrived, wait):
            raise UnresolvedUploadError(f"upload {upload!r} has no content after {wait:g} s; write its bytes")
        async with slot.reading:
            file = self._files.get(slot.key)
            if file is None:
                data = await self._read(slot)
                file = ReceivedFile(upload, slot.name, slot.mime_type, data, self._limits.image_pixels)
                self._files[slot.key] = file
        return file

    async def _read(self, slot: _Slot) -> bytes:
        try:
            return await pieces.read(self._blobs, BlobKey.parse(slot.key), slot.size_bytes)
        except BlobMissingError as error:  # removed when the session ended, or from outside
            text = f"upload {slot.id!r} has been removed; upload the file again"
            raise UnresolvedUploadError(text) from error

    def notice(self, upload: str) -> bool:
        """Return True the first time that a file of this session is reported as written."""
        slot = self._slots.get(upload)
        if slot is None or slot.noticed:
            return False
        slot.noticed = True
        return True

    def _expire(self, slot: _Slot) -> None:
        if not slot.landed:
            erasing = asyncio.get_running_loop().create_task(
                self._writer.erase(BlobKey.parse(slot.key)), name="uploads"
            )
            self._erasing.add(erasing)
            erasing.add_done_callback(self._erased)

    def _erased(self, task: asyncio.Task[None]) -> None:
        self._erasing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("upload not erased", reason=str(task.exception()))

    def _slot(self, upload: str) -> _Slot:
        if (slot := self._slots.get(upload)) is None:
            raise no_upload(upload)
        return slot

    def _must_be_open(self, request: UploadRequest) -> str:
        """Return the session, which takes files of this type."""
        if self._session is None:
            raise NotFoundError("no session is open; start one with POST /start_session")
        self._check_type(request.mime_type)
        return self._session

    def _slot_for(self, request: UploadRequest, upload: str, key: str, *, is_ours: bool, link: str = "") -> _Slot:
        expires_us = int((self._now() + self._limits.upload_url_lifetime) * 1e6)
        return _Slot(upload, request.name, request.mime_type, request.size, key, is_ours, expires_us, link)

    def _take(self, slot: _Slot) -> None:
        slots, is_taken = list(self._slots.values()), slot.id in self._slots
        for given_up in make_room(slot, slots, self._limits, now=self._now(), is_taken=is_taken):
            given_up.over = True
            del self._slots[given_up.id]
            if given_up.expiry is not None:
                given_up.expiry.cancel()
            if given_up.is_ours:
                self._expire(given_up)
        self._slots[slot.id] = slot

    def _check_type(self, mime_type: str) -> None:
        plain = mime_type.split(";", 1)[0].strip().lower()
        if self._types and plain not in self._types and f"{plain.split('/', 1)[0]}/*" not in self._types:
            taken = ", ".join(self._types)
            raise UploadTypeError(f"files of type {plain[:64]!r} are not accepted; send one of {taken}")
