"""An internet of namespaces: two sites, each a host behind a router of its own, and a public network between them.

Addresses are public ones of documentation (RFC 5737), so that an open host is reached at its own; a relay may stand at
`RELAY`, 20 ms away from everybody. Each router translates addresses as `Site.become` says, by nftables, so what the
kernel does here it does in homes and offices.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tests.tools.netns import Namespace, can_make_networks
from tests.tools.slow_network import Conditions
from tests.tools.wire import can_make_wires, wire

OPENED: Final = range(40_000, 40_011)  # UDP ports
RELAY: Final = "203.0.113.130"
RELAY_AWAY: Final = 0.010  # seconds, one way
COORDINATOR: Final = "203.0.113.1"  # the public network's own host, and the way from everywhere to everywhere


class Nat(Enum):
    """What stands between a host and the public network; the terms are RFC 4787's."""

    OPEN = "open"  # nothing: the host's own address is reached from everywhere
    FULL_CONE = "full cone"  # endpoint-independent mapping and filtering: a hole once made is everybody's
    SYMMETRIC = "symmetric"  # address- and port-dependent both: another port towards everybody
    UDP_BLOCKED = "UDP blocked"  # an office's firewall: TCP goes out, nothing else does
    # A cloud's: the public address is the host's alone, and the host does not know it; `OPENED` is all that comes in.
    ONE_TO_ONE = "1:1"


_LEAVING: Final = {
    Nat.OPEN: "",
    Nat.FULL_CONE: 'oifname "wan" masquerade',
    Nat.SYMMETRIC: 'oifname "wan" masquerade fully-random',
    Nat.UDP_BLOCKED: 'oifname "wan" masquerade',
    Nat.ONE_TO_ONE: 'oifname "wan" snat ip to {public}',
}
_ARRIVING: Final = {
    Nat.FULL_CONE: 'iifname "wan" udp dport 1024-65535 dnat ip to {host}',
    Nat.ONE_TO_ONE: f'iifname "wan" udp dport {OPENED[0]}-{OPENED[-1]} dnat ip to {{host}}',
}
_NOBODY_ELSE: Final = 'iifname "wan" ct state new ct status & dnat == 0 drop'
_PASSING: Final = {
    Nat.OPEN: "",
    Nat.FULL_CONE: _NOBODY_ELSE,
    Nat.SYMMETRIC: _NOBODY_ELSE,
    Nat.UDP_BLOCKED: f"meta l4proto udp drop\n{_NOBODY_ELSE}",
    Nat.ONE_TO_ONE: _NOBODY_ELSE,
}
_RULES: Final = """
table inet site {{
    chain arriving {{
        type nat hook prerouting priority dstnat
        iifname "wan" tcp dport 8080-8089 dnat ip to {host}
        {arriving}
    }}
    chain leaving {{
        type nat hook postrouting priority srcnat
        {leaving}
    }}
    chain passing {{
        type filter hook forward priority filter
        {passing}
    }}
}}
"""


@dataclass(slots=True)
class Site:
    """A host and its router.

    Attributes:
        host: where a program runs.
        address: the host's own.
        public: the router's, on the public network; its TCP ports 8080 to 8089 are the host's whatever the router does.
    """

    host: Namespace
    router: Namespace
    address: str
    public: str

    def become(self, nat: Nat) -> None:
        """Translate like this from now on."""
        words = {"host": self.address, "public": self.public}
        self.router.nft(
            _RULES.format(
                arriving=_ARRIVING.get(nat, "").format(**words),
                leaving=_LEAVING[nat].format(**words),
                passing=_PASSING[nat],
                **words,
            )
        )


@dataclass(frozen=True, slots=True)
class Internet:
    """The public network, a place for a relay on it, and two sites; both are open at first."""

    public: Namespace
    relay: Namespace
    client: Site
    worker: Site


def can_make_internet() -> bool:
    """Whether this process may: it takes root, iproute2, nftables and TUN devices."""
    return can_make_networks() and can_make_wires()


@contextmanager
def internet() -> Iterator[Internet]:
    """Namespaces that end with the block."""
    with ExitStack() as stack:
        public, relay, *others = (stack.enter_context(closing(Namespace())) for _ in range(6))
        public.ip("link add wan type bridge", f"addr add {COORDINATOR}/25 dev wan", "link set wan up")
        public.forward()
        stack.enter_context(wire(public, relay, Conditions(delay=RELAY_AWAY)))
        public.ip(f"route add {RELAY}/32 dev wire")
        relay.ip(f"addr add {RELAY}/32 dev wire", "route add default dev wire")
        client = Site(others[0], others[1], "192.0.2.2", "203.0.113.2")
        worker = Site(others[2], others[3], "198.51.100.2", "203.0.113.3")
        _connect(public, client, "client")
        _connect(public, worker, "worker")
        yield Internet(public, relay, client, worker)


def _connect(public: Namespace, site: Site, name: str) -> None:
    gateway = f"{site.address.removesuffix('.2')}.1"
    public.ip(f"link add {name} type veth peer name wan netns {site.router.path}", f"link set {name} master wan up")
    site.router.forward()
    site.router.ip(
        f"addr add {site.public}/25 dev wan",
        "link set wan up",
        f"route add default via {COORDINATOR} dev wan",
        f"link add lan type veth peer name eth netns {site.host.path}",
        f"addr add {gateway}/24 dev lan",
        "link set lan up",
    )
    site.host.ip(f"addr add {site.address}/24 dev eth", "link set eth up", f"route add default via {gateway} dev eth")
    public.ip(f"route add {gateway.removesuffix('1')}0/24 via {site.public} dev wan")
    site.become(Nat.OPEN)
