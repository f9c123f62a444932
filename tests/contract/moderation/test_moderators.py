"""What every moderator promises."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from livereactor.moderation.port import FileInQuestion, NoVerdictError, Question, TextInQuestion, VerdictAction
from tests.contract.moderation.conftest import Rig

TEXT = Question("ses_1", "acme", "painter", "set_prompt", (TextInQuestion("prompt", "a koi"),))
FILE = Question(
    "ses_1", "acme", "painter", "show", file=FileInQuestion("up-1", "koi.png", "image/png", 3, b"\x00\x01\x02")
)


@pytest.mark.parametrize("action", list(VerdictAction))
async def test_a_verdict_arrives_as_it_was_given(rig: Rig, action: VerdictAction) -> None:
    async def think(_: dict[str, Any]) -> Any:
        return {"action": action.value, "message": "be kind", "categories": ["violence", "gore"]}

    rig.think = think
    verdict = await rig.moderator.ask(TEXT)
    assert (verdict.action, verdict.message, verdict.categories) == (action, "be kind", ("violence", "gore"))


async def test_the_moderator_learns_what_it_is_asked_about(rig: Rig) -> None:
    asked: list[dict[str, Any]] = []

    async def think(question: dict[str, Any]) -> Any:
        asked.append(question)
        return {"action": "allow"}

    rig.think = think
    await rig.moderator.ask(TEXT)
    await rig.moderator.ask(FILE)
    assert asked[0]["command"] == "set_prompt"
    assert asked[0]["texts"] == [{"field": "prompt", "text": "a koi"}]
    if rig.kind == "relay":  # the coordinator knows the rest by the session's id, and has the bytes
        assert asked[1]["upload_id"] == "up-1"
        return
    about = {name: asked[0][name] for name in ("session_id", "account", "model", "input_kind")}
    assert about == {"session_id": "ses_1", "account": "acme", "model": "painter", "input_kind": "text"}
    file = asked[1]["file"]
    assert asked[1]["input_kind"] == "image"
    assert (file["name"], file["mime_type"], file["size"]) == ("koi.png", "image/png", 3)
    assert file.get("data", b"\x00\x01\x02") == b"\x00\x01\x02"
    assert file.get("base64", "AAEC") == "AAEC"


@pytest.mark.parametrize("answer", [None, 3, [], "perhaps", {}, {"action": "no"}, {"action": "allow", "message": 7}])
async def test_what_is_no_verdict_is_an_error(rig: Rig, answer: Any) -> None:
    async def think(_: dict[str, Any]) -> Any:
        return answer

    rig.think = think
    with pytest.raises(NoVerdictError):
        await rig.moderator.ask(TEXT)


async def test_a_moderator_that_fails_gives_no_verdict(rig: Rig) -> None:
    async def think(_: dict[str, Any]) -> Any:
        raise KeyError("detail")

    rig.think = think
    with pytest.raises(NoVerdictError) as failed:
        await rig.moderator.ask(TEXT)
    assert "koi" not in failed.value.message


async def test_several_are_asked_at_once(rig: Rig) -> None:
    both, waiting = asyncio.Event(), 0

    async def think(_: dict[str, Any]) -> Any:
        nonlocal waiting
        waiting += 1
        if waiting == 2:
            both.set()
        await both.wait()
        return {"action": "allow"}

    rig.think = think
    async with asyncio.timeout(30):
        await asyncio.gather(rig.moderator.ask(TEXT), rig.moderator.ask(FILE))


async def test_a_question_is_given_up_when_nobody_waits_any_more(rig: Rig) -> None:
    asked, never = asyncio.Event(), asyncio.Event()

    async def think(_: dict[str, Any]) -> Any:
        asked.set()
        await never.wait()
        return {"action": "allow"}

    rig.think = think
    asking = asyncio.create_task(rig.moderator.ask(TEXT))
    await asked.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    never.set()
    await rig.moderator.aclose()
