"""The example and the rival models show the same picture, and its barcode says what it should."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.official import picture
from livereactor.probes.watching import read_barcode
from tests.tools.processes import REPOSITORY


@pytest.fixture(scope="module")
def example() -> ModuleType:
    sys.path.insert(0, str(REPOSITORY / "examples"))
    try:
        import conformance  # pyright: ignore[reportMissingImports]: an example, not a package
    finally:
        sys.path.pop(0)
    return conformance


@given(st.sampled_from([(640, 360), (416, 240), (64, 64), (641, 363)]), st.integers(1, 2**31 - 1), st.booleans())
def test_both_models_draw_the_same(example: ModuleType, size: tuple[int, int], counter: int, flashes: bool) -> None:
    color = (255, 136, 0) if flashes else None
    ours = example.Pattern(*size).frame(counter, color)
    code = read_barcode(ours)
    assert code is not None
    assert code.counter == counter
    rival = picture.Pattern(*size).frame(counter, color, clock_us=code.clock_us)
    assert np.array_equal(ours, rival)
    assert example.read_counter(ours) == picture.read_counter(rival) == counter


@given(st.integers(1, 1000))
def test_the_pattern_moves(example: ModuleType, counter: int) -> None:
    pattern = example.Pattern(640, 360)
    first, second = pattern.frame(counter, None), pattern.frame(counter + 1, None)
    assert np.array_equal(first[60:, example.SHIFT :], second[60:, : -example.SHIFT])
    assert not np.array_equal(first[60:], second[60:])
