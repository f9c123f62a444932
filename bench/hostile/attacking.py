"""The process of an attacker: `python -m bench.hostile.attacking` reads what to do, and says what it was answered.

It is a process of its own so that its work is not the owner's, and gives way to every other process of the machine: in
the world outside, an attacker brings a machine along.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from bench.hostile.attack import Attack, Tally, Target
from bench.hostile.attacks import ATTACKS
from tests.tools.processes import REPOSITORY

LEAVES = 30.0  # seconds that an attacker has to begin, and to close what it opened
LATER = 20.0  # seconds more for an answer that has to come: whether it comes does not depend on a machine's load
GIVING_WAY = ("nice", "-n", "19")


@dataclass(frozen=True, slots=True)
class Struck:
    """What came of an attack: what was sent, and what was answered, counted."""

    sent: int
    answers: Counter[str]


Strike: TypeAlias = Callable[[float], Awaitable[Struck]]


@asynccontextmanager
async def attacker(attack: Attack, target: Target) -> AsyncIterator[Strike]:
    """A process that is there and waits: called with seconds, it attacks once and returns what it was answered."""
    process = await asyncio.create_subprocess_exec(
        *(*GIVING_WAY, sys.executable, "-m", "bench.hostile.attacking"),
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'src'}"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )

    async def strike(seconds: float) -> Struck:
        order = json.dumps({"attack": attack.name, "target": asdict(target), "seconds": seconds})
        async with asyncio.timeout(seconds + LATER + LEAVES):
            said, _ = await process.communicate(order.encode())
        if process.returncode != 0:
            raise RuntimeError(f"the attacker {attack.name} ended with {process.returncode}")
        found = json.loads(said)
        return Struck(found["sent"], Counter(found["answers"]))

    try:
        assert process.stdout is not None
        async with asyncio.timeout(LEAVES):
            await process.stdout.readline()  # all is imported
        yield strike
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def target_of(given: Mapping[str, Any]) -> Target:
    """Return a target that was written as JSON."""
    lists = {name: tuple(given[name]) for name in ("watch", "steer")}
    return Target(**{**given, **lists, "media": tuple((host, port) for host, port in given["media"])})


async def _attack(order: Mapping[str, Any]) -> Tally:
    attack, tally = ATTACKS[order["attack"]], Tally()
    running = asyncio.ensure_future(attack.run(target_of(order["target"]), tally))
    await asyncio.wait([running], timeout=order["seconds"])
    await tally.until(attack.must, LATER)
    running.cancel()
    outcome = (await asyncio.gather(running, return_exceptions=True))[0]
    if isinstance(outcome, Exception):
        raise outcome
    return tally


if __name__ == "__main__":
    print("ready", flush=True)
    tally = asyncio.run(_attack(json.load(sys.stdin)))
    print(json.dumps({"sent": tally.sent, "answers": tally.counts}))
