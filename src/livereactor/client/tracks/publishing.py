"""A published Track: the claim on it, its sender, and the source it is fed from.

The sender is a thread per published Track, which encodes and hands to the engine. A push only hands over, under a short
lock. The newest wins: a picture that is not encoded yet is replaced by the next. The newest one is kept, so that a
receiver that joins or has lost packets gets it as a key frame at once.

Above 400 lines because it is one path: from the source or the push, through the sender, to the engine's output.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
import structlog

from livereactor.base.clock import Clock, SystemClock
from livereactor.base.exit_gate import EXIT_GATE
from livereactor.client.errors import ReactorError, error_of
from livereactor.client.tracks.devices import Camera, MediaFile
from livereactor.client.tracks.feed import OpenedSource, SourceFeed
from livereactor.client.tracks.port import Bitrate
from livereactor.client.tracks.pushed import PushedPicture, SoundReader, picture_of, sound_of
from livereactor.client.types import Kind
from livereactor.engine.port import AudioOutput, VideoOutput
from livereactor.media.encoder import VideoEncoder, start_bps
from livereactor.media.frames import Samples, Sound, VideoCodec
from livereactor.media.key_frame_requests import KeyFrameRequests
from livereactor.media.rate import FLOOR, FollowedRate

log = structlog.get_logger(__name__)

USUAL_FPS: Final = 30.0  # assumed for rates; the encoder uses the pictures' own times
HEADROOM: Final = 1.3  # above what a stream starts with: 6.5 Mbit/s at 1280x720 where the network has them


def target_bps(wanted: Bitrate, allowed: int | None, width: int, height: int) -> int:
    """Return the bits a second at which to encode pictures of this size.

    Args:
        wanted: the program's bounds.
        allowed: the bound of congestion control; None before it gives one.
        width, height: pixels.
    """
    usual = start_bps(width, height, USUAL_FPS)
    ceiling = wanted.max_bps or max(round(HEADROOM * usual), wanted.min_bps or 0, wanted.start_bps or 0)
    target = (wanted.start_bps or usual) if allowed is None else allowed
    return min(max(target, wanted.min_bps or FLOOR), ceiling)


@dataclass(slots=True)
class _Counters:
    pushed: int = 0  # pictures, or blocks of sound, that were handed in
    dropped: int = 0  # that a newer one replaced before it was encoded, or that found the queue full
    encoded: int = 0
    key_frames: int = 0
    bytes: int = 0
    sent: int = 0  # taken by the engine
    refused: int = 0  # dropped by the engine
    failed: int = 0  # encodes or sends that raised


class _Sender:
    """The thread of a published Track, and what video and audio share."""

    def __init__(self, track: str, clock: Clock | None) -> None:
        self._track, self._clock = track, clock or SystemClock()
        self._changed = threading.Condition(threading.Lock())
        self._counters = _Counters()
        self._closed = False
        self._last_failure = ""
        self._thread = threading.Thread(target=self._run, name=f"sending {track}", daemon=True)
        self._thread.start()

    def counters(self) -> Mapping[str, int]:
        """Return the counters since the Track was published."""
        with self._changed:
            return {name: getattr(self._counters, name) for name in _Counters.__slots__}

    def close(self) -> None:
        """Stop sending; may be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        raise NotImplementedError

    def _sleep_until(self, at: float | None, now: float) -> None:
        if at is None:
            self._changed.wait()
        elif at > now:
            self._changed.wait(at - now)

    def _failed(self, error: Exception) -> None:
        self._counters.failed += 1
        if repr(error) != self._last_failure:  # logged once, counted each time
            self._last_failure = repr(error)
            log.error("sending failed", track=self._track, exc_info=error)


@dataclass(frozen=True, slots=True)
class _Job:
    picture: PushedPicture
    is_new: bool
    key: bool
    bps: int
    output: VideoOutput


