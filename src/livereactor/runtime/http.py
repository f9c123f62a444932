"""A runtime's HTTP: the protocol's local mode (sections 1.6 to 1.13), health, metrics, page. Parse, call, answer."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from livereactor.base.errors import LimitError, LivereactorError, NotFoundError, PeerError, UnavailableError
from livereactor.engine.port import Candidate
from livereactor.protocol.http import (
    Answer,
    Candidates,
    ConnectionCreated,
    IceCredentials,
    IceServerBody,
    IceServers,
    Offer,
    StartSession,
    StopSession,
    UploadRequest,
    UploadSlot,
    problem,
    read_body,
)
from livereactor.runtime.describing import health
from livereactor.runtime.http_guard import REQUEST_ID, Access, App, BodyLateError, Guard, is_loopback, unexpected
from livereactor.runtime.metrics import CONTENT_TYPE
from livereactor.runtime.runtime import FLAT_CONNECTION, Runtime

LONGEST_NUMBER: Final = 16  # digits
FOLLOWERS: Final = 16  # readers of `/events` at once; each holds a connection for as long as it likes
_STATUS: Final = {
    "RATE_LIMITED": 429,
    "UPLOAD_EXPIRED": 410,
    "CLIP_GONE": 410,
}  # codes whose status depends on more than their class


def create_app(runtime: Runtime, *, access: Access | None = None, page: Path | None = None) -> App:
    """The ASGI app of one runtime.

    Args:
        access: which origins and hosts are answered; loopback only by default.
        page: folder of the web page, served at `/`.
    """
    api = FastAPI(title="livereactor runtime", docs_url=None, redoc_url=None, openapi_url=None)
    for routes in (_sessions, _signalling, _uploads, _observation):
        api.include_router(routes(runtime))
    if page is not None:
        api.mount("/", StaticFiles(directory=page, html=True))
    _handle_errors(api)
    return Guard(api, access or Access(), runtime.limits.body_bytes)


def _sessions(runtime: Runtime) -> APIRouter:
    routes = APIRouter()

    @routes.post("/start_session")
    async def start_session(request: Request) -> dict[str, Any]:
        return await runtime.start_session(read_body(StartSession, await request.body()))

    @routes.get("/session")
    async def session() -> dict[str, Any]:
        return runtime.describe()

    @routes.post("/stop_session")
    async def stop_session(request: Request) -> None:
        await runtime.stop_session(read_body(StopSession, await request.body()))

    @routes.get("/schema")
    async def schema() -> dict[str, Any]:
        return runtime.schema()

    return routes


def _signalling(runtime: Runtime) -> APIRouter:
    """Explicit connections (W1 to W5), and the flat routes of old clients (F3 to F5) as connection 1001."""
    routes = APIRouter(prefix="/sessions/{sid}/transport/webrtc")

    @routes.get("/ice_servers")
    async def ice_servers(sid: str, request: Request) -> dict[str, Any]:
        runtime.must_be_open(sid)
        near = _is_on_this_machine(request)
        servers = [
            IceServerBody(
                uris=list(each.urls),
                credentials=IceCredentials(username=each.username, password=each.password) if each.username else None,
            )
            for each in runtime.options.peers.ice_servers
            if not (near and all(url.startswith("stun") for url in each.urls))
        ]
        return IceServers(ice_servers=servers).to_body()

    @routes.post("/connections", status_code=201)
    async def connections(sid: str) -> dict[str, Any]:
        runtime.must_be_open(sid)
        number = runtime.new_connection()
        return ConnectionCreated(connection_id=number, track_map=runtime.track_map()).to_body()

    @routes.api_route("/connections/{cid}/sdp_params", methods=["POST", "PUT"], status_code=202)
    async def offer(sid: str, cid: int, request: Request) -> dict[str, Any]:
        runtime.must_be_open(sid)
        body = read_body(Offer, await request.body())
        # Only a relay sends the header, and it can but take rights away.
        role = "viewer" if request.headers.get("livereactor-role") == "viewer" else "owner"
        runtime.offer(cid, body, role=role)
        return {"connection_id": cid}

    @routes.get("/connections/{cid}/sdp_params")
    async def answer(sid: str, cid: int) -> Response:
        runtime.must_be_open(sid)
        text = await runtime.answer(cid)
        if text is None:
            return JSONResponse({}, status_code=202)
        return JSONResponse(Answer(sdp_answer=text, connection_id=cid).to_body())

    @routes.post("/connections/{cid}/ice_candidates", status_code=202)
    async def candidates(sid: str, cid: int, request: Request) -> dict[str, Any]:
        runtime.must_be_open(sid)
        body = read_body(Candidates, await request.body())
        found = [Candidate(each.candidate, each.sdp_mid, each.sdp_mline_index) for each in body.candidates]
        await runtime.candidates(cid, found)
        return {}

    @routes.api_route("/sdp_params", methods=["POST", "PUT"], status_code=202)
    async def flat_offer(sid: str, request: Request) -> dict[str, Any]:
        return await offer(sid, FLAT_CONNECTION, request)

    @routes.get("/sdp_params")
    async def flat_answer(sid: str) -> Response:
        return await answer(sid, FLAT_CONNECTION)

    @routes.post("/ice_candidates", status_code=202)
    async def flat_candidates(sid: str, request: Request) -> dict[str, Any]:
        return await candidates(sid, FLAT_CONNECTION, request)

    return routes


def _uploads(runtime: Runtime) -> APIRouter:
    routes = APIRouter()

    @routes.post("/sessions/{sid}/uploads", status_code=201)
    async def reserve(sid: str, request: Request) -> dict[str, Any]:
        runtime.must_be_open(sid)
        upload, path = runtime.reserve_upload(read_body(UploadRequest, await request.body()))
        return UploadSlot(presigned_id=upload, presigned_url=_base_url(request) + path, path=path).to_body()

    @routes.put("/uploads/{upload}", status_code=204)
    async def write(upload: str, request: Request) -> None:
        await runtime.write_upload(upload, dict(request.query_params), request.stream())

    @routes.get("/clips")
    async def clips() -> None:
        raise NotFoundError("this runtime records nothing, so it has no clips", code="CLIP_GONE")

    return routes


def _observation(runtime: Runtime) -> APIRouter:
    routes = APIRouter()

    @routes.get("/health")
    async def get_health() -> Response:
        body = health(runtime.state, runtime.progress, runtime.failure)
        return JSONResponse(body.to_body(), status_code=200 if body.status == "healthy" else 503)

    @routes.get("/metrics")
    async def metrics() -> Response:
        return Response(await runtime.figures(), media_type=CONTENT_TYPE)

    @routes.get("/limits")
    async def limits() -> dict[str, Any]:
        return dataclasses.asdict(runtime.limits)

    @routes.get("/events")
    async def events(request: Request, since: int = 0) -> Response:
        if runtime.journal.followers >= FOLLOWERS:
            raise LimitError(f"{FOLLOWERS} of {FOLLOWERS} readers follow the events; close one first")
        last = request.headers.get("last-event-id", "")
        start = int(last) if last.isdecimal() and len(last) < LONGEST_NUMBER else since
        return StreamingResponse(runtime.journal.follow(start), media_type="text/event-stream")

    return routes


def _is_on_this_machine(request: Request) -> bool:
    """Such a client needs no STUN, and one that is dead would cost it its own gathering: 4.9 s in JavaScript 2.9.0."""
    client, server = request.client, request.scope.get("server")
    if client is None or "x-forwarded-for" in request.headers or "forwarded" in request.headers:
        return False
    return is_loopback(client.host) or (server is not None and client.host == server[0])


def _base_url(request: Request) -> str:
    """As the client sees us: behind a proxy by its X-Forwarded headers, never a constant (protocol 8)."""
    headers = request.headers
    scheme = headers.get("x-forwarded-proto", request.url.scheme).split(",")[0].strip()
    host = headers.get("x-forwarded-host", headers.get("host", request.url.netloc)).split(",")[0].strip()
    return f"{scheme}://{host}"


# --- errors ------------------------------------------------------------------------------------------------------


def _handle_errors(api: FastAPI) -> None:
    @api.exception_handler(LivereactorError)
    async def ours(_: Request, error: LivereactorError) -> Response:
        return _problem(error)

    @api.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return _problem(PeerError(f"{first['loc'][-1]}: {first['msg'][:1].lower()}{first['msg'][1:]}"))

    @api.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        path = request.url.path[:128]
        allowed = _allowed(api.routes, path)
        # The page is mounted at `/` and answers 405 for whatever it does not have.
        if error.status_code == 404 or (error.status_code == 405 and not allowed):
            return _problem(NotFoundError(f"no route {request.method} {path}{_nearest(api, path)}"))
        if error.status_code == 405:
            body = problem(PeerError(f"{path} does not take {request.method}; use {allowed}"))
            return JSONResponse(body, status_code=405, headers={"Allow": allowed})
        body = problem(PeerError(f"{request.method} {path}: {str(error.detail).lower()}; see GET /schema"))
        return JSONResponse(body, status_code=error.status_code, headers=error.headers)

    @api.exception_handler(Exception)
    async def unforeseen(request: Request, _: Exception) -> Response:  # the guard logs it
        return _problem(unexpected(request.scope[REQUEST_ID]))


def _problem(error: LivereactorError) -> Response:
    headers = {"Retry-After": f"{error.retry_after:g}"} if isinstance(error, UnavailableError) else {}
    if isinstance(error, BodyLateError):  # the rest of the body must not be taken for a request
        headers["Connection"] = "close"
    return JSONResponse(problem(error), status_code=_STATUS.get(error.code, error.http_status), headers=headers)


def _nearest(api: FastAPI, path: str) -> str:
    close = difflib.get_close_matches(path, list(_paths(api.routes)), n=1)
    return f"; did you mean {close[0]}?" if close else "; the page is at /"


def _allowed(routes: Iterable[object], path: str) -> str:
    """The methods that a path takes, as `Allow` names them; empty where it is none of ours."""
    found = [route.methods or () for route in _routes(routes) if route.path_regex.match(path)]
    return ", ".join(sorted({method for methods in found for method in methods}))


def _paths(routes: Iterable[object]) -> Iterator[str]:
    return (route.path for route in _routes(routes))


def _routes(routes: Iterable[object]) -> Iterator[Route]:
    """Every route; FastAPI keeps those of an included router within it."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if isinstance(inner, APIRouter):
            yield from _routes(inner.routes)
        elif isinstance(route, Route):
            yield route
