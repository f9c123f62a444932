"""A client that leaves while its request is held is nobody's failure."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import Response
from starlette.requests import ClientDisconnect
from starlette.types import Message, Scope
from structlog.testing import capture_logs

from livereactor.base.limits import Limits
from livereactor.web.access import Access
from livereactor.web.guard import Guard
from livereactor.web.problems import handle_errors


async def test_a_client_that_leaves_is_not_logged_as_a_request_that_failed() -> None:
    api = FastAPI()
    handle_errors(api, otherwise="there is nothing else")

    @api.get("/held")
    async def held() -> Response:
        raise ClientDisconnect

    with capture_logs() as logged:
        await Guard(api, Access(any_host=True), Limits())(_get("/held"), _gone, _ignored)
    assert [each for each in logged if each["log_level"] != "debug"] == []


def _get(path: str) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


async def _gone() -> Message:
    return {"type": "http.disconnect"}


async def _ignored(message: Message) -> None:
    return None
