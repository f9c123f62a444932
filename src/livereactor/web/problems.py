"""Every error as an HTTP answer: the body that clients print, the status, Retry-After."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.routing import Route

from livereactor.base.errors import (
    LivereactorError,
    NotFoundError,
    PeerError,
    QuotaError,
    UnavailableError,
)
from livereactor.protocol.http import problem

GONE: Final = 499  # the client closed the request; nginx's number for it
REQUEST_ID: Final = "livereactor.request_id"  # key of a scope
ANSWERED: Final = "livereactor.answered"  # key of a scope: told which error of ours the answer is
_STATUS: Final = {
    "RATE_LIMITED": 429,
    "UPLOAD_EXPIRED": 410,
    "CLIP_GONE": 410,
}  # codes whose status depends on more than their class


class BodyLateError(PeerError):
    """The body did not arrive in time."""

    http_status = 408


def handle_errors(api: FastAPI, *, otherwise: str) -> None:
    """Answer whatever a route raises with a problem; `otherwise` is the message for unknown paths without neighbour."""

    @api.exception_handler(LivereactorError)
    async def ours(request: HTTPConnection, error: LivereactorError) -> Response:
        if (tell := request.scope.get(ANSWERED)) is not None:
            tell(error)
        return problem_response(error)

    @api.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return problem_response(PeerError(f"{first['loc'][-1]}: {first['msg'][:1].lower()}{first['msg'][1:]}"))

    @api.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        path = request.url.path[:128]
        allowed = _allowed(api.routes, path)
        # The page is mounted at `/` and answers 405 for whatever it does not have.
        if error.status_code == 404 or (error.status_code == 405 and not allowed):
            return problem_response(NotFoundError(f"no route {request.method} {path}{_nearest(api, path, otherwise)}"))
        if error.status_code == 405:
            body = problem(PeerError(f"{path} does not take {request.method}; use {allowed}"))
            return JSONResponse(body, status_code=405, headers={"Allow": allowed})
        body = problem(PeerError(f"{request.method} {path}: {str(error.detail).lower()}; {otherwise}"))
        return JSONResponse(body, status_code=error.status_code, headers=error.headers)

    @api.exception_handler(ClientDisconnect)
    async def left(_: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=GONE)  # read by nobody: for the log

    @api.exception_handler(Exception)
    async def unforeseen(request: Request, _: Exception) -> Response:  # the guard logs it
        return problem_response(unexpected(request.scope[REQUEST_ID]))


def problem_response(error: LivereactorError) -> Response:
    """The response that an error of ours is."""
    headers: dict[str, str] = {}
    if isinstance(error, (UnavailableError, QuotaError)) and error.retry_after is not None:
        headers["Retry-After"] = f"{math.ceil(error.retry_after * 10) / 10:g}"
    if isinstance(error, BodyLateError):  # the rest of the body must not be taken for a request
        headers["Connection"] = "close"
    return JSONResponse(problem(error), status_code=_STATUS.get(error.code, error.http_status), headers=headers)


def unexpected(request_id: str) -> LivereactorError:
    """Return the error that a client gets for an exception that no route foresaw."""
    return LivereactorError(
        f"unexpected error; send request id {request_id} to the operator of this server, who finds the cause in the log"
    )


def _nearest(api: FastAPI, path: str, otherwise: str) -> str:
    close = difflib.get_close_matches(path, list(_paths(api.routes)), n=1)
    return f"; did you mean {close[0]}?" if close else f"; {otherwise}"


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
