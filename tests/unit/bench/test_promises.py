"""The judge of `bench.chaos` finds each broken promise in a history, and nothing in one that is as it should be."""

from __future__ import annotations

from typing import Any

import pytest

from bench.chaos.ledger import Fault, Ledger, Seen
from bench.chaos.promises import Event, answers, asked_to_end, ends, history, logs, streams, told, windows

A, B = "ses_a", "ses_b"


def event(at: float, kind: str, session: str, **data: Any) -> Event:
    return Event(f"session.{kind}", at, session, data)


def assigned(at: float, session: str, worker: str = "worker-1", fence: int = 1) -> Event:
    return event(at, "assigned", session, worker=worker, slot=0, fence=fence)


GOOD = [
    event(1, "created", A),
    assigned(2, A),
    event(3, "accepted", A),
    event(9, "requeued", A, reason="worker_lost"),
    event(9.5, "created", B),
    assigned(10, A, "worker-2"),
    assigned(11, B, fence=2),
    event(20, "ended", A, reason="stopped"),
    event(21, "ended", B, reason="timed_out"),
]


def with_others(*others: Event, without: int | None = None) -> list[Event]:
    kept = [each for number, each in enumerate(GOOD) if number != without]
    return sorted([*kept, *others], key=lambda each: each.at)


def test_a_history_as_it_should_be_is_not_found_wrong() -> None:
    assert history(GOOD) == []


@pytest.mark.parametrize(
    ("events", "said"),
    [
        (with_others(event(4, "created", A)), "made 2 times"),
        (with_others(without=0), "made 0 times"),
        (with_others(event(25, "ended", A, reason="stopped")), "ended 2 times"),
        (with_others(event(25, "accepted", A)), "goes on after its end"),
        (with_others(assigned(12, A, "worker-3")), "promised two slots at once"),
        (with_others(assigned(8, B, fence=3), without=6), "is ses_a's"),
        (with_others(assigned(11, B, fence=1), without=6), "fence 1 of ('worker-1', 0) was given before"),
        (
            with_others(event(12, "requeued", A, reason="worker_lost"), assigned(13, A, "worker-3")),
            "queued again twice for lost workers",
        ),
    ],
)
def test_each_contradiction_is_found(events: list[Event], said: str) -> None:
    assert any(said in each for each in history(events)), history(events)


def ledger(*faults: Fault, ends: float | None = None, frames: list[tuple[float, int]] | None = None) -> Ledger:
    made = Ledger(faults=list(faults))
    made.sessions[A] = Seen(A, "numbered", 1.0, ends, frames or [])
    return made


LOST = [event(1, "created", A), assigned(2, A), event(100, "ended", A, reason="worker_lost")]


def test_an_end_needs_a_reason_that_was_given() -> None:
    assert ends(LOST, ledger(Fault("worker-1", "kill", 99, 101)), ()) == []
    assert ends(LOST, ledger(ends=100.5), ()) == []
    for unexplained in (ledger(), ledger(Fault("worker-2", "kill", 99, 101)), ledger(Fault("worker-1", "kill", 5, 6))):
        assert len(ends(LOST, unexplained, ())) == 1


def test_who_was_asked_to_end_may_and_who_was_not_may_not() -> None:
    stopped = [event(1, "created", A), assigned(2, A), event(100, "ended", A, reason="stopped")]
    log = f'172.30.77.1 [x] "DELETE /sessions/{A}" 204 0 0.1s'
    assert ends(stopped, ledger(), asked_to_end(log)) == []
    assert len(ends(stopped, ledger(), asked_to_end(log.replace("DELETE", "GET")))) == 1


def test_a_session_that_was_promised_is_there_and_ends() -> None:
    assert "not in the database" in ends([], ledger(), ())[0]
    assert "never ended" in ends(LOST[:2], ledger(), ())[0]


def test_a_stream_may_pause_only_where_something_was_done_to_its_worker() -> None:
    pause = [(10.0, 1), (10.3, 2), (40.0, 3)]
    assert len(streams(LOST, ledger(frames=pause))) == 1
    assert streams(LOST, ledger(Fault("worker-1", "freeze", 12, 32), frames=pause)) == []
    assert len(streams(LOST, ledger(Fault("postgres", "kill", 12, 32), frames=pause))) == 1
    assert len(streams(LOST, ledger(frames=[(10.0, 7), (10.3, 2)]))) == 1


def test_a_session_that_goes_on_elsewhere_is_judged_by_all_the_workers_it_had() -> None:
    moved = [*LOST[:2], event(50, "requeued", A, reason="worker_lost"), assigned(52, A, "worker-2")]
    frames = [(49.0, 196), (64.0, 1)]
    assert streams(moved, ledger(Fault("worker-1", "kill", 50, 55), frames=frames)) == []
    assert len(streams(moved, ledger(Fault("worker-3", "kill", 50, 55), frames=frames))) == 2


def test_who_vanished_may_come_back_for_as_long_as_the_window() -> None:
    def left(at: float) -> list[Event]:
        return [*LOST[:2], event(at, "ended", A, reason="timed_out")]

    vanished, said_goodbye, frozen = ledger(ends=100.0), ledger(ends=100.0), ledger(ends=100.0)
    vanished.sessions[A].vanished = frozen.sessions[A].vanished = True
    frozen.faults.append(Fault("worker-1", "freeze", 60, 80))
    assert len(windows(left(110), vanished)) == 1
    assert windows(left(131), vanished) == []
    assert windows(left(110), said_goodbye) == windows(left(110), frozen) == []


def test_a_workers_death_is_known_before_its_lease_is_over() -> None:
    killed = Fault("worker-1", "kill", 85, 90)
    assert len(told(LOST, ledger(killed))) == 1
    assert told(LOST, ledger(Fault("worker-1", "kill", 99, 104))) == []
    assert told(LOST, ledger(Fault("worker-2", "kill", 85, 90))) == []
    assert told(LOST, ledger(killed, Fault("coordinator-1", "kill", 86, 88))) == []
    assert len(told(LOST, ledger(killed, Fault("s3", "kill", 86, 88)))) == 1
    assert len(told(LOST[:2], ledger(killed))) == 1


def test_answers_and_logs_without_a_code_of_ours_are_found() -> None:
    line = '172.30.77.1 [x] "POST /sessions" {} 10 0.1s\n'
    assert answers("".join(line.format(status) for status in (201, 404, 502, 503, 504))) == []
    assert answers(line.format(500)) == ["POST /sessions was answered 500"]
    assert len(logs("worker-1", 'fine\n{"exception": "KeyError"}\nTraceback (most recent call last):\n')) == 2