class VideoSender(_Sender):
    """One published video Track.

    Args:
        track: its name.
        clock: gives `now`.
    """

    def __init__(self, track: str, clock: Clock | None = None) -> None:
        self._picture: PushedPicture | None = None
        self._is_new = False
        self._output: VideoOutput | None = None
        self._keys = KeyFrameRequests()
        self._wanted = Bitrate()
        self._allowed: int | None = None  # by congestion control; None until heard
        self._rate: FollowedRate | None = None  # of a picture of `_size`
        self._size = (0, 0)
        self._encoder: VideoEncoder | None = None
        self._last_us, self._last_at = 0, 0.0  # capture time that was sent last, and when
        super().__init__(track, clock)

    # --- any thread ---

    def show(self, picture: PushedPicture) -> None:
        """Send `picture` next, in place of one that waits."""
        with self._changed:
            self._counters.pushed += 1
            self._counters.dropped += self._is_new
            self._picture, self._is_new = picture, True
            self._changed.notify()

    def attach(self, output: VideoOutput) -> None:
        """Send to `output` from now on, the newest picture first."""
        with self._changed:
            self._output, self._allowed = output, None
            self._keys.request_for_join()
            self._changed.notify()

    def detach(self) -> None:
        """Stop using the output, as the transport is gone."""
        with self._changed:
            self._output = None

    def key_wanted(self) -> None:
        """Send a key frame, which the receiver needs to go on."""
        with self._changed:
            self._keys.request()
            self._changed.notify()

    def rate_changed(self, bps: int) -> None:
        """Follow the rate that congestion control allows."""
        with self._changed:
            self._allowed = bps
            self._changed.notify()

    def set_bitrate(self, wanted: Bitrate) -> None:
        """Keep within these bounds, from the next picture on."""
        with self._changed:
            self._wanted, self._rate = wanted, None

    # --- the thread ---

    def _run(self) -> None:
        while (job := self._next_job()) is not None:
            try:
                with EXIT_GATE:
                    self._send(job)
            except Exception as error:
                # The boundary of this thread: a failing codec or engine costs one picture, and the Track goes on.
                self._encoder = None
                self._failed(error)
                self.key_wanted()

    def _next_job(self) -> _Job | None:
        """Wait for a picture to send or a key frame to make; return None when closed."""
        with self._changed:
            while not self._closed:
                if self._picture is None or self._output is None:
                    self._changed.wait()
                    continue
                now = self._clock.now()
                rate = self._aimed(self._picture, now)
                key = self._keys.grant(now)
                if self._is_new or key:
                    is_new, self._is_new = self._is_new, False
                    return _Job(self._picture, is_new, key, rate.bps, self._output)
                deadlines = (self._keys.deadline(), rate.deadline())
                self._sleep_until(min((at for at in deadlines if at is not None), default=None), now)
            return None

    def _aimed(self, picture: PushedPicture, now: float) -> FollowedRate:
        size = (picture.planes.width, picture.planes.height)
        target = target_bps(self._wanted, self._allowed, *size)
        if self._rate is None or size != self._size:
            self._rate, self._size = FollowedRate(target), size
        self._rate.aim(target, now)
        return self._rate

    def _send(self, job: _Job) -> None:
        codec = job.output.codec or VideoCodec.VP8  # every server has VP8, and the first picture cannot wait
        if self._encoder is None or self._encoder.codec is not codec:
            self._encoder = VideoEncoder(codec, fps=USUAL_FPS, bps=job.bps)
        self._encoder.set_bitrate(job.bps)
        frame = self._encoder.encode_planes(
            job.picture.planes, key=job.key, captured_us=self._stamp(job), user_data=job.picture.user_data
        )
        counters = self._counters
        counters.encoded += 1
        counters.key_frames += frame.key
        counters.bytes += len(frame.data)
        if job.output.send(frame):
            counters.sent += 1
        else:
            counters.refused += 1

    def _stamp(self, job: _Job) -> int:
        """Return the capture time as pushed; a repeated picture gets a later one, or receivers would drop it."""
        now = self._clock.now()
        repeated_us = self._last_us + max(1, round((now - self._last_at) * 1e6))
        self._last_us = job.picture.captured_us if job.is_new else repeated_us
        self._last_at = now
        return self._last_us


