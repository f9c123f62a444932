"""The shell of a machine: effects in order, whatever they raise or pass on, and the event of a passed deadline."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from enum import Enum

import pytest

from livereactor.base.errors import IllegalTransitionError
from livereactor.base.machine import Machine, Table
from livereactor.base.machine_loop import MachineLoop


class Kettle(Enum):
    COLD = "cold"
    HOT = "hot"


@dataclass(frozen=True, slots=True)
class Lit:
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TimedOut:
    pass


LEGAL: Table[Kettle, Lit | TimedOut] = Table(
    "Kettle", {Kettle.COLD: {Lit: Kettle.HOT}, Kettle.HOT: {TimedOut: Kettle.COLD}}
)


class KettleMachine(Machine[Kettle, Lit | TimedOut, str]):
    def __init__(self) -> None:
        super().__init__(LEGAL)
        self.until: float | None = None

    def deadline(self) -> float | None:
        return self.until

    def _decide(self, event: Lit | TimedOut, now: float) -> list[str]:
        match event:
            case Lit(seconds):
                self.until = now + seconds
                return ["light", "hum"]
            case TimedOut():
                self.until = None
                return ["whistle", "cool"]


class Stove:
    """A loop around a kettle; `done` is what it had to do."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.settled = 0
        self.whistled = asyncio.Event()
        self.kettle = KettleMachine()
        self.loop = MachineLoop[Lit | TimedOut, str](self.apply, TimedOut, settled=self.settle)
        self.loop.enter(self.kettle)

    def apply(self, effect: str) -> None:
        self.done.append(effect)
        if effect == "whistle":
            self.whistled.set()

    def settle(self) -> None:
        self.settled += 1


async def test_effects_are_applied_in_order_and_then_it_is_settled() -> None:
    stove = Stove()
    stove.loop.handle(Lit(60.0))
    assert (stove.done, stove.settled) == (["light", "hum"], 1)
    stove.loop.close()


async def test_what_the_machine_refuses_is_raised_and_nothing_is_done() -> None:
    stove = Stove()
    with pytest.raises(IllegalTransitionError):
        stove.loop.handle(TimedOut())
    assert (stove.done, stove.settled) == ([], 0)


async def test_a_passed_deadline_is_an_event() -> None:
    stove = Stove()
    stove.loop.handle(Lit(0.01))
    async with asyncio.timeout(5):
        await stove.whistled.wait()
    assert (stove.done, stove.kettle.state) == (["light", "hum", "whistle", "cool"], Kettle.COLD)


async def test_a_machine_that_has_a_deadline_from_the_start_is_armed() -> None:
    stove = Stove()
    stove.kettle.handle(Lit(0.01), time.monotonic())
    stove.loop.arm()
    async with asyncio.timeout(5):
        await stove.whistled.wait()


async def test_a_deadline_that_moved_back_is_waited_for() -> None:
    stove = Stove()
    stove.loop.handle(Lit(0.01))
    later = stove.kettle.until = time.monotonic() + 0.05
    async with asyncio.timeout(5):
        await stove.whistled.wait()
    assert time.monotonic() >= later


async def test_an_event_from_an_effect_is_decided_at_once_and_done_after_those_that_wait() -> None:
    stove, states = Stove(), list[Kettle]()

    def apply(effect: str) -> None:
        stove.done.append(effect)
        if effect == "light":
            stove.loop.handle(TimedOut())
            states.append(stove.kettle.state)

    stove.loop = MachineLoop[Lit | TimedOut, str](apply, TimedOut)
    stove.loop.enter(stove.kettle)
    stove.loop.handle(Lit(60.0))
    assert (stove.done, states) == (["light", "hum", "whistle", "cool"], [Kettle.COLD])


async def test_an_effect_that_raises_does_not_stop_those_behind_it() -> None:
    stove = Stove()

    def apply(effect: str) -> None:
        stove.done.append(effect)
        raise ValueError(effect)

    stove.loop = MachineLoop[Lit | TimedOut, str](apply, TimedOut)
    stove.loop.enter(stove.kettle)
    stove.loop.handle(Lit(60.0))
    assert stove.done == ["light", "hum"]
    stove.loop.close()
