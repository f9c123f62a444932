"""A STUN server (RFC 8489, Binding only) for programs that insist on asking one, and one that never answers."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_MAGIC = 0x2112A442


@contextmanager
def stun_server(*, silent: bool = False) -> Iterator[str]:
    """`host:port` of a server on this machine's own address; a silent one swallows every request."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((_own_address(), 0))
        host, port = server.getsockname()
        thread = threading.Thread(target=_serve, args=(server, silent), name="stun", daemon=True)
        thread.start()
        try:
            yield f"{host}:{port}"
        finally:
            # An empty datagram ends the thread; a closed socket would not wake it.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
                waker.sendto(b"", (host, port))
            thread.join(5.0)


def _serve(server: socket.socket, silent: bool) -> None:
    while True:
        data, (host, port) = server.recvfrom(2048)
        if not data:
            return
        if silent or len(data) < 20 or data[:2] != b"\x00\x01":
            continue
        address = struct.unpack("!I", socket.inet_aton(host))[0] ^ _MAGIC
        mapped = struct.pack("!HHBBHI", 0x0020, 8, 0, 1, port ^ (_MAGIC >> 16), address)
        server.sendto(struct.pack("!HH", 0x0101, len(mapped)) + data[4:20] + mapped, (host, port))


def _own_address() -> str:
    """The address that media goes out from: that of the default route, loopback where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # sends nothing (TEST-NET-2, RFC 5737)
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
