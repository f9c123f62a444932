"""Bodies of strangers: not read, and so not parsed, before the key is looked at."""

from __future__ import annotations

import pytest

from tests.integration.coordinator.rig import coordinating


@pytest.mark.parametrize("path", ["/tokens", "/sessions", "/sessions/ses_1/share", "/keys", "/workers/w/died"])
async def test_a_strangers_body_is_not_looked_at(path: str) -> None:
    async with coordinating() as served:
        for body in (b"[" * 60_000, b"{"):
            refused = await served.http.post(path, content=body, headers={"Authorization": "Bearer rk_wrong"})
            assert refused.status_code == 401, refused.text
