"""A whole service in one thread: coordinators that crash, with clocks of their own, their Workers, and clients.

One store keeps the facts. Everything else may be lost, late, doubled, out of order or frozen, as chance has it.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from livereactor.base.errors import LivereactorError
from livereactor.coordinator import decisions
from livereactor.coordinator.decisions.effects import Effect, NotifyAssigned, NotifyDrain, NotifyEnded
from livereactor.coordinator.machines.worker import LIVE
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol import link
from livereactor.store.port import StoreUnavailableError, Tx
from livereactor.store.records import OPEN, Account, ModelRecord, SessionRecord, SessionState
from tests.property.coordinator.audit import Audit
from tests.property.coordinator.nodes import Node, Socket
from tests.tools.making import created

T = TypeVar("T")
P = ParamSpec("P")
MODELS = {"pond": {}, "garden": {"requeue": True}}
ACCOUNTS = {"plain": None, "light": 1.0, "heavy": 3.0}
EPOCH_US = 1_700_000_000_000_000
LEADS_FOR, TIDIES_EVERY = 5.0, 60.0
QUIET = 5  # seconds after the last end: two beats tell that the Slots are free


class Facts(Protocol):
    """A store, one transaction after the other."""

    def run(self, work: Callable[[Tx], T]) -> T: ...


class DiedError(Exception):
    """The coordinator's process is gone, at this very instruction."""


@dataclass(eq=False)
class Replica:
    """One coordinator's process.

    Attributes:
        clock: seconds that its clock is off.
        todo: effects of decisions that stand, not carried out yet.
        dies: where its next decision kills it: `before` the commit, or `after` it; "" = nowhere.
    """

    index: int
    life: int = 0
    clock: float = 0.0
    steady_from: float = 0.0
    tidied: float = float("-inf")
    todo: deque[Effect] = field(default_factory=deque[Effect])
    dies: str = ""

    @property
    def name(self) -> str:
        return f"replica-{self.index}-{self.life}"


