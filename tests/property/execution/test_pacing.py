"""When steps run, over many histories and with the clock turned by hand."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livereactor.base.errors import IllegalTransitionError
from livereactor.runtime.execution.pacing import (
    IDLE_RATE,
    MAX_FREE_RATE,
    SOUND_LEAD,
    Backpressure,
    Closed,
    Kicked,
    Mode,
    Opened,
    Pacing,
    PacingState,
    Retuned,
    Stepped,
    Tuning,
    Wanted,
)

EPSILON = 1e-6


@dataclass
class Made:
    """One step: when it began, and whether it had output."""

    at: float
    emitted: bool


class Runner:
    """A model thread's loop with an imagined clock: steps last and kicks come as the test says."""

    def __init__(self, tuning: Tuning, kicks: list[tuple[float, str]] = ()) -> None:  # type: ignore[assignment]
        self.pacing, self.now, self.steps = Pacing(tuning), 0.0, list[Made]()
        self.kicks = sorted(kicks)
        self.pacing.handle(Opened(), 0.0)

    def run(self, until: float, duration, *, emits=lambda: True, sound: float = 0.0) -> list[Made]:
        """Run to `until`; `duration()` and `emits()` are asked per step."""
        while True:
            while self.kicks and self.kicks[0][0] <= self.now:
                self.pacing.handle(Kicked(self.kicks.pop(0)[1]), self.now)  # type: ignore[arg-type]
            due = self.pacing.deadline()
            wake = min(
                (each for each in (due, self.kicks[0][0] if self.kicks else None) if each is not None), default=None
            )
            if wake is None or max(wake, self.now) >= until:
                return self.steps
            self.now = max(wake, self.now)
            if due is not None and due <= self.now:
                began, emitted = self.now, emits()
                self.steps.append(Made(began, emitted))
                self.now += duration()
                self.pacing.handle(Stepped(began, emitted, sound if emitted else 0.0), self.now)


def rate(steps: list[Made]) -> float:
    return (len(steps) - 1) / (steps[-1].at - steps[0].at)


@given(seed=st.integers(0, 2**32), longest=st.floats(0, 0.0409))
@settings(max_examples=60, deadline=None)
def test_24_fps_stay_24_whatever_the_step_takes_below_41_ms(seed: int, longest: float) -> None:
    chance = random.Random(seed)
    steps = Runner(Tuning("eager", 24)).run(20.0, lambda: chance.uniform(0, longest))
    assert 23.7 <= rate(steps) <= 24.3


@given(
    fps=st.floats(1, 120),
    seed=st.integers(0, 2**32),
    kicks=st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["command", "input"])), max_size=200),
    longest=st.floats(0, 0.2),
)
@settings(max_examples=100, deadline=None)
def test_frames_never_come_faster_than_twice_the_fps_but_for_one_ahead(
    fps: float, seed: int, kicks: list[tuple[float, str]], longest: float
) -> None:
    chance = random.Random(seed)
    runner = Runner(Tuning("eager", fps), kicks)
    steps = runner.run(3.0, lambda: chance.uniform(0, longest), emits=lambda: chance.random() < 0.8)
    starts = [step.at for step in steps if step.emitted]
    # GCRA (ITU-T I.371): at rate 2 fps with one to spare, n Frames take at least (n - 2) half intervals, wherever.
    half, allowed = 0.5 / fps, float("-inf")
    for start in starts:
        assert start >= allowed - half - EPSILON
        allowed = max(allowed, start) + half


@given(
    fps=st.floats(1, 120),
    at=st.floats(0.5, 1.5),
    took=st.floats(0, 0.5),
    others=st.lists(st.floats(0, 1.5), max_size=30),
)
@settings(max_examples=100, deadline=None)
def test_after_a_command_the_next_step_is_now_unless_others_came_just_before(
    fps: float, at: float, took: float, others: list[float]
) -> None:
    runner = Runner(Tuning("eager", fps), [(each, "input") for each in others])
    runner.run(at, lambda: took / fps)
    now = max(at, runner.now)
    quiet = not any(now - 1 / fps < each for each in others)
    runner.pacing.handle(Kicked("command"), now)
    due = runner.pacing.deadline()
    assert due is not None
    assert due <= now + (EPSILON if quiet else 0.5 / fps + EPSILON)


