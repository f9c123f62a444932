"""The slow network the tests of networks stand on: what arrives, when, and in which order."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.slow_network import HELD_BACK, Conditions, Way

SECONDS = st.floats(0, 0.5)
SHARE = st.floats(0, 1)
CONDITIONS = st.builds(
    Conditions, delay=SECONDS, jitter=SECONDS, loss=SHARE, reordered=SHARE, bps=st.floats(1e5, 1e8), queue=SECONDS
)
# Pauses between packets, and their sizes.
TRAFFIC = st.lists(st.tuples(st.floats(0, 0.05), st.integers(1, 1500)), max_size=60)


def carried(way: Way, traffic: list[tuple[float, int]]) -> tuple[list[float], list[tuple[float, int, int]]]:
    """When each packet set out; and of each that arrived when, which it was and how large."""
    set_out, arrived, now = list[float](), list[tuple[float, int, int]](), 0.0

    def look(until: float) -> None:
        while (at := way.deadline()) is not None and at <= until:
            arrived.extend((at, int.from_bytes(packet[:4], "big"), len(packet) - 4) for packet in way.arrived(at))

    for number, (pause, size) in enumerate(traffic):
        now += pause
        look(now)
        set_out.append(now)
        way.take(number.to_bytes(4, "big") + bytes(size), now)
    look(math.inf)
    return set_out, arrived


@given(CONDITIONS, TRAFFIC, st.integers())
def test_each_packet_arrives_once_or_is_counted_and_none_comes_early(
    conditions: Conditions, traffic: list[tuple[float, int]], seed: int
) -> None:
    way = Way(conditions, seed=seed)
    set_out, arrived = carried(way, traffic)
    assert len({number for _, number, _ in arrived}) == len(arrived)
    assert way.taken == len(traffic) == len(arrived) + way.lost + way.overflowed
    latest = conditions.queue + conditions.delay + conditions.jitter + HELD_BACK + 1504 * 8 / conditions.bps
    for at, number, size in arrived:
        passing = (size + 4) * 8 / conditions.bps
        assert set_out[number] + conditions.delay + passing - 1e-9 <= at <= set_out[number] + latest + 1e-9


@given(CONDITIONS, TRAFFIC, st.integers())
def test_who_is_not_held_back_keeps_its_place(
    conditions: Conditions, traffic: list[tuple[float, int]], seed: int
) -> None:
    orderly = Conditions(conditions.delay, conditions.jitter, conditions.loss, 0.0, conditions.bps, conditions.queue)
    _, arrived = carried(Way(orderly, seed=seed), traffic)
    assert [number for _, number, _ in arrived] == sorted(number for _, number, _ in arrived)


@given(st.floats(1e5, 1e7), SECONDS, TRAFFIC)
def test_no_more_passes_than_the_bottleneck_lets_through(
    bps: float, queue: float, traffic: list[tuple[float, int]]
) -> None:
    _, arrived = carried(Way(Conditions(bps=bps, queue=queue), seed=1), traffic)
    for first in range(len(arrived)):
        bits = 0
        for at, _, size in arrived[first + 1 :]:
            bits += (size + 4) * 8
            assert bits <= (at - arrived[first][0]) * bps + 1e-3


@given(CONDITIONS, TRAFFIC, st.integers())
def test_the_same_seed_is_the_same_fate(conditions: Conditions, traffic: list[tuple[float, int]], seed: int) -> None:
    assert carried(Way(conditions, seed=seed), traffic) == carried(Way(conditions, seed=seed), traffic)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1])
def test_as_many_are_lost_and_held_back_as_was_said(share: float) -> None:
    traffic = [(0.002, 1000)] * 20_000
    way = Way(Conditions(delay=0.02, loss=share, reordered=share), seed=7)
    set_out, arrived = carried(way, traffic)
    assert way.lost / way.taken == pytest.approx(share, rel=0.15)
    late = sum(at - set_out[number] > 0.02 + HELD_BACK / 2 for at, number, _ in arrived)
    assert late / len(arrived) == pytest.approx(share, rel=0.15)


def test_what_is_under_way_arrives_as_it_would_have_and_the_rest_by_the_new_conditions() -> None:
    way = Way(Conditions(delay=0.3), seed=1)
    way.take(b"early", 0.0)
    way.become(Conditions(delay=0.01))
    way.take(b"late", 0.1)
    assert way.arrived(0.2) == [b"late"]
    assert way.arrived(0.31) == [b"early"]
    way.become(Conditions(loss=1.0))
    way.take(b"lost", 0.5)
    assert (way.deadline(), way.lost) == (None, 1)


@pytest.mark.parametrize("wrong", [{"delay": -0.1}, {"loss": 1.1}, {"reordered": -0.1}, {"bps": 0}, {"queue": -1}])
def test_what_no_network_does_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="not Conditions"):
        Conditions(**wrong)
