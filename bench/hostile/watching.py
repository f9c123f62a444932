"""What a server holds: resident memory, descriptors and UDP sockets of its process and all workers of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

MB = 1_000_000
EVERY = 0.25  # seconds between two looks


@dataclass(frozen=True, slots=True)
class Held:
    """What a server holds at one time.

    Attributes:
        memory: resident bytes of all its processes.
        descriptors: open files and sockets.
        udp: UDP sockets among them.
        processes: their ids.
    """

    memory: int
    descriptors: int
    udp: int
    processes: frozenset[int]

    def most(self, other: Held) -> Held:
        """Return the larger of each."""
        return replace(
            other,
            memory=max(self.memory, other.memory),
            descriptors=max(self.descriptors, other.descriptors),
            udp=max(self.udp, other.udp),
        )


def held(pid: int) -> Held:
    """Return what the server with this process id holds now."""
    root = psutil.Process(pid)
    memory = descriptors = udp = 0
    processes = frozenset({pid, *(each.pid for each in root.children(recursive=True))})
    for each in processes:
        with suppress(OSError, psutil.NoSuchProcess):  # it ended meanwhile
            memory += psutil.Process(each).memory_info().rss
            links = _links(each)
            descriptors += len(links)
            udp += sum(f"socket:[{inode}]" in links for inode in _udp_ports(each))
    return Held(memory, descriptors, udp, processes)


def udp_ports(pid: int) -> list[int]:
    """Return the ports of UDP sockets of a server and its workers."""
    root = psutil.Process(pid)
    ports: list[int] = []
    for each in (pid, *(child.pid for child in root.children(recursive=True))):
        with suppress(OSError):
            links = _links(each)
            ports += [port for inode, port in _udp_ports(each).items() if f"socket:[{inode}]" in links]
    return sorted(set(ports))


async def watched(pid: int, seconds: float) -> Held:
    """Return the most that it holds in the second half of so many seconds: the first may still see others leave."""
    await asyncio.sleep(seconds / 2)
    return await _most(pid, seconds / 2)


async def peaked(pid: int, seconds: float) -> Held:
    """Return the most that it holds within so many seconds."""
    return await _most(pid, seconds)


async def settled(pid: int, is_settled: Callable[[Held], bool], seconds: float) -> Held:
    """Return what it holds once it has settled, or after so many seconds."""
    now = held(pid)
    for _ in range(int(seconds / EVERY)):
        if is_settled(now):
            break
        await asyncio.sleep(EVERY)
        now = held(pid)
    return now


async def _most(pid: int, seconds: float) -> Held:
    most = held(pid)
    for _ in range(max(1, int(seconds / EVERY))):
        await asyncio.sleep(EVERY)
        most = most.most(held(pid))
    return most


def _links(pid: int) -> list[str]:
    """Return the targets of all descriptors of a process."""
    found: list[str] = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found.append(str(entry.readlink()))
    return found


def _udp_ports(pid: int) -> dict[str, int]:
    """Inodes of the UDP sockets of its network, with their ports."""
    found: dict[str, int] = {}
    for name in ("udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            found[fields[9]] = int(fields[1].rpartition(":")[2], 16)
    return found
