"""The origin of requests: web origins, hosts, this machine, and the URL under which a client sees the server. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from livereactor.base.errors import ForbiddenError

# What proxies add to a request by themselves, or are told to add by their usual recipes.
OF_PROXIES: Final = (
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "forwarded",
    "x-real-ip",
    "via",
    "true-client-ip",
    "cf-connecting-ip",
)
_OPEN_UP: Final = "add its origin to [runtime] origins, or serve everyone with --insecure"


@dataclass(frozen=True, slots=True)
class Access:
    """The origins and hosts that are served.

    Attributes:
        origins: web origins in addition to loopback ones, such as `https://studio.example`.
        any_host: serve every Host and Origin, for servers that are meant to be public.
    """

    origins: tuple[str, ...] = ()
    any_host: bool = False

    def refusal(self, headers: Mapping[str, str]) -> ForbiddenError | None:
        """Return an error for foreign pages and host names, which must not steer a model on this machine, or None."""
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


_HERE: Final = Access()  # loopback hosts, and pages of loopback origins


def is_loopback(host: str | None) -> bool:
    """Return whether a name or an address reaches this machine only."""
    if host is None:
        return False
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_on_this_machine(request: HTTPConnection) -> bool:
    """Return whether the client runs on this machine without a proxy between, as far as a request can tell.

    A proxy that adds no header gives itself away by HTTP/1.0, which nginx speaks by default.
    """
    client, server, version = request.client, request.scope.get("server"), request.scope.get("http_version")
    if client is None or version == "1.0" or any(name in request.headers for name in OF_PROXIES):
        return False
    return is_loopback(client.host) or (server is not None and client.host == server[0])


def is_of_this_machine(request: HTTPConnection) -> bool:
    """Return whether the client runs here, and neither its page nor the host name it uses is foreign."""
    return is_on_this_machine(request) and _HERE.refusal(request.headers) is None


def peer(request: HTTPConnection) -> str | None:
    """Return the client's address; behind a proxy as `BehindProxies` has put it."""
    return request.client.host if request.client is not None else None


def base_url(request: HTTPConnection) -> str:
    """Return the URL under which the client sees the server; behind a proxy as `BehindProxies` has put it."""
    return f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"


def page_origin(request: HTTPConnection, public_url: str | None = None) -> str | None:
    """Return the web origin of the page that asks; None where no page does, as far as a request can tell.

    Browsers send no `Origin` with the GETs of a page to its own server. Over HTTPS and on loopback they say instead, in
    a header that pages cannot write, that the page is the server's own.

    Args:
        public_url: of the server, if requests do not show it.
    """
    if (origin := request.headers.get("origin")) is not None:
        return origin
    if request.headers.get("sec-fetch-site") != "same-origin":
        return None
    try:
        parts = urlsplit(public_url or base_url(request))
    except ValueError:  # a Host such as `[::1`, which no browser sends
        return None
    return f"{parts.scheme}://{parts.netloc}".lower()


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # such as a bracket that is never closed
        return None
