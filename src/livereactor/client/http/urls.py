"""Addresses of servers, as users write them. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

DEFAULT_API_URL: Final = "https://api.reactor.inc"
DEFAULT_LOCAL_URL: Final = "http://localhost:8080"


def base_url(url: str) -> str:
    """Return an address without its trailing slash.

    Raises:
        ValueError: the address is not valid, or its scheme is neither http nor https.
    """
    parts = urlsplit(url)
    try:
        parts.port  # noqa: B018  (raises if it is not valid)
    except ValueError as error:
        raise ValueError(f"{url!r} is not a valid address: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not the address of a server; use http://host:port or https://host")
    return url.rstrip("/")


def is_this_machine(url: str) -> bool:
    """Return whether an address leads to this machine, as far as its name tells."""
    return is_near(urlsplit(url).hostname or "")


def is_near(host: str) -> bool:
    """Return whether a host is this machine, as far as its name tells."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def segment(text: str) -> str:
    """Return a text quoted as one part of a path."""
    return quote(text, safe="")


def under(base: str, url: str) -> str:
    """Return an address that a server gave, made absolute: a path is below `base`."""
    if urlsplit(url).scheme:
        return url
    return base + url if url.startswith("/") else urljoin(base + "/", url)


def moved_to(base: str, url: str) -> str:
    """Return the same path and query at the scheme, host and port of `base`."""
    home, parts = urlsplit(base), urlsplit(under(base, url))
    return urlunsplit((home.scheme, home.netloc, parts.path, parts.query, ""))