def test_a_command_right_after_a_tick_is_answered_at_once_and_a_second_one_in_its_turn() -> None:
    kicks = [(0.01, "command"), (0.02, "command")]
    steps = Runner(Tuning("eager", 10), kicks).run(0.25, lambda: 0.0)
    assert [round(step.at, 3) for step in steps] == [0.0, 0.01, 0.05, 0.15]


def test_a_flood_of_commands_makes_twice_the_fps() -> None:
    steps = Runner(Tuning("eager", 30), [(n / 1000, "command") for n in range(3000)]).run(3.0, lambda: 0.001)
    assert rate(steps) == pytest.approx(60, rel=0.01)


def test_after_a_kick_the_tick_restarts_from_there() -> None:
    steps = Runner(Tuning("eager", 10), [(0.06, "command")]).run(0.3, lambda: 0.0)
    assert [round(step.at, 3) for step in steps] == [0.0, 0.06, 0.16, 0.26]


def test_a_steady_model_keeps_its_tick() -> None:
    steps = Runner(Tuning("steady", 10), [(0.06, "command"), (0.17, "input")]).run(0.35, lambda: 0.0)
    assert [round(step.at, 3) for step in steps] == [0.0, 0.1, 0.2, 0.3]


def test_a_camera_with_jitter_is_answered_at_once_and_not_beaten_by_the_tick() -> None:
    chance = random.Random(1)
    arrivals = [n / 30 + 0.004 * chance.random() for n in range(1, 60)]
    steps = Runner(Tuning("eager", 30), [(at, "input") for at in arrivals]).run(2.0, lambda: 0.002)
    answered = [min(abs(step.at - at) for step in steps) for at in arrivals]
    assert max(answered[1:]) < 0.001


def test_a_step_without_output_does_not_hold_up_the_frame_that_comes_after_it() -> None:
    runner = Runner(Tuning("eager", 10))
    runner.run(0.05, lambda: 0.001, emits=lambda: False)
    runner.pacing.handle(Kicked("input"), 0.05)
    assert runner.pacing.deadline() == 0.05


def test_a_slow_step_is_caught_up_by_one_interval_at_most() -> None:
    durations = iter([0.5] + [0.0] * 100)
    steps = Runner(Tuning("eager", 10)).run(1.05, lambda: next(durations))
    assert [round(step.at, 3) for step in steps] == [0.0, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9, 1.0]


@given(at=st.floats(0.3, 0.6))
@settings(max_examples=100, deadline=None)
def test_a_model_that_sleeps_to_its_rate_keeps_it_and_is_free_again_soon_after_a_command(at: float) -> None:
    """It sleeps in its step until its own beat; after a kicked step the model thread asks again only at that beat."""
    interval = 1 / 30
    runner = Runner(Tuning("eager", 30), [(at, "command")])
    beat = 0.0

    def sleeps() -> float:
        nonlocal beat
        slept = max(0.0, beat - runner.now)
        beat = max(beat, runner.now) + interval
        return slept + 0.0002

    steps = runner.run(2.0, sleeps)
    assert 28.5 <= rate(steps) <= 31.5
    late = [step for step in steps if step.at > at + 3 * interval]
    runner.kicks, runner.steps = [], []
    slept: list[float] = []

    def measured() -> float:
        slept.append(sleeps())
        return slept[-1]

    runner.run(3.0, measured)
    assert late
    assert max(slept) < 0.004


def test_a_free_model_runs_on_and_never_spins() -> None:
    assert rate(Runner(Tuning("free")).run(1.0, lambda: 0.01)) == pytest.approx(100)
    assert rate(Runner(Tuning("free")).run(1.0, lambda: 0.0)) == pytest.approx(MAX_FREE_RATE, rel=0.02)
    idle = Runner(Tuning("free")).run(1.0, lambda: 0.0, emits=lambda: False)
    assert len(idle) < IDLE_RATE + 6


def test_a_free_model_that_computes_between_its_outputs_is_not_slowed_down() -> None:
    turns = iter(range(10_000))
    steps = Runner(Tuning("free")).run(1.0, lambda: 0.02, emits=lambda: next(turns) % 10 == 9)
    assert rate(steps) == pytest.approx(50)


def test_sound_alone_is_made_as_fast_as_it_plays_and_a_little_ahead() -> None:
    steps = Runner(Tuning("sound")).run(10.0, lambda: 0.001, sound=0.02)
    assert rate(steps) == pytest.approx(50, rel=0.01)
    ahead = len([step for step in steps if step.at < 0.0025])
    assert ahead * 0.02 <= SOUND_LEAD + 0.02


