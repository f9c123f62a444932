"""A recording as it grows: shared and own pictures in one stream, pauses, sizes, Clips cut while it goes on."""

from __future__ import annotations

import io
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast, get_args

import av
import numpy as np
import pytest

from livereactor.media.aac import SoundLine
from livereactor.media.clip import cut, ticks
from livereactor.media.encoder import VideoEncoder, start_bps
from livereactor.media.frames import EncodedFrame, Pixels, VideoCodec
from livereactor.media.presets import Preset
from livereactor.media.segments import Segmenter
from livereactor.probes.watching import Barcode, draw_barcode, read_barcode
from livereactor.runtime.outputs.tap import PlayedSound, ShownPicture
from livereactor.runtime.recording.media_clock import MediaClock
from livereactor.runtime.recording.muxer import ClosedSegment, Muxer
from livereactor.runtime.recording.options import RecorderOptions
from livereactor.runtime.recording.spool import Spool

BEGAN = 1000.0
FPS = 30
DEFAULT = RecorderOptions()


class Rig:
    """A recording whose clock is turned by hand."""

    def __init__(self, *, keep: float = 330.0, sound: bool = False, options: RecorderOptions = DEFAULT) -> None:
        self.spool, self.clock = Spool(), MediaClock()
        self.clock.run(True, BEGAN)
        self.begun, self.closed = list[Segmenter](), list[ClosedSegment]()
        self.muxer = Muxer(
            self.spool,
            self.clock,
            SoundLine(48_000, 1) if sound else None,
            options,
            keep=keep,
            begun=self.begun.append,
            closed=self.closed.append,
        )
        self.viewers = VideoEncoder(VideoCodec.H264, fps=FPS, bps=start_bps(320, 192, FPS))
        self.count, self.now = 0, BEGAN

    def show(self, count: int, *, shared: bool = False, size: tuple[int, int] = (320, 192), key: bool = False) -> None:
        """Show numbered pictures at the usual pace."""
        for number in range(count):
            self.count += 1
            pixels = picture(self.count, size)
            wants = self.muxer.wants_key or (key and not number)
            encoded = self.encoded(pixels, key=wants) if shared else None
            self.muxer.show(ShownPicture(self.now, pixels, FPS, encoded))
            self.now += 1 / FPS

    def encoded(self, pixels: Pixels, *, key: bool = False) -> EncodedFrame:
        return self.viewers.encode(pixels, key=key, captured_us=round(self.now * 1e6))

    def pause(self, seconds: float) -> None:
        """Nothing new is shown for a while, and the thread is woken when it asks to be."""
        until = self.now + seconds
        while (rest := self.muxer.hold_in(self.now)) is not None and self.now + rest < until:
            self.now += rest + 1e-6  # a float's rounding short of its time is not its time
            self.muxer.hold(self.now)
        self.now = until

    def clip(self, start: float, end: float) -> bytes:
        excerpt = self.muxer.excerpt(*ticks(start, end), self.now)
        head, bodies = cut(excerpt, *ticks(start, end)).flat()
        return head + b"".join(bodies)

    def film(self) -> bytes:
        """All of it, as it was written."""
        files = [self.spool.path(each.segment) for each in self.closed]
        return self.begun[0].init + b"".join(file.read_bytes() for file in files)


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.spool.close()


@pytest.fixture
def rig_of() -> Iterator[Callable[[RecorderOptions], Rig]]:
    """Makes rigs with other options."""
    made = list[Rig]()

    def make(options: RecorderOptions) -> Rig:
        made.append(Rig(options=options))
        return made[-1]

    yield make
    for each in made:
        each.spool.close()


def picture(count: int, size: tuple[int, int] = (320, 192)) -> Pixels:
    pixels = np.full((size[1], size[0], 3), 90, np.uint8)
    draw_barcode(pixels, Barcode(count, 0))
    return pixels


def shown(data: bytes) -> list[tuple[float, int]]:
    """When each picture is shown, and its number."""
    with av.open(io.BytesIO(data), "r") as container:
        frames = [cast(Any, frame) for frame in container.decode(video=0)]
    codes = [(frame.time, read_barcode(frame.to_ndarray(format="rgb24"))) for frame in frames]
    return [(round(time, 3), code.counter) for time, code in codes if code is not None]


def numbers(data: bytes) -> list[int]:
    return [number for _, number in shown(data)]


def test_what_is_finished_holds_no_picture(rig: Rig) -> None:
    pixels = picture(1)
    held = weakref.ref(pixels)
    rig.muxer.show(ShownPicture(rig.now, pixels, FPS, None))
    del pixels
    assert held() is not None  # it may have to be given again
    rig.muxer.finish(rig.now + 1.0)
    assert held() is None


