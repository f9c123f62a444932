"""A coordinator killed at any instruction goes on where it was.

Each main decision is made once undisturbed, and then once for every instruction of it with the process dying there. A
new process on the same records, Workers that dial in again, and clients that ask again because they got no answer have
to come to the same end, and what `audit.py` checks has to hold after every decision on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from livereactor.coordinator import decisions
from livereactor.store.sql.store import migrate
from tests.fault.crashing import DiedError, Instructions, Moment, Stand
from tests.property.coordinator.nodes import Node

SETTLED = 20.0  # seconds: a restarted coordinator judges nobody's silence for 15 s, and an assignment's for 5 s
Step = Callable[[Stand], object]


# --- the moments before ---------------------------------------------------------------------------------------------


def serving(stand: Stand) -> None:
    """Two Workers, free and ready."""
    stand.settle(3.0)


def one_waits(stand: Stand) -> None:
    """One Session has a Worker and no client yet."""
    serving(stand)
    stand.create("ses_1")
    stand.settle(3.0)
    assert sum(len(node.running) for node in stand.nodes) == 1


def all_busy(stand: Stand) -> None:
    """Both Workers have a client, and a third Session waits."""
    one_waits(stand)
    stand.create("ses_2")
    stand.settle(3.0)
    for node in stand.nodes:
        node.come(0)
    stand.create("ses_3")
    stand.settle(8.0)
    assert [len(node.running) for node in stand.nodes] == [1, 1]


def two_wait(stand: Stand) -> None:
    all_busy(stand)
    stand.create("ses_4")


def assigned(stand: Stand) -> None:
    """A Worker says that it takes the Session it was told of."""
    serving(stand)
    stand.create("ses_1")
    for node in stand.nodes:
        listen(node)
    assert any(node.socket is not None and node.socket.up for node in stand.nodes)


def not_taken(stand: Stand) -> None:
    """The one Worker has heard nothing for longer than an assignment waits."""
    serving(stand)
    stand.nodes[1].die(lost=True)
    stand.decide(decisions.worker_lost, worker="wrk_1", reason="exited")
    stand.nodes[0].frozen_until = stand.now + 8.0
    stand.create("ses_1")
    stand.now += 6.0


def client_came(stand: Stand) -> None:
    """A Worker's word of its Session's first client is on the way."""
    one_waits(stand)
    busy(stand).come(0)


def session_over(stand: Stand) -> None:
    """A Worker's word that its Session is over is on the way."""
    all_busy(stand)
    stand.nodes[0].close(0, "timed_out")


def dead(stand: Stand) -> None:
    """The Worker of a Session that no client has reached is dead."""
    one_waits(stand)
    busy(stand).die(lost=True)


def dead_in_use(stand: Stand) -> None:
    """The Worker of a Session with a client is dead."""
    all_busy(stand)
    stand.nodes[0].die(lost=True)


def dead_and_silent(stand: Stand) -> None:
    """It has been for longer than its lease, and nobody said so."""
    dead(stand)
    beaten(stand, 16.0)


def back_anew(stand: Stand) -> None:
    """A new process dials in under the id of one that died."""
    dead(stand)
    again = next(node for node in stand.nodes if node.is_over)
    again.boot()
    again.dial(0)


def leaving(stand: Stand) -> None:
    """A Worker that was told to drain has nothing, and says goodbye."""
    one_waits(stand)
    idle = next(node for node in stand.nodes if not node.running)
    stand.decide(decisions.drain, worker=idle.worker)
    listen(idle)
    assert idle.is_over


def silent_ticket(stand: Stand) -> None:
    """The client of a Ticket has not asked for longer than that keeps its place."""
    all_busy(stand)
    beaten(stand, 62.0)


def overdue(stand: Stand) -> None:
    """Sessions have run far longer than they may, and their Workers did nothing about it."""
    all_busy(stand)
    longest = stand.options.limits.max_session_duration + 60.0
    beaten(stand, longest, every=30.0)


# --- what happens ---------------------------------------------------------------------------------------------------


def busy(stand: Stand) -> Node:
    return next(node for node in stand.nodes if node.running)


def listen(node: Node) -> None:
    while node.socket is not None and node.socket.down and not node.is_frozen:
        node.hear()


