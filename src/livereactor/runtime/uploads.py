"""Uploads of the one Session: slots, bytes, and their way into a Command (protocol 8). Loop only.

Bytes lie in the blob store below the Session's own prefix and are erased when it ends.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from livereactor.base.errors import (
    ConflictError,
    LimitError,
    NotFoundError,
    PeerError,
    TooLargeError,
    UnresolvedUploadError,
)
from livereactor.base.ids import upload_id as new_upload_id
from livereactor.base.limits import MIB, Limits
from livereactor.blobs.port import BlobKey, Blobs
from livereactor.blobs.signing import Grant, Signer
from livereactor.protocol.http import UploadRequest
from livereactor.runtime.seam import ReceivedFile


@dataclass(slots=True, eq=False)
class _Slot:
    """One file, announced."""

    upload_id: str
    name: str
    mime_type: str
    size: int
    key: BlobKey
    landed: asyncio.Event = field(default_factory=asyncio.Event)
    writing: bool = False


class Uploads:
    """The Uploads of a runtime.

    Args:
        blobs: where bytes are kept.
        limits: sizes, counts, waits.
    """

    def __init__(self, blobs: Blobs, limits: Limits) -> None:
        self._blobs, self._limits = blobs, limits
        self._signer = Signer(secrets.token_bytes(32))
        self._session: str | None = None
        self._slots: dict[str, _Slot] = {}
        self.bytes_written = 0

    def begin(self, session: str) -> None:
        """A Session opens; it sees nothing of the one before."""
        self._session, self._slots = session, {}

    async def end(self) -> None:
        """The Session is over: its files go."""
        session, self._session, self._slots = self._session, None, {}
        if session is not None:
            await self._blobs.delete_prefix(BlobKey.parse(f"sessions/{session}"))

    def reserve(self, request: UploadRequest) -> tuple[str, str]:
        """A slot for one file.

        Returns:
            its id, and the path with query that takes its bytes once.

        Raises:
            TooLargeError: file or Session over its size.
            LimitError: too many files.
            ConflictError: the id is taken.
        """
        if self._session is None:
            raise NotFoundError("no session is open; start one with POST /start_session")
        limits = self._limits
        self._check_size(request.size)
        if len(self._slots) >= limits.upload_slots:
            raise LimitError(
                f"{len(self._slots)} of {limits.upload_slots} files in this session; use those that are there"
            )
        upload = request.upload_id or new_upload_id()
        if upload in self._slots:
            raise ConflictError(f"upload {upload!r} exists already; leave upload_id out to get a fresh one")
        key = BlobKey.parse(f"sessions/{self._session}/{secrets.token_hex(16)}")
        self._slots[upload] = _Slot(upload, request.name, request.mime_type, request.size, key)
        expires = int(time.time() + limits.upload_url_lifetime)
        grant = Grant("PUT", key, expires, max_bytes=request.size, exact_bytes=request.size)
        return upload, f"/uploads/{upload}?{self._signer.sign(grant)}"

    async def write(self, upload: str, query: Mapping[str, str], chunks: AsyncIterator[bytes]) -> None:
        """The bytes of a slot, once and of exactly the announced size.

        Raises:
            NotFoundError: no such slot.
            ForbiddenError: the URL is not ours, or has expired.
            ConflictError: written already, or being written now.
            PeerError: another length than announced.
        """
        slot = self._slot(upload)
        self._signer.verify("PUT", slot.key, query, now_at=time.time())
        if slot.landed.is_set() or slot.writing:
            raise ConflictError(f"upload {upload!r} has its bytes already; reserve another slot")
        slot.writing = True
        try:
            await self._blobs.put(slot.key, _exactly(chunks, slot.size))
        finally:
            slot.writing = False
        self.bytes_written += slot.size
        slot.landed.set()

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
        return ReceivedFile(upload, slot.name, slot.mime_type, await self._blobs.get(slot.key))

    def _slot(self, upload: str) -> _Slot:
        if (slot := self._slots.get(upload)) is None:
            raise NotFoundError(f"no upload {upload[:64]!r}; reserve a slot first")
        return slot

    def _check_size(self, size: int) -> None:
        limits = self._limits
        if size > limits.upload_bytes:
            raise TooLargeError(
                f"{_mib(size)} exceeds {_mib(limits.upload_bytes)} per file; send a smaller one",
                code="UPLOAD_TOO_LARGE",
            )
        used = sum(slot.size for slot in self._slots.values())
        if used + size > limits.upload_session_bytes:
            raise TooLargeError(
                f"{_mib(used)} of {_mib(limits.upload_session_bytes)} are used and {_mib(size)} more exceed it; "
                "start a new session",
                code="UPLOAD_TOO_LARGE",
            )


async def _exactly(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    seen = 0
    async for chunk in chunks:
        seen += len(chunk)
        if seen > size:
            break
        yield chunk
    if seen != size:
        more = "more than" if seen > size else f"{seen} of"
        raise PeerError(f"the body has {more} the {size} announced bytes; send exactly the file that was announced")


def _mib(size: int) -> str:
    return f"{size / MIB:.1f} MiB" if size >= MIB / 10 else f"{size} bytes"
