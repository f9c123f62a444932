"""Pictures and sound on their way out: a thread per published Track, which encodes and hands to the engine.

A push only hands over, under a short lock. The newest wins: a picture that is not encoded yet is replaced by the next.
The newest one is kept, so that a receiver that joins or has lost packets gets it as a key frame at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import structlog

from livereactor.base.clock import Clock, SystemClock
from livereactor.client.tracks.port import Bitrate
from livereactor.client.tracks.pushed import Picture
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
    picture: Picture
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
        self._picture: Picture | None = None
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

    def show(self, picture: Picture) -> None:
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

    def _aimed(self, picture: Picture, now: float) -> FollowedRate:
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
LEAD: Final = (
    0.040  # seconds of sound that may be sent ahead of time, so that the jitter of a live source adds no delay
)
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
