"""The blobs within one worker's reach: uploads of the sessions that it holds, and the recordings and clips of those.

A recording ends after its session, so what is recorded may still be written for a while; uploads may not be read any
more. Documents that say whose a recording or clip is are read before they are kept: an owner that the store does not
know of them would show up in the lists of somebody else's account.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, cast

from pydantic import ValidationError

from livereactor.base.errors import ForbiddenError, NotFoundError, TooLargeError
from livereactor.base.limits import MIB
from livereactor.blobs.clips import Made, asked_key, recording_key
from livereactor.blobs.port import BlobKey, BlobMissingError, Blobs, is_there
from livereactor.coordinator.auth.worker_credentials import WorkerIdentity
from livereactor.store.port import Store
from livereactor.store.records import RUNNING, SessionRecord

DOCUMENT_BYTES: Final = 8 * MIB  # of `clip.json`, which names a second of a recording in some 60 bytes
# Seconds after its session in which a recording is stored to its end: its clips, its journal, its last segments.
STORED_WITHIN: Final = 600.0
OWNERS: Final = ("recording.json", "asked.json")  # documents that say whose a recording or clip is


class WorkerReach:
    """One worker's reach.

    Args:
        unix_us: the clock, microseconds of Unix time.
    """

    def __init__(self, identity: WorkerIdentity, store: Store, blobs: Blobs, *, unix_us: Callable[[], int]) -> None:
        self._identity, self._store, self._blobs, self._unix_us = identity, store, blobs, unix_us

    async def must_read(self, key: BlobKey) -> None:
        """Raise `BlobMissingError` unless the blob, or all below it, belongs to a session that the worker holds."""
        if self._identity.is_anybody:
            return
        root, name, _ = _split(key)
        if root != "sessions" or await self._held(name) is None:
            raise BlobMissingError(key)

    async def must_hold(self, session: str) -> SessionRecord:
        """Return a session that the worker holds; raises `NotFoundError` for any other."""
        if (record := await self._held(session)) is None:
            raise NotFoundError(f"this worker holds no session {session[:64]!r}")
        return record

    def must_erase(self) -> None:
        """Raise `ForbiddenError`: what belongs to a session is erased by the coordinator."""
        if not self._identity.is_anybody:
            raise ForbiddenError("a worker's credential erases nothing; the coordinator does, when a session ends")

    async def checked(self, key: BlobKey, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes] | bytes:
        """Return what may be written there; raises `ForbiddenError` where it belongs to no session of the worker's."""
        if self._identity.is_anybody:
            return chunks
        root, name, file = _split(key)
        is_ours = False
        match root:
            case "recorded":
                is_ours = await self._recorded(name) is not None
            case "recordings" | "clips" if file in OWNERS:
                return await self._owner(key, chunks)
            case "clips" if file == "clip.json":
                return await self._made(key, name, chunks)
            case "clips":
                is_ours = await self._is_of_ours(asked_key(name))
            case "recordings":
                # Its journal begins before its first picture, and so before the document that says whose it is.
                is_begun = await is_there(self._blobs, recording_key(name))
                is_ours = await self._is_of_ours(recording_key(name)) if is_begun else file.startswith("journal-")
            case _:
                pass
        if not is_ours:
            raise _refused(key)
        return chunks

    async def _owner(self, key: BlobKey, chunks: AsyncIterator[bytes]) -> bytes:
        data = await _document(chunks)
        about = _read(data)
        record = await self._recorded(str(about.get("session")))
        if record is None or about.get("account") != record.account:
            raise _refused(key)
        return data

    async def _made(self, key: BlobKey, clip: str, chunks: AsyncIterator[bytes]) -> bytes:
        """Check `clip.json`: addresses are signed for all that it names, so it may name nobody else's."""
        data = await _document(chunks)
        if not await self._is_of_ours(asked_key(clip)):
            raise _refused(key)
        try:
            made = Made.model_validate_json(data)
        except ValidationError:
            raise _refused(key) from None
        named = [*filter(None, [made.init]), *(part for part, _ in made.parts)]
        for root, name in {_split(BlobKey(each))[:2] for each in named}:
            if (root, name) == ("clips", clip):
                continue
            if root != "recordings" or not await self._is_of_ours(recording_key(name)):
                raise _refused(key)
        return data

    async def _is_of_ours(self, document: BlobKey) -> bool:
        """Return whether the recording or clip with this document is of a session of the worker's."""
        try:
            about = _read(await self._blobs.get(document))
        except BlobMissingError:
            return False
        return await self._recorded(str(about.get("session"))) is not None

    async def _held(self, session: str) -> SessionRecord | None:
        record = await self._own(session)
        return record if record is not None and record.state in RUNNING else None

    async def _recorded(self, session: str) -> SessionRecord | None:
        record = await self._own(session)
        if record is None or record.ended_us is None:
            return record
        return record if self._unix_us() - record.ended_us < STORED_WITHIN * 1e6 else None

    async def _own(self, session: str) -> SessionRecord | None:
        record = await self._store.read(lambda tx: tx.session(session))
        if record is None or record.worker is None or not self._identity.covers(record.worker):
            return None
        return record


def _split(key: BlobKey) -> tuple[str, str, str]:
    root, _, rest = key.path.partition("/")
    name, _, file = rest.partition("/")
    return root, name, file


async def _document(chunks: AsyncIterator[bytes]) -> bytes:
    data = bytearray()
    async for chunk in chunks:
        data += chunk
        if len(data) > DOCUMENT_BYTES:
            raise TooLargeError(f"a document of a recording has at most {DOCUMENT_BYTES // MIB} MiB; send less")
    return bytes(data)


def _read(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _refused(key: BlobKey) -> ForbiddenError:
    return ForbiddenError(f"{key.path[:200]!r} belongs to no session of this worker")
