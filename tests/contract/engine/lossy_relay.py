"""A UDP relay that loses packets, as a program: `python lossy_relay.py HOST PORT`. Prints its own port.

A process of its own, because a relay that shares a loop with an encoder delays packets by the encoder's time, which
congestion control takes for a full link. A line on its input is two shares to lose, of the client's packets and of the
server's; it answers each with the number of packets lost so far.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable

Address = tuple[str, int]


class _Half(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, Address], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._received(data, addr)


async def relay(server: Address) -> None:
    """Pass packets on until the input ends."""
    loop, chance = asyncio.get_running_loop(), random.Random(5)
    client: list[Address] = []
    shares, lost = [0.0, 0.0], 0

    def passes(side: int) -> bool:
        nonlocal lost
        drops = chance.random() < shares[side]
        lost += drops
        return not drops

    def from_client(data: bytes, address: Address) -> None:
        client[:] = [address]
        if passes(0):
            far.sendto(data, server)

    def from_server(data: bytes, _: Address) -> None:
        if client and passes(1):
            near.sendto(data, client[0])

    near, _ = await loop.create_datagram_endpoint(lambda: _Half(from_client), (server[0], 0))
    far, _ = await loop.create_datagram_endpoint(lambda: _Half(from_server), (server[0], 0))
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    print(near.get_extra_info("sockname")[1], flush=True)
    while line := await orders.readline():
        shares[:] = [float(word) for word in line.split()]
        print(lost, flush=True)


if __name__ == "__main__":
    asyncio.run(relay((sys.argv[1], int(sys.argv[2]))))
