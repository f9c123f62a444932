"""`/admin/…`: views and actions for operators. Every route needs the scope `admin`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from livereactor.base.errors import NotFoundError
from livereactor.coordinator.http.admin_queries import State, accounts, overview, scrape_labels, session_row, sessions
from livereactor.coordinator.http.dependencies import (
    Clock,
    Operator,
    OptionsPart,
    PublicBase,
    ServicePart,
    StorePart,
    json_body,
    operating,
    relayed,
)
from livereactor.coordinator.usage import MOMENT_CHARS, as_csv, moment_us, usage
from livereactor.protocol.http import Body, StopSession
from livereactor.web.documents import problems, takes

THUMBNAIL_TIMEOUT: Final = 5.0  # seconds; the next one is asked for soon
_SINCE: Final = "A day, an ISO 8601 time (UTC where no zone is named) or Unix seconds; all that is kept by default."
_UNTIL: Final = "The end of the time span, written like `from`; sessions that ended before it count. Now by default."
_SESSION: Final = {"description": "session_id, state, account, model, worker, client, times, end_reason."}


class Overview(Body):
    """Answer of `GET /admin/overview`."""

    now_at: float = Field(description="Unix seconds on the coordinator's clock.")
    last_event: int = Field(description="Number of the newest event; follow `/events?since=` it.")
    sessions: list[dict[str, Any]] = Field(description="Open sessions, then the last that ended; newest first.")
    queue: list[dict[str, Any]] = Field(description="Tickets in the order in which they are served, by model.")
    workers: list[dict[str, Any]] = Field(description="Workers that are starting, ready or draining.")


class AllSessions(Body):
    """Answer of `GET /admin/sessions`, newest first."""

    sessions: list[dict[str, Any]]


class Accounts(Body):
    """Answer of `GET /admin/accounts`: what each account may use, and uses."""

    accounts: list[dict[str, Any]]


class Usage(Body):
    """Answer of `GET /admin/usage`: one row for each account and model."""

    from_at: float = Field(description="Unix seconds, like `to_at`.")
    to_at: float
    usage: list[dict[str, Any]] = Field(description="account, model, sessions, seconds")


class Target(Body):
    """A group of scrape targets in the format of Prometheus (`http_sd_configs`)."""

    targets: list[str]
    labels: dict[str, str]


routes = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Depends(operating)], responses=problems(401, 403))


@routes.get("/overview", response_class=JSONResponse, responses={200: {"model": Overview}})
async def get_overview(store: StorePart, clock: Clock, options: OptionsPart) -> Response:
    """Return the sessions, the queue and the workers, all as of one moment."""
    return JSONResponse(await store.read(lambda tx: overview(tx, clock(), lease=options.lease)))


@routes.get("/accounts", response_class=JSONResponse, responses={200: {"model": Accounts}})
async def list_accounts(store: StorePart, clock: Clock, options: OptionsPart) -> Response:
    """List the accounts, each with its quotas and its current use of them."""
    return JSONResponse({"accounts": await store.read(lambda tx: accounts(tx, clock(), options))})


@routes.get(
    "/usage",
    response_class=Response,
    responses={200: {"model": Usage, "content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def get_usage(
    store: StorePart,
    clock: Clock,
    since: Annotated[str, Query(alias="from", max_length=MOMENT_CHARS, description=_SINCE)] = "0",
    until: Annotated[str | None, Query(alias="to", max_length=MOMENT_CHARS, description=_UNTIL)] = None,
    account: Annotated[str | None, Query(max_length=64)] = None,
    format: Annotated[Literal["json", "csv"], Query(description="`csv` has a header line.")] = "json",
) -> Response:
    """Count the sessions that ended in a time span, and the seconds for which they had a worker."""
    since_us, until_us = moment_us(since), clock() if until is None else moment_us(until)
    rows = await store.read(lambda tx: usage(tx, since_us=since_us, until_us=until_us, account=account))
    if format == "csv":
        headers = {"Content-Disposition": 'attachment; filename="usage.csv"'}
        return Response(as_csv(rows), media_type="text/csv; charset=utf-8", headers=headers)
    span = {"from_at": since_us / 1e6, "to_at": until_us / 1e6}
    return JSONResponse({**span, "usage": [asdict(row) for row in rows]})


@routes.get("/sessions", response_class=JSONResponse, responses={200: {"model": AllSessions}})
async def list_all_sessions(store: StorePart, state: State | None = None) -> Response:
    """List the newest 500 sessions of all accounts."""
    return JSONResponse({"sessions": await store.read(lambda tx: sessions(tx, state=state))})


@routes.get("/sessions/{sid}", response_class=JSONResponse, responses={200: _SESSION, **problems(404)})
async def get_any_session(sid: str, store: StorePart) -> Response:
    """Return all details of a session of any account."""
    found = await store.read(lambda tx: tx.session(sid))
    if found is None:
        raise NotFoundError(f"no session {sid[:64]!r}; GET /admin/sessions lists all sessions")
    return JSONResponse(session_row(found))


@routes.delete(
    "/sessions/{sid}",
    status_code=204,
    response_class=Response,
    responses=problems(404, 408, 413),
    openapi_extra=takes(StopSession, example={"reason": "evicted"}),
)
async def end_any_session(
    sid: str, caller: Operator, asked: Annotated[StopSession, json_body(StopSession)], service: ServicePart
) -> Response:
    """End a session of any account. Its clients receive the reason."""
    await service.end(caller, sid, reason=asked.reason or "evicted", moderate=asked.moderate)
    return Response(status_code=204)


@routes.post("/sessions/{sid}/prefer", status_code=204, responses=problems(404))
async def prefer_session(sid: str, service: ServicePart) -> None:
    """Move a queued session to the front of its model's queue."""
    await service.prefer(sid)


@routes.get(
    "/sessions/{sid}/thumbnail",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, **problems(404, 409)},
)
async def get_thumbnail(sid: str, caller: Operator, service: ServicePart) -> Response:
    """Return the newest frame of a session as a JPEG, at most 320 pixels wide."""
    return relayed(await service.relay(caller, sid, "GET", "/thumbnail", timeout=THUMBNAIL_TIMEOUT))


@routes.get(
    "/workers/{worker}/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems(404)},
)
async def get_worker_metrics(
    worker: str, service: ServicePart, slot: Annotated[int, Query(ge=0, le=255)] = 0
) -> Response:
    """Return the metrics of one slot of a worker (frames, commands, connections) as Prometheus text."""
    return relayed(await service.figures(worker, slot))


@routes.get("/targets", response_class=JSONResponse, responses={200: {"model": list[Target]}})
async def list_scrape_targets(store: StorePart, public_base: PublicBase) -> Response:
    """List the addresses of the workers' metrics, for the HTTP service discovery of Prometheus."""
    base = urlsplit(public_base)
    found = await store.read(scrape_labels)
    prefix = base.path.rstrip("/")
    return JSONResponse(
        [
            {
                "targets": [base.netloc],
                "labels": {
                    **labels,
                    "__scheme__": base.scheme,
                    "__metrics_path__": f"{prefix}/admin/workers/{quote(labels['worker'], safe='')}/metrics",
                    "__param_slot": labels["slot"],
                },
            }
            for labels in found
        ]
    )


@routes.post("/workers/{worker}/drain", status_code=204, responses=problems(404))
async def drain_worker(worker: str, service: ServicePart) -> None:
    """Drain a worker: it finishes its sessions, takes no new ones, and ends."""
    await service.drain(worker)
