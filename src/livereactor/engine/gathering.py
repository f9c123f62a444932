"""What may be in an answer, and the error of one that would have no UDP candidate. Pure."""

from __future__ import annotations

from typing import Final

from livereactor.base.errors import EngineError
from livereactor.engine.port import PeerConfig

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
