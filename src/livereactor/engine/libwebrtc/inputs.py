"""Received media of libwebrtc: BGRA and PCM bytes become frames and sound, on libwebrtc's own threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import cv2
import numpy as np
import reactor_webrtc as rw

from livereactor.engine.port import Kind
from livereactor.media.frames import Frame, Pixels, Sound


class LibwebrtcInput:
    """Fits the Protocol `InputTrack` in port.py."""

    def __init__(self, mid: str, kind: Kind, track: rw.Track) -> None:
        self.mid = mid
        self.kind: Kind = kind
        self._track: rw.Track | None = track  # None once it is closed
        self._frames: Callable[[Frame], None] | None = None
        self._sounds: Callable[[Sound], None] | None = None
        self._count = 0
        self._is_registered = False

    def on_frame(self, callback: Callable[[Frame], None] | None) -> None:
        self._frames = callback
        if callback is not None and self.kind == "video" and self._track is not None and not self._is_registered:
            self._is_registered = True  # a callback of libwebrtc cannot be taken back: it stays and may be idle
            self._track.on_video_frame(self._on_video)

    def on_sound(self, callback: Callable[[Sound], None] | None) -> None:
        self._sounds = callback
        if callback is not None and self.kind == "audio" and self._track is not None and not self._is_registered:
            self._is_registered = True
            self._track.on_audio_frame(self._on_audio)

    def close(self) -> None:
        self._frames = self._sounds = None
        track, self._track = self._track, None
        if track is None or not self._is_registered:
            return
        if self.kind == "video":
            track.on_video_frame(_nothing)
        else:
            track.on_audio_frame(_nothing)

    def _on_video(self, bgra: bytes, width: int, height: int, metadata: rw.FrameMetadata | None) -> None:
        callback = self._frames
        if callback is None:
            return
        self._count += 1
        picture = np.frombuffer(bgra, np.uint8).reshape(height, width, 4)
        pixels = cast("Pixels", cv2.cvtColor(picture, cv2.COLOR_BGRA2RGB))  # 0.2 ms at 360p, and without the GIL
        if metadata is None:
            callback(Frame(pixels, number=self._count))
        else:
            callback(Frame(pixels, metadata.user_data, metadata.capture_time_us or None, self._count))

    def _on_audio(self, pcm: bytes, sample_rate: int, channels: int, frames: int) -> None:
        callback = self._sounds
        if callback is not None:
            samples = np.frombuffer(pcm, "<i2").reshape(frames, channels).astype(np.int16)
            callback(Sound(samples, sample_rate))


def _nothing(*_: object) -> None:
    """Do nothing: libwebrtc's callback once the input is closed."""
