"""The stand-alone runtime: one model and its page, `livereactor run`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import structlog
import uvicorn

from livereactor.base.errors import ConfigError, LivereactorError, UnavailableError
from livereactor.base.scratch import Scratch, remove_left_over
from livereactor.blobs.retention import RetentionLoop, always
from livereactor.engine.default import make_engine
from livereactor.engine.port import PeerConfig
from livereactor.media.encoder import start_bps
from livereactor.media.frames import VideoCodec
from livereactor.moderation.judge import Judge
from livereactor.playground import page_directory
from livereactor.runtime.authoring.model import Model, definition_of
from livereactor.runtime.execution.loading import load_model
from livereactor.runtime.execution.reload import Reloader
from livereactor.runtime.http import create_app
from livereactor.runtime.options import Moderated
from livereactor.runtime.recording.options import RecorderOptions, recorded_tracks
from livereactor.runtime.session.service import Runtime, RuntimeOptions
from livereactor.settings import Resolved, Settings
from livereactor.web.access import Access
from livereactor.web.proxies import BehindProxies
from livereactor.wiring.connections import bounded
from livereactor.wiring.heap import freeze_once_loaded
from livereactor.wiring.moderation import judging, terms_of
from livereactor.wiring.options import blobs_url, limits, open_blobs, peer_config, retention_rules, shared_relays
from livereactor.wiring.process import LOOPBACK, Server, configure_logging, listen, stop_on_signals, url_of
from livereactor.wiring.tracing import tracing

# A model that holds the GIL between two frames delays the thread that encodes by up to one switch interval (5 ms by
# default); measured: 12.5 to 7.1 ms from yield to send.
SWITCH_INTERVAL = 0.0005

HTTP_CONNECTIONS = 512  # more are answered 503 at once; half of what a process may open by default

log = structlog.get_logger("livereactor")


def serve_model(target: str, resolved: Resolved, *, listening: Callable[[str], None], reload: bool) -> None:
    """Serve one model until SIGINT or SIGTERM.

    Args:
        target: as `load_model` takes it.
        resolved: settings, and the file they came from.
        listening: called with the page's URL once the port is open.
        reload: saving the model's file reloads it.

    Raises:
        ModelLoadError: the model could not be imported or loaded.
        ConfigError: the address may not or cannot be listened on.
    """
    settings = resolved.settings
    configure_logging(settings.runtime.log_format)
    check_address(settings)
    sys.setswitchinterval(SWITCH_INTERVAL)
    if reload:
        # Python compares byte code and source by whole seconds: two saves within one would run the older.
        sys.dont_write_bytecode = True
    remove_left_over()
    model = load_model(target)
    reloader = Reloader(target, model) if reload else None
    listening_at = listen(settings.runtime.host, settings.runtime.port)
    with tracing("livereactor-runtime"), listening_at as listener, _upload_folder(settings) as folder:
        asyncio.run(_serve(model, resolved, listener, folder, listening, reloader), debug=False)


def check_address(settings: Settings) -> None:
    """Raise `ConfigError` for an address that others can reach, if neither a key nor `insecure` is set."""
    host = settings.runtime.host
    if host not in LOOPBACK and settings.runtime.key is None and not settings.runtime.insecure:
        raise ConfigError(
            f"{host} can be reached from elsewhere, and anyone could control the model; "
            "require a key with --key, or pass --insecure"
        )


def make_runtime(
    model: type[Model], resolved: Resolved, folder: Path, *, reloads: bool = False, judge: Judge | None = None
) -> Runtime:
    """A runtime with the adapters that the settings name; `folder` keeps what no `[blobs] url` does."""
    engine = make_engine(resolved.settings.runtime.engine)
    moderation = None if judge is None else Moderated(judge, terms_of(resolved.settings))
    options = replace(runtime_options(model, resolved, reloads=reloads), moderation=moderation)
    blobs = open_blobs(blobs_url(resolved.settings, folder))
    return Runtime(model, engine=engine, blobs=blobs, options=options)


def runtime_options(model: type[Model], resolved: Resolved, *, reloads: bool = False) -> RuntimeOptions:
    """Return the runtime's options, as the settings say."""
    settings = resolved.settings
    recorder = _recorder(model, settings)
    return RuntimeOptions(
        limits=limits(settings),
        peers=_peers(model, settings, is_recorded=recorder is not None),
        relays=shared_relays(settings),
        config=settings.model,
        config_path=resolved.path,
        idle_timeout=settings.runtime.idle_timeout,
        upload_types=tuple(settings.runtime.upload_types),
        recorder=recorder,
        reloads=reloads,
    )


