"""A coordinator that dies at a chosen instruction, on records in SQLite, with the real links of its Workers.

An instruction is each call of a transaction, its commit, and each effect: where a process can die and leave something
else behind. What the Workers knew at that moment they still know; what was on their sockets is gone.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from livereactor.coordinator import decisions
from livereactor.coordinator.decisions.effects import Effect, NotifyAssigned, NotifyDrain, NotifyEnded
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol import link
from livereactor.store.port import Tx
from livereactor.store.records import ModelRecord, SessionRecord, SessionState
from livereactor.store.sql.store import open_sql_store
from tests.property.coordinator.audit import Audit
from tests.property.coordinator.nodes import Node, Socket
from tests.tools.making import created

T = TypeVar("T")
EPOCH_US = 1_700_000_000_000_000
MODEL = "pond"


class DiedError(Exception):
    """The coordinator's process is gone."""


class Instructions:
    """Counts them, and dies at one of them."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.count, self.dies_at = 0, dies_at

    def next(self) -> None:
        self.count += 1
        if self.count == self.dies_at:
            raise DiedError


class Counted:
    """A transaction whose every call is an instruction."""

    def __init__(self, tx: Tx, instructions: Instructions) -> None:
        self._tx, self._instructions = tx, instructions

    def __getattr__(self, name: str) -> Any:
        self._instructions.next()
        return getattr(self._tx, name)


@dataclass(frozen=True, slots=True)
class Moment:
    """All there is, at one moment: the records and what the Workers know."""

    records: bytes
    now: float
    outside: tuple[Audit, list[Node]]


class Stand:
    """One coordinator and two Workers of one Slot each.

    Args:
        path: of the database.
    """

    def __init__(self, path: Path, moment: Moment) -> None:
        path.write_bytes(moment.records)
        self._path, self._loop = path, asyncio.new_event_loop()
        self._store = open_sql_store(f"sqlite:///{path}")
        self.now = moment.now
        self.options = CoordinatorOptions()
        self.audit, self.nodes = copy.deepcopy(moment.outside)
        self.steady_from = 0.0
        self.instructions: Instructions | None = None

    @staticmethod
    def founded(path: Path, tables: bytes) -> Stand:
        """With a model and Workers that nobody knows yet."""
        audit = Audit()
        nodes = [Node(f"wrk_{n}", MODEL, 1, pooled=n == 0, started=audit.started, rate=1.0) for n in range(2)]
        audit.nodes = nodes
        stand = Stand(path, Moment(tables, 0.0, (audit, nodes)))
        stand.transact(lambda tx: tx.put_model(ModelRecord(MODEL, "v1", {"max_sessions": 1})))
        return stand

    def moment(self) -> Moment:
        """This one; the Stand is closed by it."""
        self.close()
        return Moment(self._path.read_bytes(), self.now, (self.audit, self.nodes))

    def close(self) -> None:
        self._loop.run_until_complete(self._store.aclose())
        self._loop.close()

    def restart(self) -> None:
        """The process that died is replaced by one that knows the records and nothing else."""
        self.instructions = None
        self._loop.run_until_complete(self._store.aclose())
        self._store = open_sql_store(f"sqlite:///{self._path}")
        self.steady_from = self.now + self.options.store_grace
        for node in self.nodes:
            node.left.clear()
            node.break_socket(lost=True)

    # --- deciding -----------------------------------------------------------------------------------------------------

    def transact(self, work: Callable[[Tx], T]) -> T:
        return self._loop.run_until_complete(self._store.transact(work))

    def decide(self, decision: Callable[..., tuple[T, list[Effect]]], **named: Any) -> T:
        """As `Decider.decide`; dies where it has to."""
        now_us = EPOCH_US + round(self.now * 1e6)
        instructions = self.instructions or Instructions()

        def work(tx: Tx) -> tuple[T, list[Effect]]:
            counted: Any = Counted(tx, instructions)
            outcome = decision(counted, now_us, self.options, **named)
            instructions.next()
            self.audit.look(tx)
            return outcome

        result, effects = self.transact(work)
        for effect in effects:
            instructions.next()
            self._do(effect)
        instructions.next()
        return result

    def _do(self, effect: Effect) -> None:
        match effect:
            case NotifyAssigned():
                self._tell(effect.worker, link.Assign(slot=effect.slot, fence=effect.fence, session=effect.session))
            case NotifyEnded():
                frame = link.End(slot=effect.slot, fence=effect.fence, session=effect.session, reason=effect.reason)
                self._tell(effect.worker, frame)
            case NotifyDrain():
                self._tell(effect.worker, link.Drain(grace=effect.grace))
            case _:
                pass

    def _tell(self, worker: str, frame: link.FromCoordinator) -> None:
        for node in self.nodes:
            if node.worker == worker and node.socket is not None:
                node.socket.down.append(frame)

    def hear(self, node: Node) -> None:
        """Handle all that a Worker has said so far."""
        while (socket := node.socket) is not None and socket.up:
            self._handle(socket, socket.up.popleft())

    def _handle(self, socket: Socket, frame: link.FromWorker) -> None:
        who = {"worker": socket.worker, "incarnation": socket.incarnation}
        match frame:
            case link.Hello():
                socket.down.append(self.decide(decisions.register, hello=frame))
                socket.incarnation = frame.incarnation
            case link.Beat():
                socket.down.append(self.decide(decisions.beat, **who, beat=frame))
            case link.SessionReport():
                self.decide(decisions.report, **who, report=frame)
            case link.Bye():
                self.decide(decisions.bye, **who)
            case link.Reply():
                pass

    # --- what clients do, and what passes -----------------------------------------------------------------------------

    def create(self, name: str) -> None:
        """Asked again, as a client without an answer does, it makes nothing more (idempotency, in the service)."""
        if self.transact(lambda tx: tx.session(name)) is None:
            us = EPOCH_US + round(self.now * 1e6)
            made = SessionRecord(name, "tests", MODEL, SessionState.QUEUED, us, us)
            self.decide(created, session=made)

    def settle(self, seconds: float) -> None:
        """Everybody says and hears what there is, beat for beat; tickets are asked for."""
        until = self.now + seconds
        while self.now < until:
            for node in self.nodes:
                node.dial(0)
                for _ in range(6):
                    self.hear(node)
                    while node.socket is not None and node.socket.down and not node.is_frozen:
                        node.hear()
            self.now += 2.0
            for node in self.nodes:
                node.wake(self.now)
            self.decide(self._sweep)

    def _sweep(self, tx: Tx, now_us: int, options: CoordinatorOptions) -> tuple[None, list[Effect]]:
        """All that passes by itself, and that Tickets are asked for."""
        steps = [decisions.sweep_assignments, decisions.sweep_overdue, decisions.sweep_queues]
        if self.now >= self.steady_from:
            steps += [decisions.sweep_leases, decisions.sweep_tickets]
        effects: list[Effect] = []
        for each in tx.sessions(states=[SessionState.QUEUED]):
            decisions.polled(tx, now_us, options, session=each.id)
        for step in steps:
            effects += step(tx, now_us, options)[1]
            self.audit.look(tx)
        return None, effects

    def left_behind(self) -> str:
        """All records, and what the Workers know: what a new process has to go on from."""

        def look(tx: Tx) -> list[object]:
            workers = tx.workers()
            slots = [tx.slots(each.id) for each in workers]
            return [tx.sessions(limit=100), workers, slots, tx.models(), tx.events(limit=1_000)]

        known = [(node.link.slots, node.link.state, node.running, node.is_over) for node in self.nodes]
        return repr((self.transact(look), known))

    # --- what came of it ----------------------------------------------------------------------------------------------

    def outcome(self) -> list[object]:
        """How all Sessions, Workers and Slots stand, and what runs where."""

        def look(tx: Tx) -> list[object]:
            sessions = sorted(tx.sessions(limit=100), key=lambda each: each.id)
            return [
                [(each.id, each.state.value, each.end_reason, each.requeues, each.prio) for each in sessions],
                [(each.id, each.state.value) for each in tx.workers()],
                sorted(slot.state.value for each in tx.workers() for slot in tx.slots(each.id)),
            ]

        runs = sorted((each.session, each.ending) for node in self.nodes for each in node.running.values())
        return [*self.transact(look), runs]
