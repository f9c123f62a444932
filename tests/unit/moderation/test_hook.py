"""A hook's request is built without holding up the loop, which in a stand-alone runtime carries media."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx2
import pytest

from livereactor.moderation.http import hook
from livereactor.moderation.port import FileInQuestion, Question
from livereactor.moderation.verdicts import question_json


async def test_the_bytes_of_a_file_are_encoded_and_signed_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    received: list[dict[str, Any]] = []

    def encoding(question: Question) -> dict[str, Any]:
        threads.append(threading.current_thread())
        return question_json(question)

    async def answer(request: httpx2.Request) -> httpx2.Response:
        received.append(json.loads(request.content))
        return httpx2.Response(200, content=b'"allow"')

    monkeypatch.setattr(hook, "question_json", encoding)
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    moderator = hook.HttpModerator("http://there.example/", ["a secret of length"], client=client)
    file = FileInQuestion("up-1", "koi.png", "image/png", 3, b"\x00\x01\x02")
    await moderator.ask(Question("ses_1", "acme", "painter", "show", file=file))
    assert threads != [threading.current_thread()]
    assert received[0]["file"]["base64"] == "AAEC"
    await moderator.aclose()
