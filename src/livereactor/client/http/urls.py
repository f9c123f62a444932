"""Addresses of servers, as users write them. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

DEFAULT_API_URL: Final = "https://api.reactor.inc"
DEFAULT_LOCAL_URL: Final = "http://localhost:8080"


def base_url(url: str) -> str:
    """An address without its trailing slash.

    Raises:
        ValueError: it is none, or of another scheme than http and https.
    """
    parts = urlsplit(url)
    try:
        parts.port  # noqa: B018  (raises where it is none)
    except ValueError as error:
        raise ValueError(f"{url!r} is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no address of a server; want http://host:port or https://host")
    return url.rstrip("/")


def is_this_machine(url: str) -> bool:
    """Whether an address leads back here, as far as the name tells."""
    return is_near(urlsplit(url).hostname or "")


def is_near(host: str) -> bool:
    """Whether a host is this machine, as far as the name tells."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def segment(text: str) -> str:
    """A text as one part of a path."""
    return quote(text, safe="")


def under(base: str, url: str) -> str:
    """An address that a server gave, absolute: a path is one below `base`."""
    if urlsplit(url).scheme:
        return url
    return base + url if url.startswith("/") else urljoin(base + "/", url)


def moved_to(base: str, url: str) -> str:
    """The same path and query at the scheme, host and port of `base`."""
    home, parts = urlsplit(base), urlsplit(under(base, url))
    return urlunsplit((home.scheme, home.netloc, parts.path, parts.query, ""))
