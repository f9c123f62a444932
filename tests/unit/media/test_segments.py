"""A recording as it grows: segments of a second, fragments of a quarter, sound with its pictures."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livereactor.media.boxes import AAC_SAMPLES, VIDEO_SCALE, AudioTrack, VideoTrack
from livereactor.media.clip import InvalidRangeError, NothingRecordedError, cut, ticks
from livereactor.media.fragments import fragments_in
from livereactor.media.segments import Picture, Segmenter
from tests.tools.tapes import Tape

VIDEO = VideoTrack(64, 64, (b"\x67\x42\xc0\x1f\xda",), (b"\x68\xce",))
AUDIO = AudioTrack(48_000, 2, b"\x11\x90")
SOUND = b"\x21\x10\x04\x60\x8c\x1c"


def grown(starts: list[int], *, lead: int | None = None, obeys: bool = True) -> Tape:
    """A recording of these pictures, whose sound is `lead` frames ahead of them; None = there is none."""
    tape = Tape(starts, starts[-1] + 3000, Segmenter(VIDEO, None if lead is None else AUDIO))
    heard = 0
    for number, start in enumerate(starts):
        while lead is not None and (heard - lead) * AAC_SAMPLES * VIDEO_SCALE < start * AUDIO.rate:
            tape.segmenter.add_sound(SOUND)
            heard += 1
        is_key = number == 0 or (obeys and tape.segmenter.wants_key)
        tape.put(tape.segmenter.add_picture(Picture(start, bytes([number % 256]) * 10, is_key)))
    tape.put(tape.segmenter.finish(tape.end))
    return tape


gaps = st.lists(st.integers(900, 20_000), min_size=1, max_size=150)


def starts_of(each: list[int]) -> list[int]:
    starts = [0]
    for gap in each:
        starts.append(starts[-1] + gap)
    return starts


@pytest.mark.parametrize("interval", [750, 1500, 3000, 3600, 9000, 18_000])
def test_segments_are_of_a_second_at_most_when_pictures_are_steady(interval: int) -> None:
    tape = grown(list(range(0, 20 * VIDEO_SCALE, interval)))
    lengths = []
    for data in tape.files.values():
        runs = [each.pictures.run for each in fragments_in(io.BytesIO(bytes(data))) if each.pictures is not None]
        assert runs[0].keys is not None
        assert runs[0].keys[0]
        lengths.append(sum(run.duration for run in runs))
    assert max(lengths[:-1]) <= VIDEO_SCALE
    assert min(lengths[:-1]) >= VIDEO_SCALE * 9 // 10


@given(gaps, st.sampled_from([None, -9, -1, 0, 1, 9]))
def test_fragments_follow_each_other_without_a_hole(each: list[int], lead: int | None) -> None:
    tape = grown(starts_of(each), lead=lead)
    shown = heard = 0
    for number in sorted(tape.files):
        for fragment in fragments_in(io.BytesIO(bytes(tape.files[number]))):
            assert fragment.pictures is not None
            assert fragment.pictures.run.start == shown
            shown += fragment.pictures.run.duration
            if fragment.sound is not None:
                assert fragment.sound.run.start == heard
                heard += fragment.sound.run.duration
                assert heard * VIDEO_SCALE <= shown * AUDIO.rate
    assert shown == tape.end


@given(gaps, st.sampled_from([-9, -1, 0, 1, 9]))
def test_a_segments_sound_begins_no_later_than_its_first_picture(each: list[int], lead: int) -> None:
    tape = grown(starts_of(each), lead=lead)
    index, sound = tape.segmenter.pictures, tape.segmenter.sound
    pictures, frames = index.slice(0, index.end), sound.slice(0, sound.end)
    for segment in tape.files:
        mine = frames.start[frames.segment >= segment]
        begins = pictures.start[pictures.segment == segment][0]
        if len(mine):
            assert mine[0] * VIDEO_SCALE <= begins * AUDIO.rate


@given(gaps)
def test_every_sample_lies_where_the_index_says(each: list[int]) -> None:
    tape = grown(starts_of(each), lead=0)
    excerpt = tape.excerpt(0, tape.end)
    assert excerpt.read(excerpt.pictures) == [bytes([n % 256]) * 10 for n in range(len(tape.starts))]
    assert set(excerpt.read(excerpt.sound)) <= {SOUND}
    assert excerpt.pictures.start.tolist() == tape.starts


@given(gaps)
def test_no_more_than_a_quarter_of_a_second_waits(each: list[int]) -> None:
    segmenter, written = Segmenter(VIDEO), 0
    for number, (start, then) in enumerate(pairwise(starts_of(each))):
        segmenter.add_picture(Picture(start, b"abc", number == 0))
        written = segmenter.excerpt(0, then, lambda *_: b"").end
        assert start - written <= VIDEO_SCALE // 4


def test_a_flush_writes_all_but_the_newest_picture() -> None:
    segmenter = Segmenter(VIDEO)
    assert [*segmenter.flush()] == []
    for number in range(4):
        segmenter.add_picture(Picture(number * 3000, b"abc", number == 0))
    (written,) = segmenter.flush()
    assert (written.segment, written.begins, len(written.parts)) == (0, True, 1 + 3)
    assert (segmenter.end, segmenter.excerpt(0, 10**9, lambda *_: b"").end) == (9000, 9000)
    assert [*segmenter.flush()] == []


def test_without_key_frames_a_segment_goes_on() -> None:
    tape = grown(list(range(0, 3 * VIDEO_SCALE, 3000)), obeys=False)
    assert set(tape.files) == {0}


@pytest.mark.parametrize(
    ("start", "end"),
    [(float("nan"), 1), (0, float("nan")), (-1, 1), (1, 1), (2, 1), (0, float("inf")), (0, 1e300), (0, 1e9), (0, 0)],
)
def test_what_is_no_range_is_told(start: float, end: float) -> None:
    with pytest.raises(InvalidRangeError, match="is not a range; start is at least 0") as told:
        ticks(start, end)
    assert told.value.code == "INVALID_DURATION"


@pytest.mark.parametrize(
    ("start", "end", "begin", "until"), [(0, 1, 0, 90_000), (1e-9, 2e-9, 0, 1), (0.5, 1e6, 45_000, 9 * 10**10)]
)
def test_seconds_are_counted_in_ninety_thousandths(start: float, end: float, begin: int, until: int) -> None:
    assert ticks(start, end) == (begin, until)


@pytest.mark.parametrize(("start", "end"), [(10.0, 20.0), (1e5, 1e6)])
def test_a_range_after_the_end_has_no_picture(start: float, end: float) -> None:
    tape = grown(list(range(0, VIDEO_SCALE, 3000)))
    with pytest.raises(NothingRecordedError) as told:
        cut(tape.excerpt(*ticks(start, end)), *ticks(start, end))
    assert (told.value.code, told.value.recoverable) == ("NO_MEDIA_YET", True)


def test_a_range_past_the_end_is_cut_to_it() -> None:
    tape = grown(list(range(0, VIDEO_SCALE, 3000)))
    assert cut(tape.excerpt(0, 10**12), 0, 10**12).duration == 1.0
