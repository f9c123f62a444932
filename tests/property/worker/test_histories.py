"""Workers' links against the coordinator's real decisions, whatever is lost, late, doubled or frozen between them.

A Session runs only where the coordinator said so under that very fence, one at a time in a Slot; and once the trouble
is over, every Slot is free again and every Session has ended.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livereactor.base.errors import LivereactorError
from livereactor.coordinator import decisions
from livereactor.coordinator.decisions.effects import (
    Effect,
    NotifyAssigned,
    NotifyDrain,
    NotifyEnded,
    WorkerDeclaredLost,
)
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol import link
from livereactor.runtime.worker import events as e
from livereactor.runtime.worker.link import About, LinkState, WorkerLink
from livereactor.store.memory.store import MemoryStore
from livereactor.store.port import Tx
from livereactor.store.records import ModelRecord, SessionRecord, SessionState, SlotState, WorkerState
from tests.tools.making import created

MODEL, SLOTS = "pond", 2
LIVING = (SessionState.WAITING, SessionState.ACTIVE, SessionState.ORPHANED)


class Node:
    """A Worker's process: its link, what its Slots run, and a socket that loses what is on it when it breaks."""

    def __init__(self, name: str, world: World) -> None:
        self.world = world
        self.names = 0
        self.name = name
        self.link = WorkerLink(
            About(name, MODEL, pooled=name == "pool"), SLOTS, incarnation=self._fresh, drain_timeout=30.0, now=0.0
        )
        self.up: deque[link.FromWorker] | None = None
        self.down: deque[link.FromCoordinator] = deque()
        self.incarnation = ""  # as it registered on this socket
        self.said = ""  # in its last Hello
        self.running: dict[int, str] = {}
        self.ending: dict[int, str] = {}  # by Slot, the reason
        self.frozen = False
        self.over = False

    def _fresh(self) -> str:
        self.names += 1
        return f"incarnation-{self.name}-{self.names}"

    def tell(self, event: e.LinkEvent) -> None:
        for effect in self.link.handle(event, self.world.now):
            self._do(effect)

    def _do(self, effect: e.LinkEffect) -> None:
        match effect:
            case e.Send(frame=frame) if self.up is not None:
                if isinstance(frame, link.Hello) and frame.incarnation != self.said:
                    assert not self.running, "it registers anew while a Session runs"
                    self.said = frame.incarnation
                self.up.append(frame)
            case e.Start(slot=slot, session=session):
                assert slot not in self.running, "a Slot has two Sessions"
                fence = self.link.slots[slot].fence
                assert (self.name, slot, fence, session) in self.world.accepted, "a Session nobody gave it"
                self.running[slot] = session
            case e.EndSession(slot=slot, session=session, reason=reason):
                assert self.running.get(slot) == session, "what does not run is ended"
                self.ending.setdefault(slot, reason)
            case e.CloseSocket():
                self.lose_socket()
            case e.EndProcess():
                assert not self.running, "it leaves while a Session runs"
                self.over, self.up = True, None if self.up is None else self.up
            case _:
                pass

    def dial(self) -> None:
        if self.link.may_dial and self.up is None and not self.over:
            self.up, self.down, self.incarnation = deque(), deque(), ""
            self.tell(e.SocketOpened())

    def lose_socket(self) -> None:
        if self.up is not None:
            self.up, self.down = None, deque()
            self.tell(e.SocketClosed())

    def hear(self) -> None:
        if self.down and not self.frozen:
            self.tell(self.down.popleft())

    def wake(self) -> None:
        """Its timer, as the shell's."""
        for _ in range(8):
            deadline = self.link.deadline()
            if self.frozen or deadline is None or deadline > self.world.now:
                return
            self.tell(e.TimedOut())

    def go_on(self, dice: random.Random) -> None:
        """Something happens in one of its Sessions."""
        if self.frozen or not self.running:
            return
        slot, session = dice.choice(sorted(self.running.items()))
        if slot in self.ending or dice.random() < 0.3:
            self.close(slot, "timed_out")
        else:
            phase = dice.choice(("streaming", "orphaned"))
            self.tell(e.SlotMoved(slot, session, phase, seen=phase == "streaming"))

    def close(self, slot: int, reason: str) -> None:
        session = self.running[slot]
        reason = self.ending.get(slot, reason)
        self.tell(e.SlotMoved(slot, session, "closing", reason))
        del self.running[slot]
        self.ending.pop(slot, None)
        self.tell(e.SlotClosed(slot, session, reason))


