"""Sound from what authors yield, and pictures fitted to a track's size."""

from __future__ import annotations

import re

import numpy as np
import pytest

from livereactor.base.errors import EmissionError
from livereactor.media.fit import Fit, fitted
from livereactor.media.frames import Pixels, Sound
from livereactor.media.pixels import as_sound

TONE = (np.sin(np.arange(480) / 7) * 20_000).astype(np.int16)
STEREO = np.stack([TONE, -TONE], axis=1)


@pytest.mark.parametrize(
    ("value", "channels", "want"),
    [
        (TONE, 1, TONE[:, None]),
        (TONE[:, None], 1, TONE[:, None]),
        (TONE[None], 1, TONE[:, None]),
        (TONE, 2, np.stack([TONE, TONE], axis=1)),
        (STEREO, 2, STEREO),
        (STEREO.T, 2, STEREO),
        (Sound(STEREO, 48_000), 2, STEREO),
    ],
)
def test_every_shape_gives_samples_by_channels(value: object, channels: int, want: np.ndarray) -> None:
    sound = as_sound(value, rate=48_000, channels=channels, where="x")
    assert sound.rate == 48_000
    assert np.array_equal(sound.samples, want)


def test_floats_are_scaled_and_clipped() -> None:
    sound = as_sound(np.array([0, 0.5, -1, 1.5], np.float32), rate=8000, channels=1, where="x")
    assert sound.samples[:, 0].tolist() == [0, 16384, -32767, 32767]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (TONE.astype(np.float32), "got float32 (480,)"),
        (TONE.astype(np.int32), "got int32 (480,)"),
        (np.zeros((480, 3), np.int16), "got int16 (480, 3)"),
        (np.full(4, np.nan), "got float64 (4,) in nan..nan"),
        (Sound(STEREO, 44_100), "expected 48000 samples a second, got 44100"),
        (None, "got NoneType"),
    ],
)
def test_what_cannot_be_sound_is_named(value: object, said: str) -> None:
    with pytest.raises(EmissionError, match=re.escape(said)):
        as_sound(value, rate=48_000, channels=2, where="Pond.voice")


HALVES: Pixels = np.zeros((100, 200, 3), np.uint8)
HALVES[:, 100:] = 255


@pytest.mark.parametrize(
    ("fit", "column"),
    [
        ("stretch", [0] * 50 + [255] * 50),
        ("cover", [0] * 50 + [255] * 50),
        ("contain", [0] * 100),
    ],
)
def test_fitting_gives_the_size_asked_for(fit: Fit, column: list[int]) -> None:
    result = fitted(HALVES, width=100, height=100, fit=fit)
    assert result.shape == (100, 100, 3)
    assert result[2, :, 0].tolist() == column


def test_contain_shows_all_of_it_in_the_middle() -> None:
    result = fitted(HALVES, width=100, height=100, fit="contain")
    assert result[25:75, 60:].min() == 255
    assert result[:25].max() == 0
    assert result[75:].max() == 0


def test_the_right_size_is_left_alone() -> None:
    assert fitted(HALVES, width=200, height=100, fit="cover") is HALVES


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (2, 997), (997, 2), (31, 17)])
def test_extreme_shapes_fit_too(fit: Fit, size: tuple[int, int]) -> None:
    assert fitted(HALVES, width=size[0], height=size[1], fit=fit).shape == (size[1], size[0], 3)
