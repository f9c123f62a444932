"""Ten minutes of killing and freezing under load; prints one JSON object, and ends with 1 where a promise was broken.

Promises are those of section 8 of the design; `bench/chaos/promises.py` says how each is seen. The same seed does the
same things to the same parts in the same order, as far as processes and clocks let it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2

from bench.chaos import promises
from bench.chaos.faults import Faults
from bench.chaos.ledger import Ledger
from bench.chaos.promises import Event
from bench.chaos.stack import URL, Stack, stack
from bench.chaos.visitors import Visitor

SETTLES = 150.0  # seconds within which all is well again: an unclaimed window, and a lease and a start before it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="of load under fault")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--visitors", type=int, default=6, help="clients at once, for four workers")
    parser.add_argument("--coordinators", type=int, choices=(1, 2), default=2)
    parser.add_argument("--keep", type=Path, help="an empty folder for logs and data, which stay there")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="livereactor-chaos-", ignore_cleanup_errors=True) as made:
        folder = given.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        with stack(folder, coordinators=given.coordinators) as parts:
            ledger = asyncio.run(unrest(parts, given.seconds, given.seed, given.visitors))
    print(json.dumps(report(ledger, given.seed), indent=1))
    return 1 if ledger.wrong else 0


async def unrest(parts: Stack, seconds: float, seed: int, visitors: int) -> Ledger:
    """Load and faults for so long, then calm; what was seen, judged."""
    ledger = Ledger()
    await _settled(parts, ledger, "before anything was done")
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        group.create_task(Faults(parts, ledger, seed).run(until))
        for number in range(visitors):
            group.create_task(Visitor(number, parts.key, ledger, seed).run(until))
    await _settled(parts, ledger, "after everything was made good again")
    events = [Event(kind, at_us / 1e6, session, data) for kind, at_us, session, data in parts.history()]
    ledger.tally["events"] = len(events)
    asked = promises.asked_to_end(parts.parts.services["proxy"].log())
    ledger.wrong += promises.history(events) + promises.ends(events, ledger, asked)
    for judge in (promises.streams, promises.windows, promises.told):
        ledger.wrong += judge(events, ledger)
    ledger.wrong += await promises.clips(ledger, parts.key)
    for name, part in parts.parts.services.items():
        ledger.wrong += promises.answers(part.log()) if name == "proxy" else []
        ledger.wrong += promises.logs(name, part.log()) if name.startswith(("coordinator", "worker")) else []
    return ledger


async def _settled(parts: Stack, ledger: Ledger, when: str) -> None:
    """Until every worker is ready and empty and no session is open."""
    headers = {"Authorization": f"Bearer {parts.key}"}
    deadline, last = time.monotonic() + SETTLES, "nothing was answered"
    async with httpx2.AsyncClient(base_url=URL, headers=headers, timeout=20.0) as http:
        while time.monotonic() < deadline:
            try:
                answer = await http.get("/admin/overview")
                if answer.status_code == 200:
                    seen: dict[str, Any] = answer.json()
                    ready = [each["worker"] for each in seen["workers"] if each["state"] == "ready"]
                    open_ = [each["session_id"] for each in seen["sessions"] if each["state"] != "CLOSED"]
                    if len(ready) == len(parts.workers()) and not open_:
                        return
                    last = f"ready: {sorted(ready)}; open: {open_}"
            except httpx2.TransportError as error:
                last = repr(error)
            await asyncio.sleep(0.5)  # a look at a service that settles by itself
    ledger.wrong.append(f"{when}, {SETTLES:.0f} s did not suffice: {last}")


def report(ledger: Ledger, seed: int) -> dict[str, Any]:
    """As it is printed."""
    frames = sum(len(each.frames) for each in ledger.sessions.values())
    return {
        "seed": seed,
        "faults": len(ledger.faults),
        "sessions": len(ledger.sessions),
        "frames": frames,
        "violations": len(ledger.wrong),
        "wrong": ledger.wrong,
        "tally": dict(sorted(ledger.tally.items())),
    }


if __name__ == "__main__":
    sys.exit(main())
