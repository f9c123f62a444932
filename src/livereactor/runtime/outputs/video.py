"""One video output track: play-out queue, newest-wins slot, one conversion, one encode per stream, N sends.

A thread per track. The model's thread only hands over under a short lock (`emit`); any thread may add, resume, pause
and remove viewers. Encoding and sending happen outside the lock.

One file: its methods share one lock, and the figures that the thread counts are those that it traces.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import structlog

from livereactor.base import spans
from livereactor.base.clock import Clock
from livereactor.base.spans import unix_ns
from livereactor.base.timing import StageName, Timings
from livereactor.media.colour import Planes, shrink, to_planes
from livereactor.media.encoder import VideoEncoder, start_bps
from livereactor.media.frames import EncodedFrame, Frame, Pixels
from livereactor.runtime.interfaces import NOT_TRACED, SESSION_ATTRIBUTE, EncodedSink, OutputDeclaration, SessionOrigin
from livereactor.runtime.outputs.fanout import LOW_INTERVAL, EncodeTask, Fanout, TrackViewer
from livereactor.runtime.outputs.playout import Playout
from livereactor.runtime.outputs.quality_layers import QualityLayer
from livereactor.runtime.outputs.tap import ShownPicture, Tap

log = structlog.get_logger(__name__)

TRACE_EVERY: Final = 1.0  # seconds; what is common to Frames is in their histograms, a trace shows how one went
LOW_LINES: Final = 180  # height of the low layer; the width keeps the proportions
USUAL_FPS: Final = 30.0  # what rates are reckoned with where the model sets the pace
USUAL_SIZE: Final = (640, 360)  # until the first Frame shows the real one
JOIN_TIMEOUT: Final = 2.0


@dataclass(slots=True)
class _Picture:
    frame: Frame
    due_at: float
    made: tuple[float, float]  # when the step that gave it began and ended


@dataclass(slots=True)
class _Counters:
    emitted: int = 0  # Frames the model gave
    dropped: int = 0  # replaced by a newer one before they were encoded
    left_out: int = 0  # likewise, since the network to a stream's viewers had no capacity; once per stream
    encoded: int = 0  # encodes: one per Frame and stream
    keys: int = 0
    bytes: int = 0  # encoded, once per stream
    sent: int = 0  # Frames taken by a viewer's sink
    refused: int = 0  # Frames a viewer's sink dropped
    failed: int = 0  # encodes or sends that raised
    queued_max: int = 0  # most Frames between model and wire at once
    convert_seconds: float = 0.0
    encode_seconds: float = 0.0
    delay_seconds: float = 0.0  # due -> handed to the last sink, summed over fresh pictures
    pictures: int = 0  # fresh pictures that were sent


@dataclass(frozen=True, slots=True)
class _Job:
    picture: _Picture
    fresh: bool
    tasks: Sequence[EncodeTask]
    tap: Tap | None


class _Times:
    """The durations of a picture's stages in one Session, with one Frame a second traced.

    Only the track's thread adds to them.

    Attributes:
        converting, encoding: seconds of the picture in work, of all its streams.
    """

    __slots__ = ("_attributes", "_links", "_trace_at", "convert", "converting", "encode", "encoding", "queue", "send")

    def __init__(self, timings: Timings, track: str, origin: SessionOrigin = NOT_TRACED) -> None:
        self.converting = self.encoding = 0.0
        self.queue = timings.of(StageName.QUEUE, track)
        self.convert = timings.of(StageName.CONVERT, track)
        self.encode = timings.of(StageName.ENCODE, track)
        self.send = timings.of(StageName.SEND, track)
        self._attributes = {SESSION_ATTRIBUTE: origin.session, "livereactor.track": track}
        self._links = spans.links(origin.trace)
        self._trace_at = float("-inf")

    def trace(self, made: tuple[float, float], taken: float, now: float) -> None:
        """Trace the Frame in work, which has been handed to the engine, unless one was traced within the last second.

        Args:
            made: when the step that gave it began, and when it ended.
            taken: when the track's thread took it.
            now: monotonic seconds, as all the others.
        """
        tracer = spans.tracer()
        if tracer is None or now < self._trace_at:
            return
        self._trace_at = now + TRACE_EVERY
        began, given = made
        whole = tracer.start_span(
            "frame", spans.ROOT, attributes=self._attributes, links=self._links, start_time=unix_ns(began)
        )
        inside = spans.inside(whole)
        converted = taken + self.converting
        encoded = converted + self.encoding
        for name, start, end in (
            ("step", began, given),
            ("queue", given, taken),
            ("convert", taken, converted),
            ("encode", converted, encoded),
            ("send", encoded, max(now, encoded)),
        ):
            tracer.start_span(name, inside, start_time=unix_ns(start)).end(unix_ns(end))
        whole.end(unix_ns(now))


class _Signal(Enum):
    """A report of the track's thread in place of a job: the model may go on."""

    CAPACITY_FREED = "capacity_freed"


