"""The order of a queue: fair by weight over a busy time, first come first served otherwise, and nobody starves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from livereactor.coordinator import decisions
from livereactor.coordinator.machines import queue
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.protocol import link
from livereactor.store.memory.store import MemoryStore
from livereactor.store.port import Tx
from livereactor.store.records import Account, ModelRecord, SessionRecord, SessionState
from tests.tools.making import created

weights = st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 10.0])


@dataclass
class Queue:
    """A model's Tickets by the machine alone, one Slot that serves them one after the other."""

    weights: Mapping[str, float | None]
    served_turn: float = 0.0
    seq: int = 0

    def __post_init__(self) -> None:
        self.tickets: list[SessionRecord] = []
        self.served: list[SessionRecord] = []

    def join(self, account: str, *, prio: int = 0) -> SessionRecord:
        of_account = [each.turn for each in self.tickets if each.account == account]
        turn = queue.turn(
            self.weights[account],
            served_turn=self.served_turn,
            last_turn=max(of_account, default=None),
            others_wait=bool(self.tickets),
        )
        self.seq += 1
        ticket = SessionRecord(str(self.seq), account, "pond", SessionState.QUEUED, 0, 0, self.seq, prio, turn)
        self.tickets.append(ticket)
        return ticket

    def serve(self) -> SessionRecord:
        ticket = min(self.tickets, key=queue.order)
        self.tickets.remove(ticket)
        self.served.append(ticket)
        self.served_turn = max(self.served_turn, ticket.turn)
        return ticket


@given(st.lists(weights, min_size=2, max_size=5), st.integers(1, 4), st.integers(1, 200))
def test_over_a_busy_time_accounts_are_served_as_their_weights_are(
    given_weights: list[float], waiting: int, steps: int
) -> None:
    by_account = {f"acc_{n}": weight for n, weight in enumerate(given_weights)}
    line = Queue(by_account)
    for account in by_account:
        for _ in range(waiting):
            line.join(account)
    for _ in range(steps):
        line.join(line.serve().account)  # nobody's Tickets run out
    served = Counter(each.account for each in line.served)
    normal = {account: served[account] / weight for account, weight in by_account.items()}
    # Golestani's bound: two that always wait differ by no more than one Ticket of each.
    for one, first in by_account.items():
        for other, second in by_account.items():
            assert abs(normal[one] - normal[other]) <= 1 / first + 1 / second + 1e-9


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.booleans()), max_size=60))
def test_without_weights_they_are_served_as_they_came(history: list[tuple[str, bool]]) -> None:
    line = Queue({"a": None, "b": None, "c": None})
    for account, serves in history:
        line.join(account)
        if serves:
            line.serve()
    while line.tickets:
        line.serve()
    assert [each.seq for each in line.served] == sorted(each.seq for each in line.served)


@given(st.sampled_from([1.0, 1.5, 3.0]), st.integers(1, 10), st.integers(1, 5))
def test_whoever_has_a_weight_is_served_before_all_without_one_that_come_later(
    weight: float, crowd: int, per_step: int
) -> None:
    line = Queue({"crowd": None, "one": weight})
    for _ in range(crowd):
        line.join("crowd")
    line.join("one")
    for _ in range(crowd + 1):
        line.serve()
        for _ in range(per_step):  # they come faster than they are served
            line.join("crowd")
    assert "one" in {each.account for each in line.served}


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 2)), min_size=1, max_size=30))
def test_a_higher_priority_goes_before_any_turn(joined: list[tuple[str, int]]) -> None:
    line = Queue({"a": None, "b": 1.0, "c": 3.0})
    for account, prio in joined:
        line.join(account, prio=prio)
    while line.tickets:
        line.serve()
    assert [each.prio for each in line.served] == sorted((each.prio for each in line.served), reverse=True)


def test_an_account_that_was_away_has_saved_nothing_up() -> None:
    """Its turn counts from the clock of the queue, not from its last visit: it may not take all Slots for an hour."""
    line = Queue({"busy": 1.0, "late": 1.0})
    line.join("busy")
    for _ in range(100):
        line.join(line.serve().account)
    for _ in range(5):
        line.join("busy")
        line.join("late")
    first_ten = Counter(line.serve().account for _ in range(10))
    assert abs(first_ten["busy"] - first_ten["late"]) <= 2


def test_a_poll_is_worth_noting_now_and_then_and_whenever_the_clock_jumped() -> None:
    ticket = SessionRecord("ses", "tests", "pond", SessionState.QUEUED, 0, 0)
    noted = replace(ticket, polled_us=100_000_000)
    worth = queue.is_poll_worth_noting
    assert worth(ticket, 1, grace=60.0), "the first poll is not written down"
    assert [worth(noted, 100_000_000 + us, grace=60.0) for us in (0, 4_999_999, 5_000_000)] == [False, False, True]
    assert worth(noted, 90_000_000, grace=60.0), "a clock that was set back keeps polls from being written"
    assert worth(noted, 101_000_000, grace=4.0), "a Ticket may be dropped between two polls that are written"


def served_in_the_store(weights_of: Mapping[str, float | None], joined: Sequence[str]) -> list[str]:
    """Accounts in the order in which the coordinator's decisions serve them, by one Slot."""
    store, options = MemoryStore(), CoordinatorOptions()
    hello = link.Hello(worker="w", incarnation="life-one", model="pond", state="ready", slots=[link.SlotReport(n=0)])

    def begin(tx: Tx) -> None:
        tx.put_model(ModelRecord("pond", "v1", {}))
        for name, weight in weights_of.items():
            tx.put_account(Account(name, name, 0, weight))
        decisions.register(tx, 0, options, hello=hello)

    store.run(begin)
    for n, account in enumerate(("first", *joined)):
        made = SessionRecord(f"ses_{n}", account, "pond", SessionState.QUEUED, n, n)
        store.run(lambda tx, made=made: created(tx, 1, options, session=made))
    order: list[str] = []
    while assigned := store.run(lambda tx: tx.sessions(states=[SessionState.ASSIGNED])):
        session = assigned[0]
        order.append(session.account)
        store.run(lambda tx, session=session: decisions.end_session(tx, 2, options, session=session.id))
        free = link.SlotReport(n=0, phase="free", fence=session.fence or 0)
        beat = link.Beat(number=1, state="ready", slots=[free])
        store.run(lambda tx, beat=beat: decisions.beat(tx, 3, options, worker="w", incarnation="life-one", beat=beat))
    assert len(order) == len(joined) + 1
    return order[1:]


def test_the_coordinator_serves_three_of_one_account_for_each_of_another() -> None:
    order = served_in_the_store({"light": 1.0, "heavy": 3.0}, ["light"] * 8 + ["heavy"] * 24)
    for end in range(4, 33, 4):
        share = Counter(order[:end])
        assert abs(share["heavy"] - 3 * share["light"]) <= 4


def test_the_coordinator_serves_others_as_they_came() -> None:
    joined = ["a", "b", "a", "c", "b", "c", "a"]
    assert served_in_the_store({"a": None, "b": None, "c": None}, joined) == joined