class World:
    """Two coordinators and three Workers; `happen` is one step of a history.

    Args:
        facts: where the records are.
    """

    def __init__(self, facts: Facts, dice: random.Random) -> None:
        self.facts, self.dice = facts, dice
        self.now = 0.0  # true seconds
        self.options = CoordinatorOptions()
        self.audit = Audit()
        self.is_store_away = False
        self.sessions = 0
        # What goes well, at its rates; and of what goes wrong each history has some, often or seldom, and not the rest.
        self.rates = [6, 30, 4, 5, 5, 8, 6] + [dice.choice((0, 0, 0.1, 0.5, 2)) for _ in range(8)]
        self.replicas = [Replica(0), Replica(1)]
        facts.run(_found)
        self.nodes: list[Node] = []
        for model, slots, pooled in (("pond", 1, True), ("pond", 2, False), ("garden", 1, True)):
            self.nodes.append(self._node(model, slots, pooled=pooled))
        self.audit.nodes = self.nodes

    def _node(self, model: str, slots: int, *, pooled: bool) -> Node:
        rate = self.dice.choice((0.9, 1.0, 1.1))
        name = f"wrk_{len(self.nodes)}"
        return Node(name, model, slots, pooled=pooled, started=self.audit.started, rate=rate)

    # --- deciding -----------------------------------------------------------------------------------------------------

    def decide(
        self,
        replica: Replica,
        decision: Callable[Concatenate[Tx, int, CoordinatorOptions, P], tuple[T, list[Effect]]],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """As `Decider.decide`: the effects wait until `carry_out`, in order or not."""
        if self.is_store_away:
            raise StoreUnavailableError("away")
        now_us = EPOCH_US + round((self.now + replica.clock) * 1e6)
        dies, replica.dies = replica.dies, ""

        def work(tx: Tx) -> tuple[T, list[Effect]]:
            outcome = decision(tx, now_us, self.options, *arguments, **named)
            if dies == "before":
                raise DiedError
            self.audit.look(tx)
            return outcome

        result, effects = self.facts.run(work)
        if dies == "after":
            raise DiedError
        replica.todo.extend(effects)
        return result

    def attempt(self, replica: Replica, act: Callable[[], T]) -> T | None:
        """What a coordinator does; None where it died of it, or the store is away, or it was refused."""
        try:
            return act()
        except DiedError:
            self.crash(replica)
        except LivereactorError:
            pass
        return None

    def carry_out(self, replica: Replica, *, orderly: bool = True) -> None:
        """The effects that wait; otherwise some of them, in any order, some twice."""
        effects = list(replica.todo)
        replica.todo.clear()
        if not orderly:
            self.dice.shuffle(effects)
            for _ in range(self.dice.randint(0, len(effects))):
                replica.todo.append(effects.pop())
            effects += effects[:1]
        for effect in effects:
            self._do(replica, effect)

    def _do(self, replica: Replica, effect: Effect) -> None:
        match effect:
            case NotifyAssigned():
                frame = link.Assign(slot=effect.slot, fence=effect.fence, session=effect.session)
            case NotifyEnded():
                frame = link.End(slot=effect.slot, fence=effect.fence, session=effect.session, reason=effect.reason)
            case NotifyDrain():
                frame = link.Drain(grace=effect.grace)
            case _:
                return
        for node in self.nodes:
            if node.worker == effect.worker and (socket := node.socket) is not None and socket.replica == replica.index:
                socket.down.append(frame)

    # --- what a Worker says -------------------------------------------------------------------------------------------

    def hear(self, socket: Socket) -> None:
        """The coordinator that has this socket handles its next frame."""
        if socket.up and not (self.is_store_away and isinstance(socket.up[0], link.SessionReport | link.Bye)):
            replica = self.replicas[socket.replica]
            self.attempt(replica, lambda: self._handle(replica, socket, socket.up.popleft()))

    def _handle(self, replica: Replica, socket: Socket, frame: link.FromWorker) -> None:
        who: dict[str, Any] = {"worker": socket.worker, "incarnation": socket.incarnation}
        answer: link.Welcome | link.Refused | link.Renewed
        match frame:
            case link.Hello():
                answer = self._registered(replica, frame)
                socket.incarnation, socket.welcome = frame.incarnation, isinstance(answer, link.Welcome)
                self._answer(socket, answer, first=True)
            case _ if not socket.welcome:
                pass
            case link.Beat():
                self._answer(socket, self.decide(replica, decisions.beat, **who, beat=frame))
            case link.SessionReport():
                self.decide(replica, decisions.report, **who, report=frame)
            case link.Bye():
                self.decide(replica, decisions.bye, **who)
            case link.Reply():
                pass

    def _registered(self, replica: Replica, hello: link.Hello) -> link.Welcome | link.Refused:
        try:
            return self.decide(replica, decisions.register, hello=hello)
        except StoreUnavailableError:
            return link.Refused(code="unavailable", message="away")

    def _answer(self, socket: Socket, answer: link.FromCoordinator, *, first: bool = False) -> None:
        # The effects of a decision are told before its answer, unless they are late; those of a Hello follow it.
        if self.dice.random() < 0.8 and not first:
            self.carry_out(self.replicas[socket.replica])
        socket.down.append(answer)

    # --- what passes, and what clients do ---------------------------------------------------------------------------

    def sweep(self, replica: Replica) -> None:
        self.attempt(replica, lambda: self._sweep(replica))

    def _sweep(self, replica: Replica) -> None:
        if not self.decide(replica, _lead, replica.name):
            return
        if self.now >= replica.tidied + TIDIES_EVERY:
            self.decide(replica, decisions.sweep_clock)
            replica.tidied = self.now
        for step in (decisions.sweep_assignments, decisions.sweep_overdue, decisions.sweep_queues):
            self.decide(replica, step)
        if self.now >= replica.steady_from:
            for step in (decisions.sweep_leases, decisions.sweep_tickets):
                self.decide(replica, step)

    def create(self, replica: Replica) -> None:
        model, account = self.dice.choice(list(MODELS)), self.dice.choice(list(ACCOUNTS))
        now_us = EPOCH_US + round((self.now + replica.clock) * 1e6)
        name = f"ses_{self.sessions}"
        self.sessions += 1
        made = SessionRecord(name, account, model, SessionState.QUEUED, now_us, now_us)
        self.attempt(replica, lambda: self.decide(replica, created, session=made))

    def client(self, replica: Replica) -> None:
        """One of the clients polls, ends its Session, or an operator does something about one."""
        open_ones = self.facts.run(lambda tx: [each.id for each in tx.sessions(states=OPEN, limit=1000)])
        if not open_ones:
            return
        chosen = self.dice.choice(open_ones)
        what = self.dice.choices((decisions.polled, decisions.end_session, decisions.prefer), (8, 3, 1))[0]
        self.attempt(replica, lambda: self.decide(replica, what, session=chosen))

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for replica in self.replicas:
            self.sweep(replica)
        for node in self.nodes:
            node.wake(self.now)

    # --- what goes wrong ----------------------------------------------------------------------------------------------

    def crash(self, replica: Replica) -> None:
        """All that it had not written down is gone, sockets included; it comes back with another name."""
        replica.life += 1
        replica.todo.clear()
        replica.dies = ""
        replica.steady_from, replica.tidied = self.now + self.options.store_grace, float("-inf")
        for node in self.nodes:
            node.left = [each for each in node.left if each.replica != replica.index]
            if node.socket is not None and node.socket.replica == replica.index:
                node.break_socket(lost=True)

    def kill(self, node: Node) -> None:
        """Its process dies; who is told of it hears it now, and a new process comes, or not yet."""
        node.die(lost=self.dice.random() < 0.5)
        if self.dice.random() < 0.7:
            replica = self.dice.choice(self.replicas)
            self.attempt(
                replica, lambda: self.decide(replica, decisions.worker_lost, worker=node.worker, reason="exited")
            )

    def back(self) -> None:
        """The store answers again."""
        self.is_store_away = False
        for replica in self.replicas:
            replica.steady_from = self.now + self.options.store_grace

    # --- histories ----------------------------------------------------------------------------------------------------

    def happen(self) -> None:
        """One thing, as chance has it."""
        dice = self.dice
        node, replica = dice.choice(self.nodes), dice.choice(self.replicas)
        match dice.choices(range(len(self.rates)), self.rates)[0]:
            case 0:
                self.pass_time(dice.choice((0.1, 0.5, 1.0, 2.0, 6.0)))
            case 1:
                self._talk(node)
            case 2:
                for each in self.nodes:
                    each.dial(dice.randrange(len(self.replicas)))
            case 3:
                self.create(replica)
            case 4:
                self.client(replica)
            case 5:
                node.client(dice)
            case 6:
                self.carry_out(replica, orderly=False)
            case 7:
                if node.socket is not None and dice.random() < 0.5:
                    node.socket.pace = dice.choice((0.02, 0.1))
                node.client(dice)  # so that there is something to be late with
                node.break_socket(lost=dice.random() < 0.2)
            case 8:
                node.frozen_until = self.now + dice.choice((1.0, 10.0, 20.0, 90.0))
                self.pass_time(dice.choice((0.5, 10.0, 20.0)))
            case 9:
                self.crash(replica)
            case 10:
                replica.dies = dice.choice(("before", "after"))
            case 11:
                self.is_store_away = True
                self.pass_time(dice.choice((0.5, 10.0, 20.0, 70.0)))
                self.back()
            case 12:
                replica.clock += dice.choice((-4000.0, -20.0, -3.0, 3.0, 20.0, 4000.0))
            case 13:
                self.kill(node)
            case _:
                self._trouble(node, replica)

    def _talk(self, node: Node) -> None:
        """What is on the way between a Worker and its coordinator arrives, or some of it."""
        for _ in range(self.dice.randint(1, 8)):
            for socket in self._sockets(node):
                self.hear(socket)
            node.hear()

    def _trouble(self, node: Node, replica: Replica) -> None:
        if self.dice.random() < 0.5 and node.socket is not None:
            node.socket.is_cut = True
        elif self.dice.random() < 0.3:
            self.attempt(replica, lambda: self.decide(replica, decisions.drain, worker=node.worker))
        elif node.is_over:
            node.boot()

    def _sockets(self, node: Node) -> list[Socket]:
        """Those of a Worker that have something to say: its own, and what is late of the ones before."""
        node.left = [each for each in node.left if each.up]
        return [each for each in (*node.left, node.socket) if each is not None and self.dice.random() < each.pace]

    def calm_down(self, *, limit: float = 600.0) -> None:
        """All that is left works again, all clocks show the same, right or wrong, and every client leaves.

        Some Workers are gone for good, and nobody says so: only the sweeper finds out.
        """
        self.back()
        clock = self.dice.choice((-4000.0, 0.0, 0.0, 4000.0))
        for replica in self.replicas:
            replica.dies, replica.clock = "", clock
        for node in self.nodes:
            node.frozen_until = 0.0
            node.stays_dead = self.dice.random() < 0.3
            if node.stays_dead:
                node.die(lost=True)
        until, calm = self.now + limit, 0
        while self.now < until and calm < QUIET:
            for node in self.nodes:
                self._settle(node)
            self.pass_time(1.0)
            calm = calm + 1 if self._is_calm() else 0

    def _settle(self, node: Node) -> None:
        if node.is_over and not node.stays_dead:
            node.boot()
        node.dial(self.dice.randrange(len(self.replicas)))
        for slot, each in sorted(node.running.items()):
            if each.until == float("inf"):
                node.leave(slot)
        for _ in range(50):
            sockets = [each for each in (*node.left, node.socket) if each is not None]
            if not any(each.up or each.down for each in sockets):
                return
            for socket in sockets:
                self.hear(socket)
            for replica in self.replicas:
                self.carry_out(replica)
            with suppress(IndexError):
                node.hear()
            node.left = [each for each in node.left if each.up]

    def _is_calm(self) -> bool:
        def look(tx: Tx) -> bool:
            living = {each.id for each in tx.workers(states=LIVE)}
            dead = {node.worker for node in self.nodes if node.stays_dead}
            return not living & dead and not tx.sessions(states=OPEN, limit=1)

        # A Worker on a cut socket says nothing of its Slots until the socket's silence has ended it.
        cut = any(node.socket is not None and node.socket.is_cut for node in self.nodes if not node.stays_dead)
        return not cut and not any(node.running for node in self.nodes) and self.facts.run(look)


def _found(tx: Tx) -> None:
    for name, spec in MODELS.items():
        tx.put_model(ModelRecord(name, "v1", spec, max_workers=1))
    for name, weight in ACCOUNTS.items():
        tx.put_account(Account(name, name, 0, weight))


def _lead(tx: Tx, now_us: int, options: CoordinatorOptions, holder: str) -> tuple[bool, list[Effect]]:
    return tx.lead("sweeper", holder, now_us=now_us, until_us=now_us + round(LEADS_FOR * 1e6)), []
