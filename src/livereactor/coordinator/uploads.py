"""Uploads of all Sessions: slots in the store, signed URLs of our own, bytes into the blobs, and the Worker told.

Loop only. A slot is announced to the Session's Worker before the client has its URL, and its Worker is told again when
the bytes have landed, so commands that name it wait for nothing else. Bytes are erased when the Session ends.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Final

import structlog

from livereactor.base.errors import (
    ConflictError,
    LimitError,
    LivereactorError,
    NotFoundError,
    UnavailableError,
)
from livereactor.base.ids import upload_id as new_upload_id
from livereactor.base.limits import Limits
from livereactor.base.sparse_log import SparseLog
from livereactor.blobs.bodies import check_size
from livereactor.blobs.intake import Intake, folder_of
from livereactor.blobs.port import BlobExistsError, BlobKey, Blobs
from livereactor.blobs.signing import Grant, Signer
from livereactor.coordinator.auth.caller import Caller
from livereactor.coordinator.decisions.effects import Effect, SessionEnded
from livereactor.coordinator.service import Service
from livereactor.protocol import link
from livereactor.protocol.http import AnnouncedUpload, UploadRequest
from livereactor.store.port import Store, Tx
from livereactor.store.records import SessionRecord, SessionState, UploadRecord

LATE: Final = (0.5, 1.0, 2.0, 4.0)  # seconds between attempts to tell a Worker; a command waits 10 s for its bytes
ERASING: Final = 8  # Sessions whose files are being erased; more wait in line
LOOK_EVERY: Final = 60.0  # seconds between two looks for files that outlived their Sessions
LOOKED_AT: Final = 1_000  # of those Sessions at once

log = SparseLog(structlog.get_logger("livereactor.uploads"))


class Uploads:
    """The Uploads of a coordinator.

    Args:
        store: where slots are recorded.
        blobs: where bytes are kept.
        signer: signs and checks URLs; every replica needs the same secret.
        limits: sizes, counts, lifetimes.
        unix_us: the clock, microseconds of Unix time.
    """

    def __init__(
        self,
        service: Service,
        store: Store,
        blobs: Blobs,
        signer: Signer,
        limits: Limits,
        *,
        unix_us: Callable[[], int],
    ) -> None:
        self._service, self._store, self._blobs, self._signer = service, store, blobs, signer
        self._limits, self._unix_us = limits, unix_us
        self._intake = Intake(blobs, patience=limits.upload_url_lifetime)
        self._tasks: set[asyncio.Task[None]] = set()
        self._erasing = asyncio.Semaphore(ERASING)
        service.listen(self._follow)

    async def reserve(self, caller: Caller, session: str, asked: UploadRequest) -> tuple[str, str]:
        """A slot for one file.

        Returns:
            its id, and the path with query that takes its bytes once.

        Raises:
            as `Service.relay`; TooLargeError: file or Session over its size; LimitError: too many files;
            ConflictError: the id is taken; and what the Worker refuses it for, such as its type.
        """
        record = await self._service.running(caller, session)
        caller.need("upload")
        now_us, upload = self._unix_us(), asked.upload_id or new_upload_id()
        slot = UploadRecord(
            id=upload,
            session=record.id,
            account=record.account,
            name=asked.name,
            mime_type=asked.mime_type,
            size_bytes=asked.size,
            key=f"sessions/{record.id}/{secrets.token_hex(16)}/content",
            expires_us=now_us + int(self._limits.upload_url_lifetime * 1e6),
        )
        await self._store.read(lambda tx: _must_fit(tx, slot, self._limits))
        # The Worker first: what it refuses is not recorded, and a slot that it alone knows of costs nothing.
        await self._announce(slot)
        await self._store.transact(lambda tx: _reserve(tx, slot, self._limits))
        grant = Grant(
            "PUT", BlobKey.parse(slot.key), slot.expires_us // 1_000_000, max_bytes=asked.size, exact_bytes=asked.size
        )
        return upload, f"/uploads/{upload}?{self._signer.sign(grant)}"

    async def write(self, upload: str, query: Mapping[str, str], chunks: AsyncIterator[bytes]) -> None:
        """The bytes of a slot, once and of exactly the announced size.

        Raises:
            NotFoundError: no such slot, or its Session is over.
            ForbiddenError: the URL is not ours, or has expired.
            ConflictError: written already, or being written now.
            PeerError: another length than announced.
            UnavailableError: blobs or store are away; the slot can be written again.
        """
        slot = await self._own(upload, query)
        if slot.landed:
            raise _written(upload)
        try:
            await self._intake.whole(BlobKey.parse(slot.key), slot.size_bytes, chunks)
        except BlobExistsError:
            # Another replica was faster, or we died between the bytes and their record: they are what was announced.
            if await self._blobs.size(BlobKey.parse(slot.key)) != slot.size_bytes:
                raise _written(slot.id) from None
        await self._land(slot)

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
        slot = await self._own(upload, query)
        if slot.landed:
            if offset == slot.size_bytes:  # the answer to the last bytes was lost
                return offset, offset
            raise _written(upload)
        try:
            reached = await self._intake.more(BlobKey.parse(slot.key), slot.size_bytes, offset, chunks, digest)
        except BaseException:
            await self._erase_where_over(slot)
            raise
        if reached == slot.size_bytes:
            await self._land(slot)  # which looks at the Session itself
        elif await self._erase_where_over(slot):
            raise _over(slot)
        return reached, slot.size_bytes

    async def progress(self, upload: str, query: Mapping[str, str]) -> tuple[int, int]:
        """How many bytes of a slot are there, and how many there will be; who asks goes on (see `Intake.offset`)."""
        slot = await self._own(upload, query)
        there = slot.size_bytes if slot.landed else await self._intake.offset(BlobKey.parse(slot.key), slot.size_bytes)
        return there, slot.size_bytes

    async def discard(self, upload: str, query: Mapping[str, str]) -> None:
        """Nothing of a slot's bytes is left; raises `ConflictError` where all have landed."""
        slot = await self._own(upload, query)
        if slot.landed:
            raise _written(upload)
        await self._intake.erase(BlobKey.parse(slot.key))

    async def start(self) -> None:
        """Erase in the background, every `LOOK_EVERY` seconds, what could not be erased when its Session ended."""
        self._later(self._erase_left_over())

    async def aclose(self) -> None:
        """Stop telling and erasing; what is left, other replicas or the next start erase."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _own(self, upload: str, query: Mapping[str, str]) -> UploadRecord:
        slot = await self._store.read(lambda tx: tx.upload(upload))
        if slot is None:
            raise NotFoundError(f"no upload {upload[:64]!r}; reserve a slot first")
        self._signer.verify("PUT", BlobKey.parse(slot.key), query, now_at=self._unix_us() / 1e6)
        return slot

    async def _land(self, slot: UploadRecord) -> None:
        if not await self._store.transact(lambda tx: _land(tx, slot)):
            await self._blobs.delete_prefix(folder_of(BlobKey.parse(slot.key)))
            raise _over(slot)
        self._service.metrics.uploaded(slot.size_bytes)
        await self._tell(slot)

    async def _erase_where_over(self, slot: UploadRecord) -> bool:
        """What came in while its Session ended may be newer than the erasing of its files; True where it ended."""
        if not await self._store.read(lambda tx: _is_over(tx.session(slot.session))):
            return False
        await self._blobs.delete_prefix(folder_of(BlobKey.parse(slot.key)))
        return True

    async def _tell(self, slot: UploadRecord) -> None:
        """The Worker hears of the bytes before the client has its answer; where that fails, soon after."""
        try:
            await self._landed(slot)
        except LivereactorError:
            self._later(self._tell_late(slot))

    async def _tell_late(self, slot: UploadRecord) -> None:
        for pause in LATE:
            await asyncio.sleep(pause)
            try:
                await self._landed(slot)
                break
            except NotFoundError:
                break  # its Session is over
            except LivereactorError as error:
                log.warning("worker not told of an upload", session=slot.session, reason=error.message)

    async def _landed(self, slot: UploadRecord) -> None:
        path = f"/sessions/{slot.session}/uploads/{slot.id}/landed"
        reply = await self._service.relay(_owner(slot), slot.session, "POST", path)
        if reply.status == 404:  # another Worker than the one it was announced to
            await self._announce(slot)
            reply = await self._service.relay(_owner(slot), slot.session, "POST", path)
        _must_be_well(reply)

    async def _announce(self, slot: UploadRecord) -> None:
        body = AnnouncedUpload(
            name=slot.name, size=slot.size_bytes, mime_type=slot.mime_type, upload_id=slot.id, key=slot.key
        )
        path = f"/sessions/{slot.session}/uploads"
        _must_be_well(await self._service.relay(_owner(slot), slot.session, "POST", path, body.model_dump_json()))

    def _follow(self, effect: Effect) -> None:
        if isinstance(effect, SessionEnded):
            self._later(self._erase(effect.session))

    async def _erase(self, session: str) -> None:
        async with self._erasing:
            try:
                if not await self._store.read(lambda tx: tx.uploads(session)):
                    return
                await self._blobs.delete_prefix(BlobKey.parse(f"sessions/{session}"))
                await self._store.transact(lambda tx: tx.delete_uploads(session))
            except UnavailableError as error:  # the records stay, so the next look finds what to erase
                log.warning("uploads not erased", session=session, reason=error.message)

    async def _erase_left_over(self) -> None:
        looked_us = 0
        while True:
            try:
                for session in await self._store.read(lambda tx: tx.ended_with_uploads(limit=LOOKED_AT)):
                    await self._erase(session)
                looked_us = await self._erase_half_written(looked_us)
            except UnavailableError as error:
                log.warning("uploads not looked through", reason=error.message)
            await asyncio.sleep(LOOK_EVERY)

    async def _erase_half_written(self, since_us: int) -> int:
        """What did not land while its URL was good goes; its slot stays, and counts, as long as its Session.

        Args:
            since_us: how far the last look went, 0 = there was none.

        Returns:
            how far this one went.
        """
        # Whoever began in time may take as long again.
        until_us = self._unix_us() - int(2e6 * self._limits.upload_url_lifetime)
        late = await self._store.read(lambda tx: tx.unwritten_uploads(since_us, until_us, limit=LOOKED_AT))
        for slot in late:
            await self._blobs.delete_prefix(folder_of(BlobKey.parse(slot.key)))
        return late[-1].expires_us if late else since_us

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="uploads")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class WorkerRefusedError(LivereactorError):
    """What a Worker answered to a request of ours, for the client to read."""

    def __init__(self, reply: link.Reply) -> None:
        super().__init__(f"the worker answered {reply.status}: {reply.body[:200]}", code="WORKER_REFUSED")
        self.reply = reply


def _must_be_well(reply: link.Reply) -> None:
    if reply.status >= 400:
        raise WorkerRefusedError(reply)


def _must_fit(tx: Tx, slot: UploadRecord, limits: Limits) -> None:
    others = tx.uploads(slot.session)
    if len(others) >= limits.upload_slots:
        used = f"{len(others)} of {limits.upload_slots} files"
        raise LimitError(f"{used} of this session are reserved; use those that are there")
    check_size(slot.size_bytes, sum(each.size_bytes for each in others), limits)
    if tx.upload(slot.id) is not None:
        raise ConflictError(f"upload {slot.id!r} exists already; leave upload_id out to get a fresh one")


def _reserve(tx: Tx, slot: UploadRecord, limits: Limits) -> None:
    _must_be_open(tx.session(slot.session, lock=True), slot)
    _must_fit(tx, slot, limits)
    tx.put_upload(slot)


def _land(tx: Tx, slot: UploadRecord) -> bool:
    """True where the bytes count; else their Session has ended while they were written."""
    if _is_over(tx.session(slot.session, lock=True)):
        return False
    tx.put_upload(replace(slot, landed=True))
    return True


def _must_be_open(session: SessionRecord | None, slot: UploadRecord) -> None:
    if _is_over(session):
        raise NotFoundError(f"session {slot.session!r} is over; start another")


def _is_over(session: SessionRecord | None) -> bool:
    return session is None or session.state is SessionState.CLOSED


def _owner(slot: UploadRecord) -> Caller:
    """Rights were checked when the slot was reserved; its URL carries them from there."""
    return Caller(slot.account)


def _over(slot: UploadRecord) -> NotFoundError:
    return NotFoundError(f"the session of upload {slot.id!r} has ended; start another")


def _written(upload: str) -> ConflictError:
    return ConflictError(f"upload {upload!r} has its bytes already; reserve another slot")
