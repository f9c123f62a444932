"""The index of a recording: found in it, dropped from it, and as fast after hours as after seconds."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livereactor.media.boxes import AAC_SAMPLES, VIDEO_SCALE, AudioTrack, VideoTrack
from livereactor.media.excerpt import excerpt_of
from livereactor.media.sample_index import SampleIndex
from livereactor.media.whole import whole_film

VIDEO = VideoTrack(640, 360, (b"\x67\x42\xc0\x1f\xda",), (b"\x68\xce",))
AUDIO = AudioTrack(48_000, 2, b"\x11\x90")
INTERVAL = 3000
FRAGMENT = 8  # pictures


def index_of(starts: list[int], *, every: int = 30, segment: int = 0) -> SampleIndex:
    index = SampleIndex()
    for number, start in enumerate(starts):
        index.append(start=start, segment=segment + number // every, offset=0, size=9, key=number % every == 0)
    return index


def hour() -> tuple[SampleIndex, SampleIndex]:
    """Pictures and sound, in fragments of a quarter of a second."""
    pictures, sound, offset = SampleIndex(), SampleIndex(), 0
    for first in range(0, 3600 * 30, FRAGMENT):
        keys = np.zeros(FRAGMENT, bool)
        if first % 30 < FRAGMENT:
            offset, keys[0] = 0, True
        segment = first // 30
        starts = (first + np.arange(FRAGMENT)) * INTERVAL
        pictures.extend(starts, segment=segment, offset=offset, sizes=np.full(FRAGMENT, 6000, np.uint32), keys=keys)
        heard = np.arange(sound.end, (first + FRAGMENT) * 48_000 // 30 // AAC_SAMPLES)
        sizes = np.full(len(heard), 300, np.uint32)
        offset += 6000 * FRAGMENT
        keys = np.ones(len(heard), bool)
        sound.extend(heard * AAC_SAMPLES, segment=segment, offset=offset, sizes=sizes, keys=keys)
        offset += 300 * len(heard) + 400
    return pictures, sound


def nothing(segment: int, offset: int, size: int) -> bytes:
    raise AssertionError("nothing is read")


starts_of = st.lists(st.integers(1, 500), min_size=1, max_size=200).map(lambda gaps: np.cumsum([0, *gaps]).tolist())


@given(starts_of, st.integers(-5, 100_000))
def test_what_is_shown_at_a_time_is_the_last_that_began(starts: list[int], at: int) -> None:
    assert index_of(starts).showing(at) == max((n for n, start in enumerate(starts) if start <= at), default=0)


@given(st.integers(1, 3000), st.integers(1, 1200), st.data())
def test_keys_are_found_both_ways(count: int, every: int, data: st.DataObject) -> None:
    index, at = index_of(list(range(count)), every=every), data.draw(st.integers(0, count - 1))
    assert index.key_by(at) == at // every * every
    behind = -(-at // every) * every
    assert index.key_from(at) == (behind if behind < count else None)


def test_numbers_stay_when_the_oldest_are_dropped() -> None:
    index = index_of(list(range(0, 6000, 10)))
    before = index.slice(400, 410)
    index.drop_until(5)
    assert (index.first, index.end) == (150, 600)
    assert index.slice(400, 410).start.tolist() == before.start.tolist()
    assert index.slice(0, 155).first == 150
    assert len(index.slice(0, 155)) == 5
    assert (index.key_by(149), index.key_by(160), index.showing(0)) == (None, 150, 150)
    index.append(start=6000, segment=20, offset=0, size=1, key=True)
    assert index.end == 601


def test_a_slice_is_a_copy() -> None:
    index = index_of(list(range(10)))
    part = index.slice(0, 10)
    index.append(start=99, segment=9, offset=1, size=1, key=True)
    index.drop_until(9)
    assert part.start.tolist() == list(range(10))


def test_an_excerpt_of_ten_hours_is_taken_as_fast_as_of_one() -> None:
    def cost(count: int) -> float:
        pictures, sound, end = SampleIndex(), SampleIndex(), count * 3600 * VIDEO_SCALE
        for index, step in ((pictures, INTERVAL), (sound, AAC_SAMPLES)):
            starts = np.arange(0, end, step)
            keys = np.arange(len(starts)) % 30 == 0
            index.extend(starts, segment=0, offset=0, sizes=np.ones(len(starts), np.uint32), keys=keys)
        began = time.thread_time()
        for _ in range(50):
            excerpt_of(VIDEO, AUDIO, pictures, sound, end - 10 * VIDEO_SCALE, end, nothing)
        return (time.thread_time() - began) / 50

    assert cost(10) < 3 * cost(1) + 0.0002  # a copy of ten hours takes 20 ms


def test_an_hour_takes_25_megabytes_with_its_export() -> None:
    tracemalloc.start()
    try:
        pictures, sound = hour()
        film = whole_film(excerpt_of(VIDEO, AUDIO, pictures, sound, 0, 3600 * VIDEO_SCALE, nothing))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert film.duration == 3600
    assert peak < 25_000_000


@pytest.mark.parametrize("span", [(0, 0), (-100, -50), (10**15, 10**16), (5, 5)])
def test_an_excerpt_of_nothing_is_empty(span: tuple[int, int]) -> None:
    excerpt = excerpt_of(VIDEO, None, index_of([0, 10, 20]), SampleIndex(), span[0], min(span[1], 30), nothing)
    assert excerpt.end <= excerpt.begin
    assert excerpt_of(VIDEO, None, SampleIndex(), SampleIndex(), *span, nothing).end == 0
