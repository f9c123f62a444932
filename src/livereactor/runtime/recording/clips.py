"""Clips of one recording: promised at once, cut in the background, put into the blobs. Loop only.

`asked.json` is there before the client knows of its Clip, `clip.json` when nothing changes any more; what comes between
is bounded in number and time, and one that fails says so in `clip.json`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Final, TypeAlias

from livereactor.base.clock import unix_us
from livereactor.base.errors import LivereactorError, UnavailableError
from livereactor.base.limits import MIB
from livereactor.base.sparse_log import SparseLog
from livereactor.base.tasks import TaskSet
from livereactor.blobs.clips import INIT, Asked, Made, asked_key, chunk, made_key, part_key
from livereactor.blobs.port import BlobExistsError, BlobKey, Blobs, BlobsUnavailableError
from livereactor.media.clip import cut, ticks
from livereactor.media.excerpt import Excerpt
from livereactor.protocol import messages as m
from livereactor.runtime.recording.lifecycle import ClipRefused, ClipSpan
from livereactor.runtime.recording.muxer import Muxer, Tail
from livereactor.runtime.recording.thread import RecordingThread
from livereactor.runtime.recording.uploader import Uploader

AT_ONCE: Final = 2  # cuts: each decodes on a core
IN_MEMORY: Final = 8 * MIB  # of a Clip that is cut, some 20 s of 720p; a longer one lies on the disk until it is stored
MOST: Final = 16  # Clips that are being made; more are refused
MOST_REFUSED: Final = 256  # refusals that wait for their turn; of a flood, the rest are refused at once
PROMISE: Final = 3.0  # seconds for `asked.json`; clients wait 10 for their answer
STORE_WAIT: Final = 30.0  # seconds that a Recording waits for its last Segments to be stored
USUAL: Final = 250_000  # microseconds that a Clip of ten seconds takes, stored and all

MOST_BYTES: Final = 10**9  # of one Session's Clips: they are kept in addition to everybody's Recordings
MOST_EVER: Final = 10_000  # Clips of one Session, as those of whole recordings are small

TOO_MANY: Final = f"{MOST} of {MOST} clips are being made; try again when one is ready"
RETRIES: Final = (0.5, 1.0, 2.0)  # seconds between tries to store a part
ENOUGH: Final = "the clips of this session use all the space allowed; download the existing ones"
NOT_CUT: Final = "it could not be cut; see the runtime's log"
NOT_STORED: Final = "the clip cannot be stored now; try again later"
NOT_YET: Final = "this part of the recording is not stored yet; try again later"
Send: TypeAlias = Callable[[m.ServerMessage], None]
Source: TypeAlias = Excerpt | Tail | None


@dataclass(frozen=True, slots=True)
class ClipOrigin:
    """The origin of a recording's Clips.

    Attributes:
        recording, session, account: ids.
        retention: seconds that a Clip can be fetched.
    """

    recording: str
    session: str
    account: str
    retention: float


class Clips:
    """The Clips of one recording."""

    def __init__(
        self, origin: ClipOrigin, thread: RecordingThread, uploader: Uploader, blobs: Blobs, log: SparseLog
    ) -> None:
        self._origin, self._thread, self._uploader, self._blobs, self._log = origin, thread, uploader, blobs, log
        self._answering = asyncio.Lock()  # in order: old clients match answers by it
        self._cutting = asyncio.Semaphore(AT_ONCE)
        self._making, self._refusing = TaskSet(), TaskSet()
        self._asked = self._bytes = 0  # Clips, and what was stored for them
        self.made = self.failed = 0

    def answer(self, asked: ClipSpan | ClipRefused, request_id: str | None, send: Send) -> None:
        """Answer a client, in the order of the requests, and make the Clip."""
        if isinstance(asked, ClipSpan) and len(self._making) >= MOST:
            asked = ClipRefused(TOO_MANY)
        if isinstance(asked, ClipSpan) and (self._asked >= MOST_EVER or self._bytes >= MOST_BYTES):
            asked = ClipRefused(ENOUGH)
        if isinstance(asked, ClipRefused) and len(self._refusing) >= MOST_REFUSED:
            send(m.ClipFailed(asked.reason, request_id))
            return
        if isinstance(asked, ClipRefused):
            tasks, serve = self._refusing, self._refuse(asked, request_id, send)
        else:
            self._asked += 1
            # What is written by now is what the Clip shows, however long its turn is in coming.
            deadline = asyncio.get_running_loop().time() + PROMISE
            tasks, serve = self._making, self._serve(asked, self._source(asked), deadline, request_id, send)
        tasks.start(serve, name="clip")

    async def finish(self, timeout: float) -> None:
        """Wait until what was asked for is made; what takes longer is never made."""
        await asyncio.gather(self._making.finish(timeout), self._refusing.finish(timeout))

    def _source(self, span: ClipSpan) -> Future[Source]:
        """Return the source of a Clip, made on the recording's thread; an exception in there ends the recording."""
        if span.kind == "recording":
            return self._thread.ask(Muxer.tail)
        begin, end = ticks(span.start, span.end)
        return self._thread.ask(lambda muxer, now: muxer.excerpt(begin, end, now))

    async def _refuse(self, refused: ClipRefused, request_id: str | None, send: Send) -> None:
        async with self._answering:  # for `PROMISE` at most, as who is before it waits no longer
            send(m.ClipFailed(refused.reason, request_id))

    async def _serve(
        self, asked: ClipSpan, source: Future[Source], deadline: float, request_id: str | None, send: Send
    ) -> None:
        async with self._answering:
            clip = str(uuid.uuid4())
            promise = self._promise(asked)
            try:
                async with asyncio.timeout_at(deadline):
                    with suppress(BlobExistsError):  # a try before, of which we did not hear that it went well
                        await self._blobs.put(asked_key(clip), promise.model_dump_json().encode())
            except (LivereactorError, TimeoutError) as error:
                self._log.error("clip not promised", reason=str(error) or "the store did not answer")
                send(m.ClipFailed(NOT_STORED, request_id))
                return
            send(_ready(clip, asked, promise, request_id))
        await self._make(clip, source)

    def _promise(self, span: ClipSpan) -> Asked:
        origin, now = self._origin, unix_us()
        return Asked(
            session=origin.session,
            recording=origin.recording,
            account=origin.account,
            kind=span.kind,
            start=span.start,
            end=span.end,
            made_us=now,
            expires_us=now + round(origin.retention * 1e6),
            predicted_ready_us=now + USUAL * len(self._making),
        )

    async def _make(self, clip: str, source: Future[Source]) -> None:
        try:
            given = await asyncio.wrap_future(source)
            if not isinstance(given, Excerpt):
                await self._until_stored(given)
            async with self._cutting:
                made = await (self._cut(clip, given) if isinstance(given, Excerpt) else self._whole(clip, given))
            await self._put_made(clip, made)
            self.made += 1
        except Exception as error:  # the boundary of a Clip: whatever fails, its client is told
            self.failed += 1
            if isinstance(error, LivereactorError):  # no picture in that range, a store that is away
                reason = error.message
                self._log.warning("clip not made", clip=clip, reason=reason)
            else:
                reason = NOT_CUT
                self._log.error("clip not made", clip=clip, exc_info=error)
            # Where the store does not take even this, the client learns when it asks for the Clip that it never came.
            with suppress(LivereactorError, OSError):
                await self._put_made(clip, Made(failed=reason))

    async def _cut(self, clip: str, excerpt: Excerpt) -> Made:
        with SpooledTemporaryFile(IN_MEMORY) as file:
            # All at once, as the recording's oldest Segments go while a slow store takes one part after another.
            init, parts = await asyncio.to_thread(_written, excerpt, file)
            first = part_key("clips", clip, INIT)
            await self._put(first, init)
            made = Made(init=first.path)
            for number, (seconds, size) in enumerate(parts):
                key = part_key("clips", clip, chunk(number))
                await self._put(key, await asyncio.to_thread(file.read, size))
                made.parts.append((key.path, seconds))
            return made

    async def _until_stored(self, tail: Tail | None) -> None:
        if not await self._uploader.until(None if tail is None else tail.segment - 1, STORE_WAIT):
            raise UnavailableError(NOT_YET)

    async def _whole(self, clip: str, tail: Tail | None) -> Made:
        """The stored Segments as they are, and what is not in one yet."""
        stored, last = self._uploader.stored, None if tail is None else tail.segment - 1
        parts = [(stored[n].key.path, stored[n].seconds) for n in sorted(stored) if last is None or n <= last]
        lost = self._uploader.lost if last is None else last + 1 - len(parts)
        if lost:
            self._log.warning("clip lacks segments that could not be stored", clip=clip, lost=lost)
        if tail is not None and tail.seconds > 0:
            key = part_key("clips", clip, chunk(0))
            await self._put(key, await asyncio.to_thread(tail.read))
            parts.append((key.path, tail.seconds))
        return Made(init=part_key("recordings", self._origin.recording, INIT).path, parts=parts, lost=lost)

    async def _put_made(self, clip: str, made: Made) -> None:
        await self._put(made_key(clip), made.model_dump_json().encode())

    async def _put(self, key: BlobKey, data: bytes) -> None:
        for pause in (*RETRIES, None):
            try:
                await self._blobs.put(key, data)
            except BlobsUnavailableError:
                if pause is None:
                    raise
                await asyncio.sleep(pause)
            except BlobExistsError:  # a try before, of which we did not hear that it went well
                return
            else:
                self._bytes += len(data)
                return


def _written(excerpt: Excerpt, file: SpooledTemporaryFile[bytes]) -> tuple[bytes, Sequence[tuple[float, int]]]:
    """Cut it into `file`: the init segment, and length in seconds and in bytes of the parts that lie there in order."""
    init, parts = cut(excerpt, excerpt.begin, excerpt.end).parts()
    lengths = [(seconds, file.write(data)) for seconds, data in parts]
    file.seek(0)
    return init, lengths


def _ready(clip: str, span: ClipSpan, promise: Asked, request_id: str | None) -> m.ClipReady:
    return m.ClipReady(
        session_id=clip,
        kind=span.kind,
        start_marker=span.start,
        end_marker=span.end,
        now_marker=span.end,
        predicted_ready_at_ms=promise.predicted_ready_us // 1000,
        playlist_url=f"/clips?session_id={clip}&start=0.000&end={span.end - span.start:.3f}",
        request_id=request_id,
    )
