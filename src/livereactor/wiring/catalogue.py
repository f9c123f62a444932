"""Descriptions of the models of `livereactor serve`, learned without importing any of them here.

A model's module may take a GPU, minutes or this process down with it, so each is read by a process of its own that
prints its schema and loads no weights.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from livereactor.base.errors import ConfigError, ModelLoadError
from livereactor.coordinator.http.routes.models import PREVIEW_BYTES, Preview
from livereactor.pool.model_process import MODULE, model_environment
from livereactor.protocol.http import CapabilitiesBody, CommandCapability, TrackCapability
from livereactor.protocol.openapi import from_openapi
from livereactor.protocol.schema import ModelSchema
from livereactor.runtime.execution.loading import model_file
from livereactor.runtime.execution.schema_file import REFUSED
from livereactor.store.records import ModelRecord

LEARNING: Final = 120.0  # seconds for importing one model's module: torch alone takes ten on a cold disk
log = structlog.get_logger("livereactor.coordinator")


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model that can be started here.

    Attributes:
        target: as `load_model` takes it, absolute.
        preview: its preview film, the file `NAME.webm` next to the model's file.
    """

    name: str
    version: str
    target: str
    spec: Mapping[str, Any]
    preview: Preview | None = None

    def record(self, *, min_ready: int, buffer: int, max_workers: int) -> ModelRecord:
        """Return the model as the store keeps it."""
        return ModelRecord(self.name, self.version, self.spec, min_ready, buffer, max_workers)


async def read_models(targets: Sequence[str], environment: Mapping[str, str] | None = None) -> Sequence[ListedModel]:
    """Read the models' schemas, as many at once as there are cores.

    Args:
        environment: of the processes that import them, beside our own without its secrets.

    Raises:
        ModelLoadError: one of them is none; what its process said.
        ConfigError: two have one name.
    """
    cores = asyncio.Semaphore(os.cpu_count() or 1)

    async def one(target: str) -> ListedModel:
        async with cores:
            return await _learn(target, environment or {})

    found = await asyncio.gather(*(one(target) for target in targets))
    by_name: dict[str, ListedModel] = {}
    for each in found:
        if each.name in by_name:
            text = f"{by_name[each.name].target} and {each.target} are both called {each.name!r}"
            raise ConfigError(f"{text}; give one of the classes another `name`")
        by_name[each.name] = each
    return found


async def _learn(target: str, environment: Mapping[str, str]) -> ListedModel:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *MODULE, "livereactor.pool.confinement", "livereactor.runtime.execution.schema_file", target,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=model_environment(environment),
    )  # fmt: skip
    try:
        async with asyncio.timeout(LEARNING):
            out, err = await process.communicate()
    except TimeoutError:
        raise ModelLoadError(f"{target} was not imported within {LEARNING:g} s; move slow work into `load`") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        # What the module printed stands before our own sentence.
        said = f"\n{err.decode(errors='replace')}".rpartition(f"\n{REFUSED}")[2].strip()
        raise ModelLoadError(said or f"{target} ended with code {process.returncode} while it was imported")
    try:
        document = json.loads(out)
    except ValueError as error:
        raise ModelLoadError(
            f"{target} gave no schema ({error}); see what `livereactor schema {target}` prints"
        ) from error
    return _listed(target, document)


def _listed(target: str, document: dict[str, Any]) -> ListedModel:
    schema = from_openapi(document)
    spec = {"capabilities": _capabilities(schema).to_body(), "schema": document, "description": schema.description}
    return ListedModel(schema.name, schema.version, target, spec, _preview(target, schema.name))


def _preview(target: str, name: str) -> Preview | None:
    file = model_file(target).parent / f"{name}.webm"
    try:
        with file.open("rb") as opened:
            preview = Preview(opened.read(PREVIEW_BYTES + 1))
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("film of a model left out", file=str(file), reason=error.strerror)
        return None
    if (fault := preview.fault()) is not None:
        log.warning("film of a model left out", file=str(file), reason=fault)
        return None
    return preview


def _capabilities(schema: ModelSchema) -> CapabilitiesBody:
    return CapabilitiesBody(
        tracks=[
            TrackCapability(
                name=each.name, kind=each.kind, direction="recvonly" if each.direction == "out" else "sendonly"
            )
            for each in schema.tracks
        ],
        commands=[CommandCapability(name=each.name, description=each.description) for each in schema.commands],
    )