def beaten(stand: Stand, seconds: float, *, every: float = 2.0) -> None:
    """Workers that live beat, and nothing is swept."""
    until = stand.now + seconds
    while stand.now < until:
        stand.now += every
        for node in stand.nodes:
            node.wake(stand.now)
            stand.hear(node)
            listen(node)


def hear_all(stand: Stand) -> None:
    for node in stand.nodes:
        stand.hear(node)


def end_first(stand: Stand) -> None:
    stand.decide(decisions.end_session, session="ses_1")


def died_with_session(stand: Stand) -> None:
    gone = next(node for node in stand.nodes if node.is_over)
    stand.decide(decisions.worker_lost, worker=gone.worker, reason="exited")


CASES: dict[str, tuple[Step, Step]] = {
    "a session is made": (serving, lambda stand: stand.create("ses_1")),
    "a session is made and waits": (all_busy, lambda stand: stand.create("ses_4")),
    "a ticket goes first": (two_wait, lambda stand: stand.decide(decisions.prefer, session="ses_4")),
    "a ticket is given up": (all_busy, lambda stand: stand.decide(decisions.end_session, session="ses_3")),
    "a session is taken": (assigned, hear_all),
    "a client came": (client_came, hear_all),
    "a session is over": (session_over, hear_all),
    "a session is ended": (all_busy, end_first),
    "a worker dies before a client saw it": (dead, died_with_session),
    "a worker dies in use": (dead_in_use, died_with_session),
    "a worker comes back anew": (back_anew, hear_all),
    "a worker drains": (all_busy, lambda stand: stand.decide(decisions.drain, worker="wrk_0")),
    "a worker says goodbye": (leaving, hear_all),
    "a lease ends": (dead_and_silent, lambda stand: stand.decide(decisions.sweep_leases)),
    "an assignment is not taken": (not_taken, lambda stand: stand.decide(decisions.sweep_assignments)),
    "a ticket is not asked for": (silent_ticket, lambda stand: stand.decide(decisions.sweep_tickets)),
    "sessions are overdue": (overdue, lambda stand: stand.decide(decisions.sweep_overdue)),
}


# --- every crash ------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where the system has such a place: these processes die, and the machine does not."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as made:
        yield Path(made)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("tables") / "store.db"
    migrate(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.mark.parametrize(("arrange", "act"), CASES.values(), ids=CASES)
def test_a_coordinator_killed_at_any_instruction_goes_on_where_it_was(
    folder: Path, tables: bytes, arrange: Step, act: Step
) -> None:
    stand = Stand.founded(folder / "arranged.db", tables)
    arrange(stand)
    moment = stand.moment()
    expected, instructions = undisturbed(folder, moment, act)
    assert instructions > 5
    known = set[str]()
    for number in range(1, instructions + 1):
        stand = killed(folder, moment, act, number)
        left = stand.left_behind()
        # From the same records and the same Workers only one thing can come: it is enough to see it once.
        if left not in known:
            known.add(left)
            assert goes_on(stand, act) == expected, f"killed at instruction {number} of {instructions}"
        stand.close()
    assert len(known) > 1


def undisturbed(folder: Path, moment: Moment, act: Step) -> tuple[list[object], int]:
    """What comes of it, and how many instructions it takes."""
    stand = Stand(folder / "undisturbed.db", moment)
    before = stand.outcome()
    stand.instructions = Instructions()
    act(stand)
    counted = stand.instructions.count
    stand.instructions = None
    stand.settle(SETTLED)
    after = stand.outcome()
    stand.close()
    assert after != before
    return after, counted


def killed(folder: Path, moment: Moment, act: Step, number: int) -> Stand:
    """The process dies at this instruction; what it had told Workers by then has reached them."""
    stand = Stand(folder / f"{number}.db", moment)
    stand.instructions = Instructions(dies_at=number)
    with pytest.raises(DiedError):
        act(stand)
    for node in stand.nodes:
        listen(node)
    stand.restart()
    return stand


def goes_on(stand: Stand, act: Step) -> list[object]:
    """What comes of it, where whoever got no answer asks again."""
    act(stand)
    stand.settle(SETTLED)
    return stand.outcome()