class World:
    """A coordinator, its facts in memory, and two Workers."""

    def __init__(self) -> None:
        self.now = 0.0
        self.store = MemoryStore()
        self.options = CoordinatorOptions()
        self.is_store_away = False
        self.accepted: set[tuple[str, int, int, str]] = set()
        self.sessions = 0
        self.store.run(lambda tx: tx.put_model(ModelRecord(MODEL, "v1", {})))
        self.nodes = [Node("pool", self), Node("elsewhere", self)]
        for node in self.nodes:
            node.dial()
            node.tell(e.AllLoaded())

    @property
    def us(self) -> int:
        return 1_000_000_000 + round(self.now * 1e6)

    def decide(self, work: Callable[[Tx], tuple[object, list[Effect]]]) -> object:
        result, effects = self.store.run(work)
        self.store.run(self._look)
        for effect in effects:
            self._carry_out(effect)
        return result

    def _look(self, tx: Tx) -> None:
        for record in tx.sessions(states=LIVING, limit=1000):
            assert record.worker is not None
            assert record.slot is not None
            assert record.fence is not None
            self.accepted.add((record.worker, record.slot, record.fence, record.id))

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case NotifyAssigned():
                frame = link.Assign(slot=effect.slot, fence=effect.fence, session=effect.session)
                self._say(effect.worker, frame)
            case NotifyEnded():
                told = link.End(slot=effect.slot, fence=effect.fence, session=effect.session, reason=effect.reason)
                self._say(effect.worker, told)
            case NotifyDrain():
                self._say(effect.worker, link.Drain(grace=effect.grace))
            case WorkerDeclaredLost():
                pass  # the pool kills what is left; here it lives on, as one elsewhere does
            case _:
                pass

    def _say(self, worker: str, frame: link.FromCoordinator) -> None:
        node = next(each for each in self.nodes if each.name == worker)
        if node.up is not None and node.incarnation:
            node.down.append(frame)

    def hear(self, node: Node) -> None:
        """The coordinator handles the next frame of a Worker."""
        if not node.up:
            return
        if self.is_store_away and not isinstance(node.up[0], link.Beat):
            return
        frame, now, options = node.up.popleft(), self.us, self.options
        worker, incarnation = node.name, node.incarnation
        answer: object = None
        match frame:
            case link.Hello():
                answer = self.decide(lambda tx: decisions.register(tx, now, options, hello=frame))
                node.incarnation = frame.incarnation
            case link.Beat() if self.is_store_away:
                return
            case link.Beat():
                answer = self.decide(
                    lambda tx: decisions.beat(tx, now, options, worker=worker, incarnation=incarnation, beat=frame)
                )
            case link.SessionReport():
                self.decide(
                    lambda tx: decisions.report(tx, now, options, worker=worker, incarnation=incarnation, report=frame)
                )
            case link.Bye():
                self.decide(lambda tx: decisions.bye(tx, now, options, worker=worker, incarnation=incarnation))
            case _:
                pass
        if isinstance(answer, link.Welcome | link.Renewed | link.Refused):
            node.down.append(answer)

    def create(self) -> None:
        self.sessions += 1
        made = SessionRecord(f"ses_{self.sessions}", "tests", MODEL, SessionState.QUEUED, self.us, self.us)
        try:
            self.decide(lambda tx: created(tx, self.us, self.options, session=made))
        except LivereactorError:
            pass  # nobody serves it now

    def end(self, dice: random.Random) -> None:
        open_ones = self.store.run(lambda tx: tx.sessions(states=(*LIVING, SessionState.ASSIGNED, SessionState.QUEUED)))
        if open_ones:
            chosen = dice.choice(list(open_ones)).id
            self.decide(lambda tx: decisions.end_session(tx, self.us, self.options, session=chosen, reason="stopped"))

    def sweep(self) -> None:
        if not self.is_store_away:
            for step in (decisions.sweep_leases, decisions.sweep_assignments, decisions.sweep_queues):
                self.decide(lambda tx, step=step: step(tx, self.us, self.options))

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.sweep()
        for node in self.nodes:
            node.wake()

    # --- what may happen -----------------------------------------------------------------------------------------

    def happen(self, dice: random.Random) -> None:
        node = dice.choice(self.nodes)
        match dice.choices(range(12), (6, 20, 20, 4, 6, 3, 10, 0.6, 0.3, 0.3, 2, 0.02))[0]:
            case 0:
                self.pass_time(dice.choice((0.1, 0.5, 1.0, 2.0)))
            case 1:
                for _ in range(dice.randint(1, 4)):
                    self.hear(node)
            case 2:
                for _ in range(dice.randint(1, 4)):
                    node.hear()
            case 3:
                for each in self.nodes:
                    each.dial()
            case 4:
                self.create()
            case 5:
                self.end(dice)
            case 6:
                node.go_on(dice)
            case 7:
                node.lose_socket()
            case 8:
                node.frozen = True
                self.pass_time(dice.choice((1.0, 10.0, 20.0, 70.0)))
                node.frozen = dice.random() < 0.2
            case 9:
                self.is_store_away = not self.is_store_away
            case 10 if node.down:  # a hint doubled, or told again too late
                hints = [each for each in node.down if isinstance(each, link.Assign | link.End)]
                node.down.extend(dice.sample(hints, min(1, len(hints))))
            case 11:
                node.tell(e.DrainRequested(20.0))
            case _:
                pass

    def calm_down(self) -> None:
        """Everything works again; every client leaves."""
        self.is_store_away = False
        for node in self.nodes:
            node.frozen = False
        for _ in range(400):
            for node in self.nodes:
                node.dial()
                while node.up or node.down:
                    self.hear(node)
                    node.hear()
                for slot in sorted(node.running):
                    node.close(slot, "stopped")
            self.end(random.Random(1))
            self.pass_time(0.5)


