"""The video outputs with real threads and encoders: who gets what, when, encoded how often."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from livereactor.media.frames import EncodedFrame, Frame, VideoCodec
from livereactor.runtime.interfaces import OutputDeclaration
from livereactor.runtime.outputs.outputs import Outputs
from tests.unit.runtime.outputs.fakes import TIMEOUT, VideoSink, frame


@pytest.fixture
def outputs() -> Iterator[Outputs]:
    made = Outputs([OutputDeclaration("main_video", "video", 30, 64, 48), OutputDeclaration("side", "video", 30)])
    yield made
    made.close()


def watch(outputs: Outputs, viewer: int = 1, *, codec: VideoCodec | None = VideoCodec.VP8) -> VideoSink:
    sink = VideoSink(codec)
    outputs.add_viewer("main_video", viewer, sink)
    outputs.resume("main_video", viewer)
    return sink


def emit(outputs: Outputs, *tags: bytes, step_seconds: float = 0.01, track: str = "main_video") -> None:
    frames = [frame(sum(tag) % 256, tag=tag) for tag in tags]
    outputs.emit({track: frames}, step_seconds=step_seconds)


def taken_by_its_thread(outputs: Outputs) -> None:
    """No picture is queued any more: each is sent, or held by its Stream's budget."""
    until = time.monotonic() + TIMEOUT
    while outputs.counters()["main_video"]["queued"]:
        assert time.monotonic() < until
        time.sleep(0.001)


def tags(frames: list[EncodedFrame]) -> list[bytes]:
    return [each.user_data for each in frames]


def test_a_frame_reaches_a_resumed_viewer_at_once_as_a_key_frame(outputs: Outputs) -> None:
    sink = watch(outputs)
    before = time.monotonic()
    emit(outputs, b"a")
    (got,) = sink.wait_for(1)
    assert (got.key, got.number, got.user_data, got.codec) == (True, 1, b"a", VideoCodec.VP8)
    assert before * 1e6 - 1 <= got.captured_us <= time.monotonic() * 1e6


def test_numbers_count_on_and_only_the_first_is_a_key_frame(outputs: Outputs) -> None:
    sink = watch(outputs)
    for count in range(1, 6):
        emit(outputs, bytes([count]))
        sink.wait_for(count)
    assert [each.number for each in sink.got] == [1, 2, 3, 4, 5]
    assert [each.key for each in sink.got] == [True, False, False, False, False]
    stamps = [each.captured_us for each in sink.got]
    assert stamps == sorted(set(stamps))


def test_two_viewers_of_one_codec_get_the_same_object_encoded_once(outputs: Outputs) -> None:
    first, second = watch(outputs, 1), watch(outputs, 2, codec=None)
    emit(outputs, b"a")
    assert first.wait_for(1)[0] is second.wait_for(1)[0]
    assert outputs.counters()["main_video"]["encoded"] == 1


def test_each_codec_in_use_is_encoded_once(outputs: Outputs) -> None:
    sinks = [watch(outputs, 1), watch(outputs, 2), watch(outputs, 3, codec=VideoCodec.H264)]
    emit(outputs, b"a")
    codecs = [sink.wait_for(1)[0].codec for sink in sinks]
    assert codecs == [VideoCodec.VP8, VideoCodec.VP8, VideoCodec.H264]
    assert outputs.counters()["main_video"]["encoded"] == 2


def test_a_codec_told_later_starts_with_a_key_frame_of_it(outputs: Outputs) -> None:
    sink = watch(outputs, codec=None)
    emit(outputs, b"a")
    sink.wait_for(1)
    sink.codec = VideoCodec.H264
    emit(outputs, b"b")
    second = sink.wait_for(2)[1]
    assert (second.codec, second.key) == (VideoCodec.H264, True)


def test_nothing_is_encoded_while_nobody_receives(outputs: Outputs) -> None:
    sink = VideoSink()
    outputs.add_viewer("main_video", 1, sink)
    emit(outputs, b"a")
    emit(outputs, b"b", b"c", step_seconds=0.001)
    emit(outputs, b"d")
    assert outputs.counters()["main_video"]["encoded"] == 0
    assert sink.got == []


def test_resuming_shows_the_newest_picture_though_nothing_new_is_made(outputs: Outputs) -> None:
    emit(outputs, b"old")
    emit(outputs, b"new")
    (got,) = watch(outputs).wait_for(1)
    assert (got.user_data, got.key) == (b"new", True)


def test_a_second_viewer_gets_a_key_frame_of_the_current_picture_at_once(outputs: Outputs) -> None:
    first = watch(outputs, 1)
    emit(outputs, b"a")
    first.wait_for(1)
    (got,) = watch(outputs, 2).wait_for(1)
    assert (got.key, got.user_data, got.number) == (True, b"a", 2)
    assert first.wait_for(2)[1] is got


