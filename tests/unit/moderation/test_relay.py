"""A worker's question that is too much for the coordinator is told apart from a failure: its sender chose it."""

from __future__ import annotations

import httpx2
import pytest

from livereactor.moderation.judge import Judge, JudgeBounds
from livereactor.moderation.port import Question, TextInQuestion, VerdictAction
from livereactor.moderation.relay.worker import RelayModerator

TEXT = Question("ses_1", "acme", "painter", "paint", (TextInQuestion("prompt", "a koi"),))


@pytest.mark.parametrize(
    ("status", "action"), [(413, VerdictAction.REFUSE), (429, VerdictAction.REFUSE), (503, VerdictAction.ALLOW)]
)
async def test_too_long_or_too_many_questions_do_not_open_the_door(status: int, action: VerdictAction) -> None:
    client = httpx2.AsyncClient(
        transport=httpx2.MockTransport(lambda _: httpx2.Response(status)), base_url="http://there.example"
    )
    judge = Judge(RelayModerator("http://there.example", "wk_secret", client=client), JudgeBounds())
    assert (await judge.judge(TEXT, "open")).action is action
    await judge.aclose()
