"""Words of the hostile bench: an attack, what an attacker knows, and what the server answered."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from livereactor.base.tasks import Changes

Program: TypeAlias = Literal["run", "serve"]
Run: TypeAlias = Callable[["Target", "Tally"], Awaitable[None]]
BOTH: tuple[Program, ...] = ("run", "serve")
SERVE: tuple[Program, ...] = ("serve",)
RUN: tuple[Program, ...] = ("run",)
BEAT = 0.01  # seconds between two bursts of what is paced: a loop cannot wake a thousand times a second


@dataclass(frozen=True, slots=True)
class Target:
    """A server under attack, and what the attacker was given.

    Attributes:
        url: of its HTTP.
        source: the attacker's own address; no other attack has it, as rates are counted by address.
        session: of the owner.
        watch, steer: tokens of share links to it: to watch, and to steer and upload. Empty ones where the server is a
            stand-alone runtime, which asks nobody.
        stranger: an API key of another account.
        media: addresses of UDP sockets by which the owner's session is connected.
    """

    url: str
    source: str
    session: str
    watch: tuple[str, ...] = field(default=(), repr=False)
    steer: tuple[str, ...] = field(default=(), repr=False)
    stranger: str = field(default="", repr=False)
    media: tuple[tuple[str, int], ...] = ()

    @property
    def at(self) -> tuple[str, int]:
        """Host and port of its HTTP."""
        found = urlsplit(self.url)
        assert found.hostname
        assert found.port
        return found.hostname, found.port


class Tally:
    """Counts of what an attacker sent, and of what it was told, by words such as `429` or `closed`.

    Attributes:
        sent: requests, messages or packets.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.sent = 0
        self._changes = Changes()

    def saw(self, what: str | int, count: int = 1) -> None:
        """Count an answer."""
        self.counts[str(what)] += count
        self._changes.notify()

    async def until(self, answers: frozenset[str], timeout: float) -> None:
        """Wait until each of these was answered, so many seconds at most."""
        await self._changes.until(lambda: all(self.counts[each] for each in answers), timeout)


@dataclass(frozen=True, slots=True)
class Attack:
    """One way to be a burden.

    Attributes:
        name: by which it is asked for.
        does: the attack in one sentence.
        bound: the limit, or the rule, that stands against it.
        run: attacks until it is cancelled, bounded in what it has open and sends a second.
        may: what a healthy server answers; anything else breaks a promise.
        must: those of them that must have been answered at least once.
        programs: where the attacked thing exists.
    """

    name: str
    does: str
    bound: str
    run: Run = field(repr=False)
    may: frozenset[str]
    must: frozenset[str] = frozenset()
    programs: tuple[Program, ...] = SERVE

    def broken(self, counts: Counter[str]) -> list[str]:
        """Return what the server answered that it should not, or did not though it should."""
        wrong = [f"answered {what} {count} times" for what, count in counts.items() if what not in self.may]
        return wrong + [f"never answered {what}" for what in sorted(self.must) if not counts[what]]


def words(text: str) -> frozenset[str]:
    """Return answers that are written as one text, such as `200 429 closed`."""
    return frozenset(text.split())


async def paced(rate: float) -> AsyncIterator[int]:
    """Count up, `rate` times a second; what was missed is made up for by at most one second's worth."""
    done, began = 0, time.monotonic()
    while True:
        due = int((time.monotonic() - began) * rate)
        done = max(done, due - int(rate))
        while done < due:
            yield done
            done += 1
        await asyncio.sleep(BEAT)


async def together(count: int, one: Callable[[int], Awaitable[None]]) -> None:
    """Run so many attackers at once, until they are cancelled."""
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(_run(one, number))


async def _run(one: Callable[[int], Awaitable[None]], number: int) -> None:
    await one(number)
