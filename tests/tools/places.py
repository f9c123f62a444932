"""Two places far from each other: a server in one, clients in the other, and a slow wire between them.

All that goes from one to the other, HTTP and media, goes over the wire: neither has another way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.tools.netns import Namespace, can_make_networks
from tests.tools.processes import LIVEREACTOR, Program, running
from tests.tools.slow_network import Conditions
from tests.tools.wire import Wire, can_make_wires, wire

SERVER: Final = "198.18.5.1"  # RFC 2544
CLIENT: Final = "198.18.5.2"
PORT: Final = 8080


@dataclass(frozen=True, slots=True)
class Places:
    """The two, and what lies between; `wire.become(x, y)` is x towards the client and y towards the server."""

    server: Namespace
    client: Namespace
    wire: Wire

    @contextmanager
    def serving(
        self, target: str, *, log_path: Path, environment: Mapping[str, str] | None = None, port: int = PORT
    ) -> Iterator[Program]:
        """`livereactor run TARGET` at the server's place, until the block ends; media does not hold its start up."""
        command = [*LIVEREACTOR, "run", target, "--insecure", "--host", "0.0.0.0", "--port", str(port)]
        with ExitStack() as stack:
            with self.server.inside():
                program = stack.enter_context(
                    running(command, port=port, log_path=log_path, environment=environment, host=SERVER)
                )
            yield program


def can_make_places() -> bool:
    """Whether this process may: it takes root, iproute2, nftables and TUN devices."""
    return can_make_networks() and can_make_wires()


@contextmanager
def two_places() -> Iterator[Places]:
    """Namespaces that end with the block; at first nothing slows them."""
    with ExitStack() as stack:
        server, client = (stack.enter_context(closing(Namespace())) for _ in range(2))
        between = stack.enter_context(wire(server, client, Conditions()))
        for place, address in ((server, SERVER), (client, CLIENT)):
            # Chromium asks for the address of the default route.
            place.ip(f"addr add {address}/24 dev wire", "route add default dev wire")
        yield Places(server, client, between)
