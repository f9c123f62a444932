"""What is rare in films: more bytes than 32 bits count, sound that is missing, pictures that cannot be decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from livereactor.media.boxes import AAC_SAMPLES, VIDEO_SCALE, AudioTrack, Chunks, Run, VideoTrack, film_head
from livereactor.media.clip import cut
from livereactor.media.fragments import DamagedError
from livereactor.media.h264 import open_h264
from tests.tools.tapes import HEIGHT, RATE, WIDTH, Tape, beeping, record, seen, visible

END = 3 * VIDEO_SCALE
STARTS = range(0, END, 3000)
BIG = 400_000_000  # bytes of a picture
VIDEO = VideoTrack(WIDTH, HEIGHT, (bytes.fromhex("6742c01fda0a369a83030303c60ca8"),), (bytes.fromhex("68ce3c80"),))


def taped(frames: int | None = None) -> Tape:
    """With so many frames of sound; None = all."""
    audio, sound = beeping({3}, STARTS, end=END)
    return record(open_h264(WIDTH, HEIGHT, 30, 500_000), STARTS, end=END, audio=audio, sound=sound[:frames])


@pytest.mark.parametrize("count", [10, 12])
def test_a_film_of_more_than_four_gigabytes_is_found_by_its_64_bits(count: int, tmp_path: Path) -> None:
    pictures = Run(0, np.full(count, 3000, np.uint32), np.full(count, BIG, np.uint32), np.ones(count, bool))
    sound = Run(0, np.full(count, AAC_SAMPLES, np.uint32), np.full(count, 100, np.uint32))
    sizes = np.tile(np.array([BIG, 100], np.uint64), count)
    chunks = Chunks(np.tile([True, False], count), np.ones(2 * count, np.uint32), sizes)
    head = film_head(VIDEO, pictures, AudioTrack(RATE, 2, b"\x11\x90"), sound, chunks)
    path = tmp_path / "film.mp4"
    with path.open("wb") as file:  # sparse: it takes no room
        file.write(head)
        file.truncate(len(head) + int(sizes.sum()))
    assert (b"co64" in head) == (count == 12)
    with cast("Any", av.open(str(path))) as file:
        places = [[(entry.pos, entry.size) for entry in stream.index_entries] for stream in file.streams]
    ends = np.cumsum(sizes) + np.uint64(len(head))
    expected = [(int(end - size), int(size)) for end, size in zip(ends, sizes, strict=True)]
    assert places == [expected[::2], expected[1::2]]


def test_sound_that_ends_early_or_never_came_spoils_nothing() -> None:
    for frames, has_sound in ((0, False), (40, False), (70, True)):
        tape = taped(frames)
        film = cut(tape.excerpt(100_000, 260_000), 100_000, 260_000)
        assert (film.audio is not None) == has_sound
        head, bodies = film.flat()
        init, parts = film.parts()
        for data in (head + b"".join(bodies), init + b"".join(data for _, data in parts)):
            assert seen(data).counters == visible(tape, 100_000, 260_000)


@pytest.mark.parametrize("value", [0, 0x65, 0xFF])
def test_pictures_that_cannot_be_decoded_are_told(value: int) -> None:
    tape = taped()
    place = tape.segmenter.pictures.slice(0, 1)
    begin, size = int(place.offset[0]), int(place.size[0])
    tape.files[0][begin : begin + size] = bytes([value]) * size
    with pytest.raises(DamagedError, match="of the clip's head"):
        cut(tape.excerpt(9000, 60_000), 9000, 60_000)


def test_a_clip_of_one_tick_is_one_picture() -> None:
    tape = taped()
    film = cut(tape.excerpt(45_000, 45_001), 45_000, 45_001)
    head, bodies = film.flat()
    assert seen(head + b"".join(bodies)).counters == [16]
    assert film.duration <= 0.022


def test_two_clips_of_one_recording_are_the_same_bytes() -> None:
    tape = taped()
    films = [cut(tape.excerpt(50_000, 200_000), 50_000, 200_000) for _ in range(2)]
    assert films[0].flat() == films[1].flat()
