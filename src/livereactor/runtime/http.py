"""The HTTP of a runtime: the protocol's local mode (`docs/protocol.md`), health, metrics, page. Parse, call, answer."""

from __future__ import annotations

import dataclasses
import secrets
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from livereactor.base.clock import unix_us
from livereactor.base.errors import LimitError
from livereactor.blobs.signing import Signer
from livereactor.engine.port import Candidate
from livereactor.protocol.http import (
    Answer,
    Candidates,
    ConnectionCreated,
    IceCredentials,
    IceServerBody,
    IceServers,
    Offer,
    OfferTaken,
    StartSession,
    StopSession,
    UploadRequest,
    UploadSlot,
    read_body,
)
from livereactor.runtime.interfaces import Role
from livereactor.runtime.session.describing import health
from livereactor.runtime.session.early_candidates import Sender
from livereactor.runtime.session.member import FLAT_CONNECTION, rank_of
from livereactor.runtime.session.metrics import CONTENT_TYPE
from livereactor.runtime.session.service import Runtime
from livereactor.web.access import Access, base_url, is_on_this_machine
from livereactor.web.api_key_gate import ApiKeyGate
from livereactor.web.blob_answers import RESUMABLE, digest_of, offset_of, progress
from livereactor.web.clips import CHUNKS, ClipShelf, Seconds
from livereactor.web.guard import Guard
from livereactor.web.problems import handle_errors
from livereactor.web.traced import Traced

LONGEST_NUMBER: Final = 16  # digits
CALLER: Final = "livereactor.caller"  # key of a scope: the caller, where a relay tells it
LINK: Final = "livereactor.link"  # key of a scope: the id of the share link that the caller came by
FOLLOWERS: Final = 16  # readers of `/events` at once; each holds a connection for as long as it likes


def create_app(
    runtime: Runtime, *, access: Access | None = None, page: Path | None = None, key: str | None = None
) -> ASGIApp:
    """Return the ASGI app of one runtime.

    Args:
        access: which origins and hosts are answered; loopback only by default.
        page: folder of the web page, served at `/`.
        key: of the runtime, which clients must show; None = no key.
    """
    api = FastAPI(title="livereactor runtime", docs_url=None, redoc_url=None, openapi_url=None)
    for routes in (session_routes, signalling_routes, upload_routes, clip_routes, observation_routes):
        api.include_router(routes(runtime))
    if page is not None:
        api.mount("/", StaticFiles(directory=page, html=True))
    handle_errors(api, otherwise="the page is at /")
    traced = Traced(api)
    inner = traced if key is None else ApiKeyGate(traced, key, page)
    return Guard(inner, access or Access(), runtime.limits)


def session_routes(runtime: Runtime) -> APIRouter:
    """Return the routes that start, describe and stop the Session."""
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


def signalling_routes(runtime: Runtime) -> APIRouter:
    """Return the routes of signalling: explicit connections, and the flat routes of old clients as connection 1001."""
    routes = APIRouter(prefix="/sessions/{sid}/transport/webrtc")

    @routes.get("/ice_servers")
    async def ice_servers(sid: str, request: Request) -> dict[str, Any]:
        runtime.must_be_open(sid)
        # A client on this machine needs no STUN, and a dead one would cost it 4.9 s of gathering (JavaScript 2.9.0).
        near = is_on_this_machine(request)
        servers = [
            IceServerBody(
                uris=list(each.urls),
                credentials=IceCredentials(username=each.username, password=each.password) if each.username else None,
            )
            for each in runtime.ice_servers
            if not (near and all(url.startswith("stun") for url in each.urls))
        ]
        return IceServers(ice_servers=servers).to_body()

    @routes.post("/connections", status_code=201)
    async def connections(sid: str, request: Request) -> dict[str, Any]:
        runtime.must_be_open(sid)
        number = runtime.new_connection(role=_role(request), caller=_caller(request), link=_link(request))
        return ConnectionCreated(connection_id=number, track_map=runtime.track_map()).to_body()

    @routes.api_route("/connections/{cid}/sdp_params", methods=["POST", "PUT"], status_code=202)
    async def offer(sid: str, cid: int, request: Request) -> dict[str, Any]:
        runtime.must_be_open(sid)
        body = read_body(Offer, await request.body())
        records = request.headers.get("livereactor-records") != "false"  # of a relay; takes a right away
        runtime.offer(cid, body, role=_role(request), records=records, caller=_caller(request), link=_link(request))
        text = await runtime.answer(cid, caller=_caller(request)) if body.want_answer else None
        return OfferTaken(connection_id=cid, sdp_answer=text).to_body()

    @routes.get("/connections/{cid}/sdp_params")
    async def answer(sid: str, cid: int, request: Request) -> Response:
        runtime.must_be_open(sid)
        text = await runtime.answer(cid, caller=_caller(request))
        if text is None:
            return JSONResponse({}, status_code=202)
        return JSONResponse(Answer(sdp_answer=text, connection_id=cid).to_body())

    @routes.post("/connections/{cid}/ice_candidates", status_code=202)
    async def candidates(sid: str, cid: int, request: Request) -> dict[str, Any]:
        runtime.must_be_open(sid)
        role, caller, link = _role(request), _caller(request), _link(request)
        runtime.peers.must_have_room(cid, Sender(caller, rank_of(role, link)))
        body = read_body(Candidates, await request.body())
        found = [Candidate(each.candidate, each.sdp_mid, each.sdp_mline_index) for each in body.candidates]
        await runtime.candidates(cid, found, role=role, caller=caller, link=link)
        return {}

    @routes.api_route("/sdp_params", methods=["POST", "PUT"], status_code=202)
    async def flat_offer(sid: str, request: Request) -> dict[str, Any]:
        return await offer(sid, FLAT_CONNECTION, request)

    @routes.get("/sdp_params")
    async def flat_answer(sid: str, request: Request) -> Response:
        return await answer(sid, FLAT_CONNECTION, request)

    @routes.post("/ice_candidates", status_code=202)
    async def flat_candidates(sid: str, request: Request) -> dict[str, Any]:
        return await candidates(sid, FLAT_CONNECTION, request)

    return routes


