"""State machines that decide and do nothing else: one shape for their tables, one rule for events that do not fit.

A table names, for each state, the events that the state takes and the states that each may lead to:

    LEGAL: Final[Table[LeaseState, LeaseEvent]] = Table(
        "Lease",
        {
            LeaseState.OFFERED: {Accepted: LeaseState.HELD, TimedOut: (LeaseState.OFFERED, LeaseState.ENDED)},
            LeaseState.HELD: {Renewed: LeaseState.HELD, Accepted: IGNORED, TimedOut: LeaseState.ENDED},
            LeaseState.ENDED: {Accepted: IGNORED, Renewed: IGNORED},
        },
    )

- one state: the event always leads there;
- several states: the machine decides, and may go to no other;
- `IGNORED`: the event comes from another process or thread, and may be late or doubled: it changes nothing;
- no entry: only a bug of ours sends the event in that state. `IllegalTransitionError` is raised, and nothing changes.
  A shell that passes on what a client asks for catches it and answers the client (code `INVALID_STATE`).

A machine whose state is a field of a stored record has neither time nor effects; it uses its table alone:

    replace(slot, state=LEGAL.after(slot.state, event), ...)

Every other machine is a `Machine`. `docs/states.md` is drawn from the tables: run `make states` after changing one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Final, Generic, TypeAlias, TypeVar

from livereactor.base.errors import IllegalTransitionError

StateT = TypeVar("StateT", bound=Enum)
EventT = TypeVar("EventT")
EffectT = TypeVar("EffectT")

IGNORED: Final[tuple[()]] = ()
Targets: TypeAlias = StateT | tuple[StateT, ...]


class Table(Mapping[StateT, Mapping[type[EventT], tuple[StateT, ...]]], Generic[StateT, EventT]):
    """The events that each state takes, and the states that each event may lead to.

    As a mapping it has a tuple of targets in every entry; `IGNORED` is the empty one.

    Args:
        name: of the machine, in errors and on `docs/states.md`.
        rows: one for each state, even where it is empty; the first is the initial state's.

    Raises:
        ValueError: a state has no row.
    """

    def __init__(self, name: str, rows: Mapping[StateT, Mapping[type[EventT], Targets[StateT]]]) -> None:
        self.name = name
        self._rows = {
            state: {kind: targets if isinstance(targets, tuple) else (targets,) for kind, targets in row.items()}
            for state, row in rows.items()
        }
        missing = [state.value for state in type(self.initial) if state not in self._rows]
        if missing:
            raise ValueError(f"the table of {name} has no row for {', '.join(map(repr, missing))}; add one, if empty")

    def __getitem__(self, state: StateT) -> Mapping[type[EventT], tuple[StateT, ...]]:
        return self._rows[state]

    def __iter__(self) -> Iterator[StateT]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def initial(self) -> StateT:
        """The state of the first row."""
        return next(iter(self._rows))

    @property
    def events(self) -> tuple[type[EventT], ...]:
        """Every kind of event that a row names, in the order of the rows."""
        return tuple(dict.fromkeys(kind for row in self._rows.values() for kind in row))

    def after(self, state: StateT, event: EventT) -> StateT:
        """Return the one state that `event` leads to; `state` itself where the event is ignored.

        Raises:
            IllegalTransitionError: `state` does not take the event.
            ValueError: the table leaves the choice between several states to a `Machine`.
        """
        targets = self._rows[state].get(type(event))
        if targets is None:
            raise self.illegal(state, event)
        if len(targets) > 1:
            raise ValueError(f"{self.name} in state {state.value!r} has several targets for {type(event).__name__}")
        return targets[0] if targets else state

    def illegal(self, state: StateT, event: EventT) -> IllegalTransitionError:
        """Return the error for an event that `state` does not take."""
        return IllegalTransitionError(self.name, state.value, type(event).__name__)


class Machine(Generic[StateT, EventT, EffectT]):
    """A machine that waits for events and a deadline, and answers with effects. Pure: time comes in as `now`.

    A subclass gives its table to `__init__`, implements `_decide` and, where it waits for a time, `deadline`. Its shell
    passes events to `handle`, applies the effects in order, and delivers the machine's own timeout event when
    `deadline()` has passed (`base/machine_loop.py` is that loop).

    Attributes:
        state: for reading; a machine changes it by `_go` alone.
    """

    __slots__ = ("_legal", "_row", "_targets", "state")

    def __init__(self, legal: Table[StateT, EventT], state: StateT | None = None) -> None:
        self._legal = legal
        self.state: StateT = legal.initial if state is None else state
        self._row = legal[self.state]
        self._targets: tuple[StateT, ...] = ()

    def takes(self, kind: type[EventT]) -> bool:
        """Return whether an event of this kind would be handled now, neither ignored nor illegal."""
        return bool(self._row.get(kind))

    def deadline(self) -> float | None:
        """Return when the timeout event is due, in the seconds of `now`; None = never."""
        return None

    def handle(self, event: EventT, now: float) -> list[EffectT]:
        """Return what the shell has to do, in order.

        Raises:
            IllegalTransitionError: the state does not take the event; nothing has changed.
        """
        targets = self._row.get(type(event))
        if targets is None:
            raise self._legal.illegal(self.state, event)
        if not targets:
            return []
        self._targets = targets
        effects = self._decide(event, now)
        if len(targets) == 1:
            self._go(targets[0])
        return effects

    def _decide(self, event: EventT, now: float) -> list[EffectT]:
        """Return the effects of an event that the state takes.

        `self.state` is still the state that the event came in. `_go` leaves it: at any moment, for one of the states
        that the table names. Where the table names only one, `handle` goes there afterwards, whether or not `_decide`
        already has. An error raised before `_go` leaves the state as it was.
        """
        raise NotImplementedError

    def _go(self, state: StateT) -> None:
        """Enter a state that the table names for the event being handled."""
        assert state in self._targets, f"{self._legal.name} may not go to {state.value!r} by this event"
        if state is not self.state:
            self.state, self._row = state, self._legal[state]
