"""Frames that carry a `FrameToken`, through what an encoder's input does to them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livereactor.engine.libwebrtc.frame_tokens import HEIGHT, WIDTH, FrameToken, draw, read

FIELD = st.integers(0, 2**32 - 1)


def luma_of(bgra: bytes) -> np.ndarray:
    picture = np.frombuffer(bgra, np.uint8).reshape(HEIGHT, WIDTH, 4)
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2YUV_I420)[:HEIGHT]


@given(viewer=FIELD, number=FIELD)
def test_what_was_drawn_is_read(viewer: int, number: int) -> None:
    token = FrameToken(viewer, number)
    assert read(luma_of(draw(token)).tobytes(), width=WIDTH, height=HEIGHT) == token


@given(viewer=FIELD, number=FIELD, scale=st.sampled_from([(48, 27), (32, 18)]))
def test_a_token_survives_the_scaling_an_encoder_under_load_does(
    viewer: int, number: int, scale: tuple[int, int]
) -> None:
    small = cv2.resize(luma_of(draw(FrameToken(viewer, number))), scale, interpolation=cv2.INTER_AREA)
    assert read(small.tobytes(), width=scale[0], height=scale[1]) == FrameToken(viewer, number)


@given(viewer=FIELD, number=FIELD, noise=st.integers(0, 2**32 - 1))
def test_a_token_survives_noise(viewer: int, number: int, noise: int) -> None:
    luma = luma_of(draw(FrameToken(viewer, number))).astype(int)
    noisy = luma + np.random.default_rng(noise).integers(-60, 61, luma.shape)
    assert read(noisy.clip(0, 255).astype(np.uint8).tobytes(), width=WIDTH, height=HEIGHT) == FrameToken(viewer, number)


@given(st.binary(min_size=WIDTH * HEIGHT, max_size=WIDTH * HEIGHT))
def test_any_other_picture_is_no_token(luma: bytes) -> None:
    assert read(luma, width=WIDTH, height=HEIGHT) is None


@pytest.mark.parametrize(("width", "height"), [(0, 0), (8, 4), (64, 4), (4096, 2160)])
def test_a_picture_of_another_size_or_too_short_is_no_token(width: int, height: int) -> None:
    assert read(b"", width=width, height=height) is None
