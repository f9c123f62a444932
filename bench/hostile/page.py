"""Rows of the hostile bench, kept as JSON, and the page of the docs that is made of them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.frame import RESULTS
from bench.hostile.attack import Attack, Program
from bench.hostile.verdict import FLOOR, GROWTH, TIMES, Measured, delays, promises
from bench.hostile.watching import MB
from livereactor.probes.results import machine
from tests.tools.processes import REPOSITORY

FOLDER = RESULTS / "hostile"
PAGE = REPOSITORY / "docs" / "hostile.md"
HEAD = (
    "| attack | against | frame gap p99 | command p99 | server's memory | left behind | sent | answered | "
    "verdict |\n|---|---|---|---|---|---|---|---|---|"
)


def save(attack: Attack, program: Program, seconds: float, measured: Measured, folder: Path = FOLDER) -> bool:
    """Keep one row, and print it as a line of the table; return whether the attack is withstood."""
    folder.mkdir(parents=True, exist_ok=True)
    row = {
        "attack": attack.name,
        "program": program,
        "does": attack.does,
        "bound": attack.bound,
        "machine": machine(),
        "at": time.strftime("%Y-%m-%d %H:%M"),
        "seconds": seconds,
        "quiet": asdict(measured.quiet),
        "attacked": asdict(measured.attacked),
        **{name: _counts(asdict(getattr(measured, name))) for name in ("before", "peak", "after")},
        "sent": measured.sent,
        "answers": dict(measured.answers.most_common()),
        "broken": promises(attack, measured),
        "slower": delays(measured),
    }
    (folder / f"{program}-{attack.name}.json").write_text(json.dumps(row, indent=1, ensure_ascii=False) + "\n")
    print(line(row), flush=True)
    return not _wrong(row)


def line(row: Mapping[str, Any]) -> str:
    """Return a row of the table."""
    quiet, attacked = row["quiet"], row["attacked"]
    before, peak, after = (row[name]["memory"] / MB for name in ("before", "peak", "after"))
    left = [
        f"{row['after'][name] - row['before'][name]} {words}"
        for name, words in (("descriptors", "descriptors"), ("udp", "UDP sockets"))
        if row["after"][name] > row["before"][name]
    ]
    cells = (
        f"`{row['attack']}`",
        row["bound"],
        f"{quiet['gap_p99']:g} → {attacked['gap_p99']:g} ms",
        f"{quiet['command_p99']:g} → {attacked['command_p99']:g} ms",
        f"{before:.0f} → {peak:.0f} → {after:.0f} MB",
        ", ".join(left) or "nothing",
        f"{row['sent']:,}",
        ", ".join(f"{what} × {count:,}" for what, count in row["answers"].items()) or "–",
        "; ".join(_wrong(row)) or "withstood",
    )
    return f"| {' | '.join(cells)} |"


def _wrong(row: Mapping[str, Any]) -> list[str]:
    return [*row["broken"], *row["slower"]]


def write_page(attacks: Sequence[Attack], folder: Path = FOLDER, page: Path = PAGE) -> None:
    """Write the page of the latest row of each attack.

    Raises:
        FileNotFoundError: an attack was never measured.
    """
    parts = [HEADER, *_what(attacks)]
    for program, title in (("serve", "`livereactor serve`"), ("run", "`livereactor run`")):
        names = [attack.name for attack in attacks if program in attack.programs]
        rows = [json.loads((folder / f"{program}-{name}.json").read_text()) for name in names]
        parts += [f"## {title}\n", _where(rows), HEAD, *map(line, rows), ""]
    page.write_text("\n".join(parts))


def _what(attacks: Sequence[Attack]) -> list[str]:
    lines = [f"| `{each.name}` | {each.does} | {each.bound} |" for each in attacks]
    return ["## The attacks\n", "| attack | the attacker | what stands against it |\n|---|---|---|", *lines, ""]


def _where(rows: list[dict[str, Any]]) -> str:
    on, latest = rows[-1]["machine"], max(row["at"] for row in rows)
    what = f"{on['cpu']}, {on['cores']} cores, Linux {on['system']}, Python {on['python']}"
    loads = [row["machine"]["load"] for row in rows]
    return (
        f"Measured up to {latest} on {what}, {rows[-1]['seconds']:g} s of each; "
        f"load average {min(loads):g} to {max(loads):g}.\n"
    )


def _counts(held: dict[str, Any]) -> dict[str, Any]:
    return {**held, "processes": len(held["processes"])}


HEADER = f"""# Hostile visitors

This page shows what attackers cost the owner of a session. `python -m bench.hostile table` generates it from the latest
row of each attack in `bench/results/hostile/`. The bench starts a server, and an owner with our own client, who
receives 640×360 at 30 frames a second and sends a command every 50 ms. An attacker works in another process, from an
address of its own.

```sh
python -m bench.hostile                                   # all attacks on serve; twenty minutes
python -m bench.hostile --command run                     # those that concern a stand-alone runtime
python -m bench.hostile --attack idle-sockets --seconds 5
python -m bench.hostile table                             # writes this page again
```

Each attack is warmed up for a fifth of its time. Then the owner is alone, and after that attacked for as long. The
bench fails an attack in these cases:

- The p99 of the gap between two frames, or of a command's round trip, is more than {TIMES:g} times that of the quiet
  seconds, and at least {FLOOR:g} ms longer. {FLOOR:g} ms are two slices of Linux's scheduler: the attacker takes
  processors of the same machine.
- The owner's connection or session ends, or a command of the owner has no reply.
- The server's memory does not return to within {GROWTH // MB} MB, or a descriptor or UDP socket is left. The server
  has 45 s for that.
- A process of the server ends.
- The attacker is answered anything that a healthy server does not answer, such as 500.

Most attackers against `serve` hold a share link to the owner's own session, or a key of another account. In the tables,
each pair is quiet → attacked, and memory is quiet → highest → afterwards.
"""
