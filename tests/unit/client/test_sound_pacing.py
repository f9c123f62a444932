"""Blocks of pushed sound: cut without loss, and never faster than they play."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from livereactor.client.tracks.publishing import BLOCKS, LEAD, MAX_QUEUED, SoundPacer
from livereactor.media.frames import Sound

RATE = 8_000


def sound(first: int, count: int, *, rate: int = RATE, channels: int = 1) -> Sound:
    ramp = (np.arange(first, first + count) % 30_000).astype(np.int16)
    return Sound(np.repeat(ramp[:, None], channels, axis=1), rate)


@given(st.lists(st.tuples(st.integers(0, 3_000), st.floats(0, 0.3)), max_size=30))
def test_every_sample_leaves_once_in_order_and_none_ahead_of_its_time(pushes: list[tuple[int, float]]) -> None:
    pacer, now, pushed, sent = SoundPacer(), 0.0, 0, list[int]()
    first_at: float | None = None
    for count, pause in pushes:
        assert pacer.push(sound(pushed, count)) == 0
        pushed += count
        until = now + pause
        while (at := pacer.deadline()) is not None and at <= until:
            now = max(now, at)
            blocks = pacer.due(now)
            assert blocks
            first_at = now if first_at is None else first_at
            sent += [int(value) for block in blocks for value in block.samples[:, 0]]
            assert len(sent) / RATE <= now - first_at + LEAD + 2 / BLOCKS
        now = until
    assert sent == [value % 30_000 for value in range(len(sent))]
    assert len(sent) % (RATE // BLOCKS) == 0


def test_live_sound_leaves_at_once_though_it_comes_unevenly() -> None:
    pacer = SoundPacer()
    for number, late in enumerate((0.0, 0.004, 0.0, 0.008, 0.001)):
        pacer.push(sound(0, 80))
        assert len(pacer.due(number / BLOCKS + late)) == 1


def test_after_a_pause_sound_leaves_at_once_and_not_in_a_burst_for_the_time_lost() -> None:
    pacer = SoundPacer()
    pacer.push(sound(0, 80))
    pacer.due(0.0)
    pacer.push(sound(0, RATE))
    assert len(pacer.due(10.0)) == round(LEAD * BLOCKS) + 1


def test_a_change_of_format_drops_the_rest_and_keeps_the_whole_blocks() -> None:
    pacer = SoundPacer()
    pacer.push(sound(0, 100))
    pacer.push(sound(0, 160, rate=16_000, channels=2))
    assert [(block.rate, block.samples.shape) for block in pacer.due(0.0)] == [(8_000, (80, 1)), (16_000, (160, 2))]


def test_what_is_pushed_far_ahead_is_lost_and_counted() -> None:
    pacer = SoundPacer()
    assert pacer.push(sound(0, round((MAX_QUEUED + 1) * RATE))) == BLOCKS
    assert pacer.seconds == MAX_QUEUED
