"""`/models`: what can be asked for, and how soon it would be there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from livereactor.base.errors import NotFoundError
from livereactor.coordinator.requests import Door, told
from livereactor.protocol.http import Body
from livereactor.store.port import Store, Tx
from livereactor.store.records import ModelRecord, WorkerRecord, WorkerState
from livereactor.web.documents import asked_by, problems

State: TypeAlias = Literal["ready", "starting", "cold", "failed"]
Trouble: TypeAlias = Callable[[str], str | None]
_COMING: Final = frozenset({WorkerState.STARTING, WorkerState.READY})


class ModelBody(Body):
    """A model as people choose it."""

    name: str
    version: str | None = None
    description: str = ""
    state: State = Field(
        description="`ready`: a worker has it loaded; `starting`: one loads; `cold`: one starts on first use; "
        "`failed`: none can be had, `text` says why."
    )
    in_use: bool = Field(
        default=False, description="Workers have it loaded, and every slot of theirs is taken: a new session waits."
    )
    progress: float | None = Field(default=None, description="0 to 1, of the worker that is furthest.")
    text: str | None = None
    queue_length: int = 0


class ModelList(Body):
    """By name."""

    models: list[ModelBody]


def models(door: Door, store: Store, trouble: Trouble) -> APIRouter:
    """The routes; `trouble` says why no Worker of a model can be started now, None = nothing is known against it."""
    routes = APIRouter(prefix="/models", tags=["models"])

    @routes.get(
        "",
        response_class=Response,
        responses={200: {"model": ModelList}, **problems()},
        openapi_extra=asked_by(),
    )
    async def listed() -> Response:
        """Every model; their names are public, as a page has to offer them before anybody has a token."""
        return told(ModelList(models=await store.read(lambda tx: _all(tx, trouble))))

    @routes.get(
        "/{name:path}/schema",
        response_class=JSONResponse,
        responses={200: {"description": "An OpenAPI 3.1 document: commands, messages, tracks."}, **problems(401, 404)},
    )
    async def schema(name: str, request: Request) -> Response:
        """What a model understands and says, for forms and typed clients."""
        caller = await door.caller(request)
        plain = name.rpartition("/")[2]  # a name may come with its owner (section 1.3)
        record = await store.read(lambda tx: tx.model(name) or tx.model(plain))
        if record is None or (caller.models is not None and record.name not in caller.models):
            raise NotFoundError(f"no model named {name[:64]!r}; GET /models lists them")
        found = record.spec.get("schema")
        if not found:
            raise NotFoundError(f"the schema of {record.name!r} is not known before a worker of it has started; wait")
        return JSONResponse(found)

    return routes


def _all(tx: Tx, trouble: Trouble) -> list[ModelBody]:
    return [_one(tx, each, trouble) for each in sorted(tx.models(), key=lambda each: each.name)]


def _one(tx: Tx, model: ModelRecord, trouble: Trouble) -> ModelBody:
    workers = tx.workers(model=model.name, states=_COMING)
    reason = trouble(model.name)
    state = _state(model, workers, reason)
    body = ModelBody(
        name=model.name,
        version=model.version or None,
        description=str(model.spec.get("description") or ""),
        state=state,
        in_use=state == "ready" and tx.free_slot(model.name) is None,
        queue_length=tx.queue_length(model.name),
    )
    if workers and state == "starting":
        furthest = max(workers, key=lambda each: each.info.get("progress") or 0.0)
        body.progress, body.text = furthest.info.get("progress"), furthest.info.get("text") or None
    elif state == "failed":
        body.text = reason or "no worker of it is connected"
    return body


def _state(model: ModelRecord, workers: Sequence[WorkerRecord], trouble: str | None) -> State:
    if any(each.state is WorkerState.READY for each in workers):
        return "ready"
    if workers:
        return "starting"
    if trouble is not None or model.max_workers == 0:
        return "failed"
    # One that is kept ready has been started already: its process has not dialled in.
    return "starting" if model.min_ready else "cold"
