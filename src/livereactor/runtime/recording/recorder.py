"""The recorder of a runtime: a `Recording` for each Session that streams, one after another.

Loop only, except where a class or method says "any thread". A `Recording` has a thread, an `Uploader` into the blobs,
and Clips.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

import structlog

from livereactor.base.clock import Clock, SystemClock, unix_us
from livereactor.base.errors import ConfigError, LivereactorError, UsageError
from livereactor.base.sparse_log import SparseLog
from livereactor.base.tasks import Changes
from livereactor.blobs.clips import INIT, part_key, recording_key
from livereactor.blobs.journals import recorded_key
from livereactor.blobs.port import BlobKey, Blobs
from livereactor.blobs.retention import may_record
from livereactor.media.aac import SoundLine
from livereactor.media.segments import Segmenter
from livereactor.protocol import messages as m
from livereactor.runtime.authoring.definition import Definition
from livereactor.runtime.interfaces import JournalSink, JournalStoppedError
from livereactor.runtime.outputs.outputs import Outputs
from livereactor.runtime.outputs.tap import Tap
from livereactor.runtime.recording.clips import ClipOrigin, Clips, Send
from livereactor.runtime.recording.lifecycle import (
    DISABLED,
    NO_PICTURE,
    STEPPED,
    Broke,
    FirstPicture,
    RecordingLifecycle,
    RecordingState,
    SessionOver,
)
from livereactor.runtime.recording.media_clock import MediaClock
from livereactor.runtime.recording.muxer import ClosedSegment, Muxer
from livereactor.runtime.recording.options import RecordedTracks, RecorderOptions, recorded_tracks
from livereactor.runtime.recording.spool import Spool
from livereactor.runtime.recording.thread import RecordingThread
from livereactor.runtime.recording.uploader import Uploader

log = structlog.get_logger("livereactor.recorder")


class RecordingJournalSink:
    """Fits `JournalSink`. `until_over` and `stop` on the loop, the rest on any thread.

    Args:
        post: does work on the loop; from any thread.
    """

    def __init__(self, recording: str, media: MediaClock, uploader: Uploader, post: Callable[..., None]) -> None:
        self._recording, self._media, self._uploader, self._post = recording, media, uploader, post
        self._is_open = self._is_stopped = False
        self._changes = Changes()

    def opened(self) -> None:
        """A journal has begun, so that `closed` will come."""
        self._is_open = True

    def put(self, name: str, data: bytes) -> None:
        """Keep a piece. While the store is away it waits, as all of the journal may, which is bounded."""
        self._must_go_on()
        self._post(self._uploader.document, BlobKey.parse(f"recordings/{self._recording}/{name}"), data)

    def media_time(self, moment: float) -> float | None:
        """The recording's; None before its first picture."""
        self._must_go_on()
        return self._media.at(moment) if self._media.has_begun else None

    def stop(self) -> None:
        """Take no more; what has come stays. The writer gets `JournalStoppedError` within a second."""
        self._is_stopped = True
        self._over()

    def closed(self) -> None:
        """The journal has given its last piece."""
        self._post(self._over)

    async def until_over(self, timeout: float) -> None:
        """Wait for the last piece: it comes when the model has closed its Session, behind a step that is made."""
        await self._changes.until(lambda: not self._is_open, timeout)

    def _must_go_on(self) -> None:
        if self._is_stopped:
            raise JournalStoppedError

    def _over(self) -> None:
        self._is_open = False
        self._changes.notify()


KEPT_LONGER: Final = 30.0  # seconds that Segments outlast the longest Clip: one that waits to be cut still finds them
LAST_SEGMENTS: Final = 60.0  # seconds that storing them may take after the Session
COUNTED: Final[tuple[str, ...]] = (
    "pictures_encoded",  # by an encoder of the recorder's own
    "pictures_shared",  # as viewers got them
    "dropped",  # pictures and blocks of sound that came while a second of them waited
    "seconds",  # in Segments that are whole
    "bytes",  # of Segments that are stored
    "segments_lost",  # which could not be stored in time
    "clips",
    "clips_failed",
    "failures",  # of encoder or disk, each of which ended a recording
)
Post = Callable[..., None]


