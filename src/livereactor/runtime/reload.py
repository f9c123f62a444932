"""Reloading: a saved file becomes the running class. Watches files and imports them; the caller does the rest."""

from __future__ import annotations

import asyncio
import inspect
import linecache
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
from watchfiles import PythonFilter, awatch  # pyright: ignore[reportUnknownVariableType]: anyio is untyped there

from livereactor.base.errors import LivereactorError
from livereactor.runtime.authoring import Model
from livereactor.runtime.loading import load_model, model_file

log = structlog.get_logger("livereactor.reload")


class Reloader:
    """Watches the folder of a model's file.

    Args:
        target: as `load_model` takes it.
        model: the class that runs now; read right after its import, so that its source is the file's.
    """

    def __init__(self, target: str, model: type[Model]) -> None:
        self._target = target
        self._load = load_source(model)

    async def run(self, changed: Callable[[type[Model], bool], Awaitable[None]]) -> None:
        """Call `changed(new class, load is unchanged)` after every save that imports; runs until cancelled."""
        folder = model_file(self._target).parent
        async for _ in awatch(folder, watch_filter=PythonFilter(), step=50, debounce=200, recursive=True):
            try:
                model = await asyncio.to_thread(self._import)
            except LivereactorError as error:
                log.error("not reloaded; the version before runs on", reason=error.message)
                continue
            source = load_source(model)
            same, self._load = source == self._load, source
            await changed(model, same)
            log.info("reloaded", model=model.__name__, weights="kept" if same else "loaded anew")

    def _import(self) -> type[Model]:
        linecache.checkcache()  # tracebacks and sources are of the file as it is now
        return load_model(self._target)


def load_source(model: type[Model]) -> str:
    """The text of a model's `load`, of every class on its way; what decides whether its weights can be kept."""
    parts = [vars(each)["load"] for each in model.__mro__ if "load" in vars(each)]
    try:
        return "\n".join(inspect.getsource(part) for part in parts)
    except (OSError, TypeError):  # no source to compare: never taken for unchanged
        return f"{Path(inspect.getfile(model)).name}:{id(model)}"
