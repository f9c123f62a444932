"""Health, metrics, limits, quotas, the latency of a session by stage, and the stream of events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from livereactor.base.errors import LimitError
from livereactor.base.tasks import set_within
from livereactor.coordinator.decisions.effects import Effect
from livereactor.coordinator.http.dependencies import (
    AnyCaller,
    AuthenticatorPart,
    OptionsPart,
    ServicePart,
    StorePart,
    app_part,
    body_response,
    needs,
    relayed,
)
from livereactor.coordinator.metrics import CONTENT_TYPE
from livereactor.coordinator.service import Service
from livereactor.protocol.http import Body
from livereactor.protocol.stages import SessionStages
from livereactor.store.port import Store, StoreUnavailableError
from livereactor.store.records import RUNNING, EventRecord
from livereactor.web.access import is_of_this_machine
from livereactor.web.documents import KEY, TOKEN, asked_by, problems

FOLLOWERS: Final = 16  # readers of the journal at once; each holds a connection for as long as it likes
LOOK_EVERY: Final = 2.0  # seconds; other replicas' events come without a wake
QUIET: Final = 15.0  # seconds after which a comment is sent, so that no proxy hangs up
LONGEST_NUMBER: Final = 16  # digits
HEALTH_WAIT: Final = 3.0  # seconds for the store
_LAST_EVENT: Final = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "Sent by browsers when they reconnect; overrides `since`.",
    "schema": {"type": "string"},
}
_QUOTAS: Final = {"description": "One row per quota: quota_type, limit, current."}


class CoordinatorHealth(Body):
    """Answer of `GET /health`."""

    status: Literal["healthy", "unhealthy"]
    state: Literal["available", "serving"]
    detail: str | None = None
    service: Literal["coordinator"] = "coordinator"  # a runtime says none: by it a page tells one from the other


class EventFeed:
    """The events of the store as a stream of server-sent events; effects of this coordinator wake its readers."""

    def __init__(self, service: Service, store: Store) -> None:
        self._store = store
        self._news: set[asyncio.Event] = set()
        service.decider.subscribe(self._wake)

    @property
    def followers(self) -> int:
        """The number of current readers."""
        return len(self._news)

    async def follow(self, seq: int) -> AsyncIterator[str]:
        """Yield the events after `seq` without end."""
        news = asyncio.Event()
        self._news.add(news)
        loop = asyncio.get_running_loop()
        said = loop.time()
        try:
            yield ": livereactor\n\n"
            while True:
                news.clear()
                found = await self._behind(seq)
                for event in found:
                    seq = event.seq
                    yield _as_text(event)
                if found:
                    said = loop.time()
                    continue
                if loop.time() - said >= QUIET:
                    said = loop.time()
                    yield ": \n\n"
                await set_within(news, LOOK_EVERY)
        finally:
            self._news.discard(news)

    async def _behind(self, seq: int) -> list[EventRecord]:
        try:
            return list(await self._store.read(lambda tx: tx.events(after_seq=seq)))
        except StoreUnavailableError:
            return []

    def _wake(self, _: Effect) -> None:
        for each in self._news:
            each.set()


EventsPart = Annotated[EventFeed, app_part("events")]

routes = APIRouter(tags=["observation"], responses=problems())


@routes.get(
    "/health",
    response_class=Response,
    responses={
        200: {"model": CoordinatorHealth},
        503: {
            "model": CoordinatorHealth,
            "description": "The store is unavailable, or this coordinator is shutting down.",
        },
    },
    openapi_extra=asked_by(),
)
async def get_health(service: ServicePart, store: StorePart) -> Response:
    """Report whether sessions can be created; the state is `serving` while at least one session runs."""
    if service.is_leaving:
        return _unhealthy("this coordinator is stopping; retry at the same address")
    try:
        async with asyncio.timeout(HEALTH_WAIT):
            serving = await store.read(lambda tx: bool(tx.sessions(states=RUNNING, limit=1)))
    except (StoreUnavailableError, TimeoutError):
        return _unhealthy("the database does not answer; running sessions continue, new ones are refused")
    return body_response(CoordinatorHealth(status="healthy", state="serving" if serving else "available"))


@routes.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems(401, 403)},
    openapi_extra={"security": [{TOKEN: []}, {KEY: []}, {}]},
)
async def get_metrics(request: Request, authenticator: AuthenticatorPart, service: ServicePart) -> Response:
    """Return Prometheus metrics, to programs on this machine without a token and to others with the scope `admin`."""
    if not is_of_this_machine(request):
        (await authenticator.caller(request)).need("admin")
    return Response(await service.metrics.render(), media_type=CONTENT_TYPE)


@routes.get(
    "/limits",
    response_class=JSONResponse,
    responses={200: {"description": "Limits by name."}},
    openapi_extra=asked_by(),
)
async def get_limits(options: OptionsPart) -> dict[str, int | float]:
    """Return every limit by its name, in seconds, bytes or counts."""
    return options.bounds()


@routes.get("/quotas", response_class=JSONResponse, responses={200: _QUOTAS, **problems(401, 403)})
async def get_quotas(caller: AnyCaller, service: ServicePart) -> dict[str, Any]:
    """Return the quotas of the caller's account and their current use."""
    return {"quotas": await service.queries.quotas(caller)}


@routes.get(
    "/sessions/{sid}/stages",
    response_class=Response,
    responses={200: {"model": SessionStages}, **problems(401, 403, 404, 409)},
)
async def get_session_stages(sid: str, caller: AnyCaller, service: ServicePart) -> Response:
    """Return the latency of a running session by stage, from the command to the picture."""
    return relayed(await service.relay(caller, sid, "GET", f"/sessions/{sid}/stages"))


@routes.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}, **problems(401, 403)},
    openapi_extra={"parameters": [_LAST_EVENT]},
    dependencies=[needs("admin")],
)
async def follow_events(
    request: Request, feed: EventsPart, since: Annotated[int, Query(ge=0, le=2**53)] = 0
) -> Response:
    """Stream past and new events as server-sent events, starting after `Last-Event-ID` or `since`."""
    if feed.followers >= FOLLOWERS:
        raise LimitError(f"{FOLLOWERS} of {FOLLOWERS} streams of events are open; close one first")
    last = request.headers.get("last-event-id", "")
    start = int(last) if last.isdecimal() and len(last) < LONGEST_NUMBER else since
    return StreamingResponse(feed.follow(start), media_type="text/event-stream")


def _unhealthy(detail: str) -> Response:
    answer = body_response(CoordinatorHealth(status="unhealthy", state="available", detail=detail), 503)
    answer.headers["Retry-After"] = "1"
    return answer


def _as_text(event: EventRecord) -> str:
    body = {
        "type": event.kind,
        "ts": event.at_us // 1000,
        **({"session_id": event.session} if event.session else {}),
        **({"account": event.account} if event.account else {}),
        "detail": dict(event.data),
    }
    return f"id: {event.seq}\ndata: {json.dumps(body)}\n\n"
