"""The shape that every machine's table has, and the rule for events that do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import pytest

from livereactor.base.errors import IllegalTransitionError
from livereactor.base.machine import IGNORED, Machine, Table


class Door(Enum):
    CLOSED = "closed"
    OPEN = "open"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Pushed:
    force: int


@dataclass(frozen=True, slots=True)
class Pulled:
    pass


@dataclass(frozen=True, slots=True)
class Rang:
    pass


DoorEvent = Pushed | Pulled | Rang

LEGAL: Table[Door, DoorEvent] = Table(
    "Door",
    {
        Door.CLOSED: {Pushed: (Door.CLOSED, Door.OPEN, Door.BROKEN), Rang: Door.CLOSED},
        Door.OPEN: {Pulled: Door.CLOSED, Rang: IGNORED},
        Door.BROKEN: {},
    },
)


class DoorMachine(Machine[Door, DoorEvent, str]):
    def __init__(self, state: Door | None = None) -> None:
        super().__init__(LEGAL, state)
        self.seen: list[Door] = []

    def _decide(self, event: DoorEvent, now: float) -> list[str]:
        self.seen.append(self.state)
        match event:
            case Pushed(force) if force < 0:
                raise ValueError("nobody pushes so")
            case Pushed(force) if force > 10:
                self._go(Door.BROKEN)
                return ["crash"]
            case Pushed(force):
                self._go(Door.OPEN if force else Door.CLOSED)
            case Rang() | Pulled():
                pass
        return [f"{type(event).__name__} at {now:g}"]


def test_one_target_is_gone_to_after_the_decision() -> None:
    door = DoorMachine(Door.OPEN)
    assert door.handle(Pulled(), 3.0) == ["Pulled at 3"]
    assert (door.seen, door.state) == ([Door.OPEN], Door.CLOSED)


@pytest.mark.parametrize(("force", "state"), [(0, Door.CLOSED), (1, Door.OPEN), (11, Door.BROKEN)])
def test_of_several_targets_the_machine_chooses(force: int, state: Door) -> None:
    door = DoorMachine()
    door.handle(Pushed(force), 0.0)
    assert door.state is state


def test_an_ignored_event_changes_nothing_and_is_not_decided() -> None:
    door = DoorMachine(Door.OPEN)
    assert door.handle(Rang(), 0.0) == []
    assert (door.seen, door.state) == ([], Door.OPEN)


def test_an_event_without_an_entry_raises_and_changes_nothing() -> None:
    door = DoorMachine()
    with pytest.raises(IllegalTransitionError, match="Door in state 'closed' cannot take Pulled"):
        door.handle(Pulled(), 0.0)
    assert (door.seen, door.state) == ([], Door.CLOSED)


def test_an_error_of_the_decision_leaves_the_state() -> None:
    door = DoorMachine()
    with pytest.raises(ValueError, match="nobody"):
        door.handle(Pushed(-1), 0.0)
    assert door.state is Door.CLOSED


def test_a_state_that_the_table_does_not_name_is_refused() -> None:
    class Wild(DoorMachine):
        def _decide(self, event: DoorEvent, now: float) -> list[str]:
            self._go(Door.BROKEN)
            return []

    door = Wild(Door.OPEN)
    with pytest.raises(AssertionError, match="Door may not go to 'broken'"):
        door.handle(Pulled(), 0.0)
    assert door.state is Door.OPEN


def test_takes_is_true_only_for_what_is_handled() -> None:
    door = DoorMachine(Door.OPEN)
    assert [door.takes(kind) for kind in (Pushed, Pulled, Rang)] == [False, True, False]


def test_a_machine_begins_in_the_state_of_the_first_row_and_waits_for_nothing() -> None:
    assert (DoorMachine().state, DoorMachine().deadline()) == (Door.CLOSED, None)


def test_a_table_is_a_mapping_of_tuples() -> None:
    assert LEGAL[Door.OPEN] == {Pulled: (Door.CLOSED,), Rang: ()}
    assert (len(LEGAL), list(LEGAL)) == (3, [Door.CLOSED, Door.OPEN, Door.BROKEN])
    assert LEGAL.events == (Pushed, Rang, Pulled)


def test_a_table_without_a_row_for_each_state_is_refused() -> None:
    with pytest.raises(ValueError, match="the table of Door has no row for 'open', 'broken'"):
        Table("Door", {Door.CLOSED: {Pushed: Door.CLOSED}})


def test_after_is_the_table_alone() -> None:
    assert LEGAL.after(Door.OPEN, Pulled()) is Door.CLOSED
    assert LEGAL.after(Door.OPEN, Rang()) is Door.OPEN
    with pytest.raises(IllegalTransitionError, match="Door in state 'broken' cannot take Rang"):
        LEGAL.after(Door.BROKEN, Rang())
    with pytest.raises(ValueError, match="several targets for Pushed"):
        LEGAL.after(Door.CLOSED, Pushed(1))
