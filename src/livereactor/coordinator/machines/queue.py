"""The queue of a model: whose turn it is. Pure.

Tickets are served by priority, then by turn, then as they came. A turn is virtual time, as in self-clocked fair
queueing (Golestani 1994): the model's clock stands at the turn served last, and a Ticket of an account with weight w
comes 1/w after that account's Ticket before it, so that over a busy time accounts get Slots as their weights are.
"""

from __future__ import annotations

from typing import Final

from livereactor.store.records import SessionRecord

NOTED_EVERY: Final = 5.0  # seconds between two writes of a client's polls; a Ticket lives twelve times as long
NOTED_IN_GRACE: Final = 4  # writes of them within a Ticket's grace at least, however short that is


def is_unpolled(session: SessionRecord) -> bool:
    """Return whether no poll of this ticket was stored yet: its client learns of the queue for the first time."""
    return session.polled_us == session.created_us


def noted_every(grace: float) -> float:
    """Return the seconds between two writes of a client's polls; tickets live for `grace` seconds without one."""
    return min(NOTED_EVERY, grace / NOTED_IN_GRACE)


def is_poll_worth_noting(session: SessionRecord, now_us: int, *, grace: float) -> bool:
    """Return whether a poll of this client has to be stored (`decisions.polled`)."""
    # Either way: the clock may have been set back.
    return is_unpolled(session) or abs(now_us - session.polled_us) >= noted_every(grace) * 1e6


def order(session: SessionRecord) -> tuple[int, float, int]:
    """Return the sort key that puts the tickets of one model in the order in which they are served."""
    return -session.prio, session.turn, session.seq


def turn(weight: float | None, *, served_turn: float, last_turn: float | None, others_wait: bool) -> float:
    """Return the turn of a new ticket.

    Args:
        weight: of its account; None = first come, first served.
        served_turn: of the Ticket served last.
        last_turn: the highest among the account's tickets that wait; None = no ticket waits.
        others_wait: anybody waits for this model.
    """
    if weight is not None:
        return max(served_turn, served_turn if last_turn is None else last_turn) + 1 / weight
    # One turn on, not none: else those without a weight would go before all that have one, for as long as they come.
    return served_turn + 1 if others_wait else served_turn
