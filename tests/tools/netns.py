"""A network namespace of one's own, for the calling thread and every process and thread it starts while inside.

The engines offer no loopback candidates, so media needs an address: a veth pair with 198.18.0.1 (RFC 2544) and a
default route through it, since Chromium asks for that route's address. Needs root and iproute2; where that is not
allowed, nothing happens and the machine's own address serves.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

ADDRESS = "198.18.0.1"
_CLONE_NEWNET = 0x40000000
_HERE = Path("/proc/thread-self/ns/net")
_SETUP = (
    "link set lo up",
    "link add lr0 type veth peer name lr1",
    f"addr add {ADDRESS}/24 dev lr0",
    "link set lr0 up",
    "link set lr1 up",
    "route add default via 198.18.0.2 dev lr0",
)
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def private_network() -> Iterator[bool]:
    """Enter a fresh namespace; False where that is not allowed and the machine's own network is used."""
    if not _allowed():
        yield False
        return
    outside = os.open(_HERE, os.O_RDONLY)
    try:
        if _libc.unshare(_CLONE_NEWNET) != 0:
            yield False
            return
        try:
            for line in _SETUP:
                subprocess.run(["ip", *line.split()], check=True, capture_output=True)
            yield True
        finally:
            _go(outside)
    finally:
        os.close(outside)


class Namespace:
    """A network namespace without a name: it goes when it is closed and the last process inside has ended.

    Attributes:
        path: what `ip link set … netns` takes.
    """

    def __init__(self) -> None:
        outside = os.open(_HERE, os.O_RDONLY)
        try:
            if _libc.unshare(_CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "this process may not make network namespaces")
            self._file = os.open(_HERE, os.O_RDONLY)
        finally:
            _go(outside)
            os.close(outside)
        self.path = f"/proc/{os.getpid()}/fd/{self._file}"
        self.ip("link set lo up")

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Sockets, threads and processes that the calling thread makes meanwhile belong to this namespace."""
        outside = os.open(_HERE, os.O_RDONLY)
        _go(self._file)
        try:
            yield
        finally:
            _go(outside)
            os.close(outside)

    def ip(self, *lines: str) -> None:
        """Carry out lines of `ip`."""
        for line in lines:
            self.run(["ip", *line.split()])

    def nft(self, rules: str) -> None:
        """Make these the only rules."""
        self.run(["nft", "-f", "-"], f"flush ruleset\n{rules}")

    def forward(self) -> None:
        """Be a router."""
        with self.inside():
            for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
                Path("/proc/sys/net", setting).write_text("1")

    def run(self, command: list[str], text: str = "") -> str:
        """What a command says; raises with what it complained about."""
        with self.inside():
            done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def close(self) -> None:
        os.close(self._file)


def can_make_networks() -> bool:
    """Whether tests may make namespaces, join them and translate addresses between them."""
    return _allowed() and shutil.which("nft") is not None


def _go(file: int) -> None:
    if _libc.setns(file, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot change the network namespace")


@contextmanager
def throttled(ports: Iterable[int], kbit: int) -> Iterator[None]:
    """What is sent to these UDP ports of this namespace goes at `kbit` a second and queues for 100 ms at most.

    Only within `private_network`: the loopback device, over which even the veth's own address is reached, is changed.
    """
    _tc("qdisc add dev lo root handle 1: htb default 1")
    try:
        _tc("class add dev lo parent 1: classid 1:1 htb rate 10gbit")
        _tc(f"class add dev lo parent 1: classid 1:3 htb rate {kbit}kbit burst 4k")
        _tc(f"qdisc add dev lo parent 1:3 pfifo limit {max(4, kbit // 96)}")  # packets of 1200 bytes
        for port in ports:
            match = f"match ip protocol 17 0xff match ip dport {port} 0xffff"
            _tc(f"filter add dev lo parent 1: protocol ip u32 {match} flowid 1:3")
        yield
    finally:
        _tc("qdisc del dev lo root")


def _tc(line: str) -> None:
    subprocess.run(["tc", *line.split()], check=True, capture_output=True)


def _allowed() -> bool:
    """Whether a throwaway process may make a namespace and a veth pair: tried there, so that nothing is half done."""
    if not hasattr(_libc, "unshare") or not _HERE.exists() or shutil.which("ip") is None:
        return False
    trial = "ip link add lr0 type veth peer name lr1"
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    return subprocess.run([unshare, "--net", "sh", "-c", trial], capture_output=True, check=False).returncode == 0
