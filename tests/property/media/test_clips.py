"""Clips of recordings of every kind: exactly the pictures asked for, when they were shown, with the sound they had."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from functools import cache

import av
import pytest
from av.video.codeccontext import VideoCodecContext
from hypothesis import given, settings
from hypothesis import strategies as st

from livereactor.media.boxes import AAC_SAMPLES, VIDEO_SCALE
from livereactor.media.clip import CutClip, cut
from livereactor.media.fragments import boxes_in
from livereactor.media.h264 import level_for, open_h264, open_stitchable
from tests.tools.tapes import BEEP, HEIGHT, RATE, WIDTH, Tape, beeping, record, seen, visible

SECONDS = 8
END = SECONDS * VIDEO_SCALE
FADE = AAC_SAMPLES / RATE  # seconds at a clip's begin that its first sound is not whole
STEADY = list(range(0, END, 3000))


def varying(seed: int) -> list[int]:
    """Pictures 16 to 100 ms apart."""
    draw, starts = random.Random(seed), [0]
    while starts[-1] < END - 9000:
        starts.append(starts[-1] + draw.randint(1440, 9000))
    return starts


def live() -> VideoCodecContext:
    return open_h264(WIDTH, HEIGHT, 30, 500_000)


def own() -> VideoCodecContext:
    return open_stitchable(WIDTH, HEIGHT, crf=23, level=level_for(WIDTH, HEIGHT, 30))


def foreign() -> VideoCodecContext:
    """Another make's: other parameter sets, several slices a picture, more than one picture to look back to."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base, context.framerate = Fraction(1, VIDEO_SCALE), Fraction(30)
    params = "scenecut=0:repeat-headers=1:slices=3:ref=3:aud=1"
    context.options = {
        "preset": "veryfast",
        "tune": "zerolatency",
        "profile": "baseline",
        "forced-idr": "1",
        "g": "75",
        "x264-params": params,
    }
    context.open()
    return context


def taped(
    starts: list[int],
    encoder: VideoCodecContext | Callable[[int], VideoCodecContext],
    *,
    keys: Callable[[int, bool], bool] = lambda number, wanted: wanted,
    has_sound: bool = True,
) -> Tape:
    flashes = frozenset(range(4, len(starts), 20))
    audio, sound = beeping(flashes, starts, end=END) if has_sound else (None, [])
    return record(encoder, starts, end=END, keys=keys, flashes=flashes, audio=audio, sound=sound)


