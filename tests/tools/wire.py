"""A wire between two namespaces that is slow, narrow or loses packets, as `slow_network.py` says.

Two TUN devices, and a process that carries packets from each to the other: a process of its own and ahead of others,
because a wire that waits for a core delays packets by that, which congestion control takes for a full link.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tests.tools.netns import Namespace
from tests.tools.slow_network import Conditions, Way

_REPOSITORY: Final = Path(__file__).resolve().parents[2]
_TUN = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
_TUN_WITHOUT_HEADER = 0x1001  # IFF_TUN | IFF_NO_PI
_PACKET = 65_536  # bytes
_AT_ONCE: Final = 64  # packets taken from one end before the other has its turn
_AHEAD: Final = -10  # the process's niceness, where that is allowed
_SEED: Final = 5


class Wire:
    """A wire; `one` and `other` as `wire` was given them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def become(self, to_other: Conditions, to_one: Conditions | None = None) -> None:
        """From now on; where only one direction is told, both are alike."""
        self._ask({"become": [asdict(to_other), asdict(to_one or to_other)]})

    def counted(self) -> list[dict[str, int]]:
        """Packets taken, lost by chance and refused by a full queue, towards `other` and towards `one`."""
        return self._ask({})

    def _ask(self, order: dict[str, object]) -> list[dict[str, int]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def wire(one: Namespace, other: Namespace, conditions: Conditions) -> Iterator[Wire]:
    """A device `wire` in both, up and without addresses; what goes in comes out at the other, by the conditions."""
    ends = [_end(one), _end(other)]
    command = [sys.executable, "-m", "tests.tools.wire", *map(str, ends)]
    process = subprocess.Popen(
        command, cwd=_REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=ends
    )
    try:
        made = Wire(process)
        made.become(conditions)
        yield made
    finally:
        process.communicate(timeout=5.0)  # its orders end, and so does it
        for end in ends:
            os.close(end)


def can_make_wires() -> bool:
    """Whether there are TUN devices here."""
    return os.access(_TUN, os.R_OK | os.W_OK)


def _end(namespace: Namespace) -> int:
    with namespace.inside():
        end = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", b"wire", _TUN_WITHOUT_HEADER))
    namespace.ip("link set wire up")
    return end


# --- the process ---


def _carry(one: int, other: int) -> None:
    """Until the orders end."""
    ways = {other: Way(Conditions(), seed=_SEED), one: Way(Conditions(), seed=_SEED + 1)}  # by where they lead
    leads = {one: other, other: one}
    while True:
        deadlines = [at for way in ways.values() if (at := way.deadline()) is not None]
        wait = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        ready, _, _ = select.select([one, other, 0], [], [], wait)
        if 0 in ready and not _obey(list(ways.values())):
            return
        for end in (one, other):
            if end in ready:
                _take(end, ways[leads[end]])
        for end, way in ways.items():
            for packet in way.arrived(time.monotonic()):
                with suppress(OSError):  # a queue is full or the device went down: wires lose packets
                    os.write(end, packet)


def _take(end: int, way: Way) -> None:
    with suppress(BlockingIOError):
        for _ in range(_AT_ONCE):
            way.take(os.read(end, _PACKET), time.monotonic())


def _obey(ways: list[Way]) -> bool:
    """One order and its answer; False where there are no more."""
    line = sys.stdin.readline()
    if not line:
        return False
    for way, told in zip(ways, json.loads(line).get("become", ()), strict=False):
        way.become(Conditions(**told))
    counted = [{"taken": way.taken, "lost": way.lost, "overflowed": way.overflowed} for way in ways]
    print(json.dumps(counted), flush=True)
    return True


if __name__ == "__main__":
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _AHEAD)
    _carry(int(sys.argv[1]), int(sys.argv[2]))
