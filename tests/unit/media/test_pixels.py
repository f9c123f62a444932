"""What authors may yield, and what they are told when it cannot be a Frame."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from livereactor.base.errors import EmissionError
from livereactor.media.frames import Frame, Pixels
from livereactor.media.pixels import as_frames

RGB: Pixels = np.random.default_rng(3).integers(0, 256, (12, 20, 3), dtype=np.uint8)
GREY = RGB[:, :, 0]
GREY_RGB = np.repeat(GREY[:, :, None], 3, axis=2)
CHUNK = np.stack([RGB, RGB[::-1]])


class Tensor:
    """A torch tensor as seen from outside: DLPack, `detach`, `cpu`, and no numpy interface."""

    def __init__(self, array: np.ndarray[Any, Any], *, device: str = "cpu") -> None:
        self._array, self._device, self.dtype = array, device, array.dtype

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return Tensor(self._array)

    def __dlpack__(self, **options: Any) -> Any:
        if self._device != "cpu":
            raise BufferError("on another device")
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__() if self._device == "cpu" else (2, 0)


def floats(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (array / 255).astype(np.float32)


@pytest.mark.parametrize(
    ("value", "want"),
    [
        pytest.param(RGB, [RGB], id="HWC"),
        pytest.param(RGB.transpose(2, 0, 1), [RGB], id="CHW view"),
        pytest.param(np.ascontiguousarray(RGB.transpose(2, 0, 1)), [RGB], id="CHW"),
        pytest.param(GREY, [GREY_RGB], id="HW"),
        pytest.param(GREY[:, :, None], [GREY_RGB], id="HW1"),
        pytest.param(GREY[None], [GREY_RGB], id="1HW"),
        pytest.param(np.dstack([RGB, GREY]), [RGB], id="RGBA"),
        pytest.param(CHUNK, list(CHUNK), id="NHWC"),
        pytest.param(CHUNK.transpose(0, 3, 1, 2), list(CHUNK), id="NCHW"),
        pytest.param(np.stack([GREY] * 5), [GREY_RGB] * 5, id="NHW"),
        pytest.param(floats(RGB), [RGB], id="float"),
        pytest.param(floats(CHUNK.transpose(0, 3, 1, 2)), list(CHUNK), id="float NCHW"),
        pytest.param(floats(RGB).astype(np.float64), [RGB], id="float64"),
        pytest.param(RGB[:, ::-1], [RGB[:, ::-1]], id="mirrored view"),
        pytest.param(Image.fromarray(RGB), [RGB], id="PIL"),
        pytest.param(Image.fromarray(RGB).convert("RGBA"), [RGB], id="PIL RGBA"),
        pytest.param(Image.fromarray(np.ascontiguousarray(GREY)), [GREY_RGB], id="PIL grey"),
        pytest.param(Tensor(floats(RGB.transpose(2, 0, 1))), [RGB], id="tensor"),
        pytest.param(Tensor(floats(RGB.transpose(2, 0, 1)), device="cuda"), [RGB], id="tensor on a GPU"),
        pytest.param([RGB, Frame(GREY_RGB)], [RGB, GREY_RGB], id="list"),
    ],
)
def test_every_shape_and_library_gives_rgb(value: object, want: list[Pixels]) -> None:
    frames = as_frames(value, where="Pond.main_video")
    assert len(frames) == len(want)
    for frame, pixels in zip(frames, want, strict=True):
        assert frame.pixels.dtype == np.uint8
        assert frame.pixels.flags.c_contiguous
        assert np.array_equal(frame.pixels, pixels)


def test_a_ready_array_is_not_copied() -> None:
    assert np.shares_memory(as_frames(RGB, where="x")[0].pixels, RGB)
    assert np.shares_memory(as_frames(CHUNK, where="x")[1].pixels, CHUNK)


def test_half_floats_are_close_enough() -> None:
    (frame,) = as_frames(floats(RGB).astype(np.float16), where="x")
    assert np.abs(frame.pixels.astype(int) - RGB).max() <= 1


def test_a_little_overshoot_is_clipped() -> None:
    value = np.full((4, 4, 3), 1.01, np.float32)
    value[0] = -0.01
    (frame,) = as_frames(value, where="x")
    assert frame.pixels.max() == 255
    assert frame.pixels.min() == 0


def test_the_tag_of_a_frame_is_kept_and_the_sender_s_own_stamps_are_not() -> None:
    (frame,) = as_frames(Frame(RGB, user_data=b"tag", captured_us=5, number=9, client=2), where="x")
    assert (frame.user_data, frame.captured_us, frame.number, frame.client) == (b"tag", None, 0, None)
    assert np.array_equal(frame.pixels, RGB)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (RGB.transpose(2, 0, 1).astype(np.float32), "got float32 (3, 12, 20) in 0..255; divide by 255"),
        (RGB.astype(np.int64), "got int64 (12, 20, 3) in 0..255; convert it with .astype(numpy.uint8)"),
        (np.full((4, 4, 3), np.nan), "got float64 (4, 4, 3) in nan..nan"),
        (np.full((4, 4, 3), -1.0), "in -1..-1; scale it to 0..1"),
        (np.zeros((2, 2, 2, 2, 2), np.uint8), "got uint8 (2, 2, 2, 2, 2)"),
        (np.zeros((5, 7, 8, 9), np.uint8), "got uint8 (5, 7, 8, 9)"),
        (np.zeros((1, 9, 3), np.uint8), "expected sides of 2 pixels or more, got uint8 (1, 9, 3)"),
        (np.zeros((0, 9, 9, 3), np.uint8), "got uint8 (0, 9, 9, 3)"),
        (np.zeros(7, np.uint8), "got uint8 (7,)"),
        ("a picture", "got str"),
        (7, "got int"),
        ([], "got an empty list"),
        (np.array([["a"] * 4] * 4), "got <U1 (4, 4)"),
        (np.zeros((4, 4, 3), bool), "got bool (4, 4, 3)"),
        (Frame(RGB, user_data=b"x" * 1025), "user_data may hold 1024 bytes, got 1025"),
        (Frame(CHUNK), "a Frame holds one picture, got a chunk of 2"),
    ],
)
def test_what_cannot_be_a_frame_is_named(value: object, said: str) -> None:
    with pytest.raises(EmissionError, match=re.escape(said)) as caught:
        as_frames(value, where="Pond.main_video")
    assert str(caught.value).startswith("Pond.main_video: ")