def turns() -> Callable[[int], VideoCodecContext]:
    """Viewers' pictures and those of the recording's own encoder by turns, as viewers come and go."""
    first, second, third = live(), own(), live()
    return lambda number: (first, second, third)[min(2, number // 70)]


def rare_keys() -> Callable[[int, bool], bool]:
    draw = random.Random(5)
    return lambda number, wanted: draw.random() < 0.02


def without_its_oldest() -> Tape:
    tape = taped(STEADY, live())
    for segment in range(3):
        del tape.files[segment]
    tape.segmenter.pictures.drop_until(3)
    tape.segmenter.sound.drop_until(3)
    return tape


TAPES: dict[str, Callable[[], Tape]] = {
    "steady": lambda: taped(STEADY, live()),
    "varying": lambda: taped(varying(1), own()),
    "few keys": lambda: taped(varying(2), live(), keys=rare_keys()),
    "no key but the first": lambda: taped(varying(3), live(), keys=lambda number, wanted: False),
    "a pause": lambda: taped([n for n in STEADY if not 2 * VIDEO_SCALE < n < 7 * VIDEO_SCALE], live()),
    "no sound": lambda: taped(varying(4), live(), has_sound=False),
    "two encoders by turns": lambda: taped(STEADY, turns()),
    "another make": lambda: taped(varying(6), foreign()),
    "without its oldest": without_its_oldest,
}
tape_of = cache(lambda name: TAPES[name]())
times = st.one_of(
    st.integers(0, END - 1),
    st.integers(0, SECONDS * 30 - 1).map(lambda frame: frame * 3000),
    st.integers(2 * VIDEO_SCALE - 2, 2 * VIDEO_SCALE + 2),
    st.integers(7 * VIDEO_SCALE - 2, 7 * VIDEO_SCALE + 2),
)


@pytest.mark.parametrize("name", TAPES)
@settings(max_examples=12)
@given(
    begin=times, length=st.one_of(st.integers(1, END), st.integers(1, VIDEO_SCALE)), around=st.sampled_from([0, END])
)
def test_a_clip_shows_exactly_what_was_asked_for(name: str, begin: int, length: int, around: int) -> None:
    tape = tape_of(name)
    end = min(END, begin + length)
    oldest = int(
        tape.segmenter.pictures.slice(tape.segmenter.pictures.first, tape.segmenter.pictures.first + 1).start[0]
    )
    if end <= oldest:
        return
    begin = max(begin, oldest)
    film = cut(tape.excerpt(begin - around, end + around), begin, end)
    agrees(tape, begin, end, film)


def oldest_of(tape: Tape) -> int:
    """When the oldest picture that is kept was shown."""
    index = tape.segmenter.pictures
    return int(index.slice(index.first, index.first + 1).start[0])


def agrees(tape: Tape, begin: int, end: int, film: CutClip) -> None:
    head, bodies = film.flat()
    whole = head + b"".join(bodies)
    init, later = film.parts()
    parts = list(later)
    flat, fragmented = seen(whole), seen(init + b"".join(data for _, data in parts))
    assert [kind for kind, _, _ in boxes_in(whole)] == ["ftyp", "moov", "mdat"]
    asked, wanted = (end - begin) / VIDEO_SCALE, visible(tape, begin, end)
    lead = flat.duration - asked
    assert -0.001 <= lead <= (0.022 if film.audio is not None else 0.001)
    assert sum(seconds for seconds, _ in parts) == pytest.approx(film.duration)
    for read in (flat, fragmented):
        assert read.counters == wanted
        assert read.times[0] == 0
        expected = [(tape.starts[counter - 1] - end) / VIDEO_SCALE + film.duration for counter in wanted]
        assert read.times[1:] == pytest.approx(expected[1:], abs=0.002)
        in_step(read.flashes, read.beeps, film.duration)


def in_step(flashes: list[float], beeps: list[float], duration: float) -> None:
    """Whatever flashes beeps, but for the clip's edges: the first picture was shown before it, and sound fades in."""
    if not beeps:
        return
    for flash in flashes:
        if FADE < flash < duration - BEEP - FADE:
            assert min(abs(beep - flash) for beep in beeps) <= 0.001


@pytest.mark.parametrize("name", TAPES)
def test_the_segments_play_as_they_are(name: str) -> None:
    tape = tape_of(name)
    read = seen(tape.whole())
    oldest = int(
        tape.segmenter.pictures.slice(tape.segmenter.pictures.first, tape.segmenter.pictures.first + 1).start[0]
    )
    assert read.counters == visible(tape, oldest, END)
    in_step(read.flashes, read.beeps, SECONDS)


@pytest.mark.parametrize("name", ["steady", "varying", "two encoders by turns", "no sound"])
def test_our_own_encoders_need_one_description(name: str) -> None:
    tape = tape_of(name)
    film = cut(tape.excerpt(100_000, 200_000), 100_000, 200_000)
    assert (len(film.video.sps), len(film.video.pps)) == (1, 1)


def test_only_the_head_is_encoded_again() -> None:
    tape = tape_of("steady")
    begin, end = VIDEO_SCALE * 3 // 2, VIDEO_SCALE * 5
    film = cut(tape.excerpt(begin, end), begin, end)
    kept = tape.read_all()
    copied = [data in kept for data in film.data(0, len(film.pictures))]
    assert (copied.index(True), all(copied[15:])) == (15, True)


@pytest.mark.parametrize("around", [0, END])
def test_a_picture_that_begins_where_the_clip_ends_is_not_in_it(around: int) -> None:
    tape = tape_of("no sound")
    begin, end = tape.starts[20], tape.starts[50]
    film = cut(tape.excerpt(begin - around, end + around), begin, end)
    assert len(film.pictures) == 30
    agrees(tape, begin, end, film)
