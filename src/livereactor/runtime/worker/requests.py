"""Requests that a coordinator relays to a Slot, answered by an ASGI app of this process in 0.2 ms.

The app has the routes of a runtime's local mode, and those that only a coordinator may ask. Its answer is kept whole,
so it is bounded; a stream that does not end is cut off by the caller's patience.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any, Final

import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Message

from livereactor.base.errors import ConflictError, LivereactorError, NotFoundError, TooLargeError, UnavailableError
from livereactor.media.fit import thumbnail
from livereactor.protocol import link
from livereactor.protocol.http import AnnouncedUpload, read_body
from livereactor.runtime.http import CALLER, LINK, observation_routes, session_routes, signalling_routes
from livereactor.runtime.session.service import Runtime
from livereactor.web.problems import REQUEST_ID, handle_errors, problem_response
from livereactor.web.traced import Traced

REPLY_BYTES: Final = 1024 * 1024  # of a body; as large as what may be sent to us
_PASSED_ON: Final = frozenset({b"content-type", b"retry-after", b"allow"})

log = structlog.get_logger("livereactor.worker")


def relayed_app(runtime: Runtime) -> ASGIApp:
    """Return the ASGI app of one Slot. It has no guard: its only caller, the coordinator, has checked the client."""
    api = FastAPI(title="livereactor worker", docs_url=None, redoc_url=None, openapi_url=None)
    for routes in (signalling_routes, session_routes, _coordinator_routes, observation_routes):
        api.include_router(routes(runtime))
    handle_errors(api, otherwise="this is a worker")
    return Traced(api)


def _coordinator_routes(runtime: Runtime) -> APIRouter:
    routes = APIRouter()

    @routes.post("/sessions/{sid}/uploads", status_code=201)
    async def announce(sid: str, request: Request) -> dict[str, Any]:
        runtime.must_be_open(sid)
        announced = read_body(AnnouncedUpload, await request.body())
        runtime.uploads.announce(announced)
        return {"upload_id": announced.upload_id}

    @routes.post("/sessions/{sid}/uploads/{upload}/landed", status_code=204)
    async def landed(sid: str, upload: str) -> None:
        runtime.must_be_open(sid)
        runtime.uploads.landed(upload)

    @routes.get("/thumbnail")
    async def picture() -> Response:
        pixels = runtime.newest_picture()
        if pixels is None:
            raise NotFoundError("the model has made no picture in this session yet; try again later")
        return Response(await asyncio.to_thread(thumbnail, pixels), media_type="image/jpeg")

    return routes


async def call(app: ASGIApp, request: link.Request, *, patience: float) -> link.Reply:
    """Answer a request; every error becomes a reply.

    Args:
        patience: seconds.
    """
    answer = _Answer(request)
    try:
        async with asyncio.timeout(patience):
            await app(_scope(request), answer.receive, answer.send)
    except LivereactorError as error:
        return refusal(request, error)
    except TimeoutError:
        text = f"{request.method} {request.path[:128]} was not answered within {patience:g} s; try again"
        return refusal(request, UnavailableError(text))
    except Exception:
        # The app has sent an answer to an unforeseen error, and raises the error once more for its server.
        log.exception("request failed", method=request.method, path=request.path.partition("?")[0][:128])
        if not answer.is_whole:
            return refusal(request, UnavailableError("the worker failed; see its log"))
    return answer.reply()


def refusal(request: link.Request, error: LivereactorError) -> link.Reply:
    """Return an error as the reply to a request, as HTTP would carry it."""
    response = problem_response(error)
    headers = {name.decode(): value.decode() for name, value in response.raw_headers if name in _PASSED_ON}
    return link.Reply(id=request.id, status=response.status_code, headers=headers, body=bytes(response.body).decode())


def not_held(request: link.Request) -> link.Reply:
    """Return the reply to a request about a Session that the Slot does not hold."""
    error = ConflictError("this worker no longer has that session; request the session again", code=link.FENCED)
    return refusal(request, error)


def _scope(request: link.Request) -> dict[str, Any]:
    path, _, query = request.path.partition("?")
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers |= {"host": "worker", "content-length": str(len(request.body.encode()))}
    headers |= {"livereactor-role": request.role, "livereactor-records": str(request.records).lower()}
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method.upper(),
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [
            (name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers.items()
        ],
        "client": None,
        "server": None,
        REQUEST_ID: headers.get("x-request-id", "")[:64],
        CALLER: request.caller,
        LINK: request.link,
    }


class _Answer:
    """The answer of the app, collected."""

    def __init__(self, request: link.Request) -> None:
        self._request = request
        self._asked = False
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self.is_whole = False

    async def receive(self) -> Message:
        if self._asked:
            await asyncio.Event().wait()  # the client does not leave before it has its answer
        self._asked = True
        return {"type": "http.request", "body": self._request.body.encode(), "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = message.get("headers", ())
            self._headers = {name.decode(): value.decode("latin-1") for name, value in headers if name in _PASSED_ON}
            return
        self._body += message.get("body", b"")
        if len(self._body) > REPLY_BYTES:
            raise TooLargeError(f"the answer exceeds {REPLY_BYTES} bytes; request less")
        self.is_whole = not message.get("more_body", False)

    def reply(self) -> link.Reply:
        reply = link.Reply(id=self._request.id, status=self._status, headers=self._headers)
        kind = self._headers.get("content-type", "")
        if kind.startswith(("application/json", "text/")):
            reply.body = self._body.decode(errors="replace")
        else:
            reply.base64 = base64.b64encode(self._body).decode()
        return reply
