"""The coordinator and the Workers of this machine: `livereactor serve` and `livereactor demo`."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import Final

import structlog
import uvicorn
from uvicorn.loops.auto import auto_loop_factory

from livereactor.base.clock import unix_us
from livereactor.base.errors import ConfigError, UnavailableError
from livereactor.blobs.checking import takes_writes
from livereactor.blobs.port import Blobs
from livereactor.blobs.retention import RetentionLoop
from livereactor.blobs.signing import Signer
from livereactor.coordinator.auth.keys import Keys
from livereactor.coordinator.cluster.forwarding import ClusterPeers
from livereactor.coordinator.cluster.role import Role
from livereactor.coordinator.fleet.fleet import Fleet
from livereactor.coordinator.http.app import Parts, create_app
from livereactor.coordinator.http.routes.workers import SERVER
from livereactor.coordinator.moderation import Moderation
from livereactor.coordinator.options import CoordinatorOptions, Rates, TurnOptions
from livereactor.coordinator.service import Service
from livereactor.coordinator.sweeper import LEADS_FOR, retention_of
from livereactor.coordinator.uploads import Uploads
from livereactor.coordinator.webhooks import Webhooks
from livereactor.coordinator.worker_sockets import WorkerSockets
from livereactor.moderation.judge import Judge
from livereactor.playground import page_directory
from livereactor.pool.confinement import hide_memory
from livereactor.pool.port import Pool
from livereactor.protocol.http import IceServerBody
from livereactor.settings import Resolved, Settings
from livereactor.store.port import Store, Tx
from livereactor.store.sql.store import notices_of
from livereactor.web.proxies import BehindProxies
from livereactor.wiring.catalogue import ListedModel, read_models
from livereactor.wiring.connections import BoundedWebSocket, bounded
from livereactor.wiring.data import make_authenticator, open_store, quotas, secrets_of
from livereactor.wiring.heap import freeze_heap
from livereactor.wiring.moderation import judging, terms_of
from livereactor.wiring.options import blobs_url, limits, open_blobs, retention_rules, shared_relays
from livereactor.wiring.process import LOOPBACK, Server, configure_logging, listen, stop_on_signals, url_of
from livereactor.wiring.tracing import tracing
from livereactor.wiring.workers import confined, fleet_plan, make_pool, warn_of_loopback, warn_of_reach


def check_peers(settings: Settings) -> None:
    """Raise `ConfigError` where several coordinators would not be one service."""
    given, store = settings.coordinator, settings.store.url
    if given.peer_url is None:
        return
    missing = {
        '[store] url = "postgresql://…", which all of them share': store and not store.startswith("sqlite"),
        "[coordinator] secret, the same for all: each accepts what another signs": given.secret,
        "[blobs] url, a bucket or folder that all of them can reach": settings.blobs.url,
        "[coordinator] worker_url, that of the load balancer, so that workers reach any of them": dialled_url(settings),
    }
    absent = [what for what, is_given in missing.items() if not is_given]
    if absent:
        raise ConfigError(f"[coordinator] peer_url is set, so there are several coordinators; set {'; '.join(absent)}")


def dialled_url(settings: Settings) -> str | None:
    """Return the URL at which workers reach the coordinators; None = each coordinator its own."""
    given = settings.coordinator
    return given.worker_url or (given.public_url if given.peer_url is not None else None)


def peers_of(settings: Settings, *, secret: str) -> ClusterPeers | None:
    """Return the addresses at which coordinators reach each other; None for a single coordinator.

    Args:
        secret: what Workers show.
    """
    url, store = settings.coordinator.peer_url, settings.store.url
    if url is None or store is None:
        return None
    return ClusterPeers(url, notices_of(store), secret)


HTTP_CONNECTIONS: Final = 4096  # each held poll and each Worker's socket is one
BACKLOG: Final = 1024
LINGER: Final = 3.0  # seconds that a coordinator of several still serves, for load balancers to hear that it ends
log = structlog.get_logger("livereactor.coordinator")


@dataclass(frozen=True, slots=True)
class _House:
    """The parts of one coordinator, put together."""

    service: Service
    links: WorkerSockets
    fleet: Fleet
    pool: Pool
    server: Server
    serving: asyncio.Task[None]


class Guests(Enum):
    """Visitors that are served without a key or a token."""

    EVERYBODY = auto()
    HERE = auto()  # programs and pages of this machine, until there is a key
    NOBODY = auto()


def serve_models(targets: Sequence[str], resolved: Resolved, *, listening: Callable[[str, Guests], None]) -> None:
    """Serve models to many people until SIGINT or SIGTERM.

    Args:
        targets: models of this machine, as `load_model` takes them.
        resolved: settings.
        listening: called once the port is open, with the page's URL and who is served without credentials.

    Raises:
        ModelLoadError: one of the models could not be imported.
        ConfigError: data folder, database or address cannot be used.
    """
    settings = resolved.settings
    configure_logging(settings.runtime.log_format)
    if settings.pool.isolation != "off":
        hide_memory()
    options = coordinator_options(settings)
    with listen(settings.coordinator.host, settings.coordinator.port) as listener:
        listener.listen(BACKLOG)
        loop = auto_loop_factory()  # uvloop where there is one
        with tracing("livereactor-coordinator"), asyncio.Runner(loop_factory=loop) as runner:
            runner.run(_serve(targets, resolved, options, listener, listening))


def coordinator_options(settings: Settings) -> CoordinatorOptions:
    """Return the coordinator's options, as the settings say."""
    given, turn = settings.coordinator, settings.turn
    shared_relays(settings)  # raises where their secret is missing
    check_webhooks(settings)
    check_peers(settings)
    fixed = tuple((user, password, url) for user, password, url in (each.split(";") for each in turn.turn))
    return replace(
        CoordinatorOptions(),
        limits=limits(settings),
        quotas=quotas(settings),
        rates=Rates(anonymous=given.anonymous_per_minute, creating=given.creations_per_minute),
        turn=TurnOptions(tuple(turn.stun), fixed, tuple(turn.urls), turn.secret),
        admission_grace=given.admission_grace,
        ticket_grace=given.ticket_grace,
        hold=given.poll_hold,
        token_lifetime=given.token_lifetime,
        scoped_token_lifetime=given.scoped_token_lifetime,
        kept=given.closed_session_kept,
        events_kept=given.events_kept,
        lease=given.lease,
        store_grace=given.lease,
        drain_timeout=given.drain_timeout,
        guests=given.host in LOOPBACK and given.public_url is None if given.guests is None else given.guests,
        guests_from_anywhere=bool(given.guests),
        moderation=terms_of(settings),
        public_url=given.public_url,
        peer_url=given.peer_url,
    )


