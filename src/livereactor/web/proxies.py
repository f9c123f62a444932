"""Reverse proxies: what one says of its client is believed, where that proxy is known. Plain ASGI, before all else.

Behind it a request has its client's own address, and the scheme and host under which that client sees us.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from livereactor.base.sparse_log import SparseLog

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

ON_THIS_MACHINE: Final = ("127.0.0.1", "::1")
_FOR, _PROTO, _HOST = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"
_NAME: Final = re.compile(r"(?:[\w.\-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])(?::\d{1,5})?", re.ASCII)  # and port
_WITH_PORT: Final = re.compile(r"\[(?P<six>[^\]]+)\](?::\d+)?|(?P<four>[\d.]+):\d+")
DIALLED: Final = "livereactor.dialled"  # key of a scope: the Host header as received, before a proxy's replaces it
_HOPS: Final = 16  # proxies in a row; those further left are ignored

log = structlog.get_logger("livereactor.http")


def known_addresses(proxies: Iterable[str]) -> Callable[[str], bool]:
    """Return whether an address is in one of these networks."""
    networks = [network_of(each) for each in proxies]

    def knows(text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in networks)

    return knows


class BehindProxies:
    """ASGI middleware.

    Args:
        app: what is behind.
        proxies: addresses and networks of proxies, as `network_of` takes them.
    """

    def __init__(self, app: ASGIApp, proxies: Iterable[str] = ON_THIS_MACHINE) -> None:
        self._app = app
        self._given = tuple(proxies)
        self._known = [network_of(each) for each in self._given]
        self._troubles = SparseLog(log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            scope = self._seen(scope)
        await self._app(scope, receive, send)

    def _seen(self, scope: Scope) -> Scope:
        """Return the request as its client made it."""
        said = {name: value.decode("latin-1") for name, value in scope["headers"] if name in (_PROTO, _HOST)}
        hops = [value.decode("latin-1") for name, value in scope["headers"] if name == _FOR]
        if not (said or hops) or not scope.get("client"):
            return scope
        peer = _address(scope["client"][0])
        if peer is None:
            return scope
        if not self._knows(peer):
            self._troubles.warning(
                "not a trusted proxy: its forwarding headers are ignored",
                address=str(peer),
                todo=f"if it is your proxy, set proxies = {json.dumps([*self._given, str(peer)])} in [coordinator] for "
                "serve, in [runtime] for run; if not, do nothing",
            )
            return scope
        scope = {**scope, "client": self._client(scope["client"], hops)}
        if (scheme := _first(said.get(_PROTO, "")).lower()) in ("http", "https"):
            scope["scheme"] = scheme if scope["type"] == "http" else scheme.replace("http", "ws")
        if _NAME.fullmatch(host := _first(said.get(_HOST, ""))):
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            scope[DIALLED] = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            scope["headers"] = [(b"host", host.encode()), *others]
        return scope

    def _client(self, peer: Sequence[object], hops: list[str]) -> Sequence[object]:
        """Return the nearest address that is no proxy of ours; addresses left of it cannot be trusted."""
        client = peer
        for hop in reversed([each for value in hops for each in value.split(",")][-_HOPS:]):
            address = _address(hop.strip())
            if address is None:
                break
            client = (str(address), 0)
            if not self._knows(address):
                break
        return client

    def _knows(self, address: Address) -> bool:
        return any(address in network for network in self._known)


def network_of(text: str) -> Network:
    """Parse `10.0.0.5` or `10.0.0.0/8`; raises `ValueError`."""
    return ipaddress.ip_network(text.strip(), strict=False)


def _address(text: str) -> Address | None:
    if (match := _WITH_PORT.fullmatch(text)) is not None:
        text = match["six"] or match["four"]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:  # such as `unknown`
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _first(values: str) -> str:
    return values.split(",")[0].strip()
