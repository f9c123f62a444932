"""`/sessions`: create, poll, list and end sessions."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from livereactor.base.errors import ConflictError, NotFoundError
from livereactor.coordinator.auth.caller import Caller
from livereactor.coordinator.creation import KEY_CHARS
from livereactor.coordinator.descriptors import CLUSTER
from livereactor.coordinator.http.admin_queries import State, session_row, states_of
from livereactor.coordinator.http.dependencies import (
    AnyCaller,
    ServicePart,
    app_part,
    body_response,
    json_body,
    needs,
    while_connected,
)
from livereactor.coordinator.moderation import Moderation
from livereactor.protocol.http import Body, CreateSession, SessionDescriptor, StopSession
from livereactor.store.records import SessionRecord
from livereactor.web.documents import problems, takes

MOST: Final = 500  # Sessions on one page of the list
LARGEST: Final = 2**63 - 1
_EXAMPLE: Final = {
    "model": {"name": "pond"},
    "client_info": {"sdk_version": "1.13.0", "sdk_type": "python"},
    "supported_transports": [{"protocol": "webrtc", "version": "1.0"}],
}
_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Requests with the same key and body within a day create one session and get the same answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_CHARS},
}


class SessionInfo(Body):
    """Answer of `GET /sessions/{sid}/info`."""

    session_id: str
    state: str
    cluster: str


class ListedSession(Body):
    """A session in a list. Only operators see `account` and `worker`."""

    session_id: str
    state: str
    model: str
    created_at: float = Field(description="Unix seconds, like every field that ends in `_at`.")
    connected_at: float | None = None
    expires_at: float | None = None
    ended_at: float | None = None
    end_reason: str | None = None
    client: str | None = None
    account: str | None = None
    worker: str | None = None


class SessionList(Body):
    """A page of sessions, newest first. `next` is the `before` of the next page, absent on the last page."""

    sessions: list[ListedSession]
    next: int | None = None


routes = APIRouter(prefix="/sessions", tags=["sessions"], responses=problems(401, 403))


@routes.post(
    "",
    status_code=201,
    response_class=Response,
    responses={201: {"model": SessionDescriptor}, **problems(404, 408, 409, 413, 422)},
    openapi_extra=takes(CreateSession, example=_EXAMPLE, required=True) | {"parameters": [_IDEMPOTENCY_KEY]},
)
async def create_session(
    request: Request,
    caller: AnyCaller,
    asked: Annotated[CreateSession, json_body(CreateSession)],
    service: ServicePart,
    moderation: Annotated[Moderation | None, app_part("moderation")],
) -> Response:
    """Create a session: assigned at once if a worker is free, otherwise queued. Poll `GET /sessions/{sid}`."""
    key = request.headers.get("idempotency-key")
    if moderation is not None and moderation.asks_about(asked):
        # Whoever may not start a session asks no question.
        if (before := await service.may_create(caller, asked, idempotency_key=key)) is not None:
            return body_response(before, 201)
        await while_connected(request, moderation.must_allow_start(caller, asked))
    return body_response(await service.create(caller, asked, idempotency_key=key), 201)


@routes.get("", response_class=Response, responses={200: {"model": SessionList}})
async def list_sessions(
    caller: Annotated[Caller, needs("view")],
    service: ServicePart,
    state: State | None = None,
    model: Annotated[str | None, Query(max_length=128)] = None,
    before: Annotated[int | None, Query(ge=0, le=LARGEST)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
) -> Response:
    """List the sessions within the caller's reach, or of all accounts for a caller with the scope `admin`."""
    found = await service.queries.sessions(caller, states=states_of(state), model=model, before_seq=before, limit=limit)
    more = found[-1].seq if len(found) == limit else None
    return body_response(SessionList(sessions=[_listed(each, caller) for each in found], next=more))


@routes.get("/{sid}", response_class=Response, responses={200: {"model": SessionDescriptor}, **problems(404)})
async def get_session(
    sid: str,
    request: Request,
    caller: AnyCaller,
    service: ServicePart,
    wait: Annotated[
        float | None,
        Query(ge=0, allow_inf_nan=False, description="Seconds for which the request may be held, at most 20."),
    ] = None,
    version: Annotated[
        str | None, Query(max_length=64, description="Hold until the descriptor's `version` differs from this one.")
    ] = None,
) -> Response:
    """Return a session, held up to 20 s until it is ready or over; with `version`, until it changes."""
    await request.body()
    view = await while_connected(request, service.queries.watch(caller, sid, wait=wait, version=version))
    return body_response(view)


@routes.get("/{sid}/info", response_class=Response, responses={200: {"model": SessionInfo}, **problems(404)})
async def get_session_info(sid: str, caller: AnyCaller, service: ServicePart) -> Response:
    """Return only the state of a session; INACTIVE also stands for a session that has lost its last client."""
    view = await service.queries.describe(caller, sid, listed=True)
    return body_response(SessionInfo(session_id=view.session_id, state=view.state, cluster=CLUSTER))


@routes.put("/{sid}", response_class=Response, responses={200: {"model": SessionDescriptor}, **problems(404, 409)})
async def restart_session(sid: str, caller: AnyCaller, service: ServicePart) -> Response:
    """Return the session unchanged: it keeps its worker while it has no clients. 409 if the session is over."""
    view = await service.queries.describe(caller, sid)
    if view.state == "CLOSED":
        raise ConflictError(f"session {sid[:64]!r} has ended ({view.end_reason}); create another")
    return body_response(view)


@routes.delete(
    "/{sid}",
    status_code=204,
    response_class=Response,
    responses=problems(408, 413),
    openapi_extra=takes(StopSession, example={"reason": "done"}),
)
async def end_session(
    sid: str, caller: AnyCaller, asked: Annotated[StopSession, json_body(StopSession)], service: ServicePart
) -> Response:
    """End a session. Ending a session twice, or one that the caller cannot see, also answers 204."""
    if asked.moderate:
        caller.need("admin")
    try:
        await service.end(caller, sid, detail=asked.reason or "", moderate=asked.moderate)
    except NotFoundError:
        pass  # as official clients read it; the answer must not reveal whether another account has the session
    return Response(status_code=204)


def _listed(session: SessionRecord, caller: Caller) -> ListedSession:
    shown = ListedSession.model_validate(session_row(session))
    return shown if "admin" in caller.scopes else shown.model_copy(update={"account": None, "worker": None})
