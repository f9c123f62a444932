"""Which Streams are encoded when, and for whom; the clock turned by hand."""

from __future__ import annotations

import pytest

from livereactor.media.frames import VideoCodec
from livereactor.runtime.outputs.fanout import EncodeTask, Fanout
from livereactor.runtime.outputs.quality_layers import QualityLayer
from tests.unit.runtime.outputs.fakes import VideoSink

CEILING = 2_500_000


def start(*rates: int | None) -> Fanout:
    """A Fanout whose viewers 1, 2, ... have had their key frame at 0."""
    fanout = Fanout(CEILING)
    for viewer, bps in enumerate(rates, 1):
        fanout.add(viewer, VideoSink(), 0.0)
        fanout.resume(viewer, 0.0)
        if bps is not None:
            fanout.rate(viewer, bps, 0.0)
    carried_out(fanout.plan(fresh=True, now=0.0))
    return fanout


def carried_out(tasks: list[EncodeTask]) -> list[EncodeTask]:
    """As the shell does: a key frame starts its viewers."""
    for task in tasks:
        for viewer in task.viewers:
            viewer.started |= task.key
    return tasks


def play(fanout: Fanout, fps: float, seconds: float, *, begin: float) -> list[EncodeTask]:
    tasks = list[EncodeTask]()
    for number in range(round(fps * seconds)):
        tasks += carried_out(fanout.plan(fresh=True, now=begin + number / fps))
    return tasks


def test_a_slow_viewer_gets_the_low_rung_at_15_fps_and_the_other_all_frames() -> None:
    fanout = start(8_000_000, 300_000)
    play(fanout, 30, 1, begin=0.1)
    tasks = play(fanout, 30, 2, begin=1.1)
    main = [task for task in tasks if task.stream.layer is QualityLayer.MAIN]
    low = [task for task in tasks if task.stream.layer is QualityLayer.LOW]
    assert len(main) == 60
    assert len(low) == pytest.approx(30, abs=1)
    assert {task.bps for task in main} == {CEILING}
    assert {task.bps for task in low} == {300_000}
    assert fanout.left_out == 0, "the low layer's own pace is no want of bits"
    assert all(len(task.viewers) == 1 for task in tasks)


def test_the_low_rung_starts_with_a_key_frame_by_its_own_deadline() -> None:
    fanout = start(8_000_000, 300_000)
    at = fanout.deadline() or 0.0
    assert at == 0.5
    (task,) = fanout.plan(fresh=False, now=at)
    assert (task.stream.layer, task.key, task.bps) == (QualityLayer.LOW, True, 300_000)


def test_the_last_picture_of_a_model_that_stops_reaches_the_low_rung_too() -> None:
    fanout = start(8_000_000, 300_000)
    carried_out(fanout.plan(fresh=False, now=0.5))
    assert [task.stream.layer for task in carried_out(fanout.plan(fresh=True, now=0.51))] == [QualityLayer.MAIN]
    assert fanout.deadline() == pytest.approx(0.56)
    assert [task.stream.layer for task in fanout.plan(fresh=False, now=fanout.deadline() or 0)] == [QualityLayer.LOW]
    assert fanout.deadline() is None


def test_a_fifth_join_within_a_second_waits_for_its_key_frame_and_gets_no_deltas() -> None:
    fanout = start(None)
    for viewer in range(2, 6):
        fanout.add(viewer, VideoSink(), 0.1)
        fanout.resume(viewer, 0.1)
        tasks = carried_out(fanout.plan(fresh=False, now=0.1 * viewer))
        assert bool(tasks) == (viewer < 5)
    (task,) = carried_out(fanout.plan(fresh=True, now=0.6))
    assert not task.key
    assert sum(viewer.started for viewer in task.viewers) == 4
    assert fanout.deadline() == 1.0
    (task,) = fanout.plan(fresh=False, now=1.0)
    assert task.key


def test_a_rate_heard_before_a_pause_is_remembered() -> None:
    fanout = start(8_000_000, 300_000)
    fanout.pause(2, 0.1)
    fanout.resume(2, 0.2)
    carried_out(fanout.plan(fresh=True, now=0.2))
    assert fanout.deadline() == pytest.approx(0.7)


def test_each_codec_has_its_own_key_frames() -> None:
    fanout = start(None)
    fanout.add(2, VideoSink(VideoCodec.H264), 0.1)
    fanout.resume(2, 0.1)
    tasks = fanout.plan(fresh=True, now=0.1)
    assert {(task.stream.codec, task.key) for task in tasks} == {(VideoCodec.VP8, False), (VideoCodec.H264, True)}


def test_cleared_viewers_get_nothing_more() -> None:
    fanout = start(None)
    (task,) = fanout.plan(fresh=True, now=0.1)
    fanout.clear()
    assert not any(viewer.resumed for viewer in task.viewers)
    assert not fanout.wanted
    assert fanout.plan(fresh=True, now=0.2) == []


def spending(fanout: Fanout, kbit: int, seconds: float, *, begin: float) -> list[EncodeTask]:
    """30 pictures a second, of which those that are encoded cost so much each."""
    tasks = list[EncodeTask]()
    for number in range(round(30 * seconds)):
        now = begin + number / 30
        for task in carried_out(fanout.plan(fresh=True, now=now)):
            task.stream.budget.spend(kbit * 125, now)
            tasks.append(task)
    return tasks


def test_where_a_picture_costs_more_than_the_rate_pays_pictures_are_left_out() -> None:
    fanout = start(1_000_000)
    first = spending(fanout, 100, 1, begin=0.0)
    later = spending(fanout, 100, 3, begin=1.0)
    assert len(later) == pytest.approx(3 * 1_000 / 0.9 / 100, abs=2)
    assert fanout.left_out == pytest.approx(4 * 30 - len(first) - len(later), abs=1)
    assert fanout.deadline() is not None, "the last picture of a model that stops comes too"


def test_a_way_that_takes_more_than_the_stream_s_rate_lets_bursts_through() -> None:
    fanout = start(10_000_000)
    assert len(spending(fanout, 200, 1, begin=0.1)) == 30
    assert fanout.left_out == 0


def test_a_viewer_on_its_way_to_the_low_rung_does_not_hold_the_others() -> None:
    fanout = start(10_000_000, 300_000)
    tasks = spending(fanout, 80, 0.4, begin=0.1)
    assert len(tasks) == 12
    assert all(task.stream.layer is QualityLayer.MAIN for task in tasks)


@pytest.mark.parametrize(("bps", "is_recordable"), [(8_000_000, True), (1_600_000, True), (1_400_000, False)])
def test_who_has_few_bits_pays_none_for_the_key_frames_of_a_recording(bps: int, is_recordable: bool) -> None:
    fanout = Fanout(CEILING)
    fanout.add(1, VideoSink(VideoCodec.H264), 0.0)
    fanout.resume(1, 0.0)
    fanout.rate(1, bps, 0.0)
    play(fanout, 30, 2, begin=0.1)  # the rate is followed
    tasks = [task for n in range(90) for task in carried_out(fanout.plan(fresh=True, now=3 + n / 30, keys=True))]
    assert {task.is_recordable for task in tasks} == {is_recordable}
    assert sum(task.key for task in tasks) == (4 if is_recordable else 0)
