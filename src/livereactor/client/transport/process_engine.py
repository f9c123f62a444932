"""The process's one Engine: loaded when a client first connects, off its loop, and kept."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from livereactor.base.errors import EngineError
from livereactor.client.errors import ReactorError, error_of

if TYPE_CHECKING:
    from livereactor.engine.port import Engine

log = structlog.get_logger(__name__)

_lock = threading.Lock()
_making = threading.Lock()
_engine: Engine | None = None
_is_loading = False


def begin_loading() -> None:
    """Load the engine in the background; a failure is raised later, by `process_engine`.

    It is loaded on a thread with a loop of its own, which the interpreter waits for at its end. An engine's first
    connection to itself aborts the process if it is cut off, as it would be with the loop of a program that could not
    reach its server.
    """
    global _is_loading
    with _lock:
        if _is_loading:
            return
        _is_loading = True
    with suppress(RuntimeError):  # the interpreter is ending, and starts no threads
        threading.Thread(target=_load, name="livereactor engine", daemon=False).start()


async def process_engine() -> Engine:
    """Return the process's Engine, warmed up.

    Raises:
        ReactorError: `TRANSPORT_ERROR`: this machine has none; the message says how to install one.
    """
    # Imports and the engine's threads take some 100 ms the first time, and must not hold the loop up.
    engine = _engine if _engine is not None else await asyncio.to_thread(_made)
    await engine.start()
    return engine


def _load() -> None:
    try:
        asyncio.run(_made().start())
    except ReactorError as error:
        log.debug("no engine", reason=error.message)


def _made() -> Engine:
    global _engine
    with _making:
        if _engine is None:
            from livereactor.engine.default import make_engine

            try:
                _engine = make_engine()
            except EngineError as error:
                raise error_of("TRANSPORT_ERROR", error.message, recoverable=False) from error
        return _engine
