"""A long clip is cut without being in memory."""

from __future__ import annotations

import tracemalloc
from tempfile import SpooledTemporaryFile
from typing import Final

import numpy as np

from livereactor.base.limits import MIB
from livereactor.media.boxes import AAC_SAMPLES, VIDEO_SCALE, AudioTrack, VideoTrack
from livereactor.media.excerpt import excerpt_of
from livereactor.media.sample_index import SampleIndex
from livereactor.runtime.recording.clips import IN_MEMORY, _written

SECONDS: Final = 300
FPS, PICTURE, FRAME = 30, 12_500, 340  # bytes of a picture at 3 Mbit/s, and of a frame of sound at 128 kbit/s
VIDEO = VideoTrack(1280, 720, (bytes([0x67, 0x42, 0xC0, 0x1F]),), (bytes([0x68]),))
AUDIO = AudioTrack(48_000, 2, b"\x11\x90")


def test_five_minutes_take_some_megabytes_of_memory() -> None:
    pictures, sound = SampleIndex(), SampleIndex()
    for second in range(SECONDS):
        starts = (second * FPS + np.arange(FPS)) * (VIDEO_SCALE // FPS)
        keys = np.arange(FPS) % 15 == 0
        pictures.extend(starts, segment=second, offset=0, sizes=np.full(FPS, PICTURE, np.uint32), keys=keys)
        first, last = (-(-each * AUDIO.rate // AAC_SAMPLES) for each in (second, second + 1))
        frames = np.full(last - first, FRAME, np.uint32)
        at = np.arange(first, last) * AAC_SAMPLES
        sound.extend(at, segment=second, offset=FPS * PICTURE, sizes=frames, keys=np.ones(len(frames), bool))
    end = SECONDS * VIDEO_SCALE
    excerpt = excerpt_of(VIDEO, AUDIO, pictures, sound, 0, end, lambda segment, offset, size: bytes(size))
    with SpooledTemporaryFile[bytes](IN_MEMORY) as file:
        tracemalloc.start()
        try:
            _, parts = _written(excerpt, file)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert sum(size for _, size in parts) > SECONDS * FPS * PICTURE
        assert sum(seconds for seconds, _ in parts) == SECONDS
        assert peak < IN_MEMORY + 8 * MIB
