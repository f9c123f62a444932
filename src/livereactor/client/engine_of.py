"""The process's one Engine: loaded when a client first connects, off its loop, and kept."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import structlog

from livereactor.base.errors import EngineError
from livereactor.client.error import ReactorError
from livereactor.client.errors import error_of

if TYPE_CHECKING:
    from livereactor.engine.port import Engine

log = structlog.get_logger(__name__)

_lock = threading.Lock()
_engine: Engine | None = None
_loading: set[asyncio.Task[None]] = set()


def begin_loading() -> None:
    """Have it loaded while other things are done; what is wrong with it is told to who needs it."""
    task = asyncio.get_running_loop().create_task(_loaded(), name="livereactor engine")
    _loading.add(task)
    task.add_done_callback(_loading.discard)


async def process_engine() -> Engine:
    """The Engine, warmed up.

    Raises:
        ReactorError: `TRANSPORT_ERROR`: there is none on this machine; the message says how to install one.
    """
    # Imports and the engine's own threads take some 100 ms the first time, which no other task of the loop waits for.
    engine = _engine if _engine is not None else await asyncio.to_thread(_made)
    await engine.start()
    return engine


async def _loaded() -> None:
    try:
        await process_engine()
    except ReactorError as error:
        log.debug("no engine", reason=error.message)


def _made() -> Engine:
    global _engine
    with _lock:
        if _engine is None:
            from livereactor.engine.default import make_engine

            try:
                _engine = make_engine()
            except EngineError as error:
                raise error_of("TRANSPORT_ERROR", error.message, recoverable=False) from error
        return _engine
