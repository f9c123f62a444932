"""The coordinator's uploads: slots in the store, bytes into the blobs, and the session's worker informed.

A slot is announced to the session's worker before the client gets its address, and it is notified when the bytes have
landed, so commands that name the file wait for nothing else. Files are erased when their session ends.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from livereactor.base.errors import LivereactorError, NotFoundError, UnavailableError
from livereactor.base.ids import upload_id as new_upload_id
from livereactor.base.limits import Limits
from livereactor.base.sparse_log import SparseLog
from livereactor.base.tasks import TaskSet
from livereactor.blobs.port import BlobKey, Blobs
from livereactor.blobs.signing import Signer
from livereactor.blobs.uploads import UploadService, make_room, no_upload
from livereactor.coordinator.auth.caller import Caller
from livereactor.coordinator.decisions.effects import Effect, SessionClosed
from livereactor.coordinator.service import Service
from livereactor.protocol import link
from livereactor.protocol.http import AnnouncedUpload, UploadRequest
from livereactor.store.port import Store, Tx
from livereactor.store.records import SessionRecord, SessionState, UploadRecord

NOTIFY_RETRIES: Final = (0.5, 1.0, 2.0, 4.0)  # seconds between attempts; a command waits 10 s for its bytes
ERASED_AT_ONCE: Final = 8  # sessions whose files are being erased; more wait
ERASE_INTERVAL: Final = 60.0  # seconds between two searches for files that outlived their sessions
ERASE_BATCH: Final = 1_000  # of those sessions, or slots, in one search

log = SparseLog(structlog.get_logger("livereactor.uploads"))


class Uploads(UploadService[UploadRecord]):
    """The uploads of a coordinator.

    Args:
        store: where slots are recorded.
        blobs: where bytes are kept.
        signer: signs and checks addresses; every replica needs the same secret.
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
        super().__init__(blobs, signer, limits, now=lambda: unix_us() / 1e6)
        self._service, self._store, self._unix_us = service, store, unix_us
        self._tasks = TaskSet()
        self._erasing = asyncio.Semaphore(ERASED_AT_ONCE)
        service.decider.subscribe(self._on_effect)

    async def reserve(self, caller: Caller, session: str, asked: UploadRequest) -> tuple[str, str]:
        """Reserve a slot for one file.

        Returns:
            Its id, and the path with query that takes its bytes once.

        Raises:
            as `Service.relay`
            TooLargeError: the file, or all of the session's, would be too large.
            LimitError: too many files.
            ConflictError: the id is taken.
            WorkerRefusedError: the worker refuses it, for instance for its type.
        """
        record = await self._service.running(caller, session)
        caller.need("upload")
        slot = UploadRecord(
            id=asked.upload_id or new_upload_id(),
            session=record.id,
            account=record.account,
            name=asked.name,
            mime_type=asked.mime_type,
            size_bytes=asked.size,
            key=f"sessions/{record.id}/{secrets.token_hex(16)}/content",
            expires_us=self._unix_us() + int(self._limits.upload_url_lifetime * 1e6),
            link=caller.link,
        )
        await self._store.read(lambda tx: self._room(tx, slot))
        # The worker first: a slot that it refuses is not recorded, and one that it alone knows costs nothing.
        await self._announce(slot)
        given_up = await self._store.transact(lambda tx: self._reserve(tx, slot))
        if given_up:
            self._tasks.start(self._erase_given_up(given_up), name="uploads")
        return slot.id, self._address(slot, slot.expires_us // 1_000_000)

    def _reserve(self, tx: Tx, slot: UploadRecord) -> Sequence[UploadRecord]:
        if _is_over(tx.session(slot.session, lock=True)):
            raise NotFoundError(f"session {slot.session!r} is over; start another")
        given_up = self._room(tx, slot)
        for each in given_up:
            tx.delete_upload(each.id)
        tx.put_upload(slot)
        return given_up

    def _room(self, tx: Tx, slot: UploadRecord) -> Sequence[UploadRecord]:
        is_taken = tx.upload(slot.id) is not None
        return make_room(slot, tx.uploads(slot.session), self._limits, now=self._now(), is_taken=is_taken)

    async def _erase_given_up(self, slots: Sequence[UploadRecord]) -> None:
        for slot in slots:
            try:
                await self._erase_pieces(slot)
            except UnavailableError as error:  # they go with their session's
                log.warning("uploads not erased", session=slot.session, reason=error.message)

    async def start(self) -> None:
        """Erase in the background, every `ERASE_INTERVAL`, what could not be erased when its session ended."""
        self._tasks.start(self._erase_left_over(), name="uploads")

    async def aclose(self) -> None:
        """Stop notifying and erasing; other replicas or the next start erase what is left."""
        await self._tasks.aclose()

    async def _find(self, upload: str) -> UploadRecord:
        slot = await self._store.read(lambda tx: tx.upload(upload))
        if slot is None:
            raise no_upload(upload)
        return slot

    async def _is_over(self, slot: UploadRecord) -> bool:
        return await self._store.read(lambda tx: tx.upload(slot.id) is None or _is_over(tx.session(slot.session)))

    async def _land(self, slot: UploadRecord) -> bool:
        if not await self._store.transact(lambda tx: _land(tx, slot)):
            return False
        self._service.metrics.uploaded(slot.size_bytes)
        try:  # the worker is notified before the client gets its answer; if that fails, soon after
            await self._notify(slot)
        except LivereactorError:
            self._tasks.start(self._notify_later(slot), name="uploads")
        return True

    async def _notify_later(self, slot: UploadRecord) -> None:
        for pause in NOTIFY_RETRIES:
            await asyncio.sleep(pause)
            try:
                await self._notify(slot)
                break
            except NotFoundError:
                break  # its session is over
            except LivereactorError as error:
                log.warning("worker not notified of an upload", session=slot.session, reason=error.message)

    async def _notify(self, slot: UploadRecord) -> None:
        path = f"/sessions/{slot.session}/uploads/{slot.id}/landed"
        reply = await self._service.relay(_owner(slot), slot.session, "POST", path)
        if reply.status == 404:  # another worker than the one it was announced to
            await self._announce(slot)
            reply = await self._service.relay(_owner(slot), slot.session, "POST", path)
        _must_succeed(reply)

    async def _announce(self, slot: UploadRecord) -> None:
        body = AnnouncedUpload(
            name=slot.name,
            size=slot.size_bytes,
            mime_type=slot.mime_type,
            upload_id=slot.id,
            key=slot.key,
            link=slot.link,
        )
        path = f"/sessions/{slot.session}/uploads"
        _must_succeed(await self._service.relay(_owner(slot), slot.session, "POST", path, body.model_dump_json()))

    def _on_effect(self, effect: Effect) -> None:
        if isinstance(effect, SessionClosed):
            self._tasks.start(self._erase(effect.session), name="uploads")

    async def _erase(self, session: str) -> None:
        async with self._erasing:
            try:
                if not await self._store.read(lambda tx: tx.uploads(session)):
                    return
                await self._blobs.delete_prefix(BlobKey.parse(f"sessions/{session}"))
                await self._store.transact(lambda tx: tx.delete_uploads(session))
            except UnavailableError as error:  # the records stay, so the next search finds the files
                log.warning("uploads not erased", session=session, reason=error.message)

    async def _erase_left_over(self) -> None:
        searched_us = 0
        while True:
            try:
                for session in await self._store.read(lambda tx: tx.ended_with_uploads(limit=ERASE_BATCH)):
                    await self._erase(session)
                searched_us = await self._erase_half_written(searched_us)
            except UnavailableError as error:
                log.warning("uploads not checked", reason=error.message)
            await asyncio.sleep(ERASE_INTERVAL)

    async def _erase_half_written(self, since_us: int) -> int:
        """Erase the pieces of slots whose address expired before all bytes landed; the slots stay, and count.

        Args:
            since_us: where the last search ended; 0 = this is the first.

        Returns:
            Where this search ended.
        """
        # A request that began in time may take as long again.
        until_us = self._unix_us() - int(2e6 * self._limits.upload_url_lifetime)
        late = await self._store.read(lambda tx: tx.unwritten_uploads(since_us, until_us, limit=ERASE_BATCH))
        for slot in late:
            await self._erase_pieces(slot)
        return late[-1].expires_us if late else since_us


class WorkerRefusedError(LivereactorError):
    """A worker refused a request of the coordinator; its reply is the client's answer."""

    def __init__(self, reply: link.Reply) -> None:
        super().__init__(f"the worker answered {reply.status}: {reply.body[:200]}", code="WORKER_REFUSED")
        self.reply = reply


def _must_succeed(reply: link.Reply) -> None:
    if reply.status >= 400:
        raise WorkerRefusedError(reply)


def _land(tx: Tx, slot: UploadRecord) -> bool:
    """Record that all bytes are there; False where the session ended, or gave the slot up, meanwhile."""
    if _is_over(tx.session(slot.session, lock=True)) or tx.upload(slot.id) is None:
        return False
    tx.put_upload(replace(slot, landed=True))
    return True


def _is_over(session: SessionRecord | None) -> bool:
    return session is None or session.state is SessionState.CLOSED


def _owner(slot: UploadRecord) -> Caller:
    """Return a caller for the slot's account: rights were checked when the slot was reserved."""
    return Caller(slot.account)