def test_own_pictures_make_segments_of_a_second(rig: Rig) -> None:
    rig.show(95)
    rig.muxer.finish(rig.now)
    assert [each.segment for each in rig.closed] == [0, 1, 2, 3]
    assert [each.seconds for each in rig.closed[:3]] == pytest.approx([1.033] * 3, abs=0.04)
    assert numbers(rig.film()) == list(range(1, 96))
    assert rig.muxer.pictures.encoded == 95


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_segments_are_as_long_as_the_operator_wants(
    rig_of: Callable[[RecorderOptions], Rig], seconds: float, shared: bool
) -> None:
    rig = rig_of(RecorderOptions(segment_seconds=seconds))
    rig.show(round(2.5 * seconds * FPS), shared=shared)
    rig.muxer.finish(rig.now)
    assert [each.seconds for each in rig.closed] == pytest.approx([seconds, seconds, seconds / 2], abs=0.1)


def test_a_pause_does_not_make_short_segments_long(rig_of: Callable[[RecorderOptions], Rig]) -> None:
    rig = rig_of(RecorderOptions(segment_seconds=0.5))
    rig.show(5)
    rig.pause(2.0)
    rig.muxer.finish(rig.now)
    assert max(each.seconds for each in rig.closed) < 0.7


@pytest.mark.parametrize("preset", get_args(Preset))
def test_pictures_of_every_preset_stand_in_one_track_with_those_of_viewers(
    rig_of: Callable[[RecorderOptions], Rig], preset: Preset
) -> None:
    rig = rig_of(RecorderOptions(video_preset=preset))
    rig.show(20)
    rig.show(40, shared=True, key=True)
    rig.show(20)
    assert rig.muxer.pictures.shared == 40
    assert numbers(rig.clip(0.2, 2.5)) == list(range(7, 76))


def test_quality_costs_bytes(rig_of: Callable[[RecorderOptions], Rig]) -> None:
    noise, sizes = np.random.default_rng(6).integers(100, 120, (192, 320, 3), np.uint8), list[int]()
    for quality in (18, 30):
        rig = rig_of(RecorderOptions(video_quality=quality))
        rig.muxer.show(ShownPicture(rig.now, noise, FPS, None))
        rig.muxer.finish(rig.now + 1 / FPS)
        sizes.append(rig.closed[0].size)
    assert sizes[0] > 1.5 * sizes[1]


