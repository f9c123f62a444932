"""Options that both a runtime and a coordinator take from the settings: bounds, blobs, and the network of peers."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import replace
from pathlib import Path
from typing import Final

from livereactor.base.errors import ConfigError, UsageError
from livereactor.base.limits import Limits
from livereactor.blobs.folder import FolderBlobs
from livereactor.blobs.port import Blobs
from livereactor.blobs.retention import HOUR, Rules
from livereactor.blobs.s3 import Bucket, S3Blobs
from livereactor.engine.port import IceServer, PeerConfig
from livereactor.runtime.options import SharedRelays
from livereactor.settings import Settings

# A connection that is made anew has two transports until the first has closed, and may be made anew again by then.
SOCKETS_EACH: Final = 4


def blobs_url(settings: Settings, folder: Path) -> str:
    """Return the URL that the settings name, a folder as an absolute path; `folder` by default."""
    url = settings.blobs.url
    return url if url is not None and "://" in url else str((Path(url) if url else folder).absolute())


def retention_rules(settings: Settings) -> Rules:
    """Return how long and how much is kept, as `[recorder]` says."""
    given = settings.recorder
    return Rules(retention=given.retention_hours * HOUR, max_bytes=round(given.max_disk_gb * 1e9))


def open_blobs(url: str) -> Blobs:
    """The blobs at `s3://bucket/prefix`, or in a folder, which is made.

    Raises:
        ConfigError: it is neither, or the folder cannot be made.
    """
    try:
        return S3Blobs(Bucket.parse(url)) if "://" in url else FolderBlobs(Path(url))
    except UsageError as error:
        raise ConfigError(f"[blobs] url: {error.message}") from error
    except OSError as error:
        raise ConfigError(f"cannot create the folder {url} ({error.strerror}); name another with --blobs") from error


def limits(settings: Settings) -> Limits:
    """The defaults, with what the operator set."""
    given = settings.runtime
    return replace(
        Limits(),
        max_connections=given.max_connections,
        link_connections=max(1, given.max_connections - 2),
        session_sockets=SOCKETS_EACH * given.max_connections,
        max_session_duration=given.max_session_duration,
        time_warning=given.time_warning,
        reconnection_window=given.reconnection_window,
        unclaimed_window=given.unclaimed_window,
        upload_bytes=given.upload_bytes,
        upload_session_bytes=given.upload_session_bytes,
        image_pixels=given.image_pixels,
        upload_url_lifetime=given.upload_url_lifetime,
        upload_wait=given.upload_wait,
        client_silence=given.client_silence,
        message_rate=given.message_rate,
        message_rate_bytes=given.message_rate_bytes,
        header_wait=given.header_wait,
        address_sockets=given.address_sockets,
    )


# Clients ask once, early, and keep the answer: through a whole Session, whose relays are refreshed with it.
A_DAY: Final = 86_400.0


def peer_config(settings: Settings) -> PeerConfig:
    """Return the settings by which each peer gathers candidates.

    Raises:
        ConfigError: `public_address` is none that others can reach, or a name that does not resolve.
    """
    servers = [IceServer((url,)) for url in settings.turn.stun]
    for entry in settings.turn.turn:
        username, password, url = entry.split(";")
        servers.append(IceServer((url,), username, password))
    bounds = limits(settings)
    return PeerConfig(
        ice_servers=tuple(servers),
        relay_only=settings.turn.relay_only,
        port_range=settings.runtime.media_ports(),
        public_addresses=public_addresses(settings.runtime.public_address),
        video_pixels=bounds.video_pixels,
        data_channels=bounds.data_channels,
    )


def shared_relays(settings: Settings) -> SharedRelays | None:
    """TURN servers that need short-lived credentials; None without any.

    Raises:
        ConfigError: their secret is missing.
    """
    turn = settings.turn
    if not turn.urls:
        return None
    if turn.secret is None:
        raise ConfigError(
            "turn.urls without turn.secret: clients would have no credentials; "
            "set turn.secret to their static-auth-secret, or list them with credentials in turn.turn"
        )
    return SharedRelays(tuple(turn.urls), turn.secret, A_DAY + settings.runtime.max_session_duration)


def public_addresses(setting: str | None) -> tuple[str, ...]:
    """The IP addresses that `runtime.public_address` means: addresses and host names, separated by commas.

    Raises:
        ConfigError: as `peer_config` says.
    """
    names = filter(None, map(str.strip, (setting or "").split(",")))
    return tuple(dict.fromkeys(address for name in names for address in _resolved(name)))


def _resolved(name: str) -> list[str]:
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"runtime.public_address: {name!r} cannot be resolved ({error}); write the IP address"
        ) from error
    addresses = [ipaddress.ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers]
    for address in addresses:
        if address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local:
            raise ConfigError(
                f"runtime.public_address: {name!r} is {address}, which others cannot reach; "
                "write the address that clients use"
            )
    return [str(address) for address in addresses]
