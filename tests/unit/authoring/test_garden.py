"""The second demo model: what grows, how much of it, and that it is the same for everybody."""

from __future__ import annotations

import numpy as np

from examples.garden import Bed, Garden
from livereactor.runtime.seam import MessageOut
from livereactor.testing import Stage


def test_something_grows_where_it_is_touched() -> None:
    with Stage(Garden) as touched, Stage(Garden) as left:
        assert touched.command("plant", x=0.5, y=0.9) == MessageOut("planted", {"plants": 9})
        a, b = (stage.run(2.0)[-1][1].frames["main_video"][0] for stage in (touched, left))
    assert a.shape == (360, 640, 3)
    changed = np.abs(a.astype(int) - b).max(axis=2) > 40
    assert changed[:, 240:400].sum() > 400
    assert changed[:, :160].sum() == 0


def test_the_oldest_goes_where_there_are_too_many() -> None:
    with Stage(Garden) as stage:
        counts = [stage.command("plant", x=0.5, y=0.5) for _ in range(Bed.MOST)]
    assert counts[-1] == MessageOut("planted", {"plants": Bed.MOST})


def test_a_season_recolours_the_picture_and_ends_with_the_session() -> None:
    stage = Stage(Garden).open()
    spring = stage.step().frames["main_video"][0]
    assert stage.command("set_season", season="autumn") is None
    autumn = stage.step().frames["main_video"][0]
    assert np.abs(spring.astype(int) - autumn).mean() > 20
    stage.command("plant", x=0.2, y=0.7)
    stage.open()
    assert np.array_equal(stage.step().frames["main_video"][0], spring)