async def _serve(
    targets: Sequence[str],
    resolved: Resolved,
    options: CoordinatorOptions,
    listener: socket.socket,
    listening: Callable[[str, Guests], None],
) -> None:
    stop, settings = stop_on_signals(), resolved.settings
    store = open_store(settings)
    try:
        if targets:  # a module may import for seconds
            log.info("reading the models", models=", ".join(targets))
        paths = [_absolute(each) for each in targets]
        models = await read_models(paths, confined(settings, settings.coordinator.data_dir.absolute(), paths))
        await store.transact(lambda tx: list_models(tx, models, settings))
        async with (
            delivering_webhooks(settings, store),
            judging(settings) as judge,
            _house(models, resolved, options, store, listener, judge) as house,
        ):
            freeze_heap()
            listening(url_of(listener), await _guests(store, options))
            dial = dialled_url(settings) or _own_url(listener)
            warn_of_loopback(settings, dial)
            warn_of_reach(settings)
            fleet = asyncio.create_task(house.fleet.run(dial), name="fleet")
            stopped = asyncio.create_task(stop.wait(), name="signals")
            await asyncio.wait([stopped, house.serving, fleet], return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            error = _failure(house, fleet, stop)
            await (house.fleet.drain() if options.peer_url is None else _hand_over(house))
            fleet.cancel()
            if error is not None:
                raise error
    finally:
        await store.aclose()


async def _hand_over(house: _House) -> None:
    """Leave what runs to the other coordinators: Workers dial them, and load balancers learn to ask them."""
    log.info("handing over to the other coordinators", workers=len(house.links))
    house.service.is_leaving = True
    lingering = asyncio.create_task(asyncio.sleep(LINGER))
    await house.fleet.hand_over()
    await house.links.hand_over(LINGER)
    await lingering
    house.server.should_exit = True  # takes no more, and says goodbye on every connection


async def _keep(blobs: Blobs, keeper: RetentionLoop) -> None:
    """Tries the store before the first look at it: a bucket that was never written to may not be there yet."""
    if not await takes_writes(blobs):
        log.error(
            "serving without files: uploads, recordings and clips fail",
            todo="follow the line above and check with `livereactor doctor`; no restart is needed",
        )
    await keeper.run()


async def _guests(store: Store, options: CoordinatorOptions) -> Guests:
    if options.guests_from_anywhere:
        return Guests.EVERYBODY
    if options.guests and not await Keys(store, unix_us=unix_us).are_there():
        return Guests.HERE
    return Guests.NOBODY


@asynccontextmanager
async def _house(
    models: Sequence[ListedModel],
    resolved: Resolved,
    options: CoordinatorOptions,
    store: Store,
    listener: socket.socket,
    judge: Judge | None,
) -> AsyncGenerator[_House]:
    settings = resolved.settings
    secrets, folder = secrets_of(settings), settings.coordinator.data_dir.absolute()
    blobs = open_blobs(blobs_url(settings, folder / "blobs"))
    links = WorkerSockets()
    service = Service(store, links, options, unix_us=unix_us, peers=peers_of(settings, secret=secrets.worker))
    authenticator = make_authenticator(store, secrets, options)
    plan = fleet_plan(models, resolved, secrets, folder)
    pool = await make_pool(settings, plan, secrets, folder, store)
    role = None if options.peer_url is None else Role("fleet", lasts=LEADS_FOR, unix_us=unix_us)
    fleet = Fleet(store, service, pool, options, plan, unix_us=unix_us, role=role)
    uploads = Uploads(service, store, blobs, Signer(*secrets.blobs), options.limits, unix_us=unix_us)
    servers = partial(_ice_servers, options)
    previews = {each.name: each.preview for each in models if each.preview is not None}
    terms = options.moderation
    moderation = None if judge is None or terms is None else Moderation(judge, terms, store, blobs, options.limits)
    parts = Parts(
        service,
        authenticator,
        secrets,
        links,
        store,
        blobs,
        uploads,
        servers,
        unix_us,
        page_directory(),
        previews,
        moderation,
    )
    # The exit is ours: uvicorn would wait for held requests and event streams.
    config = uvicorn.Config(
        BehindProxies(create_app(parts), settings.coordinator.proxies),
        proxy_headers=False,
        log_config=None,
        access_log=False,
        lifespan="off",
        **{**SERVER, "ws": BoundedWebSocket},
        **bounded(options.limits, most=HTTP_CONNECTIONS, proxies=settings.coordinator.proxies),
    )
    server = Server(config)
    await service.start()
    await uploads.start()
    keeper = retention_of(store, blobs, retention_rules(settings), unix_us=unix_us)
    keeping = asyncio.create_task(_keep(blobs, keeper), name="recordings")
    serving = asyncio.create_task(server.serve([listener]), name="http")
    try:
        yield _House(service, links, fleet, pool, server, serving)
    finally:
        keeping.cancel()
        await asyncio.wait([keeping], timeout=2)  # it asks the database, which is closed behind this
        await service.aclose()
        await uploads.aclose()
        await links.aclose()
        if server.should_exit:  # handed over: the client that was answered last reads it to the end
            await asyncio.wait([serving], timeout=LINGER)
        server.should_exit = server.force_exit = True
        await asyncio.wait([serving], timeout=2)
        await pool.aclose()


def list_models(tx: Tx, models: Sequence[ListedModel], settings: Settings) -> None:
    """Write down the models served here; a model that is served no more keeps its record and gets no workers."""
    pool, served = settings.pool, {each.name: each for each in models}
    # By name, the order in which decisions lock them (coordinator/decisions/locks.py).
    for name in sorted({*served, *(each.name for each in tx.models())}):
        known = tx.model(name, lock=True)
        if (model := served.get(name)) is None:
            if known is not None and known.max_workers:
                tx.put_model(replace(known, min_ready=0, buffer=0, max_workers=0))
            continue
        record = model.record(min_ready=pool.min_ready, buffer=pool.buffer, max_workers=pool.max_workers)
        if known is not None:  # its Workers have told more than its schema does, such as `requeue`
            record = replace(record, spec={**known.spec, **record.spec}, served_turn=known.served_turn)
        tx.put_model(record)


def _ice_servers(options: CoordinatorOptions, session: str) -> Sequence[IceServerBody]:
    longest = options.limits.max_session_duration
    return options.turn.ice_servers(session, now_at=int(time.time()), longest=longest)


def _absolute(target: str) -> str:
    """Return the target with an absolute path, since workers may run in another folder."""
    path, colon, name = target.partition(":")
    return f"{Path(path).absolute()}{colon}{name}"


def _own_url(listener: socket.socket) -> str:
    """Return the URL for processes of this machine; a wildcard address becomes the loopback address."""
    name, port = listener.getsockname()[:2]
    host = str(name)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _failure(house: _House, fleet: asyncio.Task[None], stop: asyncio.Event) -> BaseException | None:
    """Return the error for which the coordinator ends without having been asked to."""
    if fleet.done() and not fleet.cancelled():
        return fleet.exception()
    if house.serving.done() and not stop.is_set():
        return UnavailableError("the HTTP server stopped unexpectedly; see its log")
    return None


def check_webhooks(settings: Settings) -> None:
    """Raise `ConfigError` where URLs have no secret to sign with."""
    if settings.webhooks.urls and not settings.webhooks.secrets:
        raise ConfigError(
            "webhooks.urls need webhooks.secrets, which sign each request; "
            'set it to ["whsec_…"], made by: echo "whsec_$(openssl rand -base64 32)"'
        )


@asynccontextmanager
async def delivering_webhooks(settings: Settings, store: Store) -> AsyncGenerator[None]:
    """Send events to every webhook URL of the settings until the end of this context."""
    async with AsyncExitStack() as stack:
        for url in dict.fromkeys(settings.webhooks.urls):
            webhooks = Webhooks(store, url=url, secrets=settings.webhooks.secrets, unix_us=unix_us)
            stack.push_async_callback(webhooks.aclose)
            await webhooks.start()
        yield