class Recording:
    """One recording, from a Session's begin to when all of it is stored.

    Args:
        post: does work on the loop; from any thread.

    Attributes:
        tap: where the Outputs hand over.
        thread: encodes, and keeps the time of the recording.
        journal: where it goes what is done to the model.
    """

    def __init__(
        self,
        session: str,
        account: str,
        model: str,
        tracks: RecordedTracks,
        *,
        blobs: Blobs,
        options: RecorderOptions,
        clock: Clock,
        post: Post,
        log: SparseLog,
    ) -> None:
        self.id = str(uuid.uuid4())
        self._session, self._account, self._model, self._tracks = session, account, model, tracks
        self._blobs, self._post, self._log = blobs, post, log
        self.life = RecordingLifecycle(longest=options.clip_max_seconds)
        self.tap, self._spool = Tap(), Spool()
        audio = tracks.audio
        media = MediaClock()
        self._muxer = Muxer(
            self._spool,
            media,
            None if audio is None else SoundLine(audio.rate, audio.channels, bps=options.audio_bitrate),
            options,
            keep=options.clip_max_seconds + KEPT_LONGER,
            begun=lambda segmenter: post(self._begun, segmenter),
            closed=lambda closed: post(self._closed, closed),
        )
        self.thread = RecordingThread(
            self.tap, self._muxer, media, clock, broken=lambda error: post(self._broke, error)
        )
        self._uploader = Uploader(self.id, blobs, self._spool, log)
        self.journal = RecordingJournalSink(self.id, media, self._uploader, post)
        origin = ClipOrigin(self.id, session, account, options.retention_hours * 3600)
        self._clips = Clips(origin, self.thread, self._uploader, blobs, log)
        self._seconds = list[float]()  # of each Segment
        self._failures = 0

    def clip(self, seconds: float | None, request_id: str | None, send: Send) -> None:
        """Answer who asks for the last `seconds`, or for all of it where None."""
        now = self.thread.media_now()
        asked = self.life.whole(now) if seconds is None else self.life.snap(seconds, now)
        self._clips.answer(asked, request_id, send)

    async def end(self) -> None:
        """The Session is over: close the last Segment, store what is left, and remove what lies here."""
        finished = self.thread.finish()
        self.life.handle(SessionOver())
        try:
            await self._store_rest(finished)
        finally:
            self._uploader.close()
            await asyncio.to_thread(self._remove)

    def counts(self) -> Counter[str]:
        """Return this recording's figures, by the names in `COUNTED`."""
        pictures, uploader, clips = self._muxer.pictures, self._uploader, self._clips
        figures = (pictures.encoded, pictures.shared, self.tap.dropped, round(sum(self._seconds)), uploader.bytes)
        figures += (uploader.lost, clips.made, clips.failed, self._failures)
        return Counter(dict(zip(COUNTED, figures, strict=True)))

    async def _store_rest(self, finished: Future[float]) -> None:
        try:
            async with asyncio.timeout(LAST_SEGMENTS):
                duration = await asyncio.wrap_future(finished)
        except Exception:  # it broke before, or does now: `_broke` has logged it
            duration = None
        await self._clips.finish(LAST_SEGMENTS)
        await self.journal.until_over(LAST_SEGMENTS)
        await self._uploader.until(None, LAST_SEGMENTS)
        if duration is not None and self._seconds:
            await self._put_end(duration)

    def _remove(self) -> None:
        """Remove the spool, unless the thread still writes; what then stays is removed when the next process starts."""
        if self.thread.join():
            self._spool.close()
        else:
            self._log.error("recording not ended: its thread hangs", recording=self.id, folder=str(self._spool.folder))

    async def _put_end(self, duration: float) -> None:
        end = {
            "ended_us": unix_us(),
            "duration": round(duration, 3),
            "segments": [round(seconds, 3) for seconds in self._seconds],
            "dropped": self.tap.dropped,
        }
        with suppress(LivereactorError):  # a recording without it is one that was cut off, and as good
            await self._blobs.put(BlobKey.parse(f"recordings/{self.id}/end.json"), json.dumps(end).encode())

    # --- what the thread tells ---------------------------------------------------------------------------------------

    def _begun(self, segmenter: Segmenter) -> None:
        video = segmenter.video
        about = {
            "session": self._session,
            "account": self._account,
            "model": self._model,
            "started_us": unix_us(),
            "video": {"width": video.width, "height": video.height, "fps": self._tracks.video.fps},
            "audio": segmenter.audio is not None,
        }
        self._uploader.document(recording_key(self.id), json.dumps(about).encode())
        self._uploader.document(part_key("recordings", self.id, INIT), segmenter.init)
        with suppress(UsageError):  # a client's own id that cannot be part of a key: the Recording's leads there
            self._uploader.document(recorded_key(self._session, self.id), b"")
        self.life.handle(FirstPicture())
        self._log.info("recording", recording=self.id)

    def _closed(self, closed: ClosedSegment) -> None:
        self._seconds.append(closed.seconds)
        self._uploader.segment(closed)

    def _broke(self, error: Exception) -> None:
        self._failures += 1
        if self.life.state is RecordingState.WAITING:  # later it is of use without the pictures that are missing
            self.journal.stop()
        self.life.handle(Broke())
        self._log.error("recording failed", recording=self.id, exc_info=error)


