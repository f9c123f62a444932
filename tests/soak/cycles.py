"""Connect, see a frame, disconnect, again and again, in a process of its own; what it holds before and after.

Run as `python -m tests.soak.cycles OPTIONS WARM_UP CYCLES`, OPTIONS being `Reactor`'s as JSON; prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from dataclasses import asdict
from typing import Any

import psutil

from livereactor import Reactor
from tests.soak.visiting import Used, settled


async def main(options: dict[str, Any], warm_up: int, cycles: int) -> None:
    process = psutil.Process()
    await cycled(options, warm_up)
    before = Used.by(process)
    await cycled(options, cycles)
    after = await settled(process, before)
    tasks = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    print(json.dumps({"before": asdict(before), "after": asdict(after), "tasks": tasks}))


async def cycled(options: dict[str, Any], count: int) -> None:
    """So many connects: of one object twice, and of the next."""
    for number in range(0, count, 2):
        reactor = Reactor(**options)
        for _ in range(min(2, count - number)):
            await reactor.connect(timeout=20.0)
            assert await reactor.track("main_video").read(timeout=10.0) is not None
            await reactor.disconnect()
        reactor.close()
    gc.collect()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
