"""Several coordinators on one database: what has to be the same for all of them, and how they reach each other."""

from __future__ import annotations

from livereactor.base.errors import ConfigError
from livereactor.coordinator.cluster.relay import Peers
from livereactor.settings import Settings
from livereactor.store.sql.store import notices_of


def check_peers(settings: Settings) -> None:
    """Raise `ConfigError` where several coordinators would not be one service."""
    given, store = settings.coordinator, settings.store.url
    if given.peer_url is None:
        return
    missing = {
        '[store] url = "postgresql://…", which all of them share': store and not store.startswith("sqlite"),
        "[coordinator] secret, the same for all: what one signs the others take": given.secret,
        "[blobs] url, a bucket or a folder that all of them reach": settings.blobs.url,
        "[coordinator] worker_url, the load balancer's, where workers find whichever is there": dialled(settings),
    }
    absent = [what for what, is_given in missing.items() if not is_given]
    if absent:
        raise ConfigError(f"[coordinator] peer_url says that there are several coordinators; set {'; '.join(absent)}")


def dialled(settings: Settings) -> str | None:
    """Return the URL at which workers reach the coordinators; None = each coordinator its own."""
    given = settings.coordinator
    return given.worker_url or (given.public_url if given.peer_url is not None else None)


def peers_of(settings: Settings, *, secret: str) -> Peers | None:
    """Return the addresses at which coordinators reach each other; None for a single coordinator.

    Args:
        secret: what Workers show.
    """
    url, store = settings.coordinator.peer_url, settings.store.url
    if url is None or store is None:
        return None
    return Peers(url, notices_of(store), secret)
