"""Who asks and from where: origins, hosts, this machine, and the URL under which a client sees us. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from livereactor.base.errors import ForbiddenError

_OPEN_UP: Final = "add its origin to [runtime] origins, or serve everybody with --insecure"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask.

    Attributes:
        origins: web origins beside loopback ones, such as `https://studio.example`.
        any_host: serve every Host and Origin; for what is meant to be reached.
    """

    origins: tuple[str, ...] = ()
    any_host: bool = False

    def refusal(self, headers: Mapping[str, str]) -> ForbiddenError | None:
        """A page of somebody else's must not steer a model on this machine, nor reach it by a name it points here."""
        if self.any_host:
            return None
        origin = headers.get("origin")
        if origin is not None and not is_loopback(_hostname(origin)) and origin not in self.origins:
            return ForbiddenError(f"origin {origin[:128]!r} may not use this runtime; {_OPEN_UP}")
        host = headers.get("host", "")
        name = _hostname(f"//{host}")
        known = {_hostname(each) for each in self.origins}
        if name is None or (not is_loopback(name) and name not in known):
            return ForbiddenError(f"host {host[:128]!r} is not this runtime's; use localhost, or {_OPEN_UP}")
        return None


def is_loopback(host: str | None) -> bool:
    """A name or an address that reaches this machine only."""
    if host is None:
        return False
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_on_this_machine(request: HTTPConnection) -> bool:
    """Whoever asks runs on this machine, and no proxy stands between."""
    client, server = request.client, request.scope.get("server")
    if client is None or "x-forwarded-for" in request.headers or "forwarded" in request.headers:
        return False
    return is_loopback(client.host) or (server is not None and client.host == server[0])


def base_url(request: HTTPConnection) -> str:
    """As the client sees us, never a constant (protocol 8); behind a proxy as `BehindProxies` has put it."""
    return f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # such as a bracket that is never closed
        return None
