"""Draw `docs/states.md` from the tables of the state machines.

    python scripts/draw_states.py            write the page (`make states` does)
    python scripts/draw_states.py --check    fail where the page is stale

The meaning of a state is the comment behind its value; the meaning of an event is the first sentence of its docstring.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from textwrap import fill
from typing import Any, Final

from livereactor.base.machine import Table

REPOSITORY: Final = Path(__file__).parents[1]
PAGE: Final = REPOSITORY / "docs" / "states.md"
ROW_WIDTH: Final = 110  # characters of a line in a diagram


@dataclass(frozen=True)
class Drawn:
    """A machine on the page.

    Attributes:
        module: holds its table, `LEGAL`.
        purpose: a sentence or two for somebody who is new here.
    """

    title: str
    module: str
    purpose: str


MACHINES: Final = (
    Drawn(
        "Session, in the coordinator",
        "livereactor.coordinator.machines.session",
        "The life of a session as the database keeps it: from its place in the queue to its end. It survives the loss "
        "of a worker and of a coordinator.",
    ),
    Drawn(
        "Slot, in the coordinator",
        "livereactor.coordinator.machines.lease",
        "A worker serves one session in each of its slots. This machine decides when a slot may be given away.",
    ),
    Drawn(
        "Worker, in the coordinator",
        "livereactor.coordinator.machines.worker",
        "A worker as the database keeps it. A worker that was lost comes back only by registering anew, empty.",
    ),
    Drawn(
        "Process of the pool",
        "livereactor.coordinator.fleet.model",
        "A worker's process that the coordinator started: from asking the pool for it to its exit.",
    ),
    Drawn(
        "Link of a worker to its coordinator",
        "livereactor.runtime.worker.link",
        "A worker dials its coordinator, registers, and beats. A worker that nobody has acknowledged for too long ends "
        "its sessions, because they may run elsewhere by then.",
    ),
    Drawn(
        "Lease of a slot, in the worker",
        "livereactor.runtime.worker.lease",
        "The session that a slot holds, as its worker knows it. A session starts only once the coordinator has "
        "confirmed that the slot holds it.",
    ),
    Drawn(
        "Session, in the runtime",
        "livereactor.runtime.session.membership",
        "The one session of a runtime: who is in it, and when it ends. Events that a client may send in any state are "
        "in every row; what a client asks for at the wrong time is answered with an error.",
    ),
    Drawn(
        "Connection of a client, in the runtime",
        "livereactor.runtime.session.member",
        "One client's connection to the session: from its offer to an open data channel.",
    ),
    Drawn(
        "Pacing of the model",
        "livereactor.runtime.execution.pacing",
        "Decides when the next step of the model runs.",
    ),
    Drawn(
        "Recording",
        "livereactor.runtime.recording.lifecycle",
        "The recording of one session, and whether clips can be cut from it.",
    ),
    Drawn(
        "Connection, in the Python client",
        "livereactor.client.lifecycle.states",
        "The connection behind `lr.connect`: from nothing to `ready`, through losses, and back to nothing. The status "
        "that a program sees is one of four; this machine has a state for each thing that the client waits for.",
    ),
)

INTRODUCTION: Final = """\
# State machines

Everything in livereactor that has a life (a session, a worker, a connection) is a state machine without input, output
or clock: it gets an event and the time, and returns what has to be done. This page shows all of them. It is drawn from
the tables in the code: do not edit it, run `make states`.

How to read it:

- `a ── Event ─▶ b`: in state `a`, the event leads to state `b`.
- An event with a `*` can lead to several states. The machine decides, by its other facts.
- *Stays* lists events that the state takes and that do not leave it.
- *Ignored* lists events that come from another process or thread and may be late or doubled. They change nothing.
- An event that a state does not list is refused with the error `INVALID_STATE`.

The rules are in `src/livereactor/base/machine.py`; `base/machine_loop.py` is the loop that runs a machine.
"""


def page() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION]
    parts += ["\n".join(_section(drawn)) for drawn in MACHINES]
    return "\n".join(parts)


def _section(drawn: Drawn) -> Iterator[str]:
    table: Table[Any, Any] = import_module(drawn.module).LEGAL
    path = "src/" + drawn.module.replace(".", "/") + ".py"
    yield f"## {drawn.title}\n"
    yield fill(f"{drawn.purpose} It begins in `{table.initial.value}`. Code: `{path}`.", 120, break_on_hyphens=False)
    yield ""
    yield "```text"
    yield from _diagram(table)
    yield "```\n"
    meanings = _state_meanings(type(table.initial))
    yield "| State | Meaning |"
    yield "| --- | --- |"
    for state in table:
        yield f"| `{state.value}` | {_sentence(meanings.get(state.name, ''))} |"
    yield ""
    yield "| Event | Meaning |"
    yield "| --- | --- |"
    for kind in table.events:
        yield f"| `{kind.__name__}` | {_event_meaning(kind)} |"
    yield ""


def _diagram(table: Table[Any, Any]) -> Iterator[str]:
    for number, (state, row) in enumerate(table.items()):
        if number:
            yield ""
        leaving: dict[Enum, list[str]] = {}
        staying: list[str] = []
        ignored: list[str] = []
        for kind, targets in row.items():
            name = kind.__name__ + "*" * (len(targets) > 1)
            if not targets:
                ignored.append(name)
            for target in targets:
                if target is state:
                    staying.append(name)
                else:
                    leaving.setdefault(target, []).append(name)
        if not leaving:
            yield f"{state.value} (final)"
        width = max((len(", ".join(names)) for names in leaving.values()), default=0)
        margin = " " * len(state.value)
        for line, (target, names) in enumerate(leaving.items()):
            start = state.value if line == 0 else margin
            yield f"{start} ── {', '.join(names)} {'─' * (width - len(', '.join(names)))}─▶ {target.value}"
        yield from _listed(f"{margin}    stays: ", staying)
        yield from _listed(f"{margin}    ignored: ", ignored)


def _listed(head: str, names: list[str]) -> Iterator[str]:
    line = head
    for number, name in enumerate(names):
        word = name + ("," if number < len(names) - 1 else "")
        if len(line) + len(word) > ROW_WIDTH:
            yield line.rstrip()
            line = " " * len(head)
        line += word + " "
    if names:
        yield line.rstrip()


def _state_meanings(states: type[Enum]) -> dict[str, str]:
    """Return the comment behind each value of an enum."""
    found = re.findall(r"^    (\w+) = .*?  # (.*)$", inspect.getsource(states), flags=re.MULTILINE)
    return dict(found)


def _event_meaning(kind: type) -> str:
    text = " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())
    return _sentence(re.split(r"(?<=[.!?]) (?=[A-Z`])", text)[0])


def _sentence(text: str) -> str:
    text = text.strip().replace("|", "\\|")
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) or not text else ".")


def main() -> int:
    """Write or check the page; return the exit code."""
    drawn = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(drawn, encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == drawn:
        return 0
    print("docs/states.md is stale; run `make states`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
