"""A step as a program says it, over the binary wire, as the runtime reads it; and the result back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from livereactor.client.errors import ReactorError
from livereactor.client.stepping import StepResult, step_request, step_result
from livereactor.media.frames import Frame, Sound
from livereactor.protocol import messages as m
from livereactor.protocol import v1
from livereactor.runtime.interfaces import OutputDeclaration, StepOutput
from livereactor.runtime.session.steps import step_media
from livereactor.runtime.session.steps import step_result as answer

PICTURE = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)


def sent(request: m.RequestStep) -> m.RequestStep:
    frame = v1.encode_client(m.RequestStep("1", request.state, request.commands, request.media_input))
    assert frame is not None
    heard = v1.decode_client(*frame)
    assert isinstance(heard, m.RequestStep)
    return heard


def received(result: m.StepResult) -> StepResult:
    frame = v1.encode_server(result)
    assert frame is not None
    heard = v1.decode_server(*frame)
    assert isinstance(heard, m.StepResult)
    return step_result(heard)


def test_params_and_commands_of_every_form_reach_the_runtime_in_order() -> None:
    commands: list[Any] = ["calm", ("drop", {"x": 0.5}), {"command": "flash", "data": None}]
    heard = sent(step_request({"rain": 0.25}, commands, None))
    assert heard.state == {"rain": 0.25}
    assert [(each.name, each.arguments) for each in heard.commands] == [
        ("calm", {}),
        ("drop", {"x": 0.5}),
        ("flash", {}),
    ]


def test_pictures_and_sound_reach_the_input_tracks_as_they_were() -> None:
    samples = np.array([[1, -1], [2, -2], [3, -3]], np.int16)
    media = {"webcam": [PICTURE, Frame(PICTURE[::-1], b"tag", 7)], "mic": [Sound(samples, 16_000)]}
    given = step_media(sent(step_request(None, (), media)).media_input, {"webcam": "video", "mic": "audio"})
    plain, tagged = given["webcam"]
    (sound,) = given["mic"]
    assert isinstance(plain, Frame)
    assert isinstance(tagged, Frame)
    assert isinstance(sound, Sound)
    assert np.array_equal(plain.pixels, PICTURE)
    assert (tagged.user_data, tagged.captured_us) == (b"tag", 7)
    assert np.array_equal(sound.samples, samples)
    assert sound.rate == 16_000


@pytest.mark.parametrize(
    "wrong", [PICTURE.astype(np.float32), PICTURE[..., :2], "picture", np.zeros((2, 2), np.uint8)], ids=repr
)
def test_what_is_no_picture_is_refused_before_it_is_sent(wrong: object) -> None:
    with pytest.raises(TypeError, match="webcam: want uint8"):
        step_request(None, (), {"webcam": [wrong]})


@pytest.mark.parametrize("wrong", [3, ("drop", [1]), {"data": {}}], ids=repr)
def test_what_is_no_command_is_refused_before_it_is_sent(wrong: Any) -> None:
    with pytest.raises(TypeError):
        step_request(None, [wrong], None)


def test_a_result_has_every_output_track_with_its_frames() -> None:
    outputs = [OutputDeclaration("main_video", "video", fps=24.0), OutputDeclaration("voice", "audio", rate=16_000)]
    samples = np.array([[1], [2]], np.int16)
    made = StepOutput(3, {"main_video": [Frame(PICTURE, b"n")], "voice": [Sound(samples, 16_000)]}, 0.02)
    result = received(answer("1", made, outputs))
    picture, sound = result.track("main_video"), result.track("voice")
    assert (result.step, result.error, picture.rate, sound.rate) == (3, None, 24.0, 16_000.0)
    assert np.array_equal(picture.frames[0].array, PICTURE)
    assert picture.frames[0].user_data == b"n"
    assert np.array_equal(sound.frames[0].array, samples)
    with pytest.raises(KeyError, match="main_video, voice"):
        result.track("depth")


def test_a_step_that_ran_and_failed_is_a_result() -> None:
    result = received(m.StepResult("1", 2, failure=m.StepFailure.FAILED, error="the model failed in this step"))
    assert (result.step, result.error) == (2, "the model failed in this step")


def test_a_refused_step_is_an_error_that_names_the_entry() -> None:
    refused = m.StepResult(
        "1", 0, failure=m.StepFailure.COMMAND_FAILED, error="too deep", code="deep", entry="commands[2]"
    )
    with pytest.raises(ReactorError, match=r"commands\[2\]: too deep") as caught:
        received(refused)
    assert caught.value.code == "step_command_failed"
    assert caught.value.details == {"step": 0, "entry": "commands[2]", "command_code": "deep"}


def test_frames_that_lie_about_their_size_are_an_error() -> None:
    frame = m.MediaFrame("raw", "uint8", (9, 9, 3), b"short")
    with pytest.raises(ReactorError) as caught:
        step_result(m.StepResult("1", 1, (m.TrackFrames("main_video", "video", (frame,), 30.0),)))
    assert caught.value.code == "DECODE_FAILED"
