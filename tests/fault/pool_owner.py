"""A pool's owner to be killed: starts two Workers in the folder it is given, says so, and lives on."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from livereactor.pool.subprocess.pool import SubprocessPool
from tests.contract.pool.rig import command, spec


async def own(folder: Path, workers: list[str]) -> None:
    pool = SubprocessPool(folder, command=command)
    for worker in workers:
        await pool.start(spec(worker))
    print("started", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(own(Path(sys.argv[1]), sys.argv[2:]))
