"""`/models`: the models that are served, their schemas and preview films."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Final, Literal, TypeAlias, cast
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from livereactor.base.errors import NotFoundError
from livereactor.base.limits import MIB
from livereactor.coordinator.http.dependencies import AnyCaller, ServicePart, StorePart, app_part, body_response
from livereactor.protocol.bindings import BINDING_KEY
from livereactor.protocol.http import Body
from livereactor.store.port import Tx
from livereactor.store.records import ModelRecord, WorkerRecord, WorkerState
from livereactor.web.blob_answers import RANGE_HEADER, byte_range
from livereactor.web.documents import asked_by, problems

PREVIEW_BYTES: Final = MIB  # ours have a fifth of that; a page with twenty of them must not load for minutes
PREVIEW_TYPE: Final = "video/webm"
_EBML: Final = b"\x1a\x45\xdf\xa3"  # what Matroska and WebM files begin with


@dataclass(frozen=True)
class Preview:
    """A model's preview film: a WebM file of a few seconds, held in memory."""

    content: bytes

    @cached_property
    def tag(self) -> str:
        """Version tag of the film: the first 16 hex digits of its SHA-256."""
        return hashlib.sha256(self.content).hexdigest()[:16]

    def fault(self) -> str | None:
        """Return why the film cannot be shown; None = its size and its first bytes are right."""
        if len(self.content) > PREVIEW_BYTES:
            return f"it is larger than {PREVIEW_BYTES} bytes"
        return None if self.content.startswith(_EBML) else "it is not a WebM file"


State: TypeAlias = Literal["ready", "starting", "cold", "failed"]
Tag: TypeAlias = Literal["camera", "microphone", "sound", "keys", "gamepad"]
Trouble: TypeAlias = Callable[[str], str | None]
_CACHED: Final = "public, max-age=86400"  # its address in the list is another when it is another film
_COMING: Final = frozenset({WorkerState.STARTING, WorkerState.READY})


class ModelBody(Body):
    """A model in the list, with its readiness."""

    name: str
    version: str | None = None
    description: str = ""
    state: State = Field(
        description="`ready`: a worker has loaded it; `starting`: one loads it; `cold`: a worker starts on first use; "
        "`failed`: no worker is available, `text` says why."
    )
    in_use: bool = Field(default=False, description="Its workers have no free slot, so a new session waits.")
    progress: float | None = Field(
        default=None, description="Loading progress, 0 to 1, of the worker that is furthest."
    )
    text: str | None = None
    queue_length: int = 0
    tags: list[Tag] = Field(
        default=[],
        description="Inputs and outputs besides video; `keys` and `gamepad` can steer the model.",
    )
    loop: str | None = Field(default=None, description="Address of the preview film, relative to the API's root.")


class ModelList(Body):
    """Answer of `GET /models`, sorted by name."""

    models: list[ModelBody]


PreviewsPart = Annotated[Mapping[str, Preview], app_part("previews")]

routes = APIRouter(prefix="/models", tags=["models"], responses=problems())


@routes.get("", response_class=Response, responses={200: {"model": ModelList}}, openapi_extra=asked_by())
async def list_models(service: ServicePart, store: StorePart, previews: PreviewsPart) -> Response:
    """List the models. No token is needed, so that a page can offer them before it has one."""
    found = await store.read(lambda tx: _all(tx, service.capacity))
    for each in found:
        if (film := previews.get(each.name)) is not None:
            each.loop = f"models/{quote(each.name, safe='')}/loop?v={film.tag}"
    return body_response(ModelList(models=found))


