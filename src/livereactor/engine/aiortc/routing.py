"""Which section an RTP packet is for, by its mid.

aiortc asks the SSRC and, where that is unknown, the payload type; two cameras of one client share their payload types
and announce no SSRC, so their packets would be thrown away. The mid extension is what BUNDLE has for this (RFC 9143).
"""

from __future__ import annotations

from typing import Any


def route_by_mid(transport: Any) -> None:
    """Make this DTLS transport of aiortc look at the mid first, and remember the SSRC it came with."""
    router = transport._rtp_router
    route = router.route_rtp

    def routed(packet: Any) -> Any:
        receiver = router.ssrc_table.get(packet.ssrc)
        if receiver is None and packet.extensions.mid is not None:
            receiver = router.mid_table.get(packet.extensions.mid)
            if receiver is not None:
                router.ssrc_table[packet.ssrc] = receiver
        return route(packet)

    router.route_rtp = routed
