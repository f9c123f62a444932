"""What tests of the coordinator's HTTP ask with and wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2

from livereactor.coordinator.options import Quotas
from livereactor.protocol.tokens import KeyRequest
from tests.integration.coordinator.rig import PATIENCE, Served

CREATE: dict[str, Any] = {
    "model": {"name": "pond"},
    "client_info": {"sdk_version": "1.13.0", "sdk_type": "python"},
    "supported_transports": [{"protocol": "webrtc", "version": "1.0"}],
}
UNLIMITED = Quotas(0, 0)


async def key_of(served: Served, account: str, **more: Any) -> dict[str, str]:
    """Headers with a fresh key of an account."""
    asked = KeyRequest.model_validate({"account": account, **more})
    return {"Authorization": f"Bearer {(await served.auth.keys.create(asked)).key}"}


async def bearer(served: Served, **asked: Any) -> dict[str, str]:
    """Headers with a fresh token of `served.key`."""
    return {"Authorization": f"Bearer {await served.token(**asked)}"}


def creating(*models: str, **constraints: int) -> list[dict[str, Any]]:
    """`authorization_details` for Sessions of models."""
    detail = {"type": "session", "resources": {"models": {"match": list(models)}}}
    return [detail | ({"constraints": constraints} if constraints else {})]


def must_be_problem(answer: httpx2.Response, status: int, code: str) -> str:
    """The sentence, told under both names that official clients print."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json"), answer.text
    body = answer.json()
    assert body["code"] == code, body
    assert body["error"] == body["detail"] != ""
    assert isinstance(body["recoverable"], bool)
    assert answer.headers["access-control-allow-origin"] == "*"
    return body["detail"]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Until it holds; what is asked has no event to wait for."""
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
