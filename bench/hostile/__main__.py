"""`python -m bench.hostile` attacks a server beside its owner, prints a table, and ends with 1 where a promise broke.

`python -m bench.hostile table` writes docs/hostile.md of the rows that were kept.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from bench.hostile.attack import Attack, Program
from bench.hostile.attacks import ATTACKS
from bench.hostile.page import FOLDER, HEAD, save, write_page
from bench.hostile.stage import on_stage
from tests.tools.netns import private_network

TABLE = "table"


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile", description=__doc__)
    parser.add_argument("what", nargs="?", choices=(TABLE,), help="write the page of the docs instead")
    parser.add_argument("--attack", action="append", choices=ATTACKS, metavar="NAME", help=", ".join(ATTACKS))
    parser.add_argument("--command", choices=get_args(Program), default="serve", help="which server is attacked")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each attack, and of quiet before it")
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder of the JSON")
    given = parser.parse_args()
    if given.what == TABLE:
        write_page(list(ATTACKS.values()))
        return 0
    wanted = [ATTACKS[name] for name in given.attack or ATTACKS if given.command in ATTACKS[name].programs]
    if not wanted:
        parser.error(f"none of these attacks concerns {given.command}")
    with private_network() as private:
        if not private:
            parser.error("attackers need addresses of their own, and so root and iproute2")
        return asyncio.run(measure(given.command, wanted, given.seconds, given.results))


async def measure(program: Program, attacks: Sequence[Attack], seconds: float, folder: Path) -> int:
    """One attack after the other on one server; 1 where one of them was not withstood."""
    failed = 0
    print(HEAD, flush=True)
    async with on_stage(program) as stage:
        for number, attack in enumerate(attacks, start=1):
            print(f"[{number}/{len(attacks)}] {attack.name}: {attack.does}", file=sys.stderr, flush=True)
            withstood = save(attack, program, seconds, await stage.measure(attack, seconds), folder)
            failed |= not withstood
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
