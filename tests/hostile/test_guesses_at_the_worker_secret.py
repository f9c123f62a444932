"""WebSocket handshakes that nobody asked for, and guesses at the worker secret: counted by address, then refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from livereactor.coordinator.auth.worker_credentials import WorkerIdentity, credential
from livereactor.coordinator.options import CoordinatorOptions, Quotas, Rates
from livereactor.protocol import link
from livereactor.web.rates import ALLOWED
from livereactor.web.refusals import EVENT, MANY
from tests.hostile.visitors import dial, program, status
from tests.integration.coordinator.rig import Served, coordinating

OPTIONS = CoordinatorOptions(quotas=Quotas(0, 0), rates=Rates(anonymous=5, creating=0))
HANDSHAKE = (
    b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


async def knock(served: Served, secret: str, *, path: str = link.PATH, source: str = "192.0.2.7") -> tuple[int, str]:
    """Status and text of the answer to a handshake from that address; 101 = it was let in."""
    headers = {"Authorization": f"Bearer {secret}", "X-Forwarded-For": source}
    try:
        async with connect(served.url.replace("http", "ws") + path, additional_headers=headers, proxy=None):
            return 101, ""
    except InvalidStatus as refused:
        body = refused.response.body or b"{}"
        return refused.response.status_code, json.loads(body).get("error", "") if body.startswith(b"{") else ""


def audited(told: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The lines of the audit log among those of the log."""
    return [each for each in told if each["event"] == EVENT]


@pytest.mark.parametrize("path", [link.PATH, "/no/such/socket"])
async def test_handshakes_count_as_requests_without_a_token(path: str) -> None:
    async with coordinating(OPTIONS) as served:
        found = [await knock(served, "wrong", path=path) for _ in range(7)]
        assert all(status in (401, 403) for status, _ in found[:5]), found
        for status, said in found[5:]:
            assert status == 429, found
            assert said.startswith("5 of 5 requests without a token a minute")
        async with httpx2.AsyncClient(base_url=served.url) as nobody:  # of the same address
            assert (await nobody.get("/health", headers={"X-Forwarded-For": "192.0.2.7"})).status_code == 429
        assert (await knock(served, served.secrets.worker))[0] == 101  # behind the same NAT
        assert (await knock(served, "wrong", source="192.0.2.8"))[0] == 401


async def test_wrong_worker_secrets_are_counted_over_every_route_of_workers() -> None:
    options = CoordinatorOptions(quotas=Quotas(0, 0), rates=Rates(anonymous=0, creating=0))
    wrong = {"Authorization": "Bearer wk_wrong", "X-Forwarded-For": "192.0.2.7"}
    async with coordinating(options) as served, httpx2.AsyncClient(base_url=served.url) as http:
        for _ in range(ALLOWED // 3):
            assert (await knock(served, "wrong"))[0] == 401
            assert (await http.post("/workers/w1/died", headers=wrong)).status_code == 401
            assert (await http.get("/internal/blobs/recordings/a", headers=wrong)).status_code == 401
        status, said = await knock(served, "wrong")
        assert status == 429
        assert said.startswith(f"{ALLOWED} of {ALLOWED} wrong worker credentials a minute")
        refused = await http.get("/internal/blobs/recordings/a", headers=wrong)
        assert (refused.status_code, refused.json()["quota_type"]) == (429, "wrong_keys")
        assert (await http.post("/workers/w1/died")).status_code == 401  # none shown: no guess
        # The secret itself is not even compared, or whoever guesses it would be told. A credential cannot be guessed.
        assert (await knock(served, served.secrets.worker))[0] == 429
        mine = credential(served.secrets.worker, WorkerIdentity("w1", "pond"))
        assert (await knock(served, mine))[0] == 101
        assert (await knock(served, "wrong", source="192.0.2.8"))[0] == 401


async def test_no_other_route_tells_the_worker_secret_from_a_guess() -> None:
    async with coordinating(OPTIONS) as served, httpx2.AsyncClient(base_url=served.url) as http:
        for path in ("/sessions", "/models", "/health", "/no/such/route"):
            found: dict[str, list[int]] = {}
            for guess, source in (
                ("wrong", f"198.51.100.{len(path)}"),
                (served.secrets.worker, f"203.0.113.{len(path)}"),
            ):
                headers = {"Authorization": f"Bearer {guess}", "X-Forwarded-For": source}
                found[guess] = [(await http.get(path, headers=headers)).status_code for _ in range(7)]
            wrong, right = found.values()
            assert wrong == right, path
            assert wrong[5:] == [429, 429], path


@pytest.mark.parametrize("anonymous", [0, 10 * ALLOWED])
async def test_a_guess_counts_once(anonymous: int) -> None:
    options = CoordinatorOptions(quotas=Quotas(0, 0), rates=Rates(anonymous=anonymous, creating=0))
    async with coordinating(options) as served:
        found = [(await knock(served, "wrong"))[0] for _ in range(ALLOWED + 1)]
        assert found == [401] * ALLOWED + [429]


async def test_a_refused_handshake_is_in_the_audit_log_once() -> None:
    options = CoordinatorOptions(quotas=Quotas(0, 0), rates=Rates(anonymous=MANY, creating=0))
    async with coordinating(options) as served:
        with capture_logs() as told:
            for _ in range(2 * MANY):  # refused in two ways: by the route, and by the rate before it
                await knock(served, "wrong")
        # One more of either would be a second line.
        found = [(each["reason"], each["count"]) for each in audited(told)]
        assert found == [("wrong_credentials", 1), ("requests_per_minute", 1)]


async def test_an_expired_credential_is_told_apart_and_is_no_guess() -> None:
    options = CoordinatorOptions(quotas=Quotas(0, 0), rates=Rates(anonymous=0, creating=0))
    async with coordinating(options) as served, httpx2.AsyncClient(base_url=served.url) as http:
        old = credential(served.secrets.worker, WorkerIdentity("w1", "pond"), expires_at=1)
        shown = {"Authorization": f"Bearer {old}", "X-Forwarded-For": "192.0.2.7"}
        with capture_logs() as told:
            status, said = await knock(served, old)
            assert (status, "expired" in said, "livereactor workers mint" in said) == (401, True, True)
            for method, path in (("POST", "/workers/w1/died"), ("GET", "/internal/blobs/recordings/a")):
                refused = await http.request(method, path, headers=shown)
                assert (refused.status_code, refused.json()["code"]) == (401, "UNAUTHORIZED")
        assert [each["reason"] for each in audited(told)] == ["expired_credentials"]
        for _ in range(ALLOWED):
            assert (await knock(served, old))[0] == 401
        assert (await knock(served, "wrong"))[0] == 401
        assert (await knock(served, served.secrets.worker))[0] == 101


async def test_tokens_and_keys_of_clients_are_no_guesses_at_the_worker_secret() -> None:
    async with coordinating() as served:
        for _ in range(ALLOWED + 1):
            assert (await served.http.get("/sessions", headers={"X-Forwarded-For": "192.0.2.7"})).status_code == 200
        assert (await knock(served, "wrong"))[0] == 401


def test_handshakes_at_serve_are_refused_without_a_traceback(tmp_path: Path) -> None:
    with program("serve", tmp_path) as found:
        for path, expected in ((link.PATH, 401), ("/no/such/socket", 403), ("/", 403)):
            for _ in range(3):
                with dial(found) as end:
                    end.sendall(HANDSHAKE % path.encode())
                    assert status(end) == expected, path
        assert "Traceback" not in found.log()
