"""Offers of an attacker, and what a process has open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

_CLOCKS: Final = {"video": "VP8/90000", "audio": "opus/48000/2"}
_TRANSPORT: Final = (
    "a=ice-ufrag:L4Px",
    "a=ice-pwd:geX9n95RcytqbEqRmZ44xk",
    f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}",
    "a=setup:actpass",
)


def section(kind: str, mid: str, codec: str = "") -> list[str]:
    """The lines of a section that the client wants to receive on."""
    if kind == "application":
        head = ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=sctp-port:5000"]
        return [*head, *_TRANSPORT, f"a=mid:{mid}"]
    head = [f"m={kind} 9 UDP/TLS/RTP/SAVPF 96", "c=IN IP4 0.0.0.0", "a=rtcp-mux", "a=recvonly"]
    return [*head, *_TRANSPORT, f"a=mid:{mid}", f"a=rtpmap:96 {codec or _CLOCKS[kind]}"]


def offer(sections: Iterable[Sequence[str]], bundles: Sequence[str]) -> str:
    """An offer of these sections, with these BUNDLE groups."""
    head = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", *(f"a=group:BUNDLE {mids}" for mids in bundles)]
    return "".join(f"{line}\r\n" for line in [*head, *(line for part in sections for line in part)])


def good(*more: Sequence[str], bundles: Sequence[str] = ("0 d",)) -> str:
    """A video section and data channels in the bundle, and then `more` sections."""
    return offer([section("video", "0"), section("application", "d"), *more], bundles)


def open_sockets() -> int:
    """Return the number of sockets that this process has open."""

    def is_socket(entry: Path) -> bool:
        try:
            return str(entry.readlink()).startswith("socket:")
        except OSError:  # it was the listing's own, or has just been closed
            return False

    return sum(is_socket(entry) for entry in Path("/proc/self/fd").iterdir())
