"""Outgoing media of libwebrtc: video through inline encoder tracks, sound as PCM, and a watch over its pacer.

`send` runs on the output's thread and pushes a token; `serve` runs on libwebrtc's encoder thread and returns bytes that
are already made. Between the two stands a `Feed` behind a lock held for microseconds.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import reactor_webrtc as rw

from livereactor.base.clock import monotonic_us
from livereactor.base.errors import EngineError
from livereactor.engine.libwebrtc import frame_tokens as tokens
from livereactor.engine.libwebrtc.encoder_tracks import EncoderTracks, Served
from livereactor.engine.libwebrtc.feed import Feed
from livereactor.engine.port import CodecNegotiated, KeyFrameWanted, PeerEvent, RateChanged
from livereactor.media.frames import EncodedFrame, Sound, VideoCodec

# What still waits before a narrow network, and what that leaves for new pictures. Pure.
# When a way becomes narrow, libwebrtc's estimate says so half a second later and more; what was handed over meanwhile
# waits in its pacer, which lets go of it at the estimated rate. A sender that then uses the whole rate stays as late
# as it is for good (2 s were measured at 1 Mbit/s). So a part of the rate goes to what waits, until nothing does.

NARROWED: Final = 0.85  # of the best rate lately: below this something may be waiting
FADES: Final = 0.98  # of the best rate, with each rate heard (some ten a second): a way that stays narrow is no news
IN_TIME: Final = 0.05  # seconds in the pacer that are nothing; a key frame takes as long
LEAST: Final = 0.2  # of the rate, for new pictures whatever waits
CALM: Final = 10  # samples without anything that waits, after which there is no more to look for


class Backlog:
    """One video output's.

    Attributes:
        is_suspected: samples are wanted.
    """

    def __init__(self) -> None:
        self.is_suspected = False
        self._best = 0.0
        self._packets, self._waited = 0, 0.0  # in all, as sampled last
        self._seconds = 0.0
        self._calm = 0

    def rate(self, bps: int) -> int:
        """Congestion control allows `bps`; what new pictures may use of it."""
        self._best = max(float(bps), self._best * FADES)
        if bps < NARROWED * self._best:
            self.is_suspected, self._calm = True, 0
        return round(bps * max(LEAST, 1.0 - max(0.0, self._seconds - IN_TIME)))

    def sample(self, packets: int, waited: float) -> None:
        """So many packets have been sent in all, and waited so many seconds in the pacer, in all."""
        if packets > self._packets:
            self._seconds = max(0.0, waited - self._waited) / (packets - self._packets)
        self._packets, self._waited = packets, waited
        self._calm = 0 if self._seconds > IN_TIME else self._calm + 1
        if self._calm >= CALM:
            self.is_suspected = False


REPEAT_INTERVAL: Final = 0.008  # seconds between extra requests: four may be lost before a frame at 30 fps is late
TOKEN_SPACING_US: Final = 1_000  # libwebrtc drops a frame captured in the same millisecond as the one before
# By text: the engine's enum members are not hashable.
CODECS: Final = {str(rw.VideoCodec.Vp8): VideoCodec.VP8, str(rw.VideoCodec.H264): VideoCodec.H264}

Post = Callable[[PeerEvent], None]


class LibwebrtcVideoOutput:
    """Fits the Protocol `VideoOutput` in port.py."""

    def __init__(
        self, encoder_tracks: EncoderTracks, repeater: Repeater, post: Post, suspected: Callable[[], None]
    ) -> None:
        self._encoder_tracks, self._repeater, self._post, self._suspected = encoder_tracks, repeater, post, suspected
        self._lock = threading.Lock()
        self._feed = Feed()
        self._ready = False
        self._captured_us = 0  # capture time of the last token pushed
        self._backlog = Backlog()
        self._allowed_bps = 0  # by congestion control
        self._bps = 0  # of it, for new pictures; as last reported
        self.mid = ""
        self.codec: VideoCodec | None = None
        self._track: rw.Track | None  # None once it is closed
        self._number, self._track = encoder_tracks.add(self)

    @property
    def track(self) -> rw.Track:
        """The track that the transceiver sends."""
        assert self._track is not None  # until it is closed
        return self._track

    # --- from the peer, on the loop ---

    def start(self) -> None:
        """The viewer can receive from now on; it needs a key frame."""
        if not self._ready:
            self._ready = True
            self.key_frame_request()

    def stop(self) -> None:
        """The viewer cannot receive now."""
        self._ready = False

    def close(self) -> None:
        self._ready = False
        self._post = _ignore
        self._repeater.forget(self)
        self._track = None
        self._encoder_tracks.remove(self._number)

    def sample(self, packets: int, waited: float) -> bool:
        """Add a sample of libwebrtc's counters (see `Backlog.sample`), and return whether more samples are wanted."""
        with self._lock:
            self._backlog.sample(packets, waited)
            left, wanted = self._backlog.rate(self._allowed_bps), self._backlog.is_suspected
        self._tell_rate(left)
        return wanted

    # --- from any thread ---

    def send(self, frame: EncodedFrame) -> bool:
        if not self._ready or frame.codec is not self.codec:
            return False
        now = time.monotonic()
        with self._lock:
            place = self._feed.offer(frame, now)
            wish = self._feed.take_key_request(now)
            watched = self._feed.is_watched(now)
            captured_us = self._stamp(frame.captured_us)
        if wish:
            self._post(KeyFrameWanted(self.mid))
        if place is None:
            return False
        self._push(place, captured_us, frame.user_data)
        if watched:
            self._repeater.watch(self)
        return True

    # --- from libwebrtc's encoder thread ---

    def serve(self, number: int, *, key_wanted: bool, codec: rw.VideoCodec) -> Served:
        if CODECS.get(str(codec)) is not self.codec:
            self._negotiated(CODECS.get(str(codec)))
            return None
        now = time.monotonic()
        with self._lock:
            frame = self._feed.serve(number, key_wanted=key_wanted, now=now)
            wish = self._feed.take_key_request(now)
            watched = self._feed.is_watched(now)
        if wish:
            self._post(KeyFrameWanted(self.mid))
        if watched:
            self._repeater.watch(self)
        return None if frame is None else (frame.data, frame.key)

    def rate(self, bps: int) -> None:
        with self._lock:
            was, self._allowed_bps = self._backlog.is_suspected, bps
            left = self._backlog.rate(bps)
            suspected = self._backlog.is_suspected and not was
        self._tell_rate(left)
        if suspected:
            self._suspected()

    def key_frame_request(self) -> None:
        with self._lock:
            self._feed.want_key()
            wish = self._feed.take_key_request(time.monotonic())
        if wish:
            self._post(KeyFrameWanted(self.mid))

    # --- from the repeater's thread ---

    def repeat(self, now: float) -> bool:
        """Push one extra token when there is something to serve; whether to come back."""
        with self._lock:
            frame, place = self._feed.next_frame, self._feed.newest
            watched = self._feed.is_watched(now)
            late = frame is not None and monotonic_us() - self._captured_us > REPEAT_INTERVAL * 1e6
            captured_us = self._stamp(monotonic_us()) if late else 0
        if frame is not None and late and self._ready:
            self._push(place, captured_us, frame.user_data)
        return self._ready and (frame is not None or watched)

    def _tell_rate(self, bps: int) -> None:
        if bps != self._bps:
            self._bps = bps
            self._post(RateChanged(self.mid, bps))

    def _stamp(self, captured_us: int) -> int:
        self._captured_us = max(captured_us, self._captured_us + TOKEN_SPACING_US)
        return self._captured_us

    def _push(self, place: int, captured_us: int, user_data: bytes) -> None:
        picture = tokens.draw(tokens.FrameToken(self._number, place & 0xFFFFFFFF))
        track = self._track
        if track is not None:
            # Empty, and not None: a Frame without a tag has its stamp too, from which its age follows (22 bytes).
            track.push_video_frame(picture, tokens.WIDTH, tokens.HEIGHT, user_data, captured_us)

    def _negotiated(self, codec: VideoCodec | None) -> None:
        # What libwebrtc says when it encodes is the truth; the answer's first payload type can be another.
        self.codec = codec
        if codec is not None:
            self._post(CodecNegotiated(self.mid, codec))
        self.key_frame_request()


