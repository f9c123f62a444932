"""The recorder of a runtime: a recording for each Session that streams, one after another. Loop only."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Final

import structlog

from livereactor.base.clock import Clock, SystemClock
from livereactor.base.errors import ConfigError
from livereactor.base.sparse_log import SparseLog
from livereactor.blobs.port import Blobs
from livereactor.blobs.retention_loop import may_record
from livereactor.protocol import messages as m
from livereactor.runtime.authoring.definition import Definition
from livereactor.runtime.interfaces import JournalSink
from livereactor.runtime.outputs.outputs import Outputs
from livereactor.runtime.recording.clips import Tell
from livereactor.runtime.recording.lifecycle import DISABLED, NO_PICTURE, STEPPED
from livereactor.runtime.recording.options import RecorderOptions, recorded_tracks, segments_of
from livereactor.runtime.recording.recording import COUNTED, Post, Recording

CLEARING: Final = 0.5  # seconds in which what is given up removes its files

log = structlog.get_logger("livereactor.recorder")


class Recorder:
    """Records what the Outputs play.

    Args:
        options: None = nothing is recorded.
        post: does work on the loop; from any thread.
    """

    def __init__(
        self,
        outputs: Outputs,
        blobs: Blobs,
        options: RecorderOptions | None,
        *,
        post: Post,
        clock: Clock | None = None,
    ) -> None:
        self._outputs, self._blobs, self._options, self._post = outputs, blobs, options, post
        self._clock = clock or SystemClock()
        self._recording: Recording | None = None
        self._refusal = DISABLED
        self._ending: dict[asyncio.Task[None], Recording] = {}
        self._totals: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
        self._looking: asyncio.Task[None] | None = None

    def segments_of(self, model: Definition) -> float | None:
        """Seconds of a Segment, of a model origin Sessions are recorded where they stream; None = they are not."""
        return segments_of(self._options, model.outputs)

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
        self._recording.run(model.run_without_viewers)
        self._outputs.record(tracks.video.name, audio, self._recording.tap)
        self._look_no_more()
        self._looking = asyncio.create_task(self._stop_without_room(self._recording), name="room for a recording")
        return self._recording.journal

    def run(self, running: bool) -> None:
        """Steps may run from now on, or not."""
        if self._recording is not None:
            self._recording.run(running)

    def answer(self, request: m.RequestClip | m.RequestRecording, tell: Tell) -> None:
        """Answer who asks for a Clip: at once, and in order."""
        if self._recording is None:
            tell(m.ClipFailed(self._refusal, request.request_id))
            return
        seconds = request.seconds if isinstance(request, m.RequestClip) else None
        self._recording.clip(seconds, request.request_id, tell)

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
        """It has begun, as a store may take long to answer; behind its end whoever asks for a Clip is refused."""
        if not await may_record(self._blobs) and recording is self._recording:
            log.warning("not recorded: what is kept takes all the room there is", recording=recording.id)
            recording.journal.stop()
            self.end()

    def _look_no_more(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._totals.update(self._ending.pop(task).counts())
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("recording not ended in order", exc_info=error)

    async def aclose(self, timeout: float) -> None:
        """Wait for what is stored in the background; what takes longer is given up."""
        self._look_no_more()
        self.end()
        if self._ending:
            _, late = await asyncio.wait(self._ending, timeout=timeout)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=CLEARING)