def test_own_pictures_have_a_key_frame_each_half_second_so_that_clips_have_short_heads(rig: Rig) -> None:
    rig.show(3 * FPS)
    excerpt = rig.muxer.excerpt(0, 3 * 90_000, rig.now)
    keys = np.flatnonzero(excerpt.pictures.key)
    assert keys.tolist() == list(range(0, 3 * FPS, FPS // 2))


def test_what_viewers_got_is_taken_as_it_is(rig: Rig) -> None:
    rig.show(95, shared=True)
    rig.muxer.finish(rig.now)
    assert (rig.muxer.pictures.shared, rig.muxer.pictures.encoded) == (95, 0)
    assert [each.segment for each in rig.closed] == [0, 1, 2, 3]
    assert numbers(rig.film()) == list(range(1, 96))


def test_viewers_come_and_go_and_no_picture_is_missing(rig: Rig) -> None:
    rig.show(20)
    rig.show(50, shared=True, key=True)
    rig.show(25)
    rig.show(25, shared=True)  # goes on with what came meanwhile: taken from the next key frame on
    rig.muxer.finish(rig.now)
    assert len(rig.begun) == 1
    assert numbers(rig.film()) == list(range(1, 121))
    assert rig.muxer.pictures.shared >= 70


def test_a_gap_in_what_viewers_got_is_bridged_until_a_key_frame(rig: Rig) -> None:
    rig.show(10, shared=True)
    rig.encoded(picture(0))  # dropped on its way here
    rig.show(1, shared=False)
    assert not rig.muxer.wants_key
    late = rig.encoded(picture(12))
    rig.muxer.show(ShownPicture(rig.now, picture(12), FPS, late))
    assert rig.muxer.wants_key
    rig.count, rig.now = 12, rig.now + 1 / FPS
    rig.show(10, shared=True)
    rig.muxer.finish(rig.now)
    assert numbers(rig.film()) == list(range(1, 23))


def test_another_size_is_fitted_into_the_first(rig: Rig) -> None:
    rig.show(20, shared=True)
    rig.show(20, shared=True, size=(640, 384))
    rig.muxer.finish(rig.now)
    assert numbers(rig.film()) == list(range(1, 41))
    assert rig.muxer.pictures.encoded == 20
    with av.open(io.BytesIO(rig.film()), "r") as container:
        assert {(cast(Any, frame).width, cast(Any, frame).height) for frame in container.decode(video=0)} == {
            (320, 192)
        }


def test_a_clip_across_changes_of_size_is_cut_to_the_picture(rig: Rig) -> None:
    for size in ((320, 192), (640, 384), (320, 192)):
        rig.show(20, shared=True, size=size)
    clip = rig.clip(0.3, 1.7)
    assert numbers(clip) == list(range(10, 52))
    with av.open(io.BytesIO(clip), "r") as container:
        assert {(cast(Any, frame).width, cast(Any, frame).height) for frame in container.decode(video=0)} == {
            (320, 192)
        }


@pytest.mark.parametrize("shared", [False, True])
def test_a_pause_is_one_held_picture(rig: Rig, shared: bool) -> None:
    rig.show(30, shared=shared)
    rig.pause(5.0)
    rig.show(30, shared=shared)
    data = rig.clip(0.0, 6.9)
    held = [time for time, number in shown(data) if number == 30]
    assert held[0] == pytest.approx(29 / FPS, abs=0.002)
    following = next(time for time, number in shown(data) if number == 31)
    assert following == pytest.approx(1 + 5.0, abs=0.002)
    assert max(np.diff([time for time, _ in shown(data)])) <= 1.05


def test_a_clip_that_ends_in_a_pause_shows_the_held_picture_to_its_end(rig: Rig) -> None:
    rig.show(30)
    rig.pause(2.5)
    data = rig.clip(2.0, 3.5)
    assert set(numbers(data)) == {30}
    with av.open(io.BytesIO(data), "r") as container:
        assert cast(int, container.duration) / 1e6 == pytest.approx(1.5, abs=0.05)


def test_the_recording_stands_still_while_no_step_runs(rig: Rig) -> None:
    rig.show(30)
    rig.clock.run(False, rig.now)
    assert rig.muxer.hold_in(rig.now + 100) is None
    rig.now += 600
    rig.clock.run(True, rig.now)
    rig.show(30)
    assert rig.muxer.finish(rig.now) == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("shared", [False, True])
def test_a_clip_is_cut_to_the_picture_while_the_recording_goes_on(rig: Rig, shared: bool) -> None:
    rig.show(100, shared=shared)
    data = rig.clip(1.5, 2.5)
    assert numbers(data) == list(range(46, 76))
    assert shown(data)[0][0] == 0.0
    rig.show(20, shared=shared)
    rig.muxer.finish(rig.now)
    assert numbers(rig.film()) == list(range(1, 121))


def test_what_no_clip_needs_any_more_goes_when_it_is_stored() -> None:
    rig = Rig(keep=2.0)
    rig.show(200)
    assert len(list(rig.spool.folder.glob("chunk_*"))) == 7
    for closed in rig.closed:
        rig.spool.release(closed.segment)
    assert len(list(rig.spool.folder.glob("chunk_*"))) < 5
    assert numbers(rig.clip(5.0, 6.0)) == list(range(151, 181))
    rig.spool.close()


def test_the_tail_follows_what_is_stored() -> None:
    rig = Rig()
    rig.show(75)
    tail = rig.muxer.tail(rig.now)
    assert tail is not None
    data = rig.film() + tail.read()
    assert numbers(data) == list(range(1, 75))
    assert sum(each.seconds for each in rig.closed) + tail.seconds == pytest.approx(74 / FPS, abs=0.01)
    rig.spool.close()


def test_silence_is_recorded_where_nothing_is_played() -> None:
    rig = Rig(sound=True)
    tone = (np.sin(np.arange(4800) * 2 * np.pi * 500 / 48_000) * 9000).astype(np.int16)
    for tenth in range(30):
        if not 10 <= tenth < 20:
            rig.muxer.play(PlayedSound(rig.now, tone[:, None]))
        rig.show(3)
    rig.muxer.finish(rig.now)
    with av.open(io.BytesIO(rig.film()), "r") as container:
        sound = np.concatenate([cast(Any, frame).to_ndarray() for frame in container.decode(audio=0)], axis=1)[0]
    loud = [np.abs(sound[at : at + 4800]).mean() > 0.01 for at in range(0, 144_000 - 4800, 4800)]
    assert len(sound) / 48_000 == pytest.approx(3.0, abs=0.05)
    assert loud[1:9] == [True] * 8
    assert loud[11:19] == [False] * 8
    assert loud[21:28] == [True] * 7
    rig.spool.close()


def test_a_spool_is_gone_when_it_is_closed() -> None:
    spool = Spool()
    folder: Path = spool.folder
    assert folder.is_dir()
    spool.close()
    spool.close()
    assert not folder.exists()
