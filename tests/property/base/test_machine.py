"""Whatever the table and whatever arrives, a machine is only ever where its table lets it be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hypothesis import given
from hypothesis import strategies as st

from livereactor.base.errors import IllegalTransitionError
from livereactor.base.machine import Machine, Table

State = Enum("State", ["A", "B", "C", "D"])


@dataclass(frozen=True, slots=True)
class One:
    choice: int


@dataclass(frozen=True, slots=True)
class Two:
    choice: int


@dataclass(frozen=True, slots=True)
class Three:
    choice: int


Event = One | Two | Three
KINDS: list[type[Event]] = [One, Two, Three]
TARGETS = st.one_of(st.sampled_from(State), st.lists(st.sampled_from(State), max_size=3, unique=True).map(tuple))
ROWS = st.dictionaries(st.sampled_from(KINDS), TARGETS, max_size=3)
TABLES = st.tuples(*[ROWS for _ in State]).map(lambda rows: Table("Any", dict(zip(State, rows, strict=True))))
EVENTS = st.lists(st.builds(lambda kind, choice: kind(choice), st.sampled_from(KINDS), st.integers(0, 2)), max_size=30)


class Chooser(Machine[State, Event, State]):
    """Goes where an event's number says, or stays to be moved by its table."""

    def _decide(self, event: Event, now: float) -> list[State]:
        targets = self._legal[self.state][type(event)]
        if len(targets) > 1:
            self._go(targets[event.choice % len(targets)])
        return [self.state]


@given(TABLES, EVENTS)
def test_it_moves_only_as_its_table_says_and_an_illegal_event_changes_nothing(
    table: Table[State, Event], events: list[Event]
) -> None:
    machine = Chooser(table)
    for event in events:
        before, legal = machine.state, table[machine.state].get(type(event))
        try:
            effects = machine.handle(event, 0.0)
        except IllegalTransitionError:
            assert (legal, machine.state) == (None, before)
            continue
        assert legal is not None
        assert machine.state in (legal or (before,))
        assert bool(effects) is bool(legal)
        assert machine.takes(type(event)) is bool(table[machine.state].get(type(event)))


@given(TABLES, EVENTS)
def test_the_table_alone_leads_where_the_machine_goes(table: Table[State, Event], events: list[Event]) -> None:
    machine = Chooser(table)
    for event in events:
        state, legal = machine.state, table[machine.state].get(type(event))
        if legal is None or len(legal) > 1:
            continue
        machine.handle(event, 0.0)
        assert table.after(state, event) is machine.state
