"""Rungs: rates stay in bounds, everybody ends where its rate belongs, and slow viewers cost the others nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livereactor.media.rate import FALL_BELOW, FLOOR, RISE_ABOVE
from livereactor.runtime.outputs.quality_layers import (
    LOW_BPS,
    SHARE,
    CeilingSet,
    Joined,
    Left,
    Move,
    RateHeard,
    Rung,
    RungEvent,
    Rungs,
    SetRate,
    Woken,
)

CEILING = 2_500_000
VIEWERS = st.integers(1, 4)
EVENTS = st.one_of(
    st.builds(Joined, VIEWERS),
    st.builds(Left, VIEWERS),
    st.builds(RateHeard, VIEWERS, st.integers(0, 10_000_000)),
    st.builds(CeilingSet, st.integers(300_000, 10_000_000)),
    st.just(Woken()),
)
HISTORY = st.lists(st.tuples(EVENTS, st.floats(0, 3)), max_size=40)


class Room:
    """What the shell knows after carrying out the effects."""

    def __init__(self) -> None:
        self.rungs, self.now, self.ceiling = Rungs(CEILING), 0.0, CEILING
        self.bps = {Rung.MAIN: CEILING, Rung.LOW: LOW_BPS[1]}
        self.where = dict[int, Rung]()
        self.rates = dict[int, int]()

    def handle(self, event: RungEvent) -> None:
        match event:
            case Joined(viewer):
                self.where.setdefault(viewer, Rung.MAIN)
            case Left(viewer):
                self.where.pop(viewer, None)
                self.rates.pop(viewer, None)
            case RateHeard(viewer, bps) if viewer in self.where:
                self.rates[viewer] = bps
            case CeilingSet(bps):
                self.ceiling = bps
            case _:
                pass
        for effect in self.rungs.handle(event, self.now):
            match effect:
                case Move(viewer, rung):
                    assert self.where[viewer] is not rung
                    self.where[viewer] = rung
                case SetRate(rung, bps):
                    self.bps[rung] = bps

    def settle(self) -> None:
        for _ in range(50):
            at = self.rungs.deadline()
            if at is None:
                return
            self.now = max(self.now, at)
            self.handle(Woken())
        pytest.fail("it never comes to rest")


def history(events: list[tuple[RungEvent, float]]) -> None:
    room = Room()
    for event, pause in events:
        room.now += pause
        room.handle(event)
        assert min(FLOOR, room.ceiling) <= room.bps[Rung.MAIN] <= room.ceiling
        assert LOW_BPS[0] <= room.bps[Rung.LOW] <= LOW_BPS[1]
    room.settle()
    capped = {viewer: min(bps, room.ceiling) for viewer, bps in room.rates.items()}
    share = SHARE * max(capped.values(), default=0)
    for viewer, rung in room.where.items():
        assert rung is (Rung.MAIN if capped.get(viewer, share) >= share else Rung.LOW)
    lowest = min((bps for bps in capped.values() if bps >= share), default=room.ceiling)
    assert room.bps[Rung.MAIN] * FALL_BELOW <= max(lowest, FLOOR) + 1
    assert lowest <= room.bps[Rung.MAIN] * RISE_ABOVE + 1


@settings(deadline=None)
@given(HISTORY)
def test_rates_stay_in_bounds_and_everybody_ends_where_its_rate_belongs(events: list[tuple[RungEvent, float]]) -> None:
    history(events)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_it_holds_in_a_million_histories() -> None:
    dice = random.Random(1)
    for _ in range(1_000_000):
        history([(any_event(dice), 3 * dice.random()) for _ in range(dice.randint(0, 12))])


def any_event(dice: random.Random) -> RungEvent:
    viewer = dice.randint(1, 4)
    heard = RateHeard(viewer, round(10 ** dice.uniform(4, 7)))
    return dice.choice([Joined(viewer), Left(viewer), heard, CeilingSet(dice.randint(300_000, 10_000_000)), Woken()])


def room_of(*rates: int) -> Room:
    room = Room()
    for viewer, bps in enumerate(rates, 1):
        room.handle(Joined(viewer))
        room.handle(RateHeard(viewer, bps))
    return room


def test_a_slow_viewer_moves_after_half_a_second_and_the_main_rate_never_changes() -> None:
    room = room_of(8_000_000, 300_000)
    room.now = 0.49
    room.handle(Woken())
    assert room.where[2] is Rung.MAIN
    room.now = 0.5
    room.handle(Woken())
    assert room.where[2] is Rung.LOW
    room.settle()
    assert room.bps == {Rung.MAIN: CEILING, Rung.LOW: 300_000}


def test_it_comes_back_after_five_seconds_above() -> None:
    room = room_of(8_000_000, 300_000)
    room.settle()
    back = room.now
    room.handle(RateHeard(2, 5_000_000))
    room.now = back + 4.9
    room.handle(Woken())
    assert room.where[2] is Rung.LOW
    room.now = back + 5.0
    room.handle(Woken())
    assert room.where[2] is Rung.MAIN


def test_a_short_dip_changes_nothing() -> None:
    room = room_of(8_000_000, 8_000_000)
    room.handle(RateHeard(2, 100_000))
    room.now = 0.4
    room.handle(RateHeard(2, 8_000_000))
    room.settle()
    assert set(room.where.values()) == {Rung.MAIN}
    assert room.bps[Rung.MAIN] == CEILING


def test_a_viewer_above_the_share_sets_the_rate_for_all() -> None:
    room = room_of(8_000_000, 1_800_000)
    room.settle()
    assert room.where[2] is Rung.MAIN
    assert room.bps[Rung.MAIN] == 1_800_000


def test_an_only_viewer_stays_on_the_main_rung_however_slow() -> None:
    room = room_of(200_000)
    room.settle()
    assert room.where[1] is Rung.MAIN
    assert room.bps[Rung.MAIN] == 200_000


def test_who_never_says_a_rate_holds_nobody_back() -> None:
    room = room_of(2_000_000)
    room.handle(Joined(9))
    room.settle()
    assert room.where == {1: Rung.MAIN, 9: Rung.MAIN}
    assert room.bps[Rung.MAIN] == 2_000_000
