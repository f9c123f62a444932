"""A Worker: one model, served to a coordinator, `livereactor worker`."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Final

import structlog

import livereactor
from livereactor.base.ids import uuid7
from livereactor.base.scratch import remove_left_over
from livereactor.blobs.http import HttpBlobs
from livereactor.blobs.port import Blobs
from livereactor.engine.default import make_engine
from livereactor.pool.confinement import Confinement, plantable
from livereactor.pool.port import BLOBS
from livereactor.pool.subprocess.spare import Orders, read_orders
from livereactor.runtime.authoring.definition import Definition
from livereactor.runtime.authoring.model import Model, definition_of
from livereactor.runtime.execution.loading import load_model
from livereactor.runtime.recording.options import segments_of
from livereactor.runtime.session.describing import model_spec
from livereactor.runtime.session.service import Runtime, RuntimeOptions
from livereactor.runtime.worker.link import About, WorkerLink
from livereactor.runtime.worker.socket import link_url, must_be_welcome
from livereactor.runtime.worker.worker import Worker
from livereactor.settings import Resolved
from livereactor.wiring.heap import freeze_once_loaded
from livereactor.wiring.moderation import relaying
from livereactor.wiring.options import open_blobs
from livereactor.wiring.process import configure_logging
from livereactor.wiring.runtime import SWITCH_INTERVAL, runtime_options
from livereactor.wiring.tracing import tracing

PACKAGE: Final = Path(livereactor.__file__).parent
log = structlog.get_logger("livereactor")


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Options of a worker, from the command line and the pool.

    Attributes:
        coordinator: its URL.
        secret: what it is shown.
        worker: its id.
        pooled: a coordinator's pool started it, watches it, and starts another.
        confinement: how this process is confined; None = it was not told to be.
        environ: the environment.
    """

    coordinator: str
    secret: str = field(repr=False)
    worker: str
    pooled: bool = False
    confinement: Confinement | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)


def serve_coordinator(target: str, resolved: Resolved, options: WorkerOptions) -> None:
    """Serve a coordinator until it, SIGINT or SIGTERM says to end; what runs is finished first.

    Args:
        target: as `load_model` takes it.

    Raises:
        ModelLoadError: the model could not be imported or loaded.
        UsageError: no URL, or what answers there does not take this Worker.
        UnavailableError: the model can serve nobody any more.
    """
    configure_logging(resolved.settings.runtime.log_format)
    _tell_confinement(options.confinement)
    link_url(options.coordinator)
    if not options.pooled:  # a person waits: a wrong secret is reported before the minutes that a model may load
        asyncio.run(must_be_welcome(options.coordinator, options.secret))
    sys.setswitchinterval(SWITCH_INTERVAL)
    remove_left_over()
    model = load_model(target)
    with tracing("livereactor-worker"):
        asyncio.run(_serve(model, resolved, options), debug=False)


def _tell_confinement(found: Confinement | None) -> None:
    if found in (Confinement.MOUNTS, Confinement.LANDLOCK):
        log.info("confined before the model is loaded", by=found.value)
        if folders := plantable(PACKAGE):
            log.warning(
                "the model can change the programs of this service, which also run unconfined",
                folders=folders,
                todo="install Python and livereactor as another user than the one that runs it, make these folders "
                "read-only, and set PYTHONNOUSERSITE=1",
            )
    elif found is not None:
        log.warning(
            "not confined: the model can read what this user can",
            by=found.value,
            todo="use a kernel with Landlock (5.13), or run workers as another user, who may not read the data folder",
        )


def await_orders(told: IO[bytes]) -> Orders | None:
    """Prepare a spare process, then wait for its orders; return None when its input ends without any."""
    make_engine()  # libwebrtc's threads and codecs, which the process has one of
    return read_orders(told)


async def _serve(model: type[Model], resolved: Resolved, options: WorkerOptions) -> None:
    blobs, close_blobs = _blobs(options)
    definition, grace = definition_of(model), resolved.settings.coordinator.drain_timeout
    slots, engine = definition.max_sessions, resolved.settings.runtime.engine
    async with relaying(options.coordinator, options.secret) as moderation:
        served = replace(runtime_options(model, resolved), moderation=moderation)
        runtimes = [Runtime(model, engine=make_engine(engine), blobs=blobs, options=served) for _ in range(slots)]
        about = _about(definition, options, served)

        def make_link(now: float) -> WorkerLink:
            return WorkerLink(about, slots, incarnation=lambda: uuid7().hex, drain_timeout=grace, now=now)

        worker = Worker(runtimes, options.coordinator, options.secret, make_link)
        stop = _stop_on_signals()
        beside = [
            asyncio.create_task(_drain_on(stop, worker, grace), name="signals"),
            asyncio.create_task(freeze_once_loaded(runtimes), name="heap"),
        ]
        try:
            await worker.run()
        finally:
            for task in beside:
                task.cancel()
            await close_blobs()


def _stop_on_signals() -> asyncio.Event:
    """Set by SIGINT and SIGTERM, however often they come.

    A service manager asks every process of a group, and so does our pool or keeper: two are not one that is in a
    hurry. Those who do not wait any more kill.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _drain_on(stop: asyncio.Event, worker: Worker, grace: float) -> None:
    await stop.wait()
    worker.drain(grace)


def _blobs(options: WorkerOptions) -> tuple[Blobs, Callable[[], Awaitable[None]]]:
    """The coordinator's own where it said that this process can reach them, else over its HTTP; and what closes it."""
    if url := options.environ.get(BLOBS):
        return open_blobs(url), _nothing
    blobs = HttpBlobs(options.coordinator, options.secret)
    return blobs, blobs.aclose


async def _nothing() -> None:
    """A folder or a bucket needs no closing."""


def _about(definition: Definition, options: WorkerOptions, served: RuntimeOptions) -> About:
    return About(
        worker=options.worker,
        model=definition.name,
        version=definition.schema.version,
        spec=model_spec(definition, segments=segments_of(served.recorder, definition.outputs)),
        node=socket.gethostname()[:255],
        pid=os.getpid(),
        pooled=options.pooled,
    )
