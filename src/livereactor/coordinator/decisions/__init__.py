"""The coordinator's decisions, each one transaction: load records, ask the pure machines, store the result.

Every decision is called as `store.transact(lambda tx: decision(tx, now_us, options, …))` and returns its result with
the effects to apply, in order, once the transaction is committed. It does no I/O but the transaction's, knows no clock
but `now_us` (microseconds of Unix time), and may be run again from the start. An error that it raises undoes it whole.

Locks are taken in one order (`locks.py`), so that decisions do not wait for each other in a circle.
"""

from livereactor.coordinator.decisions.moves import fill
from livereactor.coordinator.decisions.places import QueuePlace, place, places
from livereactor.coordinator.decisions.sessions import (
    LockedQueue,
    QueueEmptyError,
    create_session,
    end_session,
    lock_queue,
    polled,
    prefer,
)
from livereactor.coordinator.decisions.sweeps import (
    sweep_assignments,
    sweep_clock,
    sweep_leases,
    sweep_overdue,
    sweep_queues,
    sweep_tickets,
)
from livereactor.coordinator.decisions.workers import beat, bye, drain, register, reminders, report, worker_lost

__all__ = [
    "LockedQueue",
    "QueueEmptyError",
    "QueuePlace",
    "beat",
    "bye",
    "create_session",
    "drain",
    "end_session",
    "fill",
    "lock_queue",
    "place",
    "places",
    "polled",
    "prefer",
    "register",
    "reminders",
    "report",
    "sweep_assignments",
    "sweep_clock",
    "sweep_leases",
    "sweep_overdue",
    "sweep_queues",
    "sweep_tickets",
    "worker_lost",
]
