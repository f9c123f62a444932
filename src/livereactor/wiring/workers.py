"""The plan by which a coordinator starts its workers."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import structlog

from livereactor.base.errors import ConfigError
from livereactor.base.limits import Limits
from livereactor.coordinator.auth.secrets import Secrets
from livereactor.coordinator.auth.worker_credentials import WorkerIdentity, credential
from livereactor.coordinator.fleet.fleet import FleetPlan
from livereactor.pool.confinement import CONFINED
from livereactor.pool.port import BLOBS, Needs, Pool
from livereactor.pool.ray.pool import RayPool
from livereactor.pool.subprocess.pool import SubprocessPool
from livereactor.settings import Resolved, Settings, effective, is_secret, variable
from livereactor.settings.sections import RuntimeSettings
from livereactor.store.port import Store
from livereactor.store.sql.store import file_of
from livereactor.wiring.catalogue import ListedModel
from livereactor.wiring.options import blobs_url
from livereactor.wiring.process import LOOPBACK

# Both hold a Session to these, so a worker gets ours, defaults too, even where its model's folder sets others.
AGREED: Final = frozenset(
    {
        "coordinator.drain_timeout",
        *(f"runtime.{each.name}" for each in fields(Limits) if each.name in RuntimeSettings.model_fields),
    }
)

BUCKET_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def fleet_plan(models: Sequence[ListedModel], resolved: Resolved, secrets: Secrets, folder: Path) -> FleetPlan:
    """Return the plan by which workers are started.

    Args:
        resolved: this coordinator's settings, which are its Workers' too; what they leave open may be set by a
            `livereactor.toml` next to the model.
        folder: where the coordinator's data is, absolute.

    Raises:
        ConfigError: needs are said of a model that is not served.
    """
    pool = resolved.settings.pool
    environment = dict(_settings(resolved))
    targets = {each.name: each.target for each in models}
    if pool.kind == "subprocess":  # another machine may not reach our files, and goes through our HTTP
        blobs = blobs_url(resolved.settings, folder / "blobs")
        environment |= {BLOBS: blobs} if pool.isolation == "off" else {}
        environment |= confined(resolved.settings, folder, list(targets.values()))
    elif pool.isolation != "off":  # no folder of that machine is known to us; processes are kept apart all the same
        environment |= {CONFINED: ""}
    if unknown := set(pool.needs) - set(targets):
        raise ConfigError(
            f"[pool.needs.{min(unknown)}]: no such model is served; the models are {', '.join(sorted(targets))}"
        )
    needs = {name: Needs(given.gpus, given.cpus, given.resources) for name, given in pool.needs.items()}

    def shown(worker: str, model: str) -> str:
        return credential(secrets.worker, WorkerIdentity(worker, model, since=int(time.time())))

    return FleetPlan(targets, environment, shown, pool.idle_stop, needs)


def confined(settings: Settings, folder: Path, targets: Sequence[str]) -> Mapping[str, str]:
    """Return the variables that keep a model's process from our files; none where models are trusted.

    Args:
        folder: where the coordinator's data is, absolute.
        targets: of the models.

    Raises:
        ConfigError: a model, Python itself or the folder of temporary files lies in there.
    """
    if settings.pool.isolation == "off":
        return {}
    hidden = list(_private_folders(settings, folder))
    files = (target.partition(":")[0] for target in targets)
    for needed in (sys.prefix, sys.base_prefix, tempfile.gettempdir(), *files):
        for each in hidden:
            if Path(needed).absolute().is_relative_to(each):
                raise ConfigError(
                    f"{needed} lies in a folder that models may not see ({each}); keep data, files and database in "
                    'folders of their own, or set [pool] isolation = "off" if you trust the models'
                )
    # A bucket's keys open the files of all accounts. A model that has a bucket of its own reads its own profile.
    keys = dict.fromkeys(BUCKET_KEYS, "") if "://" in blobs_url(settings, folder / "blobs") else {}
    return {CONFINED: os.pathsep.join(map(str, hidden)), **keys}


def _private_folders(settings: Settings, folder: Path) -> Iterator[Path]:
    """Yield the data folder, and those outside it of uploads and of the database, beside which SQLite keeps files."""
    yield folder
    outside = list[Path]()
    if "://" not in (blobs := blobs_url(settings, folder / "blobs")):
        outside.append(Path(blobs))
    if settings.store.url is not None and (file := file_of(settings.store.url)) is not None:
        outside += [file.parent, file.resolve().parent]  # where a link is, and where it leads
    yield from (each for each in dict.fromkeys(outside) if not each.is_relative_to(folder))


def _settings(resolved: Resolved) -> Iterator[tuple[str, str]]:
    """Environment variables, which a Worker believes before any file."""
    for name, value, origin in effective(resolved):
        is_given = origin != "default" and (name.startswith("runtime.") or name == "turn.relay_only")
        if name in AGREED or (is_given and not is_secret(name)):
            yield variable(name), value if isinstance(value, str) else json.dumps(value, default=str)
    # Relays come with each Session; those next to a model may lack a secret, which would end the Worker.
    yield variable("turn.urls"), "[]"


log = structlog.get_logger("livereactor.coordinator")


async def make_pool(settings: Settings, plan: FleetPlan, secrets: Secrets, folder: Path, store: Store) -> Pool:
    """The pool that the settings name.

    Args:
        folder: where the coordinator's data is.
        store: which keeps the name by which a service knows its workers on a cluster.

    Raises:
        ConfigError: it needs what is not installed, or its folder is another coordinator's.
        StoreUnavailableError: the database does not answer.
    """
    if settings.pool.kind == "subprocess":
        return SubprocessPool(folder / "workers", spare=plan.environment if settings.pool.spare else None)
    if find_spec("ray") is None:
        raise ConfigError("[pool] kind = \"ray\" needs Ray, which is not installed; pip install 'livereactor[ray]'")
    return RayPool(settings.pool.ray_address, await _namespace(store, secrets))


def warn_of_loopback(settings: Settings, url: str) -> None:
    """Say so where Workers of other machines could not dial us."""
    if settings.pool.kind == "ray" and urlsplit(url).hostname in LOOPBACK:
        log.warning("workers on other machines of the cluster cannot connect; set [coordinator] worker_url", url=url)


def warn_of_reach(settings: Settings) -> None:
    """Say so where no confinement of a process keeps models from the machines."""
    if settings.pool.kind == "ray" and settings.pool.isolation != "off":
        log.warning(
            "models on a Ray cluster can run programs on each of its machines, whatever confines their process",
            todo="serve only models that you trust on it, and run Ray as another user than this coordinator; "
            '[pool] isolation = "off" if you do',
        )


async def _namespace(store: Store, secrets: Secrets) -> str:
    """Name the namespace of a service's actors, the same for all its coordinators and whatever becomes of its secrets.

    Services of other databases have other secrets, so the first secret makes the name that the store then keeps.
    """
    first = f"livereactor-{hashlib.sha256(secrets.worker.encode()).hexdigest()[:12]}"
    return await store.transact(lambda tx: tx.keep("ray namespace", first))
