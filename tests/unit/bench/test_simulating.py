"""The simulator says the same for the same seed, counts what decisions really cost, and sees what is put into it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bench.simulate import __main__ as simulate
from bench.simulate.cell import HELD_BEAT_CALLS, IDLE_BEAT_CALLS, LOOK_CALLS, Cell
from bench.simulate.clock import EPOCH_US, Clock, Database
from bench.simulate.world import World
from livereactor.coordinator import decisions, descriptors
from livereactor.coordinator.auth.caller import Caller
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol import link
from livereactor.store.records import ModelRecord, SessionRecord, SessionState
from tests.tools.making import created

SMALL = World(sessions=40, minutes=9.0, models=2)


def test_the_same_seed_says_the_same_and_another_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    def said(seed: int) -> str:
        assert simulate.main(["--sessions", "20", "--minutes", "6", "--seed", str(seed)]) == 0
        return capsys.readouterr().out

    assert said(1) == said(1) != said(2)
    row = json.loads(said(1))
    assert (row["cells"], row["simulated"]) == (1, 1)
    assert row["running"] > 0
    assert row["bends"] == []


def test_nobody_waits_where_there_is_room_and_many_where_there_is_none() -> None:
    def waited(load: float) -> float:
        figures = Cell(replace(SMALL, load=load, crowd=1.0, wave=0.0), seed=1).run()
        longest_start = SMALL.loads_in[1] + 5.0  # whoever comes to a model without a free worker waits for one
        return sum(wait > longest_start for wait in figures.waits) / len(figures.waits)

    assert waited(0.3) == 0.0
    assert waited(1.6) > 0.05


def test_a_service_that_crashes_serves_on() -> None:
    figures = Cell(replace(SMALL, process_life=120.0, node_life=1800.0), seed=1).run()
    assert figures.tally["crashes"] > 10
    assert figures.tally["workers lost"] >= figures.tally["crashes"]
    assert figures.tally["served"] > 30


def test_a_decision_waits_its_turn() -> None:
    clock = Clock()
    database = Database(clock, CoordinatorOptions(), pace=10.0)
    told: list[float] = []

    def looks(tx: Any, now_us: int, options: CoordinatorOptions) -> tuple[None, list[Any]]:
        tx.models()
        return None, []

    for _ in range(3):
        database.decide("look", looks, lambda *_: told.append(round(clock.now, 3)))
    database.charge("beats", 2, count=5)
    clock.run(10.0)
    # The first is in hand when ten calls more are asked for; the other two come behind those.
    assert told == [0.1, 1.2, 1.3]
    assert database.calls == {"look": 3, "beats": 10}


def test_what_is_counted_and_not_carried_out_costs_what_it_costs() -> None:
    """Beats that change nothing, and a held poll's look at its queue."""
    options, clock = CoordinatorOptions(), Clock()
    database = Database(clock, options, pace=1e9)
    calls: dict[str, int] = {}

    def take(name: str, decision: Any, **named: Any) -> None:
        database.decide(name, decision, lambda *_: None, **named)
        calls[name] = database.calls[name]

    database.read(lambda tx: tx.put_model(ModelRecord("pond", "v1", {})))
    who = {"worker": "wrk_1", "incarnation": "life-of-it"}
    hello = link.Hello(
        worker="wrk_1", incarnation="life-of-it", model="pond", state="ready", slots=[link.SlotReport(n=0)]
    )
    steps: list[tuple[str, Any, dict[str, Any]]] = [
        ("hello", decisions.register, {"hello": hello}),
        ("idle", decisions.beat, {**who, "beat": link.Beat(number=1, state="ready", slots=[link.SlotReport(n=0)])}),
        ("made", created, {"session": SessionRecord("ses_1", "a", "pond", SessionState.QUEUED, EPOCH_US, EPOCH_US)}),
    ]
    held = link.SlotReport(n=0, phase="accepting", session="ses_1", fence=1)
    on = link.SlotReport(n=0, phase="waiting", session="ses_1", fence=1)
    steps += [
        ("accepts", decisions.beat, {**who, "beat": link.Beat(number=2, state="ready", slots=[held])}),
        ("held", decisions.beat, {**who, "beat": link.Beat(number=3, state="ready", slots=[on])}),
        ("queued", created, {"session": SessionRecord("ses_2", "a", "pond", SessionState.QUEUED, EPOCH_US, EPOCH_US)}),
    ]
    for name, decision, named in steps:
        take(name, decision, **named)
        clock.run(clock.now + 1.0)

    def look(tx: Any, now_us: int, options: CoordinatorOptions) -> tuple[None, list[Any]]:
        record = Caller("a").must_reach(tx.session("ses_2"), "ses_2")
        decisions.place(tx, now_us, record)
        descriptors.described(record, tx.model("pond"), reconnection_window=30.0, queue=None, listed=False)
        return None, []

    take("look", look)
    assert calls["idle"] == IDLE_BEAT_CALLS
    assert calls["held"] == HELD_BEAT_CALLS
    assert calls["look"] == LOOK_CALLS
