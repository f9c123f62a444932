"""The viewers of one video track, their encoded streams, and the next encodes. Pure: `now` comes in.

An `EncodedStream` is one quality layer in one codec. The plan names the streams to encode now and the viewers of each;
the shell (`video.py`) encodes and sends outside its lock and reports back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from livereactor.media.encoder import VideoEncoder
from livereactor.media.frames import VideoCodec
from livereactor.media.key_frame_requests import KeyFrameRequests
from livereactor.runtime.interfaces import EncodedSink
from livereactor.runtime.outputs.quality_layers import (
    LOW_BPS,
    CeilingChanged,
    DeadlinePassed,
    LayerEvent,
    MoveViewer,
    QualityLayer,
    QualityLayers,
    SetRate,
    ViewerJoined,
    ViewerLeft,
    ViewerRate,
)

DEBT: Final = 0.15  # seconds of the rate that may be on their way; a first key frame is 0.125
# Seconds: so late congestion control says that a way has become narrow, later by the round trip where it is far. What
# was sent in the meantime still waits before it.
HINDSIGHT: Final = 0.9
LONGEST: Final = 0.7  # seconds between two pictures at most, however little the way takes


class Budget:
    """The bits of one stream that have not passed its network yet, as far as its rate tells.

    A picture that is hard to encode costs more than a low rate has, whatever rate the encoder is set to: libvpx at its
    coarsest (qmax 56) makes 0.9 Mbit/s of grain at 640x360 and 30 fps, 3.3 at 1280x720. The excess would wait before
    the network, seconds long. So pictures are left out instead, and the ones that are seen are new.
    """

    def __init__(self) -> None:
        self._spent = deque[tuple[float, int]]()  # bits, and when; within HINDSIGHT
        self._bits, self._bps, self._at = 0.0, 1.0, float("-inf")  # not passed, at `at`

    def follow(self, bps: float, now: float) -> None:
        """The way takes `bps` bits a second, and where that is less than before, it has for a while."""
        self._advance(now)
        falls, self._bps = bps < self._bps, bps
        if falls:
            self._bits = max(self._bits, self._in_hindsight(now))

    def spend(self, size_bytes: int, now: float) -> None:
        """A picture of this size went."""
        self._advance(now)
        if now >= self._latest():  # it has been waited for long enough: what was reckoned was too much
            self._bits = min(self._bits, DEBT * self._bps)
        self._bits += size_bytes * 8
        self._spent.append((now, size_bytes * 8))

    def ready_at(self) -> float:
        """Return the earliest time of the next picture; a past time means at once."""
        return min(self._at + max(0.0, self._bits / self._bps - DEBT), self._latest())

    def _latest(self) -> float:
        return self._spent[-1][0] + LONGEST if self._spent else float("-inf")

    def _advance(self, now: float) -> None:
        if now > self._at:
            self._bits = self._left(self._bits, now - self._at)
            self._at = now
        while len(self._spent) > 1 and self._spent[0][0] < now - HINDSIGHT:
            self._spent.popleft()

    def _in_hindsight(self, now: float) -> float:
        bits, at = 0.0, now
        for spent_at, size in self._spent:
            bits, at = self._left(bits, spent_at - at) + size, spent_at
        return self._left(bits, now - at)

    def _left(self, bits: float, seconds: float) -> float:
        return max(0.0, bits - self._bps * max(0.0, seconds))


LOW_INTERVAL: Final = 1 / 15  # seconds between Frames of the low layer
EARLY: Final = 0.1  # of an interval: every second Frame of 30 fps must not miss its turn by a hair
# Of the rate that the size deserves. A recording that takes pictures over asks for a key frame a second: viewers with
# less have no bits for that, and the recording has no use for pictures that are as soft as theirs, or left out.
RECORDED_FROM: Final = 0.6

StreamKey = tuple[QualityLayer, VideoCodec]


@dataclass(slots=True, eq=False)
class TrackViewer:
    """A Connection that takes this track. `started`: it has had a key frame of `stream` and may get deltas."""

    sink: EncodedSink
    resumed: bool = False
    layer: QualityLayer = QualityLayer.MAIN
    bps: int | None = None  # as heard last, remembered over a pause
    stream: StreamKey | None = None
    started: bool = False


@dataclass(slots=True, eq=False)
class EncodedStream:
    """One encoded stream; `encoder` belongs to the output's thread and is made there."""

    layer: QualityLayer
    codec: VideoCodec
    keys: KeyFrameRequests = field(default_factory=KeyFrameRequests)
    budget: Budget = field(default_factory=Budget)
    encoder: VideoEncoder | None = None
    owes: bool = False  # a picture came that it has not encoded
    last_at: float = float("-inf")

    def next_at(self) -> float:
        """Earliest time for its next picture."""
        return max(self._turn(), self.budget.ready_at())

    def is_held(self) -> bool:
        """Return whether the budget holds the owed picture back, and not the turn of the layer."""
        return self.owes and self.budget.ready_at() > self._turn()

    def _turn(self) -> float:
        return self.last_at + LOW_INTERVAL * (1 - EARLY) if self.layer is QualityLayer.LOW else float("-inf")


@dataclass(frozen=True, slots=True)
class EncodeTask:
    """One encode of the newest picture, and the viewers that get it. A recording may take it if `is_recordable`."""

    stream: EncodedStream
    key: bool
    bps: int
    viewers: tuple[TrackViewer, ...]
    is_recordable: bool


