"""The films of the demo models: what a gallery promises of them, and that they go round without a jump."""

from __future__ import annotations

import importlib.util
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest

from livereactor.coordinator.http.routes.models import Preview

EXAMPLES = Path(__file__).parents[3] / "examples"
FILMS = sorted([*EXAMPLES.glob("*.webm"), *EXAMPLES.glob("*/*.webm")])


@pytest.fixture(scope="module")
def make_loops() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_loops", EXAMPLES / "make_loops.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for what it imports
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("film", FILMS, ids=lambda film: film.stem)
def test_a_film_is_short_small_and_silent(film: Path) -> None:
    assert Preview(film.read_bytes()).fault() is None
    assert film.stat().st_size <= 250_000
    with av.open(film) as container:
        (stream,) = container.streams
        assert (stream.type, stream.codec_context.name) == ("video", "vp9")
        pictures = [each.to_ndarray(format="rgb24") for each in container.decode(video=0)]
    assert (len(pictures), pictures[0].shape) == (60, (180, 320, 3))
    assert any((pictures[0] != each).any() for each in pictures[1:])


def test_every_demo_model_has_its_film(make_loops: ModuleType) -> None:
    for name, scene in make_loops.SCENES.items():
        assert (EXAMPLES / scene.file).is_file()
        assert (EXAMPLES / scene.file).with_suffix(".webm") in FILMS, name


def test_the_last_pictures_melt_into_those_before_the_first(make_loops: ModuleType) -> None:
    ramp = [np.full((2, 2, 3), 2 * at, np.uint8) for at in range(60 + make_loops.MELT)]
    shown = make_loops.melted(list(ramp))
    assert len(shown) == 60
    levels = [int(each[0, 0, 0]) for each in shown]
    assert levels[0] == 2 * make_loops.MELT
    assert abs(levels[-1] - levels[0]) < 12  # a plain cut would jump by 118
    assert max(abs(one - other) for one, other in pairwise(levels)) < 22
