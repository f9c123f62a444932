"""FastAPI dependencies of the routes: the caller, the operator, the parsed body, the parts of this coordinator.

Dependencies run in the order of a route's parameters, so a route that names its caller before its body reads no byte
from a client that it refuses. `create_app` puts the parts into `app.state`.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect, HTTPConnection

from livereactor.base.errors import ForbiddenError
from livereactor.blobs.port import Blobs
from livereactor.coordinator.auth.authenticator import Authenticator
from livereactor.coordinator.auth.caller import ALL_SCOPES, Caller, Scope
from livereactor.coordinator.auth.worker_credentials import WorkerIdentity
from livereactor.coordinator.options import CoordinatorOptions
from livereactor.coordinator.service import Service
from livereactor.protocol import link
from livereactor.protocol.http import BODY_BYTES, Body, read_body
from livereactor.store.port import Store
from livereactor.web.access import base_url

T = TypeVar("T")
JSON: Final = "application/json"
_RELAYED_HEADERS: Final = ("content-type", "retry-after", "allow")


def app_part(name: str) -> Any:
    """Return the dependency on a part of this coordinator, by its name in `app.state`."""

    async def provide(connection: HTTPConnection) -> Any:
        return getattr(connection.app.state, name)

    return Depends(provide)


AuthenticatorPart = Annotated[Authenticator, app_part("authenticator")]
ServicePart = Annotated[Service, app_part("service")]
StorePart = Annotated[Store, app_part("store")]
BlobsPart = Annotated[Blobs, app_part("blobs")]
OptionsPart = Annotated[CoordinatorOptions, app_part("options")]
Clock = Annotated[Callable[[], int], app_part("unix_us")]  # microseconds of Unix time


async def authenticated(request: HTTPConnection, authenticator: AuthenticatorPart) -> Caller:
    """Return the caller; raises as `Authenticator.caller`."""
    return await authenticator.caller(request)


AnyCaller = Annotated[Caller, Depends(authenticated)]


def needs(*scopes: Scope) -> Any:
    """Return the dependency on a caller with all of these scopes; `ForbiddenError` names the first one missing."""

    async def check(caller: AnyCaller) -> Caller:
        for scope in scopes:
            caller.need(scope)
        return caller

    return Depends(check)


async def operating(request: Request, caller: Annotated[Caller, needs("admin")]) -> Caller:
    """Return the operator with every scope: an operator may do in any session what its client may."""
    await request.body()
    return replace(caller, scopes=ALL_SCOPES)


Operator = Annotated[Caller, Depends(operating)]


async def worker_identity(connection: HTTPConnection, authenticator: AuthenticatorPart) -> WorkerIdentity:
    """Return the worker that asks; refuses requests without a worker's credential or the worker secret."""
    return authenticator.must_be_worker(connection)


AnyWorker = Annotated[WorkerIdentity, Depends(worker_identity)]


async def coordinators_only(identity: AnyWorker) -> None:
    """Refuse a worker's own credential: coordinators show each other the worker secret itself."""
    if not identity.is_anybody:
        raise ForbiddenError("this is between coordinators; a worker's credential does not reach it")


def json_body(model: type[Body], *, limit: int = BODY_BYTES) -> Any:
    """Return the dependency on a body of this type, read as `read_body` does, whatever its content type."""

    async def read(request: Request) -> Body:
        return read_body(model, await request.body(), limit=limit)

    return Depends(read)


async def _public_base(request: Request, options: OptionsPart) -> str:
    return options.public_url or base_url(request)


PublicBase = Annotated[str, Depends(_public_base)]  # the URL at which clients reach this coordinator


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`, which is cancelled when the client leaves; the body must have been read.

    Raises:
        ClientDisconnect: the client left.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.wait({working, leaving})


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def body_response(body: Body, status: int = 200) -> Response:
    """Return a body as the response; absent fields are left out."""
    return Response(body.model_dump_json(by_alias=True, exclude_none=True), status, media_type=JSON)


def relayed(reply: link.Reply) -> Response:
    """Return a worker's reply as the response, unchanged."""
    content = base64.b64decode(reply.base64) if reply.base64 else reply.body.encode()
    headers = {name: value for name, value in reply.headers.items() if name.lower() in _RELAYED_HEADERS}
    if not content and reply.status not in (204, 304):  # official clients parse even an empty answer as JSON
        content, headers["content-type"] = b"{}", JSON
    return Response(content, reply.status, headers)
