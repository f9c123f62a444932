"""The pool of a coordinator, by its settings."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from livereactor.base.errors import ConfigError
from livereactor.coordinator.auth.secrets import Secrets
from livereactor.coordinator.fleet.fleet import FleetPlan
from livereactor.pool.port import Pool
from livereactor.pool.ray.pool import RayPool
from livereactor.pool.subprocess.pool import SubprocessPool
from livereactor.settings import Settings
from livereactor.wiring.process import LOOPBACK

log = structlog.get_logger("livereactor.coordinator")


def make_pool(settings: Settings, plan: FleetPlan, secrets: Secrets, folder: Path) -> Pool:
    """The pool that the settings name.

    Args:
        folder: where the coordinator's data is.

    Raises:
        ConfigError: it needs what is not installed, or its folder is another coordinator's.
    """
    if settings.pool.kind == "subprocess":
        return SubprocessPool(folder / "workers", spare=plan.environment if settings.pool.spare else None)
    if find_spec("ray") is None:
        raise ConfigError("[pool] kind = \"ray\" needs Ray, which is not installed; pip install 'livereactor[ray]'")
    return RayPool(settings.pool.ray_address, _namespace(secrets))


def warn_of_loopback(settings: Settings, url: str) -> None:
    """Say so where Workers of other machines could not dial us."""
    if settings.pool.kind == "ray" and urlsplit(url).hostname in LOOPBACK:
        log.warning("workers on other machines of the cluster cannot reach us; set [coordinator] worker_url", url=url)


def _namespace(secrets: Secrets) -> str:
    """Name the namespace of a service's actors; only its own coordinators share its worker secret."""
    return f"livereactor-{hashlib.sha256(secrets.worker.encode()).hexdigest()[:12]}"
