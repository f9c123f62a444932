"""A store behind the coordinator's own routes on a free port, and the Worker's adapter to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from starlette.requests import HTTPConnection

from livereactor.base.clock import unix_us
from livereactor.base.errors import UnauthorizedError
from livereactor.base.limits import Limits
from livereactor.blobs.http import HttpBlobs
from livereactor.blobs.port import Blobs
from livereactor.coordinator.auth.worker_credentials import WorkerIdentity
from livereactor.coordinator.http.routes import internal
from livereactor.store.memory.store import MemoryStore
from livereactor.web.access import Access
from livereactor.web.guard import Guard
from livereactor.web.problems import handle_errors
from livereactor.wiring.process import Server, listen

SECRET = "a worker secret of the tests"


class WorkersOnly:
    """An authenticator that knows the worker secret alone."""

    def must_be_worker(self, request: HTTPConnection) -> WorkerIdentity:
        if request.headers.get("authorization") != f"Bearer {SECRET}":
            raise UnauthorizedError("this is for workers")
        return WorkerIdentity()


@asynccontextmanager
async def serving_blobs(blobs: Blobs) -> AsyncIterator[str]:
    """The coordinator's routes for them; its URL."""
    api = FastAPI()
    api.state.authenticator, api.state.blobs = WorkersOnly(), blobs
    api.state.store, api.state.unix_us = MemoryStore(), unix_us
    api.include_router(internal.routes)
    handle_errors(api, otherwise="see the docs")
    app = Guard(api, Access(any_host=True), Limits(), streamed=(internal.PREFIX,))
    server = Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none"))
    with listen("127.0.0.1", 0) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True
            await serving


@asynccontextmanager
async def over_http(blobs: Blobs, secret: str = SECRET) -> AsyncIterator[HttpBlobs]:
    """The adapter to a store behind those routes."""
    async with serving_blobs(blobs) as url:
        made = HttpBlobs(url, secret)
        try:
            yield made
        finally:
            await made.aclose()
