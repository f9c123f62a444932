"""Reloading: a saved file becomes the running class. Watches files and imports them; the caller does the rest."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import linecache
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Final

import structlog
from watchfiles import PythonFilter, awatch  # pyright: ignore[reportUnknownVariableType]: anyio is untyped there

from livereactor.base.errors import LivereactorError
from livereactor.runtime.authoring.model import Model
from livereactor.runtime.execution.loading import load_model, model_file

LOOK_AGAIN: Final = 500  # milliseconds

log = structlog.get_logger("livereactor.reload")


class Reloader:
    """Watches the folder of a model's file, and what lies below it.

    Args:
        target: as `load_model` takes it.
        model: the class that runs now; read right after its import, so that its source is the file's.
    """

    def __init__(self, target: str, model: type[Model]) -> None:
        self._target = target
        self._file = model_file(target)
        self._load = load_source(model)
        self._saved = self._saved_at()

    async def run(self, changed: Callable[[type[Model], bool], Awaitable[bool]]) -> None:
        """Call `changed(new class, load is unchanged)` after every save that imports; runs until cancelled.

        Args:
            changed: says whether the new class runs now; if not, the next is compared with the one that does.
        """
        folder, only = self._file.parent, PythonFilter()
        # It yields now and then without changes: a save before the watch began, or on a file system that tells nobody
        # (a container's mount), is seen by its time.
        watch = awatch(folder, watch_filter=only, step=50, debounce=200, rust_timeout=LOOK_AGAIN, yield_on_timeout=True)
        async for changes in watch:
            before, self._saved = self._saved, self._saved_at()
            if before == self._saved and all(Path(path).parent == folder for _, path in changes):
                continue
            try:
                await self._change(changed)
            except LivereactorError as error:
                log.error("not reloaded; the previous version keeps running", reason=error.message)
            except Exception:  # whatever it was, the next save may be better
                log.exception("not reloaded; the previous version keeps running")

    async def _change(self, changed: Callable[[type[Model], bool], Awaitable[bool]]) -> None:
        model = await asyncio.to_thread(self._import)
        source = load_source(model)
        same = source == self._load
        log.info("reloading", model=model.__name__, weights="kept" if same else "loaded anew")
        if await changed(model, same):
            self._load = source

    def _saved_at(self) -> dict[Path, int]:
        """Return the times at which the files next to the model's were last saved."""
        times: dict[Path, int] = {}
        for file in self._file.parent.glob("*.py"):
            with contextlib.suppress(FileNotFoundError):  # between the two halves of an editor's save
                times[file] = file.stat().st_mtime_ns
        return times

    def _import(self) -> type[Model]:
        """The class as it is on disk now, and with it every module of the author's that it imports."""
        linecache.checkcache()  # tracebacks and sources are of the file as it is now
        before = _modules_in(self._file.parent)
        for name in before:
            del sys.modules[name]
        try:
            return load_model(self._target)
        except BaseException:
            sys.modules.update(before)  # what runs on goes on importing what it has imported
            raise


def load_source(model: type[Model]) -> str:
    """The text of a model's `load`, of every class on its way, and its weights; what decides whether they are kept."""
    parts = [vars(each)["load"] for each in model.__mro__ if "load" in vars(each)]
    try:
        return "\n".join([*(inspect.getsource(part) for part in parts), repr(model.weights)])
    except (OSError, TypeError):  # no source to compare: never taken for unchanged
        return f"{Path(inspect.getfile(model)).name}:{id(model)}"


def _modules_in(folder: Path) -> dict[str, ModuleType]:
    """Imported modules whose file the author may have saved: not those of an environment that lies in the folder."""
    found: dict[str, ModuleType] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and folder in Path(file).parents and not Path(file).is_relative_to(sys.prefix):
            found[name] = module
    return found
