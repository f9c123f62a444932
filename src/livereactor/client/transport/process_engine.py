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
    """Have it loaded while other things are done; what is wrong with it is told to who needs it.

    On a thread with a loop of its own, which the interpreter waits for as it ends: the first connection of an engine to
    itself that is cut off, with the loop of a program that could not reach its server, aborts the process.
    """
    global _is_loading
    with _lock:
        if _is_loading:
            return
        _is_loading = True
    with suppress(RuntimeError):  # the interpreter ends, and starts no thread
        threading.Thread(target=_load, name="livereactor engine", daemon=False).start()


async def process_engine() -> Engine:
    """The Engine, warmed up.

    Raises:
        ReactorError: `TRANSPORT_ERROR`: there is none on this machine; the message says how to install one.
    """
    # Imports and the engine's own threads take some 100 ms the first time, which no other task of the loop waits for.
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
