"""Which tracks are recorded, and what is refused at boot."""

from __future__ import annotations

from pathlib import Path

import pytest

import livereactor as lr
from livereactor.base.errors import ConfigError
from livereactor.runtime.authoring.model import definition_of
from livereactor.runtime.interfaces import OutputDeclaration
from livereactor.runtime.recording.options import RecordedTracks, RecorderOptions, recorded_tracks, segments_of
from livereactor.settings import Resolved, Settings, resolve
from livereactor.wiring.runtime import runtime_options
from livereactor.wiring.worker import WorkerOptions, _about

MAIN, SIDE = OutputDeclaration("main_video", "video"), OutputDeclaration("side", "video")
VOICE, MUSIC = OutputDeclaration("voice", "audio"), OutputDeclaration("music", "audio")


def test_the_only_tracks_are_taken_by_themselves() -> None:
    assert recorded_tracks(RecorderOptions(), [VOICE, MAIN]) == RecordedTracks(MAIN, VOICE)
    assert recorded_tracks(RecorderOptions(), [MAIN]) == RecordedTracks(MAIN, None)


def test_without_a_picture_there_is_nothing_to_record() -> None:
    assert recorded_tracks(RecorderOptions(), [VOICE]) is None


def test_recorded_is_what_has_a_picture_and_a_recorder_that_knows_which() -> None:
    assert segments_of(RecorderOptions(segment_seconds=2.0), [MAIN, VOICE]) == 2.0
    assert segments_of(RecorderOptions(), [VOICE]) is None
    assert segments_of(RecorderOptions(), [MAIN, SIDE]) is None
    assert segments_of(None, [MAIN]) is None


def test_of_several_one_has_to_be_named() -> None:
    with pytest.raises(ConfigError, match=r"recorder\.video_track: .* main_video, side; name"):
        recorded_tracks(RecorderOptions(), [MAIN, SIDE])
    with pytest.raises(ConfigError, match=r"recorder\.audio_track: .* voice, music; name"):
        recorded_tracks(RecorderOptions(), [MAIN, VOICE, MUSIC])
    named = RecorderOptions(video_track="side", audio_track="music")
    assert recorded_tracks(named, [MAIN, SIDE, VOICE, MUSIC]) == RecordedTracks(SIDE, MUSIC)


def test_one_that_is_named_has_to_be_there() -> None:
    with pytest.raises(ConfigError, match="no video output 'voice'; the model has main_video"):
        recorded_tracks(RecorderOptions(video_track="voice"), [MAIN, VOICE])


class Two(lr.Model):
    """Shows two pictures."""

    main_video = lr.VideoOut()
    side = lr.VideoOut()


def settings(**recorder: object) -> Resolved:
    made = Settings.model_validate({"recorder": recorder})
    return Resolved(made, {}, None)


def test_a_runtime_of_two_pictures_does_not_start_before_one_is_named() -> None:
    with pytest.raises(ConfigError, match="main_video, side"):
        runtime_options(Two, settings())
    assert runtime_options(Two, settings(enabled=False)).recorder is None
    options = runtime_options(Two, settings(video_track="side", clip_max_seconds=60, retention_hours=2))
    assert options.recorder == RecorderOptions(60, "side", None, 2)


def test_how_it_is_encoded_reaches_the_recorder() -> None:
    given = {"segment_seconds": 2.0, "video_preset": "veryfast", "video_quality": 28, "audio_bitrate": 96_000}
    options = runtime_options(Shown, settings(**given, video_codec="h264", audio_codec="aac"))
    assert options.recorder == RecorderOptions(300, None, None, 24, 2.0, "veryfast", 28, 96_000)
    assert runtime_options(Shown, settings()).recorder == RecorderOptions()


@pytest.mark.parametrize(
    "given",
    [
        {"segment_seconds": 0.1},
        {"segment_seconds": 60},
        {"video_codec": "vp9"},
        {"video_preset": "slow"},
        {"video_quality": 0},
        {"video_quality": 52},
        {"audio_codec": "opus"},
        {"audio_bitrate": 1_000},
        {"audio_bitrate": 400_000},
    ],
)
def test_what_no_recording_can_be_is_refused_at_boot(given: dict[str, object], tmp_path: Path) -> None:
    (name, value), *_ = given.items()
    with pytest.raises(ConfigError, match=rf"recorder\.{name}"):
        resolve(tmp_path, command_line={f"recorder.{name}": value})


class Spoken(lr.Model):
    """Has no picture."""

    voice = lr.AudioOut()


class Shown(lr.Model):
    """Has one."""

    main_video = lr.VideoOut()


@pytest.mark.parametrize(("model", "is_told"), [(Spoken, False), (Shown, True)])
def test_a_worker_tells_its_coordinator_whether_the_model_is_recorded(model: type[lr.Model], is_told: bool) -> None:
    served = runtime_options(model, settings())
    about = _about(definition_of(model), WorkerOptions("http://localhost:1", "secret", "w-1"), served)
    assert about.spec["recording"]["enabled"] is is_told
