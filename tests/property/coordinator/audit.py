"""What has to hold after every single decision, whoever made it and with whatever clock."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from livereactor.coordinator.machines.queue import order
from livereactor.coordinator.machines.worker import LIVE
from livereactor.store.port import Tx
from livereactor.store.records import OPEN, SessionRecord, SessionState, SlotRecord, SlotState
from tests.property.coordinator.nodes import Claim, Node

_PROMISED = OPEN - {SessionState.QUEUED}


@dataclass
class Audit:
    """Looks at the records within each transaction, against what they were after the last.

    Attributes:
        accepted: claims that a Worker may run, ever.
        runs: claims that a process started, ever.
    """

    nodes: list[Node] = field(default_factory=list[Node])
    accepted: set[Claim] = field(default_factory=set[Claim])
    runs: set[Claim] = field(default_factory=set[Claim])
    _owners: dict[tuple[str, int, int], str] = field(default_factory=dict[tuple[str, int, int], str])
    _served: defaultdict[str, int] = field(default_factory=lambda: defaultdict[str, int](int))
    _slots: dict[tuple[str, int], SlotRecord] = field(default_factory=dict[tuple[str, int], SlotRecord])
    _open: dict[str, SessionRecord] = field(default_factory=dict[str, SessionRecord])
    _closed: dict[str, SessionRecord] = field(default_factory=dict[str, SessionRecord])

    def started(self, claim: Claim) -> None:
        """A process starts a Session."""
        assert claim in self.accepted, "a Session that nobody gave it runs"
        assert claim not in self.runs, "one acceptance is run twice"
        self.runs.add(claim)

    def look(self, tx: Tx) -> None:
        """Within the transaction of a decision, after it."""
        sessions = {each.id: each for each in tx.sessions(states=OPEN, limit=10_000)}
        slots = {(each.worker, each.n): each for worker in tx.workers() for each in tx.slots(worker.id)}
        self._check_slots(tx, slots, sessions)
        self._check_sessions(tx, sessions)
        self._check_order(sessions)
        self._slots, self._open = slots, sessions

    def _check_slots(
        self, tx: Tx, slots: dict[tuple[str, int], SlotRecord], sessions: dict[str, SessionRecord]
    ) -> None:
        for place, slot in slots.items():
            before = self._slots.get(place)
            assert before is None or slot.fence >= before.fence, "a fence shrank"
            worker = tx.worker(slot.worker)
            assert worker is not None
            assert worker.state in LIVE or slot.state is SlotState.CLOSING, "a lost Worker has a Slot to give"
            if slot.state is not SlotState.HELD:
                continue
            assert slot.session is not None
            owner = self._owners.setdefault((*place, slot.fence), slot.session)
            assert owner == slot.session, "a fence of a Slot has two owners"
            held = sessions.get(slot.session)
            assert held is not None, "a Slot is held by a Session that is over"
            assert held.state in _PROMISED
            assert (held.worker, held.slot, held.fence) == (*place, slot.fence), "a Session holds two Slots"
            is_news = before is None or (before.state, before.fence) != (slot.state, slot.fence)
            assert not is_news or self._is_empty(worker.incarnation, slot), "a Slot is given away that runs a Session"

    def _is_empty(self, incarnation: str, slot: SlotRecord) -> bool:
        """Seen from outside: the process that has this Slot, as far as the store knows it, runs nothing there."""
        of_it = [node for node in self.nodes if node.worker == slot.worker and node.incarnation == incarnation]
        return all(slot.n not in node.running for node in of_it)

    def _check_sessions(self, tx: Tx, sessions: dict[str, SessionRecord]) -> None:
        for each in sessions.values():
            before = self._open.get(each.id)
            assert each.id not in self._closed, "a Session that is over goes on"
            assert (each.state in _PROMISED) == (each.worker is not None)
            assert each.requeues <= 1, "a Session is lost twice and lives"
            if before is not None:
                assert each.prio >= before.prio
                assert (each.seq, each.turn, each.created_us) == (before.seq, before.turn, before.created_us)
            if each.worker is None or each.slot is None or each.fence is None:
                continue
            holder = tx.slot(each.worker, each.slot)
            assert holder is not None, "a Session holds no Slot"
            assert (holder.state, holder.session, holder.fence) == (SlotState.HELD, each.id, each.fence)
            claim = (each.worker, each.slot, each.fence, each.id)
            if each.state is not SessionState.ASSIGNED and claim not in self.accepted:
                self.accepted.add(claim)
                self._served[each.id] += 1
                assert self._served[each.id] <= 1 + each.requeues, "a Ticket is served twice"
        for name in self._open.keys() - sessions.keys():
            gone = tx.session(name)
            assert gone is not None, "a Ticket is lost"
            assert gone.state is SessionState.CLOSED
            assert gone.end_reason
            assert gone.ended_us is not None
            self._closed[name] = gone

    def _check_order(self, sessions: dict[str, SessionRecord]) -> None:
        """Whoever was served now came before all that still wait."""
        served = [each for each in sessions.values() if each.worker is not None and self._is_claim(each)]
        for each in served:
            waiting = [one for one in sessions.values() if one.state is SessionState.QUEUED and one.model == each.model]
            assert all(order(each) < order(one) for one in waiting), "somebody was passed over"

    def _is_claim(self, session: SessionRecord) -> bool:
        before = self._open.get(session.id)
        now = (session.worker, session.slot, session.fence)
        return before is None or (before.worker, before.slot, before.fence) != now

    def check_end(self, tx: Tx) -> None:
        """Once everything works again and all clients have left: nothing is open, and what is over stayed as it was."""
        assert not tx.sessions(states=OPEN), "a Session did not end"
        for name, closed in self._closed.items():
            assert tx.session(name) == closed, "a Session that was over changed"
        kinds = defaultdict[tuple[str, str | None], int](int)
        for event in tx.events(limit=100_000):
            kinds[event.kind, event.session] += 1
        for name in self._closed:
            assert kinds["session.created", name] == 1
            assert kinds["session.ended", name] == 1
