"""Candidates of offers that have not come yet, each with its sender: who sends many makes room for others. Pure."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Final

from livereactor.base.errors import LimitError
from livereactor.base.limits import Limits
from livereactor.engine.port import Candidate


@dataclass(frozen=True, slots=True)
class Sender:
    """A client that sends candidates.

    Attributes:
        caller: the client, as the coordinator tells clients apart; "" = all that a runtime alone has.
        rank: see `rank_of`; the higher one takes the place of the lower one.
    """

    caller: str
    rank: int


ANYBODY: Final = Sender("", 2)


@dataclass(slots=True)
class _Kept:
    rank: int
    since: float  # seconds; of the first
    candidates: list[Candidate] = field(default_factory=list[Candidate])


class EarlyCandidates:
    """Candidates by connection and caller.

    Args:
        limits: `waiting_connections` of all callers, and `candidates_per_connection`.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._kept: dict[tuple[int, str], _Kept] = {}  # the oldest first

    def keep(self, connection: int, candidate: Candidate, sender: Sender, now: float) -> None:
        """Keep a candidate for the sender's next offer on the connection.

        Where all places are taken, the oldest of a lower rank goes, or else the oldest of a caller of the same rank
        who would still have as many as the sender.

        Raises:
            as `must_have_room`.
        """
        if (victim := self.must_have_room(connection, sender)) is not None:
            del self._kept[victim]
        self._kept.setdefault((connection, sender.caller), _Kept(sender.rank, now)).candidates.append(candidate)

    def must_have_room(self, connection: int, sender: Sender) -> tuple[int, str] | None:
        """Return whose place one more candidate would take, None for nobody's.

        Raises:
            LimitError: the sender has its share of the places, or too many candidates on this connection.
        """
        limits = self._limits
        kept = self._kept.get((connection, sender.caller))
        if kept is not None:
            if len(kept.candidates) >= (limit := limits.candidates_per_connection):
                text = "candidates are kept for this connection (candidates_per_connection)"
                raise LimitError(f"{limit} of {limit} {text}; send its offer, then try again")
            return None
        if len(self._kept) < (limit := limits.waiting_connections):
            return None
        victim = self._victim(sender)
        if victim is None:
            text = "connections with candidates wait for their offers (waiting_connections); send an offer first"
            raise LimitError(f"{limit} of {limit} {text}")
        return victim

    def count(self, connection: int, caller: str) -> int:
        """Return the number of candidates that are kept."""
        kept = self._kept.get((connection, caller))
        return 0 if kept is None else len(kept.candidates)

    def take(self, connection: int, caller: str) -> list[Candidate]:
        """Return the candidates of a caller, and keep them no longer."""
        kept = self._kept.pop((connection, caller), None)
        return [] if kept is None else kept.candidates

    def drop_older_than(self, moment: float, wanted: Container[int]) -> None:
        """Drop what has waited since then or longer, but for the connections that are `wanted`."""
        waited = itertools.takewhile(lambda each: each[1].since <= moment, self._kept.items())
        old = [key for key, _ in waited if key[0] not in wanted]
        for key in old:
            del self._kept[key]

    def clear(self) -> None:
        """Drop everything."""
        self._kept.clear()

    def _victim(self, sender: Sender) -> tuple[int, str] | None:
        lowest = min(kept.rank for kept in self._kept.values())
        if lowest > sender.rank:
            return None
        counts = Counter(caller for (_, caller), kept in self._kept.items() if kept.rank == lowest)
        greedy, most = counts.most_common(1)[0]
        if lowest == sender.rank and most <= counts[sender.caller] + 1:
            return None
        return next(key for key in self._kept if key[1] == greedy)
