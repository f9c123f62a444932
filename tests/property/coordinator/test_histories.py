"""Whatever happens, and in whatever order: who holds what is never in doubt, and everything ends.

After each decision of a random history (`audit.py`): a Slot has one owner under each fence; a Session has one current
Worker; a Ticket is neither lost nor served twice, and none is passed over; what is over stays over. And once the
trouble is past, every Session ends by itself.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livereactor.coordinator.machines.worker import LIVE
from livereactor.runtime.worker.link import LinkState
from livereactor.store.memory.store import MemoryStore
from livereactor.store.port import Store, Tx
from livereactor.store.records import SlotState
from livereactor.store.sql.store import open_sql_store
from tests.property.coordinator.world import Facts, World

T = TypeVar("T")


class OnALoop:
    """A store that is asked from outside of its loop, one transaction after the other."""

    def __init__(self, store: Store) -> None:
        self._store, self._loop = store, asyncio.new_event_loop()

    def run(self, work: Callable[[Tx], T]) -> T:
        return self._loop.run_until_complete(self._store.transact(work))

    def close(self) -> None:
        self._loop.run_until_complete(self._store.aclose())
        self._loop.close()


@contextmanager
def sqlite() -> Iterator[OnALoop]:
    """A fresh one in a file."""
    with TemporaryDirectory() as folder:
        facts = OnALoop(open_sql_store(f"sqlite:///{Path(folder) / 'store.db'}"))
        try:
            yield facts
        finally:
            facts.close()


def live(facts: Facts, seed: int, steps: int) -> World:
    world = World(facts, random.Random(seed))
    for _ in range(steps):
        world.happen()
    return world


def check(facts: Facts, seed: int, steps: int) -> World:
    world = live(facts, seed, steps)
    world.calm_down()

    def look(tx: Tx) -> None:
        world.audit.check_end(tx)
        for node in world.nodes:
            record = tx.worker(node.worker)
            if record is None or record.state not in LIVE:
                continue
            assert not node.stays_dead, "nobody found out that a Worker is dead"
            if node.link.state is LinkState.UP:
                assert {slot.state for slot in tx.slots(node.worker)} == {SlotState.FREE}, "a Slot is not free"

    facts.run(look)
    return world


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_nobody_holds_what_is_anothers_and_every_session_ends(seed: int) -> None:
    check(MemoryStore(), seed, 250)


@settings(max_examples=2, deadline=None)
@given(st.integers(0, 2**32))
def test_so_it_is_with_the_records_in_sqlite(seed: int) -> None:
    with sqlite() as facts:
        check(facts, seed, 200)


def test_a_history_is_the_same_on_every_store() -> None:
    """What the contract promises, seen from far above: the same seed leads to the same end."""
    in_memory = MemoryStore()
    check(in_memory, 7, 200)
    with sqlite() as facts:
        check(facts, 7, 200)
        told = [
            [each.kind, each.at_us, each.session, each.data] for each in facts.run(lambda tx: tx.events(limit=10_000))
        ]
    assert told == [
        [each.kind, each.at_us, each.session, each.data] for each in in_memory.run(lambda tx: tx.events(limit=10_000))
    ]


def test_histories_get_as_far_as_what_they_are_about() -> None:
    kinds: set[str] = set()
    ends: set[str | None] = set()
    runs = 0
    for seed in range(25):
        store = MemoryStore()
        runs += len(check(store, seed, 250).audit.runs)
        kinds |= {each.kind for each in store.run(lambda tx: tx.events(limit=100_000))}
        ends |= {each.end_reason for each in store.run(lambda tx: tx.sessions(limit=100_000))}
    assert runs > 100
    assert {"stopped", "timed_out", "worker_lost", "max_duration"} <= ends
    assert kinds >= {
        "session.connected",
        "session.orphaned",
        "session.preferred",
        "session.requeued",
        "worker.draining",
        "worker.gone",
        "worker.lost",
    }


@pytest.mark.long
@pytest.mark.timeout(24 * 3600)
def test_so_it_is_over_a_million_histories() -> None:
    for seed in range(1_000_000):
        check(MemoryStore(), seed, random.Random(seed).choice((20, 60, 60)))


@pytest.mark.long
@pytest.mark.timeout(3 * 3600)
def test_so_it_is_over_twenty_thousand_long_histories() -> None:
    for seed in range(20_000):
        check(MemoryStore(), seed, 600)
