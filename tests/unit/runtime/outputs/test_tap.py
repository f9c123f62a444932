"""The queue between what is played and what is recorded: it never waits, and drops past a second."""

from __future__ import annotations

import numpy as np

from livereactor.runtime.outputs import tap as tapping
from livereactor.runtime.outputs.tap import PlayedSound, ShownPicture, Tap


def shown(at: float) -> ShownPicture:
    return ShownPicture(at, np.zeros((48, 64, 3), np.uint8), 30.0, None)


def test_everything_comes_in_order() -> None:
    tap, done = Tap(), list[str]()
    first, second = shown(0.0), PlayedSound(0.1, np.zeros((480, 1), np.int16))
    tap.show(first)
    tap.do(lambda: done.append("asked"))
    tap.play(second)
    assert tap.get(0) is first
    job = tap.get(0)
    assert callable(job)
    job()
    assert tap.get(0) is second
    assert tap.get(0) is None
    assert done == ["asked"]


def test_what_is_more_than_a_second_behind_is_dropped_and_counted() -> None:
    tap = Tap()
    for number in range(60):
        tap.show(shown(number / 30))
    assert tap.dropped == 29
    tap.get(0)
    tap.show(shown(1.03))
    assert tap.dropped == 29


def test_large_pictures_fill_it_sooner() -> None:
    tap = Tap()
    most = tapping.MOST_BYTES // (1080 * 1920 * 3)
    large = np.zeros((1080, 1920, 3), np.uint8)
    for number in range(most + 3):
        tap.show(ShownPicture(number / 240, large, 240.0, None))
    assert tap.dropped == 3


def test_what_is_asked_finds_room_though_it_is_full_or_closed() -> None:
    tap = Tap()
    tap.show(shown(0.0))
    tap.show(shown(5.0))
    tap.close()
    tap.show(shown(0.1))
    tap.do(lambda: None)
    assert tap.dropped == 1
    assert [tap.get(0) is not None for _ in range(3)] == [True, True, False]