class Fanout:
    """The viewers of one track. Not thread-safe: the shell holds its lock around every call.

    Attributes:
        left_out: pictures, once per stream, that its budget held until a newer one took their place.
    """

    def __init__(self, ceiling: int) -> None:
        self.left_out = 0
        self._viewers: dict[int, TrackViewer] = {}
        self._streams: dict[StreamKey, EncodedStream] = {}
        self._layers, self._ceiling = QualityLayers(ceiling), ceiling
        self._bps = {QualityLayer.MAIN: ceiling, QualityLayer.LOW: LOW_BPS[1]}

    @property
    def wanted(self) -> bool:
        """Whether anybody receives."""
        return any(viewer.resumed for viewer in self._viewers.values())

    def add(self, number: int, sink: EncodedSink, now: float) -> None:
        """A viewer, paused; in the place of an earlier one of that number."""
        self.remove(number, now)
        self._viewers[number] = TrackViewer(sink)

    def remove(self, number: int, now: float) -> None:
        if number in self._viewers:
            self._viewers.pop(number).resumed = False  # a Frame under way is not sent to it any more
            self._handle(ViewerLeft(number), now)

    def resume(self, number: int, now: float) -> None:
        viewer = self._viewers.get(number)
        if viewer is not None and not viewer.resumed:
            viewer.resumed, viewer.layer, viewer.stream, viewer.started = True, QualityLayer.MAIN, None, False
            self._handle(ViewerJoined(number), now)
            if viewer.bps is not None:
                self._handle(ViewerRate(number, viewer.bps), now)

    def pause(self, number: int, now: float) -> None:
        viewer = self._viewers.get(number)
        if viewer is not None and viewer.resumed:
            viewer.resumed = False
            self._handle(ViewerLeft(number), now)

    def key_wanted(self, number: int) -> None:
        viewer = self._viewers.get(number)
        if viewer is not None and viewer.resumed and viewer.stream is not None:
            self._streams[viewer.stream].keys.request()

    def rate(self, number: int, bps: int, now: float) -> None:
        if number in self._viewers:
            self._viewers[number].bps = bps
            self._handle(ViewerRate(number, bps), now)

    def set_ceiling(self, bps: int, now: float) -> None:
        self._ceiling = bps
        self._handle(CeilingChanged(bps), now)

    def plan(self, *, fresh: bool, now: float, keys: bool = False) -> list[EncodeTask]:
        """Return the encodes to make now. The shell must make all of them: their key frame requests count as served.

        Args:
            fresh: the newest picture came since the last call.
            keys: a recording needs a key frame; it gets one with the next picture, from a stream that it can take.
        """
        self._handle(DeadlinePassed(), now)
        audience = self._audience()
        tasks = list[EncodeTask]()
        for key, viewers in audience.items():
            stream = self._streams[key]
            has_begun = any(viewer.started for viewer in viewers)
            self.left_out += fresh and has_begun and stream.is_held()
            stream.owes |= fresh
            stream.budget.follow(self._layers.bearable(stream.layer), now)
            due = stream.owes and now >= stream.next_at() and has_begun
            granted = stream.keys.grant(now)
            is_recordable = self._is_recordable(stream)
            if not granted and keys and due and is_recordable:
                granted = stream.keys.grant_recording(now)
            if due or granted:
                stream.owes, stream.last_at = False, now
                tasks.append(EncodeTask(stream, granted, self._bps[stream.layer], tuple(viewers), is_recordable))
        return tasks

    def deadline(self) -> float | None:
        """Return the time at which `plan` may have an encode without a new picture; None = only after an event."""
        times = [] if (at := self._layers.deadline()) is None else [at]
        for key, viewers in self._audience().items():
            stream = self._streams[key]
            if (at := stream.keys.deadline()) is not None:
                times.append(at)
            if stream.owes and any(viewer.started for viewer in viewers):
                times.append(stream.next_at())
        return min(times, default=None)

    def clear(self) -> None:
        """All viewers are gone; a Frame under way is sent to none of them any more."""
        for viewer in self._viewers.values():
            viewer.resumed = False
        self._viewers.clear()

    def _is_recordable(self, stream: EncodedStream) -> bool:
        is_fit = stream.layer is QualityLayer.MAIN and stream.codec is VideoCodec.H264
        return is_fit and self._bps[stream.layer] >= RECORDED_FROM * self._ceiling

    def _audience(self) -> dict[StreamKey, list[TrackViewer]]:
        """Return the receiving viewers of each `EncodedStream`; call again after changing the streams."""
        audience = dict[StreamKey, list[TrackViewer]]()
        for viewer in self._viewers.values():
            if not viewer.resumed:
                continue
            # VP8 until it is known: every client has it, and the first key frame cannot wait for the negotiation's end.
            key = (viewer.layer, viewer.sink.codec or VideoCodec.VP8)
            if viewer.stream != key:
                viewer.stream, viewer.started = key, False
                self._streams.setdefault(key, EncodedStream(*key)).keys.request_for_join()
            audience.setdefault(key, []).append(viewer)
        return audience

    def _handle(self, event: LayerEvent, now: float) -> None:
        for effect in self._layers.handle(event, now):
            match effect:
                case MoveViewer(number, layer):
                    self._viewers[number].layer = layer
                case SetRate(layer, bps):
                    self._bps[layer] = bps
