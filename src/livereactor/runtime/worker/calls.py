"""A request of the link, answered by an ASGI app of this process. No socket, no client library: 0.2 ms.

What the app sends is kept whole, so it is bounded; a stream that does not end is cut off by the caller's patience.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any, Final

import structlog

from livereactor.base.errors import ConflictError, LivereactorError, TooLargeError, UnavailableError
from livereactor.protocol import link
from livereactor.runtime.http import CALLER
from livereactor.web.asgi import App, Message
from livereactor.web.problems import REQUEST_ID, problem_response

REPLY_BYTES: Final = 1024 * 1024  # of a body; as large as what may be sent to us
_PASSED_ON: Final = frozenset({b"content-type", b"retry-after", b"allow"})

log = structlog.get_logger("livereactor.worker")


async def call(app: App, request: link.Request, *, patience: float) -> link.Reply:
    """Answer a request; whatever happens, there is a reply.

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
        # The app has an answer for what it did not foresee, and raises it once more for whoever runs it.
        log.exception("request failed", method=request.method, path=request.path.partition("?")[0][:128])
        if not answer.is_whole:
            return refusal(request, UnavailableError("the worker failed; its log says why"))
    return answer.reply()


def refusal(request: link.Request, error: LivereactorError) -> link.Reply:
    """An error as the answer to a request, as HTTP would tell it."""
    response = problem_response(error)
    headers = {name.decode(): value.decode() for name, value in response.raw_headers if name in _PASSED_ON}
    return link.Reply(id=request.id, status=response.status_code, headers=headers, body=bytes(response.body).decode())


def not_held(request: link.Request) -> link.Reply:
    """The answer to a request about what the Slot does not hold (any more)."""
    error = ConflictError(
        "this worker does not hold that session any more; ask for the session again", code=link.FENCED
    )
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
    }


class _Answer:
    """What the app sends, collected."""

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
            raise TooLargeError(f"the answer exceeds {REPLY_BYTES} bytes; ask for less")
        self.is_whole = not message.get("more_body", False)

    def reply(self) -> link.Reply:
        reply = link.Reply(id=self._request.id, status=self._status, headers=self._headers)
        kind = self._headers.get("content-type", "")
        if kind.startswith(("application/json", "text/")):
            reply.body = self._body.decode(errors="replace")
        else:
            reply.base64 = base64.b64encode(self._body).decode()
        return reply