class AudioSender(_Sender):
    """One published audio Track; sound leaves in blocks of 10 ms, in real time."""

    def __init__(self, track: str, clock: Clock | None = None) -> None:
        self._pacer = SoundPacer()
        self._output: AudioOutput | None = None
        super().__init__(track, clock)

    @property
    def seconds(self) -> float:
        """The seconds of sound that wait to be sent."""
        return self._pacer.seconds

    def play(self, sound: Sound) -> None:
        """Send `sound` after the sound that waits."""
        with self._changed:
            before = self._pacer.seconds
            lost = self._pacer.push(sound)
            self._counters.dropped += lost
            self._counters.pushed += round((self._pacer.seconds - before) * 100) + lost
            self._changed.notify()

    def attach(self, output: AudioOutput) -> None:
        """Send to `output` from now on."""
        with self._changed:
            self._output = output

    def detach(self) -> None:
        """Stop using the output, as the transport is gone; sound that is pushed meanwhile is lost."""
        with self._changed:
            self._output = None

    def _run(self) -> None:
        while True:
            with self._changed:
                blocks, output = self._next_blocks(), self._output
            if not blocks:
                return
            for block in blocks:
                with EXIT_GATE:
                    self._send(block, output)

    def _next_blocks(self) -> list[Sound]:
        """Wait until blocks are due, and return them; none when closed."""
        while not self._closed:
            now = self._clock.now()
            if blocks := self._pacer.due(now):
                return blocks
            self._sleep_until(self._pacer.deadline(), now)
        return []

    def _send(self, block: Sound, output: AudioOutput | None) -> None:
        try:
            taken = output is not None and output.send(block)
        except Exception as error:
            # The boundary of this thread: a failing engine costs one block, and the Track goes on.
            self._failed(error)
            return
        self._counters.sent += taken
        self._counters.refused += not taken


BLOCKS: Final = 100  # a second
# Seconds of sound that may be sent ahead of time, so that the jitter of a live source adds no delay.
LEAD: Final = 0.040
MAX_QUEUED: Final = 60.0  # seconds; sound beyond this is lost


class SoundPacer:
    """The sound pushed into one Track that has not been sent yet."""

    def __init__(self) -> None:
        self._blocks: deque[Sound] = deque()
        self._rest: Samples = np.empty((0, 1), np.int16)  # less than a block; waits for the next push
        self._rate = 0
        self._sent_until = float("-inf")  # when the sound that was sent ends, if it plays in real time

    @property
    def seconds(self) -> float:
        """The seconds of sound that wait."""
        return len(self._blocks) / BLOCKS

    def push(self, sound: Sound) -> int:
        """Queue sound; return the number of blocks lost because too much waits. A change of format drops the rest."""
        if sound.rate != self._rate or sound.samples.shape[1] != self._rest.shape[1]:
            self._rate, self._rest = sound.rate, sound.samples[:0]
        samples = np.concatenate([self._rest, sound.samples])
        size = sound.rate // BLOCKS
        whole = len(samples) // size
        self._rest = samples[whole * size :]
        room = min(whole, round(MAX_QUEUED * BLOCKS) - len(self._blocks))
        self._blocks.extend(Sound(samples[n * size : (n + 1) * size], sound.rate) for n in range(room))
        return whole - room

    def deadline(self) -> float | None:
        """Return when the next block is due; None while nothing waits."""
        return self._sent_until - LEAD if self._blocks else None

    def due(self, now: float) -> list[Sound]:
        """Return the blocks that are due now, in order."""
        due = list[Sound]()
        while (at := self.deadline()) is not None and at <= now:
            due.append(self._blocks.popleft())
            self._sent_until = max(self._sent_until, now) + 1 / BLOCKS
        return due


if TYPE_CHECKING:
    import av

Output: TypeAlias = VideoOutput | AudioOutput


