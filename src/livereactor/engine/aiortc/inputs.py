"""What the other side sends through aiortc: packets to whole Frames on the loop, decoded on a thread per track.

aiortc's receiver keeps its RTCP (reports, NACK, PLI); its jitter buffer is replaced by ours and its decoder is left
idle, because it decodes whether anybody looks or not, and stops for good at the first RTCP BYE.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final, cast

import av
import av.error
import cv2
from aiortc import RTCRtpReceiver
from aiortc.rtcrtpreceiver import NackGenerator

from livereactor.engine.aiortc.assembly import Piece, SoundAssembly, VideoAssembly, Whole, is_h264_key, is_vp8_key
from livereactor.engine.aiortc.frame_tags import FrameTag, split_tag
from livereactor.engine.port import Kind
from livereactor.media.frames import Frame, Pixels, Sound, VideoCodec

MAX_WAITING: Final = 8  # Frames waiting for the decoder; one that lags starts again at a key frame
MAX_NACKS: Final = 5  # for one packet: about as long as its Frame is waited for
_DECODERS: Final = {VideoCodec.VP8: "libvpx", VideoCodec.H264: "h264"}
_KEYS: Final = {VideoCodec.VP8: is_vp8_key, VideoCodec.H264: is_h264_key}


class RepeatedNacks(NackGenerator):
    """aiortc's list of lost packets, asked for again with every Frame that ends: it asks once, and a retransmission
    that is lost too would cost a key frame."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: dict[int, int] = {}

    def add(self, packet: Any) -> bool:
        """Note a packet; says whether to ask for what is missing."""
        new = super().add(packet)
        if not (new or (packet.marker and self.missing)):
            return False
        self._asked = {number: self._asked.get(number, 0) + 1 for number in self.missing}
        self.missing = {number for number in self.missing if self._asked[number] <= MAX_NACKS}
        return bool(self.missing)


class AiortcInput:
    """Fits the Protocol `InputTrack` in port.py.

    Args:
        mid, kind: of the section.
        codec: of a video section.
    """

    def __init__(self, mid: str, kind: Kind, codec: VideoCodec = VideoCodec.VP8) -> None:
        self._mid, self._codec = mid, codec
        self._kind: Kind = kind
        self._frames: Callable[[Frame], None] | None = None
        self._sounds: Callable[[Sound], None] | None = None
        self._video, self._sound = VideoAssembly(_KEYS[codec]), SoundAssembly()
        self._waiting: queue.Queue[Whole | None] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._broken = threading.Event()  # the decoder cannot go on; the loop asks for a key frame
        self._count = 0
        self.bytes_received = 0

    @property
    def mid(self) -> str:
        """The section."""
        return self._mid

    @property
    def kind(self) -> Kind:
        """`video` or `audio`."""
        return self._kind

    def on_frame(self, callback: Callable[[Frame], None] | None) -> None:
        """Deliver decoded Frames on this track's thread; decoding starts here, at the next key frame."""
        self._frames = callback
        self._start(callback is not None and self._kind == "video")

    def on_sound(self, callback: Callable[[Sound], None] | None) -> None:
        """Deliver decoded Sound on this track's thread."""
        self._sounds = callback
        self._start(callback is not None and self._kind == "audio")

    def attach(self, receiver: RTCRtpReceiver) -> None:
        """Take the packets of this receiver."""
        native: Any = receiver
        native._RTCRtpReceiver__jitter_buffer = self
        if self._kind == "video":
            native._RTCRtpReceiver__nack_generator = RepeatedNacks()

    def close(self) -> None:
        """Stop; nothing is delivered any more."""
        self._frames = self._sounds = None
        if self._thread is not None:
            self._put(None)
            self._thread = None

    # --- from aiortc's receiver, on the loop ---

    def add(self, packet: Any) -> tuple[bool, None]:
        """Take a packet, in place of aiortc's jitter buffer; says whether a picture loss is to be reported."""
        self.bytes_received += len(packet.payload)
        if self._thread is None:
            return False, None
        piece = Piece(packet.timestamp, bool(packet.marker), packet._data)
        if self._kind == "audio":
            wholes = self._sound.add(packet.sequence_number, piece)
        else:
            if self._broken.is_set():
                self._broken.clear()
                self._video.want_key()
            wholes = self._video.add(packet.sequence_number, piece, time.monotonic())
        for whole in wholes:
            self._put(whole)
        return self._kind == "video" and self._video.take_wish(), None

    def _put(self, whole: Whole | None) -> None:
        try:
            self._waiting.put_nowait(whole)
        except queue.Full:
            with self._waiting.mutex:
                self._waiting.queue.clear()
            self._waiting.put_nowait(whole)
            self._video.want_key()

    # --- the thread ---

    def _start(self, wanted: bool) -> None:
        if wanted and self._thread is None:
            self._video.restart()
            self._thread = threading.Thread(target=self._run, name=f"livereactor-{self._kind}-{self._mid}", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        name = "libopus" if self._kind == "audio" else _DECODERS[self._codec]
        decoder = cast("Any", av.CodecContext.create(name, "r"))
        if self._kind == "audio":
            decoder.format, decoder.layout, decoder.sample_rate = "s16", "stereo", 48_000
        decode = self._decode_sound if self._kind == "audio" else self._decode_video
        while (whole := self._waiting.get()) is not None:
            try:
                decode(decoder, whole)
            except av.error.FFmpegError:
                self._broken.set()

    def _decode_video(self, decoder: Any, whole: Whole) -> None:
        data, tag = split_tag(whole.data)
        for picture in decoder.decode(av.Packet(data)):
            callback = self._frames
            if callback is None:
                return
            self._count += 1
            tag = tag or FrameTag()
            callback(Frame(_rgb(picture), tag.user_data, tag.captured_us or None, self._count))

    def _decode_sound(self, decoder: Any, whole: Whole) -> None:
        for block in decoder.decode(av.Packet(whole.data)):
            callback = self._sounds
            if callback is not None:
                samples = block.to_ndarray().reshape(-1, len(block.layout.channels))
                callback(Sound(samples, block.sample_rate))


def _rgb(picture: av.VideoFrame) -> Pixels:
    """uint8, shape (height, width, 3); a fresh array."""
    if picture.format.name == "yuv420p" and not (picture.width % 2 or picture.height % 2):
        # 0.2 ms at 360p against 1.2 ms of FFmpeg's, and without the GIL.
        return cast("Pixels", cv2.cvtColor(cast("Pixels", picture.to_ndarray()), cv2.COLOR_YUV2RGB_I420))
    return cast("Pixels", picture.to_ndarray(format="rgb24"))
