"""Media of the in-memory engine: what one side sends arrives at the other, encoded as it was and decoded if wanted.

Outputs are called from any thread. Inputs deliver on the loop: one thread less makes a test's order certain.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import cast

import av
import av.error

from livereactor.engine.key_gate import KeyGate
from livereactor.engine.memory.wire import Wire
from livereactor.engine.port import Kind
from livereactor.media.frames import EncodedFrame, Frame, Pixels, Sound, VideoCodec

MAX_WAITING = 4  # Frames on the wire of one output; a loop that lags loses Frames, it does not queue them
_DECODERS = {VideoCodec.VP8: "vp8", VideoCodec.H264: "h264"}


class MemoryInput:
    """A received track of one section; fits `ReceivedTrack` by shape."""

    def __init__(self, mid: str, kind: Kind, want_key: Callable[[], None]) -> None:
        self.mid, self.want_key = mid, want_key
        self.kind: Kind = kind
        self._on_frame: Callable[[Frame], None] | None = None
        self._on_encoded: Callable[[EncodedFrame], None] | None = None
        self._on_sound: Callable[[Sound], None] | None = None
        self._decoder: av.VideoCodecContext | None = None
        self._number = 0
        self.bytes_received = 0

    def on_frame(self, callback: Callable[[Frame], None] | None) -> None:
        """Deliver decoded Frames; the sender is asked for a key frame to start from."""
        self._on_frame, self._decoder = callback, None
        if callback is not None:
            self.want_key()

    def on_encoded(self, callback: Callable[[EncodedFrame], None] | None) -> None:
        """Deliver Frames as they were sent, so that a test needs no real codec."""
        self._on_encoded = callback

    def on_sound(self, callback: Callable[[Sound], None] | None) -> None:
        """Deliver Sound."""
        self._on_sound = callback

    def take_encoded(self, frame: EncodedFrame) -> None:
        """An encoded Frame has arrived."""
        self.bytes_received += len(frame.data)
        if self._on_encoded is not None:
            self._on_encoded(frame)
        if self._on_frame is None:
            return
        if self._decoder is None:
            if not frame.key:
                return
            self._decoder = cast(av.VideoCodecContext, av.CodecContext.create(_DECODERS[frame.codec], "r"))
        try:
            pictures = self._decoder.decode(av.Packet(frame.data))  # pyright: ignore[reportUnknownMemberType]  (PyAV's stub)
        except av.error.FFmpegError:
            self._decoder = None
            self.want_key()
            return
        for picture in pictures:
            pixels = cast(Pixels, picture.to_ndarray(format="rgb24"))
            self.take_frame(Frame(pixels, frame.user_data, frame.captured_us))

    def take_frame(self, frame: Frame) -> None:
        """A decoded Frame has arrived."""
        if self._on_frame is not None:
            self._number += 1
            self._on_frame(Frame(frame.pixels, frame.user_data, frame.captured_us, self._number))

    def take_sound(self, sound: Sound) -> None:
        """A block of sound has arrived."""
        if self._on_sound is not None:
            self._on_sound(sound)


class MemoryVideoOutput:
    """One video track to the other side; fits `VideoOutput` by shape."""

    def __init__(self, mid: str, codec: VideoCodec, wire: Wire, want_key: Callable[[], None]) -> None:
        self.mid, self.codec, self._wire, self._want_key = mid, codec, wire, want_key
        self._far: MemoryInput | None = None
        self._lock = threading.Lock()
        self._gate = KeyGate()
        self._waiting: deque[EncodedFrame] = deque()
        self.bytes_sent = 0

    def send(self, frame: EncodedFrame) -> bool:
        """Hand one Frame over; False when it was dropped."""
        with self._lock:
            far = self._far
            if far is None or frame.codec is not self.codec:
                return False
            admitted = self._gate.admit(frame, room=len(self._waiting) < MAX_WAITING)
            wish = self._gate.take_key_request()
            if admitted:
                if frame.key:
                    self._waiting.clear()
                self._waiting.append(frame)
                self.bytes_sent += len(frame.data)
        if admitted:
            self._wire.carry(lambda: self._arrive(far))
        elif wish:
            self._want_key()
        return admitted

    def show(self, frame: Frame) -> bool:
        """Hand a picture over that was never encoded: what a test's camera sees."""
        far = self._far
        if far is not None:
            self._wire.carry(lambda: far.take_frame(frame))
        return far is not None

    def connect(self, far: MemoryInput | None) -> None:
        """Frames go to `far` from now on; None = nowhere."""
        with self._lock:
            self._far = far
            self._gate.restart()

    def key_wanted(self) -> None:
        """The receiver cannot go on."""
        with self._lock:
            self._gate.want_key()
            wish = self._gate.take_key_request()
        if wish:
            self._want_key()

    def _arrive(self, far: MemoryInput) -> None:
        with self._lock:
            frame = self._waiting.popleft() if self._waiting else None
        if frame is not None:
            far.take_encoded(frame)


class MemoryAudioOutput:
    """One audio track to the other side; fits `AudioOutput` by shape."""

    def __init__(self, mid: str, wire: Wire) -> None:
        self.mid, self._wire = mid, wire
        self._far: MemoryInput | None = None

    def send(self, sound: Sound) -> bool:
        """Hand one block over; False when not connected."""
        far = self._far
        if far is not None:
            self._wire.carry(lambda: far.take_sound(sound))
        return far is not None

    def connect(self, far: MemoryInput | None) -> None:
        """Sound goes to `far` from now on; None = nowhere."""
        self._far = far