class Repeater:
    """The thread that pushes extra tokens for outputs whose requests get lost. Sleeps while there are none."""

    def __init__(self) -> None:
        self._watched: set[LibwebrtcVideoOutput] = set()
        self._wake = threading.Condition()
        threading.Thread(target=self._run, name="livereactor-repeater", daemon=True).start()

    def watch(self, output: LibwebrtcVideoOutput) -> None:
        if output in self._watched:
            return
        with self._wake:
            self._watched.add(output)
            self._wake.notify()

    def forget(self, output: LibwebrtcVideoOutput) -> None:
        with self._wake:
            self._watched.discard(output)

    def _run(self) -> None:
        while True:
            done = [output for output in self._due() if not output.repeat(time.monotonic())]
            with self._wake:
                self._watched.difference_update(done)

    def _due(self) -> list[LibwebrtcVideoOutput]:
        """Wait for outputs to look after, then one interval."""
        with self._wake:
            self._wake.wait_for(lambda: self._watched)
        time.sleep(REPEAT_INTERVAL)
        with self._wake:
            return list(self._watched)


def _ignore(_: PeerEvent) -> None:
    """Ignore the events of a closed output."""


# Looks at what waits in libwebrtc's pacer, ten times a second while something may: the shell of `Backlog`.

INTERVAL: Final = 0.1  # seconds