class VideoOutputTrack:
    """One output track of kind video.

    Args:
        declaration: name, fps and size as declared.
        clock: gives `now`.
        on_capacity: called on this track's thread when room came back after `has_capacity` said no.
    """

    def __init__(
        self, declaration: OutputDeclaration, *, clock: Clock, on_capacity: Callable[[], None], delay: float = 0.0
    ) -> None:
        self._declaration = declaration
        self._delay = delay  # seconds that pictures wait for their sound
        self._clock = clock
        self._on_capacity = on_capacity
        self._changed = threading.Condition(threading.Lock())
        self._counters = _Counters()
        self._busy = False  # the thread has a picture in work
        self._starved = False  # `has_capacity` said no since room last came back
        self._closed = False
        self._tap: Tap | None = None
        self._last_failure = ""
        self._planes: Planes | None = None
        self._converted: _Picture | None = None
        self._last_us = 0
        self._times = _Times(Timings(), declaration.name)  # until a Session begins
        self._restart()
        self._thread = threading.Thread(target=self._run, name=f"output-{declaration.name}", daemon=True)
        self._thread.start()

    # --- the model's thread ---

    def emit(self, frames: Sequence[Frame], *, step_seconds: float) -> None:
        """Queue what a step gave. Where nobody receives and nothing is queued, a single Frame is only remembered."""
        with self._changed:
            now = self._clock.now()
            self._counters.emitted += len(frames)
            unseen = self._tap is None and not self._fanout.wanted
            if len(frames) == 1 and unseen and not len(self._playout):
                self._remember(_Picture(frames[0], now, (now - step_seconds, now)))
                return
            made = (now - step_seconds, now)
            self._playout.push([(frame, made) for frame in frames], step_seconds=step_seconds, now=now)
            self._counters.queued_max = max(self._counters.queued_max, len(self._playout) + self._busy)
            self._changed.notify()

    def has_capacity(self) -> bool:
        with self._changed:
            room = self._playout.has_capacity(in_work=int(self._busy))
            self._starved = self._starved or not room
            return room

    # --- any thread ---

    def record(self, tap: Tap | None) -> None:
        """Hand over to a recording from now on; None = to none."""
        with self._changed:
            self._tap = tap

    def time(self, timings: Timings, origin: SessionOrigin) -> None:
        """A Session begins: its stages are counted and traced there."""
        self._times = _Times(timings, self._declaration.name, origin)

    def add_viewer(self, viewer: int, sink: EncodedSink) -> None:
        with self._changed:
            self._fanout.add(viewer, sink, self._clock.now())
            self._changed.notify()

    def remove_viewer(self, viewer: int) -> None:
        with self._changed:
            self._fanout.remove(viewer, self._clock.now())

    def resume(self, viewer: int) -> None:
        with self._changed:
            self._fanout.resume(viewer, self._clock.now())
            self._changed.notify()

    def pause(self, viewer: int) -> None:
        with self._changed:
            self._fanout.pause(viewer, self._clock.now())

    def key_wanted(self, viewer: int) -> None:
        with self._changed:
            self._fanout.key_wanted(viewer)
            self._changed.notify()

    def rate_changed(self, viewer: int, bps: int) -> None:
        with self._changed:
            self._fanout.rate(viewer, bps, self._clock.now())
            self._changed.notify()

    def set_fps(self, fps: float | None) -> None:
        with self._changed:
            self._fps = fps
            self._playout.set_fps(fps)
            self._set_ceiling()
            self._changed.notify()

    def flush(self) -> None:
        with self._changed:
            self._playout.flush()
            self._changed.notify()

    def reset(self) -> None:
        with self._changed:
            self._fanout.clear()
            self._counters.left_out += self._fanout.left_out
            self._restart()
            self._changed.notify()

    def newest(self) -> Pixels | None:
        with self._changed:
            return self._newest.frame.pixels if self._newest is not None else None

    def counters(self) -> Mapping[str, float]:
        with self._changed:
            counted = {name: float(getattr(self._counters, name)) for name in _Counters.__slots__}
            counted["left_out"] += self._fanout.left_out
            return counted | {"queued": float(len(self._playout) + self._busy)}

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(JOIN_TIMEOUT)

    # --- state, under the lock ---

    def _restart(self) -> None:
        declared = self._declaration
        self._fps = declared.fps
        self._size = (declared.width or USUAL_SIZE[0], declared.height or USUAL_SIZE[1])
        self._playout: Playout[tuple[Frame, tuple[float, float]]] = Playout(declared.fps, delay=self._delay)
        self._fanout = Fanout(start_bps(*self._size, declared.fps or USUAL_FPS))
        self._newest: _Picture | None = None

    def _set_ceiling(self) -> None:
        self._fanout.set_ceiling(start_bps(*self._size, self._fps or USUAL_FPS), self._clock.now())

    def _next_job(self) -> _Job | _Signal | None:
        """Wait for a picture to send, a wish to fulfil or room to tell of; None when closed."""
        while not self._closed:
            now = self._clock.now()
            fresh = self._show_due(now)
            if self._newest is not None:
                tap = self._tap
                tasks = self._fanout.plan(fresh=fresh, now=now, keys=tap is not None and tap.wants_key)
                if tasks or (fresh and tap is not None):
                    return _Job(self._newest, fresh, tasks, tap)
            if self._starved and self._playout.has_capacity():
                self._starved = False
                return _Signal.CAPACITY_FREED
            deadlines = [self._playout.deadline()] + ([self._fanout.deadline()] if self._newest else [])
            self._sleep_until(min((at for at in deadlines if at is not None), default=None), now)
        return None

    def _show_due(self, now: float) -> bool:
        if due := self._playout.due(now):
            self._counters.dropped += len(due) - 1  # the slot: newest wins
            (frame, made), due_at = due[-1]
            self._remember(_Picture(frame, due_at, made))
        return bool(due)

    def _remember(self, picture: _Picture) -> None:
        self._newest = picture
        height, width = picture.frame.pixels.shape[:2]
        if (width, height) != self._size:
            self._size = (width, height)
            self._set_ceiling()

    def _sleep_until(self, at: float | None, now: float) -> None:
        if at is None or at > now:
            self._changed.wait(None if at is None else at - now)

    # --- the track's thread, outside the lock ---

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                job = self._next_job()
                self._busy = isinstance(job, _Job)
            if job is None:
                return
            if isinstance(job, _Job):
                self._send(job)
            else:
                self._on_capacity()

    def _send(self, job: _Job) -> None:
        shared: EncodedFrame | None = None
        times, sending, taken = self._times, 0.0, self._clock.now()
        times.converting = times.encoding = 0.0
        if job.fresh:
            times.queue.add(taken - job.picture.made[1])
        for task in job.tasks:
            # The boundary of this thread: a codec that fails costs a Frame, an engine that fails costs a viewer its
            # Frame, and the track goes on. A new encoder starts with a key frame.
            try:
                encoded = self._encoded(task, job)
            except Exception as error:
                task.stream.encoder = None
                self._failed("encoding failed", error, task)
                with self._changed:
                    task.stream.keys.request()
                continue
            if task.is_recordable:
                shared = encoded
            began = time.perf_counter()
            for viewer in task.viewers:
                try:
                    self._deliver(viewer, encoded)
                except Exception as error:
                    self._failed("sending failed", error, task)
            sending += time.perf_counter() - began
        if job.tasks:
            times.send.add(sending)
            if job.fresh:
                times.trace(job.picture.made, taken, self._clock.now())
        # A picture that was shown is recorded; once more where what follows it stands on its new key frame.
        if job.tap is not None and (job.fresh or (shared is not None and shared.key)):
            self._record(job.tap, job, shared)
        if job.fresh:
            self._counters.pictures += 1
            self._counters.delay_seconds += self._clock.now() - job.picture.due_at

    def _record(self, tap: Tap, job: _Job, shared: EncodedFrame | None) -> None:
        at = job.picture.due_at if job.fresh else self._clock.now()
        tap.show(ShownPicture(at - self._delay, job.picture.frame.pixels, self._fps or USUAL_FPS, shared))

    def _failed(self, what: str, error: Exception, task: EncodeTask) -> None:
        self._counters.failed += 1
        if (kind := f"{what}: {error!r}") != self._last_failure:  # logged once, counted per Frame
            self._last_failure = kind
            log.error(what, track=self._declaration.name, codec=task.stream.codec.value, exc_info=error)

    def _deliver(self, viewer: TrackViewer, encoded: EncodedFrame) -> None:
        # Looked at without the lock: a pause that comes in this very moment may let one Frame slip through.
        if not viewer.resumed or not (viewer.started or encoded.key):
            return
        viewer.started = True
        if viewer.sink.send(encoded):
            self._counters.sent += 1
        else:
            self._counters.refused += 1

    def _encoded(self, task: EncodeTask, job: _Job) -> EncodedFrame:
        planes = self._as_planes(job.picture)
        started = time.perf_counter()
        encoded = self._encode(task, planes, job)
        counters, seconds = self._counters, time.perf_counter() - started
        self._times.encode.add(seconds)
        self._times.encoding += seconds
        counters.encode_seconds += seconds
        counters.encoded += 1
        counters.keys += encoded.key
        counters.bytes += len(encoded.data)
        task.stream.budget.spend(len(encoded.data), self._clock.now())
        return encoded

    def _as_planes(self, picture: _Picture) -> Planes:
        if picture is not self._converted:
            started = time.perf_counter()
            self._planes = to_planes(picture.frame.pixels, self._planes)
            self._converted = picture
            seconds = time.perf_counter() - started
            self._times.convert.add(seconds)
            self._times.converting += seconds
            self._counters.convert_seconds += seconds
        assert self._planes is not None
        return self._planes

    def _encode(self, task: EncodeTask, planes: Planes, job: _Job) -> EncodedFrame:
        stream, fps = task.stream, self._fps or USUAL_FPS
        if stream.layer is QualityLayer.LOW:
            planes, fps = shrink(planes, *_low_size(planes)), min(fps, 1 / LOW_INTERVAL)
        if stream.encoder is None:
            stream.encoder = VideoEncoder(stream.codec, fps=fps, bps=task.bps)
        stream.encoder.set_fps(fps)
        stream.encoder.set_bitrate(task.bps)
        return stream.encoder.encode_planes(
            planes, key=task.key, captured_us=self._stamp(job), user_data=job.picture.frame.user_data
        )

    def _stamp(self, job: _Job) -> int:
        """Capture time: when the picture was due; a repeated one counts as new, or receivers would drop it as a twin.

        The author's own `captured_us` is not used: an echoed input Frame carries another machine's clock.
        """
        at = job.picture.due_at if job.fresh else self._clock.now()
        self._last_us = max(self._last_us + 1, round(at * 1e6))
        return self._last_us


def _low_size(planes: Planes) -> tuple[int, int]:
    if planes.height <= LOW_LINES:
        return planes.width, planes.height
    return max(2, round(planes.width * LOW_LINES / planes.height / 2) * 2), LOW_LINES
