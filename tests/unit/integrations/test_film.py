"""A film shows each Frame for as long as it was shown, at one size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from livereactor.integrations.film import Film


def grey(value: int, *, width: int = 120, height: int = 90) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def pictures(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def test_each_frame_is_shown_when_it_was_shown(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    times = [0.0, 0.1, 0.13, 0.5, 0.6]
    with Film(path) as film:
        for number, at in enumerate(times):
            film.add(grey(40 * number), at=100 + at)
    shown = pictures(path)
    assert [frame.time for frame in shown] == pytest.approx(times, abs=0.001)
    assert [round(frame.to_ndarray(format="rgb24").mean() / 40) for frame in shown] == [0, 1, 2, 3, 4]
    assert film.frames == 5


def test_the_first_frame_settles_an_even_size(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with Film(path) as film:
        film.add(grey(200, width=121, height=91), at=0.0)
        film.add(grey(200, width=60, height=90), at=0.1)
    first, second = (frame.to_ndarray(format="rgb24") for frame in pictures(path))
    assert first.shape == second.shape == (90, 120, 3)
    assert second[45, 60].min() > 180
    assert second[45, 5].max() < 20


def test_a_frame_that_is_not_later_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with Film(path) as film:
        for at in (1.0, 1.0, 0.5, 1.1):
            film.add(grey(90), at=at)
    assert len(pictures(path)) == film.frames == 2


def test_the_index_comes_first_so_that_it_plays_while_it_loads(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with Film(path) as film:
        film.add(grey(90), at=0.0)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_without_a_frame_there_is_no_file(tmp_path: Path) -> None:
    film = Film(tmp_path / "film.mp4")
    film.close()
    film.close()
    assert not (tmp_path / "film.mp4").exists()


def test_a_frame_that_comes_after_the_end_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with Film(path) as film:
        film.add(grey(90))
    film.add(grey(90))
    assert len(pictures(path)) == film.frames == 1


def test_a_place_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Film(tmp_path / "nowhere" / "film.mp4").add(grey(90))