CLEARING: Final = 0.5  # seconds in which what is given up removes its files


class Recorder:
    """Records what the Outputs play.

    Args:
        options: None = nothing is recorded.
        post: does work on the loop; from any thread.
    """

    def __init__(
        self, outputs: Outputs, blobs: Blobs, options: RecorderOptions | None, *, post: Post, clock: Clock | None = None
    ) -> None:
        self._outputs, self._blobs, self._options, self._post = outputs, blobs, options, post
        self._clock = clock or SystemClock()
        self._recording: Recording | None = None
        self._refusal = DISABLED
        self._ending: dict[asyncio.Task[None], Recording] = {}
        self._totals: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
        self._checking_room: asyncio.Task[None] | None = None

    def begin(
        self, session: str, account: str, model: Definition, *, stepped: bool, log: SparseLog
    ) -> JournalSink | None:
        """Begin to record a Session; return where its journal goes, None where nothing of it is kept."""
        self._refusal = STEPPED if stepped else DISABLED
        if self._options is None or stepped:
            return None
        try:
            tracks = recorded_tracks(self._options, model.outputs)
            if tracks is None:
                self._refusal = NO_PICTURE
                return None
            self._recording = Recording(
                session,
                account,
                model.name,
                tracks,
                blobs=self._blobs,
                options=self._options,
                clock=self._clock,
                post=self._post,
                log=log,
            )
        except (ConfigError, OSError) as error:  # of a reloaded class; no room for a folder
            log.error("not recorded", reason=str(error))
            return None
        audio = None if tracks.audio is None else tracks.audio.name
        self._recording.thread.run(model.run_without_viewers)
        self._outputs.record(tracks.video.name, audio, self._recording.tap)
        self._stop_checking()
        self._checking_room = asyncio.create_task(self._stop_without_room(self._recording), name="recording space")
        return self._recording.journal

    def run(self, running: bool) -> None:
        """Steps may run from now on, or not."""
        if self._recording is not None:
            self._recording.thread.run(running)

    def answer(self, request: m.RequestClip | m.RequestRecording, send: Send) -> None:
        """Answer who asks for a Clip: at once, and in order."""
        if self._recording is None:
            send(m.ClipFailed(self._refusal, request.request_id))
            return
        seconds = request.seconds if isinstance(request, m.RequestClip) else None
        self._recording.clip(seconds, request.request_id, send)

    def end(self) -> None:
        """The Session is over; what is left of its recording is stored in the background."""
        recording, self._recording = self._recording, None
        self._outputs.record(None, None, None)
        if recording is not None:
            task = asyncio.create_task(recording.end(), name="recording's end")
            self._ending[task] = recording
            task.add_done_callback(self._ended)

    def counters(self) -> Mapping[str, float]:
        """Return the sums over all recordings since the start."""
        total = self._totals.copy()
        for recording in (self._recording, *self._ending.values()):
            if recording is not None:
                total.update(recording.counts())
        return total

    async def _stop_without_room(self, recording: Recording) -> None:
        """End a recording for which the store has no room; the check may take long. Clips are refused afterwards."""
        if not await may_record(self._blobs) and recording is self._recording:
            log.warning("not recorded: existing recordings use all the space", recording=recording.id)
            recording.journal.stop()
            self.end()

    def _stop_checking(self) -> None:
        if self._checking_room is not None:
            self._checking_room.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._totals.update(self._ending.pop(task).counts())
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("recording not ended cleanly", exc_info=error)

    async def aclose(self, timeout: float) -> None:
        """Wait for what is stored in the background; what takes longer is given up."""
        self._stop_checking()
        self.end()
        if self._ending:
            _, late = await asyncio.wait(self._ending, timeout=timeout)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=CLEARING)
