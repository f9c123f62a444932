"""`rig` with one parameter per adapter: a moderator, and what it thinks of the questions that it gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import httpx2
import pytest

from livereactor.moderation.function.call import FunctionModerator
from livereactor.moderation.http.hook import HttpModerator
from livereactor.moderation.port import Moderator
from livereactor.moderation.relay.worker import RelayModerator

Thoughts = Callable[[dict[str, Any]], Coroutine[Any, Any, Any]]


class Rig:
    """A moderator; `think` is what it does with a question, as JSON."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.think: Thoughts = _allow
        self.moderator: Moderator = self._made()

    def _made(self) -> Moderator:
        client = httpx2.AsyncClient(transport=httpx2.MockTransport(self._serve), base_url="http://there.example")
        match self.kind:
            case "http":
                return HttpModerator("http://there.example/moderate", ["a secret of length"], client=client)
            case "relay":
                return RelayModerator("http://there.example", "wk_secret", client=client)
            case "async function":
                return FunctionModerator(self._answer)
            case _:
                on = asyncio.get_running_loop()
                return FunctionModerator(lambda asked: asyncio.run_coroutine_threadsafe(self.think(asked), on).result())

    async def _answer(self, asked: dict[str, Any]) -> Any:
        return await self.think(asked)

    async def _serve(self, request: httpx2.Request) -> httpx2.Response:
        try:
            answer = await self.think(json.loads(request.content))
        except KeyError:
            return httpx2.Response(500)
        return httpx2.Response(200, content=json.dumps(answer))


async def _allow(_: dict[str, Any]) -> Any:
    return {"action": "allow"}


@pytest.fixture(params=["http", "function", "async function", "relay"])
async def rig(request: pytest.FixtureRequest) -> Rig:
    return Rig(request.param)