@routes.get(
    "/{name:path}/schema",
    response_class=JSONResponse,
    responses={200: {"description": "An OpenAPI 3.1 document: commands, messages, tracks."}, **problems(401, 404)},
)
async def get_model_schema(name: str, caller: AnyCaller, store: StorePart) -> Response:
    """Return the commands, messages and tracks of a model, to build forms and typed clients from."""
    plain = name.rpartition("/")[2]  # a name may come with its owner, as `owner/name`
    record = await store.read(lambda tx: tx.model(name) or tx.model(plain))
    if record is None or (caller.models is not None and record.name not in caller.models):
        raise NotFoundError(f"no model named {name[:64]!r}; GET /models lists them")
    found = record.spec.get("schema")
    if not found:
        raise NotFoundError(f"the schema of {record.name!r} is unknown until its first worker starts; try later")
    return JSONResponse(found)


@routes.get(
    "/{name:path}/loop",
    response_class=Response,
    responses={
        200: {"content": {PREVIEW_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
        206: {"description": "The requested range."},
        304: {"description": "The film is unchanged: it has the tag in `If-None-Match`."},
        416: {"description": "The range begins after the last byte."},
        **problems(404),
    },
    openapi_extra={**asked_by(), "parameters": [RANGE_HEADER]},
)
async def get_model_preview(name: str, request: Request, previews: PreviewsPart) -> Response:
    """Return the preview film of a model, a few seconds of WebM; `loop` in the list of models is its address."""
    film = previews.get(name) or previews.get(name.rpartition("/")[2])
    if film is None:
        raise NotFoundError(f"no film of model {name[:64]!r}; GET /models lists the films")
    return _shown(film, request)


def _shown(film: Preview, request: Request) -> Response:
    """Return the film, the requested range of it (Safari requests ranges only), or 304 where the tag is current."""
    size = len(film.content)
    headers = {"ETag": f'"{film.tag}"', "Cache-Control": _CACHED, "Accept-Ranges": "bytes"}
    if film.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    span = byte_range(request.headers.get("range", ""), size)
    if span is None:
        return Response(film.content, headers=headers, media_type=PREVIEW_TYPE)
    start, end = span
    if start >= end:
        return Response(
            status_code=416, headers=headers | {"Content-Range": f"bytes */{size}"}, media_type=PREVIEW_TYPE
        )
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return Response(film.content[start:end], 206, headers, PREVIEW_TYPE)


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
        tags=_tags(model.spec),
    )
    if workers and state == "starting":
        furthest = max(workers, key=lambda each: each.info.get("progress") or 0.0)
        body.progress, body.text = furthest.info.get("progress"), furthest.info.get("text") or None
    elif state == "failed":
        body.text = reason or "none of its workers is connected"
    return body


def _tags(spec: Mapping[str, Any]) -> list[Tag]:
    capabilities: Mapping[str, Any] = spec.get("capabilities") or {}
    declared: Iterable[Mapping[str, Any]] = capabilities.get("tracks") or ()
    tracks = {(each.get("kind"), each.get("direction")) for each in declared}
    bound = _bound(spec.get("schema"))
    holds: dict[Tag, bool] = {
        "camera": ("video", "sendonly") in tracks,
        "microphone": ("audio", "sendonly") in tracks,
        "sound": ("audio", "recvonly") in tracks,
        "keys": "keys" in bound,
        "gamepad": "gamepad" in bound,
    }
    return [tag for tag, is_so in holds.items() if is_so]


def _bound(document: Any) -> set[str]:
    """Return the input devices that anything in a schema document is bound to."""
    inner: Iterable[Any] = ()
    found: set[str] = set()
    if isinstance(document, dict):
        entries = cast("dict[str, Any]", document)
        found, inner = set(entries.get(BINDING_KEY) or ()), entries.values()
    elif isinstance(document, list):
        inner = cast("list[Any]", document)
    return found.union(*map(_bound, inner))


def _state(model: ModelRecord, workers: Sequence[WorkerRecord], trouble: str | None) -> State:
    if any(each.state is WorkerState.READY for each in workers):
        return "ready"
    if workers:
        return "starting"
    if trouble is not None or model.max_workers == 0:
        return "failed"
    # One that is kept ready has been started already: its process has not dialled in.
    return "starting" if model.min_ready else "cold"
