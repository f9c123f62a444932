"""The audio outputs with real threads: blocks of 10 ms, silence in between, nothing to the paused."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from livereactor.base.clock import SystemClock
from livereactor.base.errors import NotFoundError
from livereactor.media.frames import Sound
from livereactor.runtime.interfaces import OutputDeclaration
from livereactor.runtime.outputs.outputs import Outputs
from tests.unit.runtime.outputs.fakes import TIMEOUT, AudioSink

RATE = 48_000


@pytest.fixture
def outputs() -> Iterator[Outputs]:
    made = Outputs([OutputDeclaration("voice", "audio", rate=RATE)])
    yield made
    made.close()


def listen(outputs: Outputs, viewer: int = 1) -> AudioSink:
    sink = AudioSink()
    outputs.add_viewer("voice", viewer, sink)
    outputs.resume("voice", viewer)
    return sink


def emit(outputs: Outputs, level: int, seconds: float) -> None:
    samples = np.full((round(RATE * seconds), 1), level, np.int16)
    outputs.emit({"voice": Sound(samples, RATE)}, step_seconds=0.01)


def sounding(blocks: list[Sound]) -> list[Sound]:
    return [block for block in blocks if block.samples.any()]


def test_a_listener_gets_silence_until_the_model_speaks_and_after(outputs: Outputs) -> None:
    sink = listen(outputs)
    sink.wait_for(2)
    emit(outputs, 5, 0.05)
    blocks = sink.wait_until(lambda got: bool(sounding(got)) and not got[-1].samples.any())
    assert [block.samples.shape for block in blocks] == [(480, 1)] * len(blocks)
    assert {block.rate for block in blocks} == {RATE}
    assert len(sounding(blocks)) == 5


def test_blocks_carry_the_capture_time_of_their_samples(outputs: Outputs) -> None:
    sink = listen(outputs)
    emit(outputs, 5, 0.05)
    stamps = [block.captured_us or 0 for block in sounding(sink.wait_until(lambda got: len(sounding(got)) == 5))]
    assert [later - earlier for earlier, later in itertools.pairwise(stamps)] == [10_000] * 4


def test_all_listeners_get_the_same_blocks_and_the_paused_none(outputs: Outputs) -> None:
    paused = AudioSink()
    outputs.add_viewer("voice", 3, paused)
    first, second = listen(outputs, 1), listen(outputs, 2)
    emit(outputs, 5, 0.03)
    one = sounding(first.wait_until(lambda got: len(sounding(got)) == 3))
    two = sounding(second.wait_until(lambda got: len(sounding(got)) == 3))
    assert all(a is b for a, b in zip(one, two, strict=True))
    assert paused.got == []


def test_nothing_leaves_while_nobody_listens_and_the_queue_drains(outputs: Outputs) -> None:
    drained = threading.Event()
    outputs.on_capacity(drained.set)
    sink = AudioSink()
    outputs.add_viewer("voice", 1, sink)
    emit(outputs, 5, 5.02)
    assert not outputs.has_capacity()
    assert drained.wait(TIMEOUT)
    assert outputs.has_capacity()
    assert sink.got == []


def test_more_than_five_seconds_ahead_blocks_the_model_and_flush_frees_it(outputs: Outputs) -> None:
    room = threading.Event()
    outputs.on_capacity(room.set)
    emit(outputs, 5, 4)
    assert outputs.has_capacity()
    emit(outputs, 5, 4)
    assert not outputs.has_capacity()
    outputs.flush("voice")
    assert room.wait(TIMEOUT)
    assert outputs.counters()["voice"]["queued_seconds"] == 0


def test_a_pause_stops_the_blocks_and_a_resume_brings_them_back(outputs: Outputs) -> None:
    one, other = listen(outputs, 1), listen(outputs, 2)
    one.wait_for(2)
    outputs.pause("voice", 1)
    count = len(one.got)
    other.wait_for(len(other.got) + 5)
    assert len(one.got) <= count + 1
    outputs.resume("voice", 1)
    one.wait_for(count + 4)


def test_reset_and_removal_end_it_for_the_listener(outputs: Outputs) -> None:
    sinks = [listen(outputs, 1), listen(outputs, 2)]
    for sink in sinks:
        sink.wait_for(1)
    outputs.remove_viewer(1)
    outputs.reset()
    counts = [len(sink.got) for sink in sinks]
    listen(outputs, 3).wait_for(5)
    assert all(len(sink.got) <= count + 1 for sink, count in zip(sinks, counts, strict=True))


def test_a_failing_sink_costs_the_others_nothing(outputs: Outputs) -> None:
    class Broken(AudioSink):
        def send(self, sound: Sound) -> bool:
            raise RuntimeError("engine bug")

    outputs.add_viewer("voice", 1, Broken())
    outputs.resume("voice", 1)
    listen(outputs, 2).wait_for(3)
    assert outputs.counters()["voice"]["failed"] >= 1


def test_an_unknown_track_is_named(outputs: Outputs) -> None:
    with pytest.raises(NotFoundError, match="no output track 'vioce'; declared: voice"):
        outputs.add_viewer("vioce", 1, AudioSink())


class Hands(SystemClock):
    """A clock that is set by hand."""

    at = 0.0

    def now(self) -> float:
        return self.at


def test_sound_that_missed_its_time_is_counted_beyond_the_session() -> None:
    clock = Hands()
    outputs = Outputs([OutputDeclaration("voice", "audio", rate=RATE)], clock=clock)
    try:
        sink = listen(outputs)
        sink.wait_for(1)
        emit(outputs, 5, 4)
        clock.at = 3.0
        outputs.resume("voice", 1)
        sink.wait_for(50)
        outputs.reset()
        assert outputs.counters()["voice"]["late"] == pytest.approx(2.5 * RATE, abs=0.03 * RATE)
    finally:
        outputs.close()
