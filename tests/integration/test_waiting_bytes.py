"""Commands that wait behind an upload are bounded in bytes."""

from __future__ import annotations

import pytest

from livereactor.protocol import messages as m
from livereactor.runtime.session import calls
from tests.integration.models import Plain
from tests.integration.rig import serving


async def test_commands_behind_an_upload_are_refused_past_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "WAITING_BYTES", 20_000)
    async with serving(Plain) as served:
        sid = await served.start_session()
        caller = await served.client(sid)
        announced = {"name": "a.txt", "size": 2, "mime_type": "text/plain"}
        slot = (await served.http.post(f"/sessions/{sid}/uploads", json=announced)).json()
        caller.say(m.Command("read", {}, {"file": m.UploadReference(slot["presigned_id"])}, "first"))
        sent = [caller.begin("note", text="x" * 10_000) for _ in range(4)]
        for refused in sent[2:]:
            assert (await caller.outcome(refused)).code == "RATE_LIMITED"
        await served.http.put(slot["path"], content=b"hi")
        for taken in sent[:2]:
            assert isinstance(await caller.outcome(taken), m.Ack)
