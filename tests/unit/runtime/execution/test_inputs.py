"""What input tracks keep, and what a yield becomes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import livereactor as lr
from livereactor.base.errors import CommandError, EmissionError
from livereactor.media.frames import Frame, Sound
from livereactor.runtime.authoring.inputs import FrameQueue, SoundQueue
from livereactor.testing import Stage


def picture(value: int, height: int = 4, width: int = 4) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def values(frames: list[Frame]) -> list[int]:
    return [int(frame.pixels[0, 0, 0]) for frame in frames]


def test_latest_is_the_newest_and_drops_what_came_before() -> None:
    queue = FrameQueue(8)
    assert queue.latest() is None
    for n in range(3):
        queue.push(Frame(picture(n)))
    newest = queue.latest()
    assert newest is not None
    assert (newest.number, values([newest])) == (3, [2])
    assert not queue.unread()
    assert queue.latest() is newest


def test_take_gives_full_batches_of_the_oldest_only() -> None:
    queue = FrameQueue(8)
    for n in range(5):
        queue.push(Frame(picture(n)))
    assert values(queue.take(2)) == [0, 1]
    assert queue.take(4) == []
    assert values(queue.take_all()) == [2, 3, 4]


def test_no_batch_straddles_a_change_of_size() -> None:
    queue = FrameQueue(8)
    for n in range(3):
        queue.push(Frame(picture(n)))
    for n in range(3, 7):
        queue.push(Frame(picture(n, height=8)))
    assert values(queue.take(4)) == [3, 4, 5, 6]
    queue.push(Frame(picture(8)))
    queue.push(Frame(picture(9, height=8)))
    assert values(queue.take_all()) == [8]
    assert values(queue.take_all()) == [9]


def test_a_full_queue_drops_the_oldest_by_count_and_by_bytes() -> None:
    queue = FrameQueue(3)
    for n in range(5):
        queue.push(Frame(picture(n)))
    assert values(queue.take_all()) == [2, 3, 4]
    large = FrameQueue(128)
    for n in range(10):
        large.push(Frame(np.broadcast_to(np.uint8(n), (4000, 4000, 3))))
    assert values(large.take_all()) == [8, 9]


def test_a_declared_size_is_what_the_model_sees() -> None:
    class Model(lr.Model):
        webcam = lr.VideoIn(width=32, height=16, fit="stretch")

        def stream(self) -> Iterator[Any]:
            yield None

    with Stage(Model) as stage:
        model: Any = stage.model
        stage.feed("webcam", picture(7, 90, 50))
        assert model.webcam.active
        assert model.webcam.latest().pixels.shape == (16, 32, 3)
        stage.feed("webcam", picture(8, 90, 50))
        assert model.webcam.take()[0].pixels.shape == (16, 32, 3)
        model.webcam.clear()
        assert model.webcam.latest() is None


def sound(*samples: int) -> Sound:
    return Sound(np.array(samples, np.int16)[:, None], 8000)


def test_sound_is_taken_by_samples_across_blocks() -> None:
    queue = SoundQueue(1.0, 8000)
    queue.push(sound(1, 2, 3))
    queue.push(sound(4, 5))
    assert queue.take(6) is None
    taken = queue.take(4)
    assert taken is not None
    assert taken.samples[:, 0].tolist() == [1, 2, 3, 4]
    rest = queue.next()
    assert rest is not None
    assert rest.samples[:, 0].tolist() == [5]
    assert queue.next() is None


def test_old_sound_is_dropped_past_the_limit() -> None:
    queue = SoundQueue(4 / 8000, 8000)
    for n in range(4):
        queue.push(sound(n, n))
    taken = queue.take(4)
    assert taken is not None
    assert taken.samples[:, 0].tolist() == [2, 2, 3, 3]


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 1), (48_000, 2), (8_000, 1), (16_000, 1)])
def test_sound_of_any_rate_arrives_at_the_declared_one(rate: int, channels: int) -> None:
    class Hears(lr.Model):
        mic = lr.AudioIn(sample_rate=16_000)

        def stream(self) -> Iterator[Any]:
            yield None

    with Stage(Hears) as stage:
        model: Any = stage.model
        angles = 2 * np.pi * 1000 * np.arange(rate) / rate
        tone = np.repeat((np.sin(angles) * 10_000).astype(np.int16)[:, None], channels, axis=1)
        for block in np.split(tone, 100):
            model.mic.receive(Sound(block, rate))
        heard = model.mic.take(15_000)
    assert heard is not None
    assert (heard.rate, heard.samples.shape) == (16_000, (15_000, 1))
    spectrum = np.abs(np.fft.rfft(heard.samples[:, 0]))
    assert abs(int(spectrum.argmax()) * 16_000 / 15_000 - 1000) < 2
    assert np.abs(heard.samples[200:]).max() == pytest.approx(10_000, rel=0.1)


class Dlpack:
    """What any tensor library shows of its arrays."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.dtype = array.dtype

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