class PacerWatch:
    """One Peer's, on the loop.

    Args:
        report: asks for the peer connection's statistics; None once it is closed.
        outputs: its video outputs by mid.
    """

    def __init__(
        self,
        report: Callable[[], Awaitable[rw.StatsReport] | None],
        outputs: Callable[[], Mapping[str, LibwebrtcVideoOutput]],
    ) -> None:
        self._report, self._outputs = report, outputs
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Watch until nothing waits in the pacer. A second call does nothing while the watch runs."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._look(), name="livereactor pacer watch")

    def end(self) -> None:
        """Stop the watch."""
        if self._task is not None:
            self._task.cancel()

    async def _look(self) -> None:
        wanted = True
        while wanted and (asked := self._report()) is not None:
            report = await asked
            outputs = self._outputs()
            answers = [
                output.sample(sent.packets_sent, sent.total_packet_send_delay_s)
                for sent in report.outbound_rtp
                if (output := outputs.get(sent.mid or "")) is not None
            ]
            wanted = any(answers)
            await asyncio.sleep(INTERVAL)
        self._task = None


class LibwebrtcAudioOutput:
    """Fits the Protocol `AudioOutput` in port.py."""

    def __init__(self, track: rw.Track) -> None:
        self.track = track
        self.mid = ""
        self._ready = False

    def start(self) -> None:
        """The viewer can receive from now on."""
        self._ready = True

    def stop(self) -> None:
        """The viewer cannot receive now."""
        self._ready = False

    def close(self) -> None:
        self._ready = False

    def send(self, sound: Sound) -> bool:
        samples, channels = sound.samples.shape
        block = sound.rate // 100
        if samples == 0 or samples % block:
            raise EngineError(f"sound of {samples} samples at {sound.rate} Hz is not whole blocks of 10 ms; cut it")
        if not self._ready:
            return False
        captured_us = sound.captured_us if sound.captured_us is not None else monotonic_us()
        for start in range(0, samples, block):
            pcm = sound.samples[start : start + block].astype("<i2", copy=False).tobytes()
            self.track.push_pcm(pcm, sound.rate, channels, captured_us + start * 1_000_000 // sound.rate)
        return True