def upload_routes(runtime: Runtime) -> APIRouter:
    """Return the routes of Uploads that this runtime stores itself."""
    routes = APIRouter()

    @routes.post("/sessions/{sid}/uploads", status_code=201)
    async def reserve(sid: str, request: Request, response: Response) -> dict[str, Any]:
        runtime.must_be_open(sid)
        upload, path = runtime.uploads.reserve(read_body(UploadRequest, await request.body()))
        response.headers.update(RESUMABLE)
        return UploadSlot(presigned_id=upload, presigned_url=base_url(request) + path, path=path).to_body()

    @routes.put("/uploads/{upload}", status_code=204)
    async def write(upload: str, request: Request) -> None:
        await runtime.uploads.write(upload, dict(request.query_params), request.stream())

    @routes.patch("/uploads/{upload}")
    async def append(upload: str, request: Request) -> Response:
        offset, digest = offset_of(request.headers), digest_of(request.headers)
        query = dict(request.query_params)
        reached, size = await runtime.uploads.append(upload, query, request.stream(), offset=offset, digest=digest)
        return Response(status_code=204, headers=progress(reached, size))

    @routes.head("/uploads/{upload}")
    async def reached(upload: str, request: Request) -> Response:
        return Response(headers=progress(*await runtime.uploads.progress(upload, dict(request.query_params))))

    @routes.delete("/uploads/{upload}", status_code=204)
    async def discard(upload: str, request: Request) -> None:
        await runtime.uploads.discard(upload, dict(request.query_params))

    return routes


def clip_routes(runtime: Runtime) -> APIRouter:
    """Return the routes of Clips and Recordings. Ids cannot be guessed; parts are signed, so they need no key."""
    routes, shelf = APIRouter(), ClipShelf(runtime.blobs, Signer(secrets.token_bytes(32)), unix_us=unix_us)

    @routes.get("/clips")
    async def playlist(session_id: str, start: Seconds, end: Seconds) -> Response:
        return await shelf.answer(session_id, await shelf.asked(session_id), start=start, end=end)

    @routes.api_route(CHUNKS + "{name}/{file}", methods=["GET", "HEAD"])
    async def part(name: str, file: str, request: Request) -> Response:
        return await shelf.answer_part(name, file, request)

    return routes


def observation_routes(runtime: Runtime) -> APIRouter:
    """Return the routes of health, metrics, stages, limits and events."""
    routes = APIRouter()

    @routes.get("/health")
    async def get_health() -> Response:
        body = health(runtime.state, runtime.progress, runtime.failure)
        return JSONResponse(body.to_body(), status_code=200 if body.status == "healthy" else 503)

    @routes.get("/metrics")
    async def metrics() -> Response:
        return Response(await runtime.render_metrics(), media_type=CONTENT_TYPE)

    @routes.get("/sessions/{sid}/stages")
    async def stages(sid: str) -> dict[str, Any]:
        return (await runtime.stages(sid)).to_body()

    @routes.get("/limits")
    async def limits() -> dict[str, Any]:
        return dataclasses.asdict(runtime.limits)

    @routes.get("/events")
    async def events(request: Request, since: int = 0) -> Response:
        if runtime.event_log.followers >= FOLLOWERS:
            raise LimitError(f"{FOLLOWERS} of {FOLLOWERS} streams of events are open; close one first")
        last = request.headers.get("last-event-id", "")
        start = int(last) if last.isdecimal() and len(last) < LONGEST_NUMBER else since
        return StreamingResponse(runtime.event_log.follow(start), media_type="text/event-stream")

    return routes


def _caller(request: Request) -> str:
    """Return the caller; not from a header, as only the relay in this process may set it."""
    return request.scope.get(CALLER, "")


def _link(request: Request) -> str:
    """Return the id of the caller's share link, or ""; not from a header either."""
    return request.scope.get(LINK, "")


def _role(request: Request) -> Role:
    """Return the caller's role; only a relay sends the header, and it can only take rights away."""
    return "viewer" if request.headers.get("livereactor-role") == "viewer" else "owner"
