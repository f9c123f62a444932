"""A range of a recording as a film of its own, cut to the picture: only its head is encoded again.

A clip may begin between two key frames. What lies before the first key frame inside it is decoded and encoded again, a
few milliseconds a picture; all else is copied. No edit list: some players and the official client's muxer drop it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, Protocol, cast

import av
import numpy as np
from av.video.frame import PictureType

from livereactor.base.errors import UsageError
from livereactor.media.avc import AccessUnit, parse, to_annex_b
from livereactor.media.boxes import (
    VIDEO_SCALE,
    AudioTrack,
    Chunk,
    Kind,
    Run,
    VideoTrack,
    film_head,
    fragment,
    init_segment,
)
from livereactor.media.h264 import open_stitchable
from livereactor.media.sample_index import Samples
from livereactor.media.segments import AAC_SAMPLES

HEAD_CRF: Final = 17  # finer than the stream, of which it is a copy of a copy


class NothingRecordedError(UsageError):
    """The range has no picture."""

    code = "NO_MEDIA_YET"


class Source(Protocol):
    """A recording, as a clip reads it; what was not written yet is there too."""

    video: VideoTrack
    audio: AudioTrack | None

    def pictures(self, begin: int, end: int) -> Samples:
        """Those shown from `begin` up to `end`, in 1/90,000 s, and before them all from the last key frame on."""
        ...

    def sound(self, begin: int, end: int) -> Samples:
        """The AAC frames that sound between these times, in samples."""
        ...

    def read(self, samples: Samples) -> Sequence[bytes]:
        """Their bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Film:
    """A clip: its samples, from time 0.

    Attributes:
        pictures, sound: runs from 0.
        data, sound_data: the samples' bytes.
    """

    video: VideoTrack
    audio: AudioTrack | None
    pictures: Run
    data: Sequence[bytes]
    sound: Run | None
    sound_data: Sequence[bytes]

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.pictures.duration / VIDEO_SCALE

    def flat(self) -> tuple[bytes, Sequence[bytes]]:
        """As one ordinary MP4, `moov` first: its head, and the bodies that follow it in order."""
        layout = list(self._layout())
        chunks = [Chunk(kind, end - begin, sum(map(len, self._bytes(kind)[begin:end]))) for kind, begin, end in layout]
        head = film_head(self.video, self.pictures, self.audio, self.sound, chunks)
        return head, [each for kind, begin, end in layout for each in self._bytes(kind)[begin:end]]

    def parts(self) -> tuple[bytes, Sequence[tuple[float, bytes]]]:
        """Fragmented: the init segment, and a part for each group of pictures, with its length in seconds."""
        assert self.pictures.keys is not None
        begins = [int(each) for each in np.flatnonzero(self.pictures.keys)]
        made = list[tuple[float, bytes]]()
        for sequence, (begin, end) in enumerate(zip(begins, [*begins[1:], len(self.pictures)], strict=True), 1):
            pictures = _part(self.pictures, begin, end)
            sound, data = self._sound_between(pictures.start, pictures.start + pictures.duration)
            body = [*self.data[begin:end], *data]
            made.append((pictures.duration / VIDEO_SCALE, fragment(sequence, pictures, sound) + b"".join(body)))
        return init_segment(self.video, self.audio), made

    def _layout(self) -> Iterator[tuple[Kind, int, int]]:
        """Half a second of pictures, then the sound of that time, and so on: a player need not leap."""
        ends, at, heard = np.cumsum(self.pictures.durations, dtype=np.int64), 0, 0
        while at < len(self.pictures):
            began = int(ends[at - 1]) if at else 0
            end = max(at + 1, int(np.searchsorted(ends, began + VIDEO_SCALE // 2, side="right")))
            yield "video", at, end
            at = end
            if self.sound is not None and self.audio is not None:
                until = len(self.sound) if at == len(self.pictures) else self._frames_until(int(ends[at - 1]))
                if until > heard:
                    yield "audio", heard, until
                    heard = until

    def _bytes(self, kind: Kind) -> Sequence[bytes]:
        return self.data if kind == "video" else self.sound_data

    def _frames_until(self, at: int) -> int:
        """How many AAC frames begin before this time of the pictures."""
        assert self.audio is not None
        assert self.sound is not None
        return min(len(self.sound), -(-at * self.audio.rate // (VIDEO_SCALE * AAC_SAMPLES)))

    def _sound_between(self, begin: int, end: int) -> tuple[Run | None, Sequence[bytes]]:
        if self.sound is None:
            return None, ()
        is_last = end >= self.pictures.duration
        first, last = self._frames_until(begin), len(self.sound) if is_last else self._frames_until(end)
        return _part(self.sound, first, last), self.sound_data[first:last]


def cut(source: Source, begin: int, end: int) -> Film:
    """The pictures shown from `begin` up to, not with, `end`, and what sounds then.

    With sound the film begins up to 21 ms earlier, at the AAC frame that sounds at `begin`; its first picture is
    stretched back to it.

    Args:
        begin, end: in 1/90,000 s since the recording's begin.

    Raises:
        NothingRecordedError: there is no picture in the range.
    """
    begin, sound, sound_data = _heard(source, begin, end)
    samples = source.pictures(begin, end)
    if not len(samples) or end <= begin:
        raise NothingRecordedError("no picture was recorded in this range; ask for one that has been shown")
    data = list(source.read(samples))
    first = max(0, int(np.searchsorted(samples.start, begin, side="right")) - 1)
    keys = np.flatnonzero(samples.key[first:])
    video, head_end = source.video, first + (int(keys[0]) if len(keys) else len(samples) - first)
    if head_end > first:
        video, head = _encoded_again(video, data[:head_end], first)
        data[first:head_end] = head
    starts = np.concatenate([[begin], samples.start[first + 1 :], [end]])
    is_key = samples.key[first:].copy()
    is_key[0] = True
    sizes = np.array([len(each) for each in data[first:]], np.uint32)
    pictures = Run(0, np.diff(starts).astype(np.uint32), sizes, is_key)
    return Film(video, source.audio, pictures, data[first:], sound, sound_data)


def _heard(source: Source, begin: int, end: int) -> tuple[int, Run | None, Sequence[bytes]]:
    """Where the film begins, and its sound."""
    if source.audio is None:
        return begin, None, ()
    rate = source.audio.rate
    frame = begin * rate // (VIDEO_SCALE * AAC_SAMPLES)
    samples = source.sound(frame * AAC_SAMPLES, end * rate // VIDEO_SCALE)
    if not len(samples):
        return begin, None, ()
    durations = np.full(len(samples), AAC_SAMPLES, np.uint32)
    return frame * AAC_SAMPLES * VIDEO_SCALE // rate, Run(0, durations, samples.size), source.read(samples)


def _part(run: Run, begin: int, end: int) -> Run:
    start = run.start + int(run.durations[:begin].sum(dtype=np.uint64))
    keys = None if run.keys is None else run.keys[begin:end]
    return Run(start, run.durations[begin:end], run.sizes[begin:end], keys)


# --- the head --------------------------------------------------------------------------------------------------------


def _encoded_again(video: VideoTrack, data: Sequence[bytes], first: int) -> tuple[VideoTrack, list[bytes]]:
    """Pictures from `first` on, the first of them a key frame; and the track with what a decoder needs for them."""
    frames = _decoded(video, data)[first:]
    for number in (0, 1):  # under the stream's own parameter sets if they come out the same, else under others
        units = _encoded(frames, number)
        sps, pps = units[0].sps, units[0].pps
        if sps == video.sps and pps == video.pps:
            return video, [unit.data for unit in units]
    return replace(video, sps=(*video.sps, *sps), pps=(*video.pps, *pps)), [unit.data for unit in units]


def _decoded(video: VideoTrack, data: Sequence[bytes]) -> list[av.VideoFrame]:
    decoder = cast("Any", av.CodecContext.create("h264", "r"))
    decoder.thread_count = 1
    frames = list[av.VideoFrame]()
    for number, unit in enumerate(data):
        packet = av.Packet(to_annex_b(unit, () if number else (*video.sps, *video.pps)))
        packet.pts = packet.dts = number
        frames += decoder.decode(packet)
    return [*frames, *decoder.decode(None)]


def _encoded(frames: Sequence[av.VideoFrame], sets: int) -> list[AccessUnit]:
    encoder = cast("Any", open_stitchable(frames[0].width, frames[0].height, crf=HEAD_CRF, sets=sets))
    units = list[AccessUnit]()
    for number, frame in enumerate(frames):
        frame.pts, frame.time_base = number, Fraction(1, 30)
        frame.pict_type = PictureType.NONE if number else PictureType.I
        units += [parse(bytes(packet)) for packet in encoder.encode(frame)]
    return [*units, *(parse(bytes(packet)) for packet in encoder.encode(None))]
