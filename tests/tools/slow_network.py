"""A network that is slow, narrow or loses packets, as numbers: one `Way` for each direction. Pure: `now` comes in.

The kernel's own (tc netem) is often not there. A packet on its way meets, in this order, a chance of being lost, a
bottleneck with a bounded queue before it, and a distance. `wire.py` is the shell that carries packets between two
namespaces by it.
"""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass
from typing import Final

HELD_BACK: Final = 0.010  # seconds by which a packet that is overtaken comes late: some more are behind it by then
QUEUE: Final = 0.2  # seconds of traffic that wait before a bottleneck; home routers have this and more
PERFECT: Final = 10e9  # bits a second


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a direction does to packets.

    Attributes:
        delay: seconds that each takes.
        jitter: seconds that each may take longer, evenly spread; packets keep their order, as in a queue elsewhere.
        loss: share that is lost, 0 to 1, each by itself.
        reordered: share that comes `HELD_BACK` later, so that those behind overtake it.
        bps: bits a second that pass the bottleneck.
        queue: seconds of waiting before the bottleneck; a packet that would wait longer is lost.
    """

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    reordered: float = 0.0
    bps: float = PERFECT
    queue: float = QUEUE

    def __post_init__(self) -> None:
        if not (min(self.delay, self.jitter, self.queue) >= 0 and self.bps > 0):
            raise ValueError(f"times are 0 or more and bps more than 0, not {self}")
        if not (0 <= self.loss <= 1 and 0 <= self.reordered <= 1):
            raise ValueError(f"shares are 0 to 1, not {self}")


class Way:
    """One direction.

    Args:
        conditions: as they are at first.
        seed: of its chances; the same packets at the same times with the same seed have the same fate.

    Attributes:
        taken, lost, overflowed: packets so far: all, those lost by chance, those for which the queue had no room.
    """

    def __init__(self, conditions: Conditions, *, seed: int) -> None:
        self._conditions = conditions
        self._chance = random.Random(seed)
        self._passed_at = 0.0  # when the bottleneck is through with all that it was given
        self._arrives_at = 0.0  # when the last packet that keeps its place does
        self._numbers = itertools.count()
        self._under_way: list[tuple[float, int, bytes]] = []
        self.taken = self.lost = self.overflowed = 0

    def become(self, conditions: Conditions) -> None:
        """For packets from now on; those that are under way arrive as they would have."""
        self._conditions = conditions
        self._arrives_at = 0.0

    def take(self, packet: bytes, now: float) -> None:
        """A packet sets out."""
        here, chance = self._conditions, self._chance
        self.taken += 1
        if chance.random() < here.loss:
            self.lost += 1
            return
        begins_at = max(now, self._passed_at)
        if begins_at - now > here.queue:
            self.overflowed += 1
            return
        self._passed_at = begins_at + len(packet) * 8 / here.bps
        at = self._passed_at + here.delay + here.jitter * chance.random()
        if chance.random() < here.reordered:
            at += HELD_BACK
        else:
            at = self._arrives_at = max(at, self._arrives_at)
        heapq.heappush(self._under_way, (at, next(self._numbers), packet))

    def deadline(self) -> float | None:
        """When the next packet arrives; None while none is under way."""
        return self._under_way[0][0] if self._under_way else None

    def arrived(self, now: float) -> list[bytes]:
        """The packets that have arrived since the last call, in their order."""
        packets = list[bytes]()
        while self._under_way and self._under_way[0][0] <= now:
            packets.append(heapq.heappop(self._under_way)[2])
        return packets