@given(st.lists(st.floats(0, 0.05), min_size=1, max_size=400))
@settings(max_examples=50, deadline=None)
def test_sound_never_runs_out_when_steps_take_less_than_their_sound_on_average(takes: list[float]) -> None:
    durations = iter(takes + [0.001] * 2000)
    steps = Runner(Tuning("sound")).run(5.0, lambda: next(durations), sound=0.1)
    for index, step in enumerate(steps):
        assert step.at <= index * 0.1 + EPSILON


def test_nobody_there_or_no_room_means_no_step_and_afterwards_one_at_once() -> None:
    for off, on in ((Wanted(False), Wanted(True)), (Backpressure(False), Backpressure(True))):
        runner = Runner(Tuning("eager", 30))
        runner.run(0.5, lambda: 0.001)
        runner.pacing.handle(off, 0.5)
        runner.pacing.handle(Kicked("command"), 0.7)
        assert runner.pacing.deadline() is None
        runner.pacing.handle(on, 9.0)
        due = runner.pacing.deadline()
        assert due is not None
        assert due <= 9.0


def test_waiting_for_input_ends_by_input_a_command_or_its_time() -> None:
    for event, expected in ((Kicked("input"), 5.0), (Kicked("command"), 5.0)):
        pacing = Pacing(Tuning("steady", 30))
        pacing.handle(Opened(), 0.0)
        pacing.handle(Stepped(0.0, emitted=False, waits=True), 0.0)
        assert (pacing.state, pacing.deadline()) == (PacingState.WAITING, None)
        pacing.handle(event, 5.0)
        assert pacing.deadline() == expected
    pacing.handle(Stepped(5.0, emitted=False, waits=True, until=7.0), 5.0)
    assert pacing.deadline() == 7.0


def test_a_session_that_ends_has_no_deadline() -> None:
    pacing = Pacing(Tuning("eager"))
    pacing.handle(Opened(), 0.0)
    pacing.handle(Closed(), 0.0)
    assert pacing.deadline() is None
    with pytest.raises(IllegalTransitionError):
        pacing.handle(Stepped(0.0, emitted=True), 0.0)


EVENTS = st.one_of(
    st.just(Opened()),
    st.just(Closed()),
    st.builds(Wanted, st.booleans()),
    st.builds(Backpressure, st.booleans()),
    st.builds(Kicked, st.sampled_from(["command", "input"])),
    st.builds(Stepped, st.floats(0, 10), st.booleans(), st.floats(0, 1), st.booleans(), st.none() | st.floats(0, 20)),
    st.builds(Retuned, st.builds(Tuning, st.sampled_from(["eager", "steady", "free", "sound"]), st.floats(1, 120))),
)


def _history(events: list[tuple[float, object]], mode: Mode) -> None:
    """An illegal event changes nothing; a machine that is off has no deadline."""
    pacing, now = Pacing(Tuning(mode)), 0.0
    for wait, event in events:
        now += wait
        before = (pacing.state, pacing.deadline())
        try:
            pacing.handle(event, now)  # type: ignore[arg-type]
        except IllegalTransitionError:
            assert (pacing.state, pacing.deadline()) == before
        assert pacing.state is not PacingState.OFF or pacing.deadline() is None


HISTORIES = st.lists(st.tuples(st.floats(0, 1), EVENTS), max_size=60)
MODES = st.sampled_from(["eager", "steady", "free", "sound"])


@given(HISTORIES, MODES)
@settings(max_examples=150, deadline=None)
def test_any_history_leaves_the_machine_sound(events: list[tuple[float, object]], mode: Mode) -> None:
    _history(events, mode)


@pytest.mark.long
def test_a_million_events_leave_the_machine_sound() -> None:
    chance = random.Random(5)
    modes: list[Mode] = ["eager", "steady", "free", "sound"]

    def event() -> object:
        makers = (
            Opened,
            Closed,
            lambda: Wanted(chance.random() < 0.7),
            lambda: Backpressure(chance.random() < 0.7),
            lambda: Kicked("command" if chance.random() < 0.5 else "input"),
            lambda: Stepped(chance.uniform(0, 10), chance.random() < 0.7, chance.random(), chance.random() < 0.2),
            lambda: Retuned(Tuning(chance.choice(modes), chance.uniform(1, 120))),
        )
        return chance.choice(makers)()

    for _ in range(20_000):
        _history([(chance.random(), event()) for _ in range(50)], chance.choice(modes))
