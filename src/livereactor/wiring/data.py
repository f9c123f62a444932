"""The data folder: the coordinator's facts and secrets, opened by the commands that operate on them or serve them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from livereactor.base.clock import unix_us
from livereactor.base.errors import ConfigError
from livereactor.base.private_files import private_folder
from livereactor.coordinator.auth.authenticator import Authenticator
from livereactor.coordinator.auth.keys import Keys
from livereactor.coordinator.auth.secrets import Secrets, given_secrets, kept_secrets
from livereactor.coordinator.options import CoordinatorOptions, Quotas
from livereactor.settings import Settings
from livereactor.store.port import Store
from livereactor.store.sql.store import open_sql_store
from livereactor.wiring.options import limits

log = structlog.get_logger("livereactor.data")

DATABASE = "livereactor.db"


@dataclass(frozen=True, slots=True)
class Data:
    """The data of a service, to operate on without a coordinator."""

    store: Store
    authenticator: Authenticator
    options: CoordinatorOptions
    unix_us: Callable[[], int]


@asynccontextmanager
async def open_data(settings: Settings, *, make: bool = False) -> AsyncGenerator[Data]:
    """The store and who may use it; a coordinator may be serving them meanwhile.

    Args:
        make: a data folder that is not there is made.

    Raises:
        ConfigError: there is no data folder, or it cannot be used.
        StoreUnavailableError: the database does not answer.
    """
    folder = settings.coordinator.data_dir
    if not make and settings.store.url is None and not folder.is_dir():
        raise ConfigError(
            f"there is no data folder {folder}; name it with --data-dir or LIVEREACTOR_DATA_DIR, "
            "or a running coordinator with --coordinator"
        )
    store = open_store(settings)
    try:
        options = CoordinatorOptions(limits=limits(settings), quotas=quotas(settings))
        yield Data(store, make_authenticator(store, secrets_of(settings), options), options, unix_us)
    finally:
        await store.aclose()


def open_store(settings: Settings) -> Store:
    """The database that the settings name; SQLite in the data folder, which is made, by default."""
    folder = settings.coordinator.data_dir
    if settings.store.url is not None:
        if folder.is_dir():  # of secrets and uploads, if of anything
            _make_private(folder)
        return open_sql_store(settings.store.url)
    _make_private(folder)
    return open_sql_store(f"sqlite:///{(folder / DATABASE).absolute()}")


def _make_private(folder: Path) -> None:
    try:
        mode = private_folder(folder)
    except OSError as error:
        raise ConfigError(
            f"cannot create the data folder {folder} ({error.strerror}); name another with --data-dir"
        ) from error
    if mode is not None:
        log.warning(
            "data folder is open to other users",
            folder=str(folder),
            mode=f"{mode:04o}",
            todo=f"make it this user's (chown), or run `chmod 700 {folder}` as its owner",
        )


def secrets_of(settings: Settings) -> Secrets:
    """Return the secrets of the settings, else those of the data folder, made on first use."""
    given = settings.coordinator
    if given.secret is not None:
        return given_secrets(given.secret, worker=given.worker_secret)
    return kept_secrets(given.data_dir, worker=given.worker_secret)


def make_authenticator(store: Store, secrets: Secrets, options: CoordinatorOptions) -> Authenticator:
    """Return the authenticator over a store's keys."""
    return Authenticator(store, Keys(store, unix_us=unix_us), secrets, options, unix_us=unix_us)


def quotas(settings: Settings) -> Quotas:
    """Return the quotas of an account whose record does not say otherwise."""
    given = settings.coordinator
    return Quotas(given.concurrent_sessions, given.sessions_per_minute, given.session_burst)