def test_a_paused_viewer_gets_nothing_and_the_others_everything(outputs: Outputs) -> None:
    first, second = watch(outputs, 1), watch(outputs, 2)
    emit(outputs, b"a")
    first.wait_for(1)
    second.wait_for(1)
    settled = len(second.got)
    outputs.pause("main_video", 2)
    emit(outputs, b"b")
    first.wait_until(lambda got: b"b" in tags(got))
    assert b"b" not in tags(second.got[settled:])
    outputs.resume("main_video", 2)
    resumed = second.wait_for(settled + 1)[settled]
    assert (resumed.key, resumed.user_data) == (True, b"b")


def test_pausing_and_resuming_twice_or_too_early_is_silent(outputs: Outputs) -> None:
    outputs.resume("main_video", 9)
    outputs.pause("main_video", 9)
    outputs.key_wanted("main_video", 9)
    outputs.rate_changed("main_video", 9, 1)
    sink = watch(outputs)
    outputs.resume("main_video", 1)
    outputs.pause("main_video", 1)
    outputs.pause("main_video", 1)
    outputs.remove_viewer(1)
    outputs.remove_viewer(1)
    emit(outputs, b"a")
    assert watch(outputs, 2).wait_for(1)
    assert sink.got == []


def test_a_key_wish_encodes_the_newest_picture_again(outputs: Outputs) -> None:
    sink = watch(outputs)
    emit(outputs, b"a")
    sink.wait_for(1)
    outputs.key_wanted("main_video", 1)
    again = sink.wait_for(2)[1]
    assert (again.key, again.user_data) == (True, b"a")
    assert again.captured_us > sink.got[0].captured_us


def test_a_reconnect_replaces_the_sink(outputs: Outputs) -> None:
    old = watch(outputs)
    emit(outputs, b"a")
    old.wait_for(1)
    new = watch(outputs)
    new.wait_for(1)
    emit(outputs, b"b")
    assert tags(new.wait_for(2)) == [b"a", b"b"]
    assert tags(old.got) == [b"a"]


def test_a_new_size_comes_with_a_key_frame(outputs: Outputs) -> None:
    sink = watch(outputs)
    emit(outputs, b"a")
    sink.wait_for(1)
    outputs.emit({"main_video": [frame(width=128, height=96)]}, step_seconds=0.01)
    second = sink.wait_for(2)[1]
    assert (second.width, second.height, second.key, second.number) == (128, 96, True, 2)


def test_a_chunk_plays_whole_in_order_and_evenly(outputs: Outputs) -> None:
    sink = watch(outputs)
    emit(outputs, *[bytes([n]) for n in range(5)], step_seconds=0.5)
    frames = sink.wait_for(5)
    assert tags(frames) == [bytes([n]) for n in range(5)]
    gaps = [later.captured_us - earlier.captured_us for earlier, later in itertools.pairwise(frames)]
    assert all(abs(gap - 100_000) <= 1 for gap in gaps)


