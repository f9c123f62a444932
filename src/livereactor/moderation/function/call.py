"""A moderator that is a function of the operator's, plain or async. Loop only, but for the function itself.

It gets one dict, as the HTTP hook gets JSON, with the bytes of a file as `data`. A plain function runs on a thread of
its own, so it may wait. One that hangs keeps its thread: the threads are bounded, and do not keep the process.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from livereactor.base.errors import ConfigError
from livereactor.base.sparse_log import SparseLog
from livereactor.moderation.port import NotAskedError, NoVerdictError, Question, Verdict
from livereactor.moderation.verdicts import question_body, read_verdict

log = SparseLog(structlog.get_logger("livereactor.moderation"))


class FunctionModerator:
    """Asks a function.

    Args:
        function: takes the question as a dict; returns an action, or a dict with `action`.
        threads: of plain functions, those that hang included.
    """

    def __init__(self, function: Callable[[dict[str, Any]], Any], *, threads: int = 32) -> None:
        self._function, self._threads, self._running = function, threads, 0
        self._is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004  (an object with an async `__call__`)
        )

    async def ask(self, question: Question) -> Verdict:
        """Return the verdict; raises `NoVerdictError`."""
        asked = question_body(question)
        if question.file is not None:
            asked["file"]["data"] = question.file.data
        try:
            answer = await (self._function(asked) if self._is_async else self._on_a_thread(asked))
        except NoVerdictError:
            raise
        except Exception as error:  # whatever the operator's function raises
            log.exception("moderation function failed")
            raise NoVerdictError(f"the function raised {type(error).__name__}") from error
        return read_verdict(answer)

    async def aclose(self) -> None:
        """A function needs no closing."""

    async def _on_a_thread(self, asked: dict[str, Any]) -> Any:
        if self._running >= self._threads:
            raise NotAskedError(f"{self._running} of {self._threads} calls of the function have not returned")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()

        def over(result: Any, error: BaseException | None) -> None:
            self._running -= 1
            if answer.done():  # nobody waits any more
                return
            answer.set_result(result) if error is None else answer.set_exception(error)

        def call() -> None:
            result, failed = None, None
            try:
                result = self._function(asked)
            except Exception as error:
                failed = error
            try:
                loop.call_soon_threadsafe(over, result, failed)
            except RuntimeError:  # the loop has closed
                return

        self._running += 1
        threading.Thread(target=call, name="moderation", daemon=True).start()
        return await answer


def load_function(target: str) -> Callable[[dict[str, Any]], Any]:
    """Return the function that `module:function` of an installed package, or `file.py:function`, names.

    The working folder is not imported from: a model may have written there.

    Raises:
        ConfigError: it cannot be imported, or is no function.
    """
    module, _, name = target.rpartition(":")
    try:
        found = _from_file(Path(module)) if module.endswith(".py") else importlib.import_module(module)
        function = getattr(found, name)
    except Exception as error:  # whatever the operator's module raises
        raise ConfigError(f"[moderation] callable {target!r} cannot be imported: {error}") from error
    if not callable(function):
        raise ConfigError(f"[moderation] callable {target!r} is a {type(function).__name__}; name a function")
    return function


def _from_file(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"moderation_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
