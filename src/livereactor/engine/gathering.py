"""Candidates of an answer: the wait for a relay, the addresses that it announces, and the error without any.

No network here: adapters gather, and ask.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final

from livereactor.base.errors import EngineError
from livereactor.engine.port import IceServer, PeerConfig

RELAY_WAIT: Final = 1.0  # seconds; over UDP a relay takes two round trips, over TCP three, over TLS five

NO_ADDRESS: Final = (
    "no network address but loopback, so WebRTC finds no candidate; add one, for example: "
    "ip link add lr0 type dummy && ip addr add 198.18.0.1/32 dev lr0 && ip link set lr0 up"
)


def no_candidate(config: PeerConfig) -> EngineError:
    """The most likely reason, in this order: no relay where only relays may be used, no port, no address."""
    if config.relay_only:
        return EngineError("no relay answered; check the TURN servers")
    if config.port_range is not None:
        low, high = config.port_range
        return EngineError(f"no UDP port of {low}:{high} is free; widen port_range")
    return EngineError(NO_ADDRESS)


def is_tcp(candidate: str) -> bool:
    """Whether a line `candidate:…` is of TCP (RFC 6544), which no engine here offers.

    Where all ports of a range are taken libwebrtc still has such lines, and a client behind one waits for nothing.
    """
    return candidate.split(" ", 3)[2:3] in (["tcp"], ["TCP"])


def is_relay(candidate: str) -> bool:
    """Whether a line `candidate:…` is of a TURN server."""
    return " typ relay" in candidate


class Relays:
    """The wait of an answer for the candidate of a relay. One object per process: it remembers which relays are dead.

    An answer is all that official clients learn of us, so one without the relay's candidate leaves those behind a
    symmetric NAT without any path to a server behind another. A TURN server that kept silent is not waited for again
    until it has answered: it costs one answer a second, not every one.
    """

    def __init__(self) -> None:
        self._silent: set[frozenset[str]] = set()

    def patience(self, config: PeerConfig) -> float:
        """Return the seconds to wait for a relay.

        0 if no relay is set, those that are were silent before, only relays may be used, or clients reach us at a
        public address, since their relays do so too.
        """
        urls = _relay_urls(config.ice_servers)
        needless = config.relay_only or config.public_addresses or not urls or urls in self._silent
        return 0.0 if needless else RELAY_WAIT

    def heard(self, config: PeerConfig) -> None:
        """A relay gave a candidate: the next answers wait for the relays again."""
        self._silent.discard(_relay_urls(config.ice_servers))

    def missed(self, config: PeerConfig) -> None:
        """The relays gave no candidate in time: the next answers do not wait for them."""
        self._silent.add(_relay_urls(config.ice_servers))


def _relay_urls(servers: Iterable[IceServer]) -> frozenset[str]:
    return frozenset(url for server in servers for url in server.urls if url.startswith(("turn:", "turns:")))


def announced(description: str, addresses: Sequence[str]) -> str:
    """Put host candidates where others reach them: at these addresses of their family, ports kept.

    What STUN found out about the same is left out then. A family without an address stays as it is.
    """
    if not addresses:
        return description
    public = tuple(ipaddress.ip_address(address) for address in addresses)
    return _CANDIDATE.sub(lambda found: "".join(_announced(found, public)), description)


_CANDIDATE: Final = re.compile(
    r"a=candidate:(?P<foundation>\S+) (?P<component>\d+) (?P<transport>\S+) (?P<priority>\d+) "
    r"(?P<address>[0-9a-fA-F.:]+) (?P<port>\d+) typ (?P<type>\w+)(?P<rest>[^\r\n]*\r?\n)"
)


def _announced(found: re.Match[str], public: Sequence[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> Iterable[str]:
    version = ipaddress.ip_address(found["address"]).version
    addresses = [str(address) for address in public if address.version == version]
    if found["type"] == "srflx" and found["address"] in addresses:
        return
    if found["type"] != "host" or not addresses:
        yield found[0]
        return
    for number, address in enumerate(addresses):
        # Candidates of other addresses have other foundations and priorities (RFC 8445, sections 5.1.1.3 and 5.1.2).
        foundation = f"{found['foundation']}{number or ''}"
        priority = max(1, int(found["priority"]) - (number << 8))
        start = f"a=candidate:{foundation} {found['component']} {found['transport']} {priority}"
        yield f"{start} {address} {found['port']} typ host{found['rest']}"