class Publication:
    """One Track from `publish` to `unpublish`.

    Args:
        name, kind: the Track's.
        claim: asks the server for the Track; raises `ReactorError`.
        output: returns the engine's output on the present connection; None if the answer has no place for the Track.
        failed: called with the error of a source that stopped.

    Attributes:
        is_claimed: True while the server grants the Track, on the present connection.
    """

    def __init__(
        self,
        name: str,
        kind: Kind,
        claim: Callable[[], Awaitable[None]],
        output: Callable[[], Output | None],
        failed: Callable[[ReactorError], None],
    ) -> None:
        self.name = name
        self.kind: Kind = kind
        self.is_claimed = False
        self._claim, self._output, self._failed = claim, output, failed
        self._sender = VideoSender(name) if kind == "video" else AudioSender(name)
        self._reader = SoundReader()
        self._feed: SourceFeed | None = None

    # --- on the loop ---

    async def begin(self, source: object) -> None:
        """Open the source if one is given, claim the Track if it is not claimed, and send."""
        opened = None if source is None else await _opened(source, self.kind, self.name)
        try:
            await self.renew()
        except BaseException:
            _close_opened(opened)
            raise
        if opened is not None:
            await self._stop_feed()
            self._feed = SourceFeed(self.name, opened, self._push, self._source_failed)

    async def renew(self) -> None:
        """Claim the Track on the present connection, and send on it."""
        if self.is_claimed:
            return
        await self._claim()
        output = self._output()
        if output is None:
            text = f"could not start sending `{self.name}`; the server's answer does not include the track"
            raise error_of("TRACK_PUBLISH_FAILED", text, reason="TRANSPORT_ERROR", operation="publish_track")
        self.is_claimed = True
        self._sender.attach(cast(Any, output))

    @property
    def has_source(self) -> bool:
        """True if a source feeds the Track; else the program pushes."""
        return self._feed is not None

    def interrupt(self) -> None:
        """Stop sending, as the transport is gone, until `renew`."""
        self.is_claimed = False
        self._sender.detach()

    def stop(self) -> None:
        """Stop sending, and release the source soon."""
        self.is_claimed = False
        self._sender.close()
        if self._feed is not None:
            self._feed.stop()

    async def end(self) -> None:
        """Stop, and wait until the source is released."""
        self.stop()
        await self._stop_feed()

    def key_frame_wanted(self) -> None:
        """Send a key frame, which the model needs to go on."""
        if isinstance(self._sender, VideoSender):
            self._sender.key_wanted()

    def rate_changed(self, bps: int) -> None:
        """Follow the rate that congestion control allows."""
        if isinstance(self._sender, VideoSender):
            self._sender.rate_changed(bps)

    def set_bitrate(self, wanted: Bitrate) -> None:
        """Keep within these bounds."""
        if isinstance(self._sender, VideoSender):
            self._sender.set_bitrate(wanted)

    def counters(self) -> dict[str, int]:
        """Return the counters since `publish`."""
        return dict(self._sender.counters())

    # --- any thread ---

    def push_picture(
        self,
        frame: object,
        user_data: bytes | None = None,
        captured_us: int | None = None,
        width: int | None = None,
        height: int | None = None,
    ) -> None:
        """Send a picture next."""
        picture = picture_of(
            frame, where=self.name, width=width, height=height, user_data=user_data, captured_us=captured_us
        )
        cast(VideoSender, self._sender).show(picture)

    def push_sound(self, samples: object, rate: int, channels: int | None) -> None:
        """Send sound after the sound that waits."""
        cast(AudioSender, self._sender).play(sound_of(samples, where=self.name, rate=rate, channels=channels))

    # --- the source ---

    def _push(self, item: object) -> float:
        """Push an item of the source; return the seconds of sound that wait."""
        if isinstance(self._sender, VideoSender):
            self.push_picture(item)
            return 0.0
        if type(item).__module__.startswith("av."):
            self._sender.play(self._reader.read(cast("av.AudioFrame", item)))
        else:
            self._sender.play(sound_of(item, where=self.name))
        return self._sender.seconds

    def _source_failed(self, error: Exception) -> None:
        if not isinstance(error, ReactorError):
            cause, error = error, error_of("TRACK_PUBLISH_FAILED", f"the source of `{self.name}` stopped: {error!r}")
            error.__cause__ = cause
        self._failed(error)

    async def _stop_feed(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.stop()
            await feed.stopped()


async def _opened(value: object, kind: Kind, track: str) -> OpenedSource:
    source = source_of(value, kind, track=track)
    opening = asyncio.ensure_future(asyncio.to_thread(source.open, kind))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        # The thread cannot be stopped: its source is closed as soon as it is open.
        opening.add_done_callback(lambda done: None if done.exception() else _close_opened(done.result()))
        raise


def _close_opened(opened: OpenedSource | None) -> None:
    close = getattr(opened.items, "close", None) if opened is not None else None
    if close is not None:
        with suppress(Exception):
            close()


INTERVAL: Final = 1 / 30  # seconds between two pictures of an iterable


@runtime_checkable
class Source(Protocol):
    """A source of Frames or sound, such as a device or a file."""

    def kinds(self) -> tuple[Kind, ...]:
        """Return the kinds of media that the source can give."""
        ...

    def open(self, kind: Kind) -> OpenedSource:
        """Open the source; blocks. Raises `DeviceError` if it is not available."""
        ...


def source_of(value: object, kind: Kind, *, track: str) -> Source:
    """Return a value as a source for a Track of this kind; nothing is opened yet.

    Raises:
        TypeError: the value is not a source.
        ValueError: the source gives the other kind.
        FileNotFoundError: no file has this path.
    """
    source = _recognised(value, kind)
    if source is None:
        raise TypeError(
            f"{track}: {type(value).__name__} is not a source; give a camera's index, a path, an iterable of frames, "
            f"something with an async recv(), or a device of livereactor.devices"
        )
    if kind not in source.kinds():
        raise ValueError(f"{track} carries {kind}, and this source gives {' and '.join(source.kinds())}")
    return source


def _recognised(value: object, kind: Kind) -> Source | None:
    if isinstance(value, Source):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Camera(value)
    if isinstance(value, str | Path):
        return Camera(str(value)) if Path(value).is_char_device() else MediaFile(value)
    if inspect.iscoroutinefunction(getattr(value, "recv", None)):
        return _Receiving(value, kind)
    if isinstance(value, AsyncIterable):
        return _Iterating(cast("AsyncIterable[object]", value), kind)
    if kind == "video" and getattr(value, "ndim", 4) != 4:
        return None  # an array of one picture is not a source: its rows are not frames
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | memoryview):
        return _Iterating(cast("Iterable[object]", value), kind)
    return None


@dataclass(frozen=True, slots=True, eq=False)
class _Iterating:
    """A source that is an iterable: a plain one is read at 30 Hz, an async one at its own pace."""

    items: Iterable[object] | AsyncIterable[object]
    kind: Kind

    def kinds(self) -> tuple[Kind, ...]:
        return (self.kind,)

    def open(self, kind: Kind) -> OpenedSource:
        if isinstance(self.items, AsyncIterable):
            return OpenedSource(aiter(self.items))
        return OpenedSource(iter(self.items), INTERVAL if kind == "video" else 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Receiving:
    """A source with an async `recv()`, such as a track of aiortc; it sets the pace."""

    track: Any
    kind: Kind

    def kinds(self) -> tuple[Kind, ...]:
        return (getattr(self.track, "kind", self.kind),)

    def open(self, kind: Kind) -> OpenedSource:
        return OpenedSource(self._received())

    async def _received(self) -> AsyncIterator[object]:
        while True:
            try:
                item = await self.track.recv()
            except Exception as error:
                if type(error).__name__ == "MediaStreamError":  # raised by a track of aiortc at its end
                    return
                raise
            yield item
