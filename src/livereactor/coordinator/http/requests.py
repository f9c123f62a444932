"""What routes do with every request: who asks, is it still there, and answers as official clients want them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from fastapi import Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect, HTTPConnection

from livereactor.base.errors import PeerError, TooLargeError, UnauthorizedError
from livereactor.coordinator.auth.authenticator import Auth
from livereactor.coordinator.auth.caller import Caller
from livereactor.coordinator.auth.secrets import Secrets
from livereactor.protocol import link
from livereactor.protocol.http import Body

T = TypeVar("T")
JSON: Final = "application/json"
_PASSED_ON: Final = ("content-type", "retry-after", "allow")


class Door:
    """Who asks.

    Args:
        auth: reads keys and tokens.
        secrets: knows what Workers show.
    """

    def __init__(self, auth: Auth, secrets: Secrets) -> None:
        self._auth, self._secrets = auth, secrets

    async def caller(self, request: HTTPConnection) -> Caller:
        """Whoever asks; raises as `Auth.caller`."""
        return await self._auth.caller(request)

    async def knows(self, request: HTTPConnection) -> bool:
        """It shows what is right: a key, a token, or the worker secret."""
        return self._is_worker(request) or await self._auth.recognises(request)

    def worker(self, request: HTTPConnection) -> None:
        """Raise `UnauthorizedError` unless the worker secret is shown."""
        if not self._is_worker(request):
            raise UnauthorizedError("this is for workers; show the worker secret as Authorization: Bearer")

    def _is_worker(self, request: HTTPConnection) -> bool:
        kind, _, shown = request.headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and self._secrets.knows_worker(shown.strip())


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is given up when the client leaves; the request's body must have been read.

    Raises:
        ClientDisconnect: it left.
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


async def text_of(request: Request, *, limit: int) -> str:
    """The body as it came.

    Raises:
        TooLargeError: more than `limit` bytes.
        PeerError: it is no text.
    """
    body = await request.body()
    if len(body) > limit:
        raise TooLargeError(f"the body has {len(body)} bytes, of {limit} that signalling takes; send less")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise PeerError("the body is not UTF-8; send JSON") from None


def told(body: Body, status: int = 200) -> Response:
    """A body of ours, without what is absent."""
    return Response(body.model_dump_json(by_alias=True, exclude_none=True), status, media_type=JSON)


def relayed(reply: link.Reply) -> Response:
    """A Worker's answer, as it came."""
    content = base64.b64decode(reply.base64) if reply.base64 else reply.body.encode()
    headers = {name: value for name, value in reply.headers.items() if name.lower() in _PASSED_ON}
    if not content and reply.status not in (204, 304):  # the wire's answers are JSON, the empty ones too
        content, headers["content-type"] = b"{}", JSON
    return Response(content, reply.status, headers)
