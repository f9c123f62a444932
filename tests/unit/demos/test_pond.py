"""What the pond promises; `tests/unit/runtime/authoring/test_pond.py` has it as the model of the tutorial."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from examples.pond import Pond, Water, noise
from livereactor.media.frames import Pixels
from livereactor.testing import Stage

STILL = {"rain": 0.0, "wind": 0.0}


def opened(**params: float) -> Stage:
    stage = Stage(Pond).open()
    for name, value in params.items():
        stage.command(f"set_{name}", **{name: value})
    return stage


def picture(stage: Stage, steps: int = 1) -> Pixels:
    """The picture after so many steps."""
    return [stage.step().frames["main_video"][0] for _ in range(steps)][-1]


def change(a: Pixels, b: Pixels) -> Any:
    """Per pixel, how far two pictures are apart, in grey levels."""
    return np.abs(a.astype(int) - b).mean(axis=2)


def ring(touched: Pixels, calm: Pixels, *, x: int, y: int) -> float:
    """Where the waves are, in pixels from (x, y): the mean distance of what changed."""
    rows, columns = np.mgrid[0 : touched.shape[0], 0 : touched.shape[1]]
    weight = change(touched, calm) ** 2
    return float((np.hypot(rows - y, columns - x) * weight).sum() / weight.sum())


def test_a_drop_makes_a_ring_that_travels_outwards() -> None:
    touched, calm = opened(**STILL), opened(**STILL)
    touched.command("drop", x=0.25, y=0.5, strength=2)
    radii = [ring(picture(touched, 6), picture(calm, 6), x=160, y=180) for _ in range(5)]
    speeds = np.diff(radii) / 6
    assert radii[0] < 30
    assert (speeds > 1.5).all()  # pixels a frame
    assert (speeds < 4).all()


def test_a_stronger_drop_makes_a_higher_wave() -> None:
    changes = list[float]()
    for strength in (0.0, 0.5, 2.0):
        touched, calm = opened(**STILL), opened(**STILL)
        touched.command("drop", x=0.5, y=0.5, strength=strength)
        changes.append(change(picture(touched, 8), picture(calm, 8)).mean())
    assert changes[0] == 0
    assert changes[2] > 2 * changes[1] > 0


@pytest.mark.parametrize(("x", "y"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_drop_may_fall_in_any_corner(x: float, y: float) -> None:
    touched, calm = opened(**STILL), opened(**STILL)
    touched.command("drop", x=x, y=y)
    changed = change(picture(touched, 3), picture(calm, 3))
    assert changed[int(y * 320) : int(y * 320) + 40, int(x * 600) : int(x * 600) + 40].mean() > 2
    assert changed[140:220, 280:360].max() == 0


def test_without_rain_and_wind_the_water_is_nearly_still_but_its_light_drifts() -> None:
    stage = opened(**STILL)
    first = before = picture(stage)
    for _ in range(60):
        now = picture(stage)
        assert change(before, now).mean() < 2
        before = now
    assert change(first, before).mean() > 8


@pytest.mark.parametrize("what", ["rain", "wind"])
def test_rain_and_wind_ruffle_it(what: str) -> None:
    still, ruffled = opened(**STILL), opened(**STILL | {what: 1.0})
    moved = [change(picture(stage, 20), picture(stage)).mean() for stage in (still, ruffled)]
    assert moved[1] > 2 * moved[0]


def test_the_light_goes_from_a_dim_dawn_over_noon_to_a_red_dusk() -> None:
    dawn, noon, dusk = (picture(opened(light=light, **STILL)).mean(axis=(0, 1)) for light in (0.0, 0.5, 1.0))
    assert noon.mean() > 1.4 * dawn.mean()
    assert noon.mean() > 1.4 * dusk.mean()
    assert dusk[0] / dusk[2] > 1.1 > noon[0] / noon[2]


def test_the_ground_is_lit_up_to_its_border() -> None:
    """Rays that would leave the picture neither pile up there nor leave it dark."""
    water, chance = Water(360, 640), np.random.default_rng(1)
    slopes = [[0.08 * noise(chance, water.shape, 12) for _ in range(2)] for _ in range(60)]
    light = np.mean([water.caustics(*both) for both in slopes], axis=0)
    for side in (light, light[::-1], light.T, light.T[::-1]):
        assert all(0.87 < line.mean() < 1.1 for line in side[:6])
    assert light[20:-20, 20:-20].mean() == pytest.approx(1, abs=0.03)


def test_a_session_sees_nothing_of_the_last_one() -> None:
    stage = opened()
    fresh = [picture(stage) for _ in range(12)]
    for name in ("rain", "wind", "light"):
        stage.command(f"set_{name}", **{name: 1.0})
    stage.command("drop", x=0.5, y=0.5, strength=5)
    picture(stage, 20)
    stage.open()
    assert all(np.array_equal(a, picture(stage)) for a in fresh)


def test_rain_and_touches_without_end_calm_down_in_seconds() -> None:
    stage = opened(rain=1.0, wind=0.0)
    for _ in range(150):
        stage.command("drop", x=0.5, y=0.5, strength=3)
        picture(stage)
    assert 40 < picture(stage).mean() < 220
    stage.command("set_rain", rain=0)
    picture(stage, 400)
    assert change(picture(stage), picture(stage)).mean() < 2
