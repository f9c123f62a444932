"""What the official Python clients make of our refusals: a code that they know, and our sentence for people to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from livereactor.coordinator.options import CoordinatorOptions, Quotas
from tests.integration.coordinator.asking import UNLIMITED, creating
from tests.integration.coordinator.rig import Served, coordinating
from tests.tools.drivers import ClientError, PythonClients
from tests.tools.processes import REPOSITORY

OLD = REPOSITORY / ".venv-client-08/bin/python"


@dataclass(frozen=True)
class Refusal:
    """How a coordinator comes to refuse, and what 1.13.0 calls that."""

    code: str
    said: str
    status: int
    model: str = "pond"
    quotas: Quotas = UNLIMITED
    key: str | None = None
    token: dict[str, Any] | None = None
    no_capacity: bool = False
    taken: int = 0
    retry_after_ms: int | None = None


REFUSALS = [
    Refusal("NOT_FOUND", "did you mean 'pond'?", 404, model="pont"),
    Refusal(
        "RATE_LIMITED", "2 of 2 concurrent sessions in use", 429, quotas=Quotas(2, 0), taken=2, retry_after_ms=5_000
    ),
    Refusal("SERVER_ERROR", "its last workers failed", 503, no_capacity=True, retry_after_ms=5_000),
    Refusal("UNAUTHORIZED", "it is for garden", 403, token={"authorization_details": creating("garden")}),
    Refusal("UNAUTHORIZED", "lacks the scope `control`", 403, token={"scope": ["view"]}),
]


async def refused(served: Served, refusal: Refusal, clients: PythonClients) -> ClientError:
    for _ in range(refusal.taken):
        await served.session()
    if refusal.no_capacity:
        served.service.capacity = lambda model: "its last workers failed"
    shown = {"jwt": await served.token(**refusal.token)} if refusal.token else {"api_key": refusal.key or served.key}
    client = await clients.new(served.url, model=refusal.model, **shown)
    with pytest.raises(ClientError) as caught:
        await client.connect(watch=None)
    return caught.value


async def test_python_1_13_knows_each_refusal_by_its_code_and_prints_our_sentence() -> None:
    async with PythonClients.started() as clients:
        for refusal in REFUSALS:
            async with coordinating(CoordinatorOptions(quotas=refusal.quotas)) as served:
                error = await refused(served, refusal, clients)
            assert (error.code, error.fields["status"]) == (refusal.code, refusal.status)
            assert refusal.said in error.message
            assert error.fields["retry_after_ms"] == refusal.retry_after_ms


async def test_python_1_13_calls_a_wrong_key_an_auth_error() -> None:
    async with PythonClients.started() as clients, coordinating() as served:
        error = await refused(served, Refusal("", "", 401, key="rk_" + "A" * 33), clients)
        assert error.kind == "AuthError"
        assert "API key" in error.message


async def test_python_0_8_prints_our_sentence_too() -> None:
    async with PythonClients.started("tests.tools.python08_client", python=OLD) as clients:
        for refusal in [each for each in REFUSALS if each.token is None]:
            async with coordinating(CoordinatorOptions(quotas=refusal.quotas)) as served:
                error = await refused(served, refusal, clients)
            assert error.kind == "RuntimeError"
            assert refusal.said in error.message
            assert str(refusal.status) in error.message
