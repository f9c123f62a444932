"""A wire between two namespaces that takes its time: the kernel's own delay (tc netem) is often not there.

Two TUN devices, and a thread that carries packets from each to the other, late. Packets keep their order.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.tools.netns import Namespace

_TUN = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
_TUN_WITHOUT_HEADER = 0x1001  # IFF_TUN | IFF_NO_PI
_PACKET = 65_536  # bytes


@contextmanager
def wire(one: Namespace, other: Namespace, *, delay: float) -> Iterator[None]:
    """A device `wire` in both, up and without addresses; what goes in comes out `delay` seconds later."""
    ends = [_end(one), _end(other)]
    stop_read, stop_write = os.pipe()
    thread = threading.Thread(target=_carry, args=(ends, stop_read, delay), name="wire", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.close(stop_write)
        thread.join(5.0)
        for each in (*ends, stop_read):
            os.close(each)


def can_make_wires() -> bool:
    """Whether there are TUN devices here."""
    return os.access(_TUN, os.R_OK | os.W_OK)


def _end(namespace: Namespace) -> int:
    with namespace.inside():
        end = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", b"wire", _TUN_WITHOUT_HEADER))
    namespace.ip("link set wire up")
    return end


def _carry(ends: list[int], stop: int, delay: float) -> None:
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    late: deque[tuple[float, int, bytes]] = deque()
    while True:
        wait = max(0.0, late[0][0] - time.monotonic()) if late else None
        ready, _, _ = select.select([*ends, stop], [], [], wait)
        if stop in ready:
            return
        for end in ready:
            late.append((time.monotonic() + delay, other[end], os.read(end, _PACKET)))
        while late and late[0][0] <= time.monotonic():
            _, target, packet = late.popleft()
            try:
                os.write(target, packet)
            except OSError:  # a queue is full or the device went down: wires lose packets
                continue
