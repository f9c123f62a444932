"""The part of a recording that a clip needs, copied out of its index, since the recording goes on meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

from livereactor.media.boxes import AAC_SAMPLES, VIDEO_SCALE, AudioTrack, VideoTrack
from livereactor.media.sample_index import SampleIndex, Samples

Read: TypeAlias = Callable[[int, int, int], bytes]  # segment, offset in its file, size_bytes


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Samples of a stretch of a recording.

    Attributes:
        video, audio: what decoders must know.
        begin, end: the stretch, in 1/90,000 s since the recording's begin: what was asked for, as far as it was
            recorded and is kept. Nothing of it is there where `end` is not after `begin`.
        pictures: those shown in the stretch, and before them all from the last key frame on.
        sound: AAC frames, from the one that sounds at `begin` up to the last that has sounded at `end`.
    """

    video: VideoTrack
    audio: AudioTrack | None
    begin: int
    end: int
    pictures: Samples
    sound: Samples
    _read: Read = field(repr=False)

    def read(self, samples: Samples) -> list[bytes]:
        """Their bytes; what lies together is read at once."""
        runs = pairwise(samples.runs().tolist())
        return [each for begin, end in runs for each in self._run(samples, begin, end)]

    def _run(self, samples: Samples, begin: int, end: int) -> list[bytes]:
        sizes = samples.size[begin:end].tolist()
        data = self._read(int(samples.segment[begin]), int(samples.offset[begin]), sum(sizes))
        at, parts = 0, list[bytes]()
        for size in sizes:
            parts.append(data[at : at + size])
            at += size
        return parts


def excerpt_of(
    video: VideoTrack,
    audio: AudioTrack | None,
    pictures: SampleIndex,
    sound: SampleIndex,
    begin: int,
    end: int,
    read: Read,
) -> Excerpt:
    """Copy a stretch out of a recording's indices.

    Args:
        begin, end: in 1/90,000 s since the recording's begin; `end` at most that of the last picture.
        read: gives bytes of a segment's file.
    """
    oldest = pictures.key_from(pictures.first)
    if oldest is None:
        return Excerpt(video, audio, 0, 0, pictures.slice(0, 0), sound.slice(0, 0), read)
    begin = max(begin, int(pictures.slice(oldest, oldest + 1).start[0]))
    end = max(begin, end)
    shown, last = pictures.showing(begin), pictures.showing(end - 1)
    key = pictures.key_by(shown)
    assert key is not None
    frames = (0, 0)
    if audio is not None:
        frames = (_frame_at(begin, audio), _frame_at(end, audio))
    return Excerpt(video, audio, begin, end, pictures.slice(key, last + 1), sound.slice(*frames), read)


def _frame_at(time: int, audio: AudioTrack) -> int:
    return time * audio.rate // (VIDEO_SCALE * AAC_SAMPLES)
