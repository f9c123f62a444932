"""A process that has imported all a Worker needs except its model, and waits for its orders: a start is seconds faster.

The orders are one line on its standard input. The process ends when that input closes: with the pool, however the pool
ends. From that line on it is a Worker like any other, which outlives the pool. Blocking; for threads.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import IO, Final

from livereactor.pool.model_process import MODULE, start_process
from livereactor.pool.port import WorkerSpec
from livereactor.pool.subprocess.processes import birth


def spare_command() -> Sequence[str]:
    """Return the command that starts a spare process."""
    return [sys.executable, *MODULE, "livereactor", "spare-worker"]


@dataclass(frozen=True, slots=True)
class Orders:
    """The orders for a spare process: the arguments of `livereactor worker`, and what it shows ("" = its own)."""

    target: str
    coordinator: str
    worker: str
    credential: str = field(default="", repr=False)


class SpareProcess:
    """One spare.

    Args:
        command: its arguments.
        environment: as in the `WorkerSpec`s it may become the Worker of; nothing of it can be changed later.
        output: file descriptor of its log.

    Raises:
        OSError: no process can be started now.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], output: int) -> None:
        self.child: Final = start_process(command, environment, stdin=subprocess.PIPE, stdout=output)
        self.born: Final = birth(self.child.pid) or ""

    @property
    def is_living(self) -> bool:
        return self.child.poll() is None

    def assign(self, spec: WorkerSpec) -> None:
        """Turn the spare into this worker; raises OSError where it has ended."""
        assert self.child.stdin is not None
        line = json.dumps(asdict(Orders(spec.target, spec.coordinator, spec.worker, spec.credential)))
        with self.child.stdin as told:
            told.write(f"{line}\n".encode())

    def end(self) -> None:
        """Kill and reap the process; it had no orders, so nothing is lost."""
        self.child.kill()
        self.child.wait()
        with suppress(OSError):
            assert self.child.stdin is not None
            self.child.stdin.close()


def read_orders(told: IO[bytes]) -> Orders | None:
    """Wait in a spare process for its orders; return None when its input ends without any."""
    line = told.readline()
    return Orders(**json.loads(line)) if line else None
