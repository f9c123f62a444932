"""What the outputs hand to a recording: every picture that is shown, as viewers got it where it is H.264."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from livereactor.media.frames import Sound, VideoCodec
from livereactor.runtime.interfaces import OutputDeclaration
from livereactor.runtime.outputs.outputs import SOUND_LAG, Outputs
from livereactor.runtime.outputs.tap import PlayedSound, ShownPicture, Tap
from tests.unit.runtime.outputs.fakes import TIMEOUT, AudioSink, VideoSink, frame

SILENT = [OutputDeclaration("main_video", "video", 30, 64, 48)]
SOUNDING = [*SILENT, OutputDeclaration("voice", "audio")]


@pytest.fixture
def outputs() -> Iterator[Outputs]:
    made = Outputs(SILENT)
    yield made
    made.close()


def recorded(outputs: Outputs, audio: str | None = None) -> Tap:
    tap = Tap()
    outputs.record("main_video", audio, tap)
    return tap


def watch(outputs: Outputs, codec: VideoCodec) -> VideoSink:
    sink = VideoSink(codec)
    outputs.add_viewer("main_video", 1, sink)
    outputs.resume("main_video", 1)
    return sink


def emit(outputs: Outputs, shade: int) -> None:
    outputs.emit({"main_video": [frame(shade)]}, step_seconds=0.01)


def taken(tap: Tap) -> ShownPicture:
    item = tap.get(TIMEOUT)
    assert isinstance(item, ShownPicture)
    return item


def test_pictures_are_recorded_though_nobody_watches(outputs: Outputs) -> None:
    tap = recorded(outputs)
    for shade in (1, 2, 3):
        before = time.monotonic()
        emit(outputs, shade)
        item = taken(tap)
        assert item.encoded is None
        assert item.pixels[0, 0, 0] == shade
        assert before - 0.001 <= item.at <= time.monotonic()
    assert outputs.counters()["main_video"]["encoded"] == 0


def test_what_a_viewer_gets_in_h264_is_handed_over_without_another_encode(outputs: Outputs) -> None:
    tap, sink = recorded(outputs), watch(outputs, VideoCodec.H264)
    for count, shade in enumerate((1, 2, 3), 1):
        emit(outputs, shade)
        assert taken(tap).encoded is sink.wait_for(count)[-1]
    assert outputs.counters()["main_video"]["encoded"] == 3


def test_what_a_viewer_gets_in_vp8_is_not(outputs: Outputs) -> None:
    tap, sink = recorded(outputs), watch(outputs, VideoCodec.VP8)
    emit(outputs, 1)
    sink.wait_for(1)
    assert taken(tap).encoded is None


def test_a_key_frame_is_made_for_a_recording_with_the_next_picture_and_no_sooner(outputs: Outputs) -> None:
    tap, sink = recorded(outputs), watch(outputs, VideoCodec.H264)
    for count, shade in enumerate((1, 2), 1):
        emit(outputs, shade)
        taken(tap)
        assert sink.wait_for(count)[-1].key is (count == 1)
    tap.wants_key = True
    assert tap.get(0.1) is None
    emit(outputs, 3)
    encoded = taken(tap).encoded
    assert encoded is not None
    assert encoded.key
    assert len(sink.wait_for(3)) == 3


def test_a_recording_that_is_behind_does_not_turn_every_picture_into_a_key_frame(outputs: Outputs) -> None:
    tap, sink = recorded(outputs), watch(outputs, VideoCodec.H264)
    emit(outputs, 1)
    taken(tap)
    tap.wants_key = True
    for count in range(2, 7):
        emit(outputs, count)
        sink.wait_for(count)
    assert [frame.key for frame in sink.got] == [True, True, False, False, False, False]


def test_a_viewer_who_lost_a_picture_does_not_wait_for_the_recordings_turn(outputs: Outputs) -> None:
    tap, sink = recorded(outputs), watch(outputs, VideoCodec.H264)
    emit(outputs, 1)
    taken(tap)
    tap.wants_key = True
    emit(outputs, 2)
    sink.wait_for(2)
    tap.wants_key = False
    asked = time.monotonic()
    outputs.key_wanted("main_video", 1)
    assert sink.wait_for(3)[-1].key
    assert time.monotonic() - asked < 0.5


def test_sound_is_recorded_as_it_is_played_and_beside_its_picture() -> None:
    outputs = Outputs(SOUNDING)
    tap, sink = recorded(outputs, "voice"), AudioSink()
    outputs.add_viewer("voice", 1, sink)
    outputs.resume("voice", 1)
    tone = np.full((4800, 1), 1000, np.int16)
    outputs.emit({"main_video": [frame(1)], "voice": Sound(tone, 48_000)}, step_seconds=0.01)
    shown, heard = None, list[PlayedSound]()
    while sum(np.count_nonzero(each.samples) for each in heard) < 4800 or shown is None:
        item = tap.get(TIMEOUT)
        assert isinstance(item, ShownPicture | PlayedSound)
        if isinstance(item, ShownPicture):
            shown = item
        else:
            heard.append(item)
    began = next(each for each in heard if each.samples.any())
    lead = np.flatnonzero(began.samples[:, 0])[0] / 48_000
    assert shown.at == pytest.approx(began.at + lead, abs=0.012)
    assert time.monotonic() - shown.at >= SOUND_LAG
    outputs.close()


def test_nothing_is_handed_over_when_a_recording_has_ended(outputs: Outputs) -> None:
    tap, sink = recorded(outputs), watch(outputs, VideoCodec.H264)
    outputs.record(None, None, None)
    emit(outputs, 1)
    sink.wait_for(1)
    assert tap.get(0.05) is None