def live(seed: int, steps: int) -> World:
    dice, world = random.Random(seed), World()
    for _ in range(steps):
        world.happen(dice)
    world.calm_down()
    return world


def check(seed: int, steps: int) -> World:
    world = live(seed, steps)

    def look(tx: Tx) -> None:
        assert not tx.sessions(states=(*LIVING, SessionState.ASSIGNED)), "a Session did not end"
        ends = {each.end_reason for each in tx.sessions(states=[SessionState.CLOSED], limit=1000)}
        assert ends <= {"stopped", "timed_out", "worker_lost", "evicted"}, "why a Session ended was lost on the way"
        for node in world.nodes:
            record = tx.worker(node.name)
            if node.over or record is None:
                continue
            assert node.link.state is LinkState.UP
            assert record.state is WorkerState.READY
            assert [slot.state for slot in tx.slots(node.name)] == [SlotState.FREE] * SLOTS, "a Slot is not free"

    world.store.run(look)
    return world


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32))
def test_a_session_runs_only_where_it_was_given_and_all_is_free_in_the_end(seed: int) -> None:
    check(seed, 150)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_so_it_is_over_twenty_thousand_long_histories() -> None:
    for seed in range(20_000):
        check(seed, 400)


def test_histories_get_as_far_as_sessions_that_run() -> None:
    worlds = [live(seed, 150) for seed in range(20)]
    assert sum(len(world.accepted) for world in worlds) > 60
    assert any(node.names > 1 for world in worlds for node in world.nodes), "nobody ever had to start over"