def _recorder(model: type[Model], settings: Settings) -> RecorderOptions | None:
    given = settings.recorder
    if not given.enabled:
        return None
    options = RecorderOptions(
        clip_max_seconds=given.clip_max_seconds,
        video_track=given.video_track,
        audio_track=given.audio_track,
        retention_hours=given.retention_hours,
        segment_seconds=given.segment_seconds,
        video_preset=given.video_preset,
        video_quality=given.video_quality,
        audio_bitrate=given.audio_bitrate,
    )
    recorded_tracks(options, definition_of(model).outputs)  # what cannot be recorded is reported at boot
    return options


async def _serve(
    model: type[Model],
    resolved: Resolved,
    listener: socket.socket,
    folder: Path,
    listening: Callable[[str], None],
    reloader: Reloader | None,
) -> None:
    async with judging(resolved.settings) as judge:
        runtime = make_runtime(model, resolved, folder, reloads=reloader is not None, judge=judge)
        await _serve_runtime(runtime, resolved, listener, listening, reloader)


async def _serve_runtime(
    runtime: Runtime,
    resolved: Resolved,
    listener: socket.socket,
    listening: Callable[[str], None],
    reloader: Reloader | None,
) -> None:
    asked = resolved.settings.runtime
    # A key is shown on purpose, unlike an address that a foreign page can borrow: with one, any origin may ask.
    access = Access(tuple(asked.origins), any_host=asked.insecure or asked.key is not None)
    app = create_app(runtime, access=access, page=page_directory(), key=asked.key)
    # The exit is ours: uvicorn would wait for held requests and event streams.
    config = uvicorn.Config(
        BehindProxies(app, asked.proxies),
        proxy_headers=False,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        **bounded(runtime.limits, most=HTTP_CONNECTIONS, proxies=asked.proxies),
    )
    server = Server(config)
    stop = stop_on_signals()
    serving = asyncio.create_task(server.serve([listener]), name="http")
    retention = _retention(runtime, resolved.settings)
    tasks = [
        asyncio.create_task(_tell_loading(runtime), name="loading"),
        asyncio.create_task(freeze_once_loaded([runtime]), name="heap"),
        asyncio.create_task(retention.run(), name="recordings"),
    ]
    error: LivereactorError | None = None
    clean = True
    try:
        listening(url_of(listener))
        await runtime.start()
        if reloader is not None:
            tasks.append(asyncio.create_task(reloader.run(runtime.reload), name="reload"))
        error = await _until_stopped(stop, serving, runtime)
    finally:
        for task in tasks:
            task.cancel()
        clean = await runtime.aclose()
        server.should_exit = server.force_exit = True
        await asyncio.wait([serving, *tasks], timeout=2)
    if error is not None:
        raise error
    if not clean:
        log.error("the model did not end in time and was abandoned")


def _retention(runtime: Runtime, settings: Settings) -> RetentionLoop:
    async def is_open(session: str) -> bool:
        return runtime.runs(session)

    return RetentionLoop(runtime.blobs, retention_rules(settings), is_open=is_open, leads=always)


async def _until_stopped(stop: asyncio.Event, serving: asyncio.Task[None], runtime: Runtime) -> LivereactorError | None:
    """Wait for a signal, the server's end, or the model's; the last is the error that ends the process."""
    signalled = asyncio.create_task(stop.wait(), name="signals")
    await asyncio.wait([signalled, serving, runtime.ended], return_when=asyncio.FIRST_COMPLETED)
    signalled.cancel()
    if runtime.ended.done():
        return runtime.ended.result()
    if serving.done() and not stop.is_set():
        return UnavailableError("the HTTP server stopped unexpectedly; see its log")
    return None


async def _tell_loading(runtime: Runtime) -> None:
    """Print progress while the model loads: after a second, then every five."""
    began, pause = time.monotonic(), 1.0
    while True:
        await asyncio.sleep(pause)
        if runtime.is_loaded:
            return
        progress = runtime.progress
        said = {"progress": f"{progress.fraction:.0%}", "text": progress.text} if progress else {}
        log.info("still loading", seconds=round(time.monotonic() - began), **said)
        pause = 5.0


def _peers(model: type[Model], settings: Settings, *, is_recorded: bool) -> PeerConfig:
    config = peer_config(settings)
    videos = [track for track in definition_of(model).outputs if track.kind == "video"]
    rates = [start_bps(each.width or 1280, each.height or 720, each.fps or 30.0) for each in videos]
    # Viewers who can decode H.264 get it where it is recorded: one encode does for both. What is recorded otherwise is
    # encoded once more, 0.07 core of 0.19 at 360p.
    codecs = (VideoCodec.H264, VideoCodec.VP8) if is_recorded else config.video_codecs
    # An estimate that starts below the stream's own rate would send every new viewer to the low rung first.
    return replace(config, start_bps=max([config.start_bps, *rates]), video_codecs=codecs)


@contextlib.contextmanager
def _upload_folder(settings: Settings) -> Generator[Path]:
    if settings.runtime.upload_dir is not None:
        yield settings.runtime.upload_dir
        return
    with contextlib.closing(Scratch("run")) as scratch:
        yield scratch.folder
