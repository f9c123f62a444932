"""Sinks that keep what they are sent, and wait for it by condition."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

from livereactor.media.frames import EncodedFrame, Frame, Sound, VideoCodec

T = TypeVar("T")

TIMEOUT = 10.0


class Inbox(Generic[T]):
    def __init__(self) -> None:
        self.got: list[T] = []
        self.takes = True
        self._came = threading.Condition()

    def keep(self, item: T) -> bool:
        with self._came:
            self.got.append(item)
            self._came.notify_all()
        return self.takes

    def wait_until(self, ready: Callable[[list[T]], bool]) -> list[T]:
        with self._came:
            assert self._came.wait_for(lambda: ready(self.got), TIMEOUT), f"only {len(self.got)} came"
            return list(self.got)

    def wait_for(self, count: int) -> list[T]:
        return self.wait_until(lambda got: len(got) >= count)


class VideoSink(Inbox[EncodedFrame]):
    def __init__(self, codec: VideoCodec | None = VideoCodec.VP8) -> None:
        super().__init__()
        self.codec = codec

    def send(self, frame: EncodedFrame) -> bool:
        return self.keep(frame)


class AudioSink(Inbox[Sound]):
    def send(self, sound: Sound) -> bool:
        return self.keep(sound)


def frame(shade: int = 0, *, width: int = 64, height: int = 48, tag: bytes = b"") -> Frame:
    return Frame(np.full((height, width, 3), shade, np.uint8), user_data=tag)