def test_the_model_has_to_wait_while_a_chunk_is_queued_and_is_told_when_not(outputs: Outputs) -> None:
    room = threading.Event()
    outputs.on_capacity(room.set)
    sink = watch(outputs)
    assert outputs.has_capacity()
    emit(outputs, b"a", b"b", b"c", b"d", step_seconds=0.4)
    emit(outputs, b"e", b"f", b"g", b"h", step_seconds=0.4)
    assert not outputs.has_capacity()
    assert room.wait(TIMEOUT)
    assert outputs.has_capacity()
    assert tags(sink.wait_for(8)) == [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"]


def test_flush_drops_what_is_queued_and_gives_room(outputs: Outputs) -> None:
    room = threading.Event()
    outputs.on_capacity(room.set)
    sink = watch(outputs)
    emit(outputs, *[bytes([n]) for n in range(8)], step_seconds=80)
    emit(outputs, *[bytes([n]) for n in range(8)], step_seconds=80)
    sink.wait_for(1)
    assert not outputs.has_capacity()
    outputs.flush("main_video")
    assert room.wait(TIMEOUT)
    assert outputs.counters()["main_video"]["queued"] == 0


def test_a_changed_fps_paces_what_is_queued(outputs: Outputs) -> None:
    sink = watch(outputs)
    outputs.set_fps("main_video", 0.01)
    emit(outputs, b"a", b"b", b"c", step_seconds=0.01)
    sink.wait_for(1)
    outputs.set_fps("main_video", 100)
    assert tags(sink.wait_until(lambda got: b"c" in tags(got)))[0] == b"a"


class Held(VideoSink):
    """Blocks the first send until told."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.free = threading.Event(), threading.Event()

    def send(self, frame: EncodedFrame) -> bool:
        self.entered.set()
        assert self.free.wait(TIMEOUT)
        return super().send(frame)


def test_while_one_is_encoded_only_the_newest_waits_and_the_model_is_held_back(outputs: Outputs) -> None:
    sink = Held()
    outputs.add_viewer("main_video", 1, sink)
    outputs.resume("main_video", 1)
    emit(outputs, b"a")
    assert sink.entered.wait(TIMEOUT)
    assert outputs.has_capacity()
    emit(outputs, b"b")
    assert not outputs.has_capacity()
    emit(outputs, b"c")
    sink.free.set()
    assert tags(sink.wait_for(2)) == [b"a", b"c"]
    assert outputs.counters()["main_video"]["dropped"] == 1


def test_a_viewer_whose_sink_fails_costs_the_others_nothing(outputs: Outputs) -> None:
    class Broken(VideoSink):
        def send(self, frame: EncodedFrame) -> bool:
            raise RuntimeError("engine bug")

    outputs.add_viewer("main_video", 1, Broken())
    outputs.resume("main_video", 1)
    sink = watch(outputs, 2)
    emit(outputs, b"a")
    sink.wait_until(lambda got: b"a" in tags(got))
    emit(outputs, b"b")
    sink.wait_until(lambda got: b"b" in tags(got))
    assert outputs.counters()["main_video"]["failed"] >= 2


def test_a_picture_no_codec_can_take_costs_itself_only(outputs: Outputs) -> None:
    sink = watch(outputs)
    outputs.emit({"main_video": [frame(width=40_000, height=2)]}, step_seconds=0.01)
    emit(outputs, b"b")
    sink.wait_until(lambda got: b"b" in tags(got))


def test_reset_forgets_viewers_pictures_and_fps(outputs: Outputs) -> None:
    old = watch(outputs)
    emit(outputs, b"secret")
    old.wait_for(1)
    outputs.set_fps("main_video", 1)
    outputs.reset()
    sink = watch(outputs)
    emit(outputs, b"a")
    first = sink.wait_for(1)[0]
    assert (first.user_data, first.number, first.key) == (b"a", 1, True)
    assert tags(old.got) == [b"secret"]


def test_tracks_are_independent(outputs: Outputs) -> None:
    main, side = watch(outputs), VideoSink()
    outputs.add_viewer("side", 1, side)
    outputs.resume("side", 1)
    outputs.emit({"main_video": [frame(tag=b"m")], "side": [frame(tag=b"s")]}, step_seconds=0.01)
    main.wait_for(1)
    side.wait_for(1)
    outputs.pause("main_video", 1)
    emit(outputs, b"t", track="side")
    assert tags(side.wait_for(2)) == [b"s", b"t"]
    assert tags(main.got) == [b"m"]


def test_closing_twice_ends_every_thread() -> None:
    before = set(threading.enumerate())
    outputs = Outputs([OutputDeclaration("main_video", "video", 30, 64, 48), OutputDeclaration("side", "video", 30)])
    assert len(set(threading.enumerate()) - before) == 2
    outputs.close()
    outputs.close()
    assert not set(threading.enumerate()) - before


def test_a_slow_viewer_gets_a_small_picture_and_the_other_is_left_alone(outputs: Outputs) -> None:
    fast, slow = watch(outputs, 1), watch(outputs, 2)
    outputs.rate_changed("main_video", 1, 8_000_000)
    outputs.rate_changed("main_video", 2, 200_000)
    outputs.emit({"main_video": [frame(width=640, height=400, tag=b"a")]}, step_seconds=0.01)
    small = slow.wait_until(lambda got: got[-1].height == 180 if got else False)[-1]
    assert (small.width, small.height, small.key, small.user_data) == (288, 180, True, b"a")
    assert {(each.width, each.height) for each in fast.got} == {(640, 400)}


def test_pictures_that_the_network_has_no_room_for_are_counted_beyond_the_session(outputs: Outputs) -> None:
    sink, noise = watch(outputs), np.random.default_rng(1)
    outputs.rate_changed("main_video", 1, 150_000)
    for number in range(4):
        hard = noise.integers(0, 256, (360, 640, 3), np.uint8)
        outputs.emit({"main_video": [Frame(hard, number=number)]}, step_seconds=0.01)
        if number == 0:
            sink.wait_for(1)
        taken_by_its_thread(outputs)
    assert outputs.counters()["main_video"]["left_out"] >= 1
    before = outputs.counters()["main_video"]["left_out"]
    outputs.reset()
    assert outputs.counters()["main_video"]["left_out"] == before