class Yields(lr.Model):
    main_video = lr.VideoOut()
    second = lr.VideoOut()
    voice = lr.AudioOut(sample_rate=8000)

    def open(self, session: lr.Session) -> None:
        self.values: list[Any] = []

    def stream(self) -> Iterator[Any]:
        while True:
            yield self.values.pop(0)


def test_a_new_session_hears_nothing_of_the_last_ones_sound() -> None:
    mic = lr.AudioIn(sample_rate=16_000)
    mic.receive(Sound(np.full((480, 1), 20_000, np.int16), 48_000))
    mic.reset()
    mic.receive(Sound(np.zeros((480, 1), np.int16), 48_000))
    heard = mic.latest()
    assert heard is not None
    assert not heard.samples.any()


@pytest.mark.parametrize(
    ("value", "shapes"),
    [
        (picture(1), [(4, 4, 3)]),
        (np.zeros((2, 4, 6, 3), np.uint8), [(4, 6, 3)] * 2),
        (Dlpack(np.zeros((3, 4, 6), np.float32)), [(4, 6, 3)]),
        ([picture(1), picture(2)], [(4, 4, 3)] * 2),
        (lr.Frame(picture(1), user_data=b"x"), [(4, 4, 3)]),
    ],
)
def test_a_bare_yield_is_the_first_video(value: Any, shapes: list[tuple[int, ...]]) -> None:
    with Stage(Yields) as stage:
        model: Any = stage.model
        model.values = [value]
        assert [each.shape for each in stage.step().frames["main_video"]] == shapes


def test_several_tracks_and_sound_come_from_one_yield() -> None:
    with Stage(Yields) as stage:
        model: Any = stage.model
        model.values = [{"second": picture(2), "voice": np.zeros(160, np.int16), "main_video": None}]
        step = stage.step()
        assert list(step.frames) == ["second"]
        assert step.sounds["voice"].shape == (160, 1)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (np.full((3, 4, 4), 200, np.float32), "main_video: expected uint8"),
        ("picture", "got str"),
        ({"mian_video": picture(1)}, "did you mean 'main_video'"),
        ({"main_video": [picture(1)] * 2, "second": picture(1)}, "main_video 2, second 1"),
        ({"voice": picture(1)}, "voice: expected int16"),
    ],
)
def test_what_cannot_be_sent_is_told_with_what_was_expected(value: Any, sentence: str) -> None:
    with Stage(Yields) as stage:
        model: Any = stage.model
        model.values = [value]
        with pytest.raises(EmissionError, match=sentence):
            stage.step()


def test_an_array_that_is_drawn_into_again_is_copied_and_a_new_one_is_not() -> None:
    canvas, fresh = picture(1), picture(3)
    with Stage(Yields) as stage:
        model: Any = stage.model
        model.values = [canvas, canvas, fresh]
        pictures = [stage.step().frames["main_video"][0] for _ in range(3)]
    assert [np.shares_memory(each, canvas) for each in pictures[:2]] == [True, False]
    assert np.shares_memory(pictures[2], fresh)


def test_a_file_that_is_no_picture_or_text_refuses_its_command() -> None:
    file = lr.File("a.png", "image/png", b"\xff\xfe")
    for read, code in ((file.image, "not_an_image"), (file.text, "not_text")):
        with pytest.raises(CommandError) as caught:
            read()
        assert caught.value.code == code
