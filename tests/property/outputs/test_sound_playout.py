"""Sound play-out: every sample once and in order, a block each 10 ms, silence only where the model gave none."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livereactor.media.frames import Samples, Sound
from livereactor.runtime.outputs.audio import GRACE, LEAD, SoundPlayout

RATE = 8000
PUSHES = st.lists(st.tuples(st.integers(0, 900), st.floats(0, 0.3)), max_size=20)  # samples, pause before


def ramp(start: int, count: int) -> Samples:
    return (np.arange(start, start + count) % 30_000 + 1).astype(np.int16).reshape(-1, 1)


def run_to(playout: SoundPlayout, now: float, *, wanted: bool = True) -> list[Sound]:
    """Wake exactly at each deadline up to `now`, as the thread does."""
    blocks = list[Sound]()
    while (at := playout.deadline(wanted=wanted)) is not None and at <= now:
        blocks += playout.due(at, wanted=wanted)
    return blocks


def history(pushes: list[tuple[int, float]]) -> None:
    playout, now, sent, blocks = SoundPlayout(RATE, 1), 0.0, 0, list[Sound]()
    playout.listen(now)
    for count, pause in pushes:
        now += pause
        blocks += run_to(playout, now)
        playout.push(ramp(sent, count), now=now)
        sent += count
    end = now + playout.seconds + 1.0
    blocks += run_to(playout, end)
    assert all(block.samples.shape == (RATE // 100, 1) for block in blocks)
    heard = np.concatenate([block.samples[:, 0] for block in blocks])
    assert np.array_equal(heard[heard != 0], ramp(0, sent)[:, 0])
    assert len(blocks) == pytest.approx(end * 100, abs=(LEAD + GRACE) * 100 + 1)


@settings(deadline=None)
@given(PUSHES)
def test_every_sample_leaves_once_in_order_and_the_clock_never_stops(pushes: list[tuple[int, float]]) -> None:
    history(pushes)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_it_holds_in_ten_thousand_more_histories() -> None:
    """Each plays some seconds of sound, block by block: a million of them would be weeks of it."""
    dice = random.Random(1)
    for _ in range(10_000):
        history([(dice.randint(0, 900), 0.3 * dice.random()) for _ in range(dice.randint(0, 12))])


@settings(deadline=None)
@given(st.integers(24, 60), st.lists(st.floats(0, 0.012), min_size=40, max_size=40))
def test_sound_made_frame_by_frame_with_jitter_has_no_hole(fps: int, late: list[float]) -> None:
    playout, blocks, bounds = SoundPlayout(48_000, 1), list[Sound](), [round(48_000 * n / fps) for n in range(42)]
    playout.listen(0.0)
    for number, delay in enumerate([0.0, *late]):
        now = number / fps + delay
        blocks += run_to(playout, now)
        playout.push(ramp(bounds[number], bounds[number + 1] - bounds[number]), now=now)
    heard = np.concatenate([block.samples[:, 0] for block in blocks])
    first = int(np.argmax(heard != 0))
    assert first <= 48_000 * (LEAD + 0.01)
    assert (heard[first:] != 0).all()


def test_a_block_s_capture_time_is_that_of_its_samples() -> None:
    playout = SoundPlayout(RATE, 2)
    playout.listen(1.0)
    playout.push(np.ones((RATE // 10, 2), np.int16), now=1.0)
    sounding = [block for block in run_to(playout, 1.2) if block.samples.any()]
    assert [block.captured_us for block in sounding] == [1_000_000 + 10_000 * n for n in range(10)]


def test_with_nobody_there_the_queue_drains_in_real_time_and_the_clock_stops() -> None:
    playout = SoundPlayout(RATE, 1)
    playout.push(ramp(0, RATE), now=0.0)
    run_to(playout, 0.5, wanted=False)
    assert playout.seconds == pytest.approx(0.5, abs=0.03)
    run_to(playout, 2.0, wanted=False)
    assert playout.seconds == 0
    assert playout.deadline(wanted=False) is None


def test_after_a_stall_sound_is_where_it_would_have_been_without() -> None:
    playout = SoundPlayout(RATE, 1)
    playout.listen(0.0)
    playout.push(ramp(0, 4 * RATE), now=0.0)
    run_to(playout, 1.0)
    late = playout.due(3.0, wanted=True)
    assert len(late) == pytest.approx(50, abs=1)
    assert playout.left_out / RATE == pytest.approx(1.5, abs=2 * LEAD)
    assert playout.seconds == pytest.approx(1.0, abs=2 * LEAD)


def test_a_night_s_sleep_is_not_made_up_for() -> None:
    playout = SoundPlayout(RATE, 1)
    playout.listen(0.0)
    run_to(playout, 1.0)
    assert len(playout.due(30_000.0, wanted=True)) == 1


def test_blocks_are_ten_milliseconds_apart() -> None:
    playout = SoundPlayout(RATE, 1)
    playout.listen(0.0)
    stamps = [block.captured_us or 0 for block in run_to(playout, 0.1)]
    assert [later - earlier for earlier, later in itertools.pairwise(stamps)] == [10_000] * (len(stamps) - 1)


class ByTheClock:
    """A model that gives at each step what belongs to the time since the one before."""

    def __init__(self) -> None:
        self.playout, self.now, self.given = SoundPlayout(RATE, 1), 0.0, 0
        self.playout.listen(0.0)

    def step(self, seconds: float, *, chunk: bool = False) -> list[Sound]:
        self.now += seconds
        blocks, count = run_to(self.playout, self.now), round(self.now * RATE) - self.given
        self.playout.push(ramp(self.given, count), now=self.now, chunk=chunk)
        self.given += count
        return blocks


@settings(deadline=None)
@given(st.lists(st.floats(0.2, 3.5), min_size=1, max_size=3), st.floats(0.0, 0.03))
def test_sound_by_the_clock_is_not_late_for_good_after_stalls(stalls: list[float], jitter: float) -> None:
    model = ByTheClock()
    for stall in stalls:
        for step in range(30):
            model.step(1 / 30 + (jitter if step % 2 else -jitter))
        model.step(stall)
    for _ in range(20):
        model.step(1 / 30)
    assert model.playout.seconds < 0.2
    assert model.playout.left_out >= (sum(stalls) - 0.15 * len(stalls)) * RATE
    newest = run_to(model.playout, model.now)[-1:] or model.step(0.02)
    assert (model.now * RATE - float(newest[-1].samples[0, 0])) % 30_000 < 0.2 * RATE


def test_only_what_silence_was_played_for_is_left_out() -> None:
    model = ByTheClock()
    for _ in range(30):
        model.step(1 / 30)
    model.step(2.0)
    assert model.playout.left_out / RATE == pytest.approx(2.0, abs=0.05)
    assert model.playout.seconds == pytest.approx(1 / 30, abs=0.03)
    first = next(block for block in run_to(model.playout, model.now + 0.1) if block.samples.any())
    assert first.captured_us == round(model.now * 1e6)


def test_a_stall_between_the_model_s_look_at_the_clock_and_its_sound_is_made_up_for_too() -> None:
    model = ByTheClock()
    for _ in range(30):
        model.step(1 / 30)
    late = ramp(model.given, RATE // 30)
    model.now += 2.0
    run_to(model.playout, model.now)
    model.playout.push(late, now=model.now)
    model.given += RATE // 30
    model.step(0.001)
    assert model.playout.seconds < 0.15


@pytest.mark.parametrize("seed", range(20))
def test_speech_made_ahead_is_heard_whole_however_long_the_pauses_are(seed: int) -> None:
    dice, playout, now = random.Random(seed), SoundPlayout(RATE, 1), 0.0
    playout.listen(now)
    for _ in range(40):
        now += 2.5 * dice.random()
        bits = dice.choice((1, 20, 100))  # a sentence at once, or as it is made, faster than it is spoken
        for count in [round((0.3 + 2.5 * dice.random()) * RATE / bits)] * bits:
            now += count / RATE / dice.choice((3, 10))
            run_to(playout, now)
            playout.push(ramp(0, count), now=now)
    assert playout.left_out == 0


def test_a_model_that_is_kept_waiting_by_a_full_queue_loses_nothing_after_a_stall() -> None:
    playout, now = SoundPlayout(RATE, 1), 0.0
    playout.listen(now)
    for step in range(3000):
        now += 7.0 if step % 1000 == 999 else 0.001
        run_to(playout, now)
        while not playout.has_capacity():
            now += 0.01
            run_to(playout, now)
        playout.push(ramp(0, RATE // 20), now=now)
    assert playout.left_out == 0


def test_sound_of_chunks_stays_with_its_pictures_which_are_all_shown() -> None:
    model = ByTheClock()
    for _ in range(30):
        model.step(0.5, chunk=True)
    model.step(2.0, chunk=True)
    assert model.playout.left_out == 0


def test_a_model_whose_steps_become_slow_loses_no_more_than_its_first_long_bit() -> None:
    model = ByTheClock()
    for _ in range(30):
        model.step(1 / 30)
    for _ in range(50):
        model.step(0.15)
    assert model.playout.left_out <= 0.15 * RATE
