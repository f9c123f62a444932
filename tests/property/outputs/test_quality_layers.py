"""Quality layers: rates stay in bounds, viewers end where their rates belong, slow viewers cost others nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livereactor.media.rate import FALL_BELOW, FLOOR, RISE_ABOVE
from livereactor.runtime.outputs.quality_layers import (
    LOW_BPS,
    SHARE,
    CeilingChanged,
    DeadlinePassed,
    LayerEvent,
    MoveViewer,
    QualityLayer,
    QualityLayers,
    SetRate,
    ViewerJoined,
    ViewerLeft,
    ViewerRate,
)

CEILING = 2_500_000
VIEWERS = st.integers(1, 4)
EVENTS = st.one_of(
    st.builds(ViewerJoined, VIEWERS),
    st.builds(ViewerLeft, VIEWERS),
    st.builds(ViewerRate, VIEWERS, st.integers(0, 10_000_000)),
    st.builds(CeilingChanged, st.integers(300_000, 10_000_000)),
    st.just(DeadlinePassed()),
)
HISTORY = st.lists(st.tuples(EVENTS, st.floats(0, 3)), max_size=40)


class Room:
    """What the shell knows after carrying out the effects."""

    def __init__(self) -> None:
        self.layers, self.now, self.ceiling = QualityLayers(CEILING), 0.0, CEILING
        self.bps = {QualityLayer.MAIN: CEILING, QualityLayer.LOW: LOW_BPS[1]}
        self.where = dict[int, QualityLayer]()
        self.rates = dict[int, int]()

    def handle(self, event: LayerEvent) -> None:
        match event:
            case ViewerJoined(viewer):
                self.where.setdefault(viewer, QualityLayer.MAIN)
            case ViewerLeft(viewer):
                self.where.pop(viewer, None)
                self.rates.pop(viewer, None)
            case ViewerRate(viewer, bps) if viewer in self.where:
                self.rates[viewer] = bps
            case CeilingChanged(bps):
                self.ceiling = bps
            case _:
                pass
        for effect in self.layers.handle(event, self.now):
            match effect:
                case MoveViewer(viewer, layer):
                    assert self.where[viewer] is not layer
                    self.where[viewer] = layer
                case SetRate(layer, bps):
                    self.bps[layer] = bps

    def settle(self) -> None:
        for _ in range(50):
            at = self.layers.deadline()
            if at is None:
                return
            self.now = max(self.now, at)
            self.handle(DeadlinePassed())
        pytest.fail("it never comes to rest")


def history(events: list[tuple[LayerEvent, float]]) -> None:
    room = Room()
    for event, pause in events:
        room.now += pause
        room.handle(event)
        assert min(FLOOR, room.ceiling) <= room.bps[QualityLayer.MAIN] <= room.ceiling
        assert LOW_BPS[0] <= room.bps[QualityLayer.LOW] <= LOW_BPS[1]
    room.settle()
    capped = {viewer: min(bps, room.ceiling) for viewer, bps in room.rates.items()}
    share = SHARE * max(capped.values(), default=0)
    for viewer, layer in room.where.items():
        assert layer is (QualityLayer.MAIN if capped.get(viewer, share) >= share else QualityLayer.LOW)
    lowest = min((bps for bps in capped.values() if bps >= share), default=room.ceiling)
    assert room.bps[QualityLayer.MAIN] * FALL_BELOW <= max(lowest, FLOOR) + 1
    assert lowest <= room.bps[QualityLayer.MAIN] * RISE_ABOVE + 1


@settings(deadline=None)
@given(HISTORY)
def test_rates_stay_in_bounds_and_everybody_ends_where_its_rate_belongs(events: list[tuple[LayerEvent, float]]) -> None:
    history(events)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_it_holds_in_a_million_histories() -> None:
    dice = random.Random(1)
    for _ in range(1_000_000):
        history([(any_event(dice), 3 * dice.random()) for _ in range(dice.randint(0, 12))])


def any_event(dice: random.Random) -> LayerEvent:
    viewer = dice.randint(1, 4)
    heard = ViewerRate(viewer, round(10 ** dice.uniform(4, 7)))
    return dice.choice(
        [
            ViewerJoined(viewer),
            ViewerLeft(viewer),
            heard,
            CeilingChanged(dice.randint(300_000, 10_000_000)),
            DeadlinePassed(),
        ]
    )


def room_of(*rates: int) -> Room:
    room = Room()
    for viewer, bps in enumerate(rates, 1):
        room.handle(ViewerJoined(viewer))
        room.handle(ViewerRate(viewer, bps))
    return room


def test_a_slow_viewer_moves_after_half_a_second_and_the_main_rate_never_changes() -> None:
    room = room_of(8_000_000, 300_000)
    room.now = 0.49
    room.handle(DeadlinePassed())
    assert room.where[2] is QualityLayer.MAIN
    room.now = 0.5
    room.handle(DeadlinePassed())
    assert room.where[2] is QualityLayer.LOW
    room.settle()
    assert room.bps == {QualityLayer.MAIN: CEILING, QualityLayer.LOW: 300_000}


def test_it_comes_back_after_five_seconds_above() -> None:
    room = room_of(8_000_000, 300_000)
    room.settle()
    back = room.now
    room.handle(ViewerRate(2, 5_000_000))
    room.now = back + 4.9
    room.handle(DeadlinePassed())
    assert room.where[2] is QualityLayer.LOW
    room.now = back + 5.0
    room.handle(DeadlinePassed())
    assert room.where[2] is QualityLayer.MAIN


def test_a_short_dip_changes_nothing() -> None:
    room = room_of(8_000_000, 8_000_000)
    room.handle(ViewerRate(2, 100_000))
    room.now = 0.4
    room.handle(ViewerRate(2, 8_000_000))
    room.settle()
    assert set(room.where.values()) == {QualityLayer.MAIN}
    assert room.bps[QualityLayer.MAIN] == CEILING


def test_a_viewer_above_the_share_sets_the_rate_for_all() -> None:
    room = room_of(8_000_000, 1_800_000)
    room.settle()
    assert room.where[2] is QualityLayer.MAIN
    assert room.bps[QualityLayer.MAIN] == 1_800_000


def test_an_only_viewer_stays_on_the_main_rung_however_slow() -> None:
    room = room_of(200_000)
    room.settle()
    assert room.where[1] is QualityLayer.MAIN
    assert room.bps[QualityLayer.MAIN] == 200_000


def test_who_never_says_a_rate_holds_nobody_back() -> None:
    room = room_of(2_000_000)
    room.handle(ViewerJoined(9))
    room.settle()
    assert room.where == {1: QualityLayer.MAIN, 9: QualityLayer.MAIN}
    assert room.bps[QualityLayer.MAIN] == 2_000_000
