"""The judge has a verdict for every question, whatever the moderator does."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from livereactor.base.errors import ConfigError
from livereactor.moderation.function.call import FunctionModerator, load_function
from livereactor.moderation.judge import Judge, JudgeBounds
from livereactor.moderation.port import (
    UNANSWERED,
    FileInQuestion,
    NoVerdictError,
    Question,
    TextInQuestion,
    Verdict,
    VerdictAction,
)
from livereactor.moderation.verdicts import CATEGORIES, MESSAGE_CHARS, OnFailure, error_of, notice_of, read_verdict

TEXT = Question("ses_1", "acme", "painter", "set_prompt", (TextInQuestion("prompt", "a koi"),))
LARGE = Question("ses_1", "acme", "painter", "", file=FileInQuestion("up-1", "a.txt", "text/plain", 100, b"x" * 100))
POLICIES: tuple[OnFailure, ...] = ("open", "closed")


class Slow:
    """A moderator that answers when it is told to."""

    def __init__(self) -> None:
        self.asked, self.at_once, self.answer = 0, 0, asyncio.Event()

    async def ask(self, question: Question) -> Verdict:
        self.asked += 1
        self.at_once += 1
        try:
            await self.answer.wait()
        finally:
            self.at_once -= 1
        return Verdict(VerdictAction.ALLOW)

    async def aclose(self) -> None: ...


class Failing(Slow):
    async def ask(self, question: Question) -> Verdict:
        raise NoVerdictError("status 500")


class Broken(Slow):
    async def ask(self, question: Question) -> Verdict:
        raise RuntimeError("a bug of ours")


@pytest.mark.parametrize("on_failure", POLICIES)
@pytest.mark.parametrize("moderator", [Failing, Broken, Slow])
async def test_without_an_answer_the_policy_decides(moderator: type[Slow], on_failure: OnFailure) -> None:
    judge = Judge(moderator(), JudgeBounds(timeout=0.05))
    verdict = await judge.judge(TEXT, on_failure)
    assert not verdict.is_judged
    assert verdict.action is (VerdictAction.ALLOW if on_failure == "open" else VerdictAction.REFUSE)
    error = error_of(verdict)
    assert (None if error is None else error.code) == (None if on_failure == "open" else UNANSWERED)
    assert notice_of(verdict, TEXT) is None


@pytest.mark.parametrize("on_failure", POLICIES)
async def test_a_file_that_is_too_large_is_not_asked_about(on_failure: OnFailure) -> None:
    moderator = Slow()
    verdict = await Judge(moderator, JudgeBounds(file_bytes=99)).judge(LARGE, on_failure)
    assert (moderator.asked, verdict.action, verdict.is_judged) == (0, VerdictAction.REFUSE, False)
    error = error_of(verdict)
    assert error is not None
    assert (error.code, error.http_status) == ("UPLOAD_TOO_LARGE", 413)
    assert notice_of(verdict, LARGE) is None


async def test_only_a_question_that_is_asked_holds_the_bytes_of_its_file() -> None:
    moderator, fetched = Slow(), 0

    async def fetch() -> bytes:
        nonlocal fetched
        fetched += 1
        return b"x" * 100

    question = Question("ses_1", "acme", "p", "", file=FileInQuestion("up-1", "a", "text/plain", 100, fetch=fetch))
    judge = Judge(moderator, JudgeBounds(timeout=30.0, concurrency=2))
    asking = [asyncio.create_task(judge.judge(question, "open")) for _ in range(9)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert (moderator.at_once, fetched) == (2, 2)
    moderator.answer.set()
    await asyncio.gather(*asking)
    assert fetched == 9


async def test_a_flood_is_refused_whatever_the_policy_is() -> None:
    moderator = Slow()
    judge = Judge(moderator, JudgeBounds(timeout=30.0, concurrency=2, queue=3))
    asking = [asyncio.create_task(judge.judge(TEXT, "open")) for _ in range(5)]
    await asyncio.sleep(0)
    assert moderator.at_once == 2
    refused = await judge.judge(TEXT, "open")
    assert (refused.action, refused.code) == (VerdictAction.REFUSE, UNANSWERED)
    moderator.answer.set()
    assert {each.action for each in await asyncio.gather(*asking)} == {VerdictAction.ALLOW}
    assert (await judge.judge(TEXT, "open")).is_judged


async def test_places_are_given_back() -> None:
    judge = Judge(Failing(), JudgeBounds(concurrency=1))
    for _ in range(5):
        assert (await judge.judge(TEXT, "open")).action is VerdictAction.ALLOW
    moderator = Slow()
    waiting = Judge(moderator, JudgeBounds(timeout=30.0, concurrency=1))
    asking = asyncio.create_task(waiting.judge(TEXT, "open"))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    moderator.answer.set()
    assert (await waiting.judge(TEXT, "open")).is_judged


async def test_functions_that_hang_are_bounded_and_keep_nothing() -> None:
    released = threading.Event()

    def hang(_: dict[str, Any]) -> str:
        released.wait(30)
        return "allow"

    moderator = FunctionModerator(hang, threads=2)
    judge = Judge(moderator, JudgeBounds(timeout=0.05))
    for _ in range(2):
        assert (await judge.judge(TEXT, "closed")).action is VerdictAction.REFUSE
    with pytest.raises(NoVerdictError, match="2 of 2 calls"):
        await moderator.ask(TEXT)
    assert (await judge.judge(TEXT, "open")).action is VerdictAction.REFUSE  # the flood has not opened the door
    released.set()


def test_a_verdict_is_bounded() -> None:
    verdict = read_verdict({"action": "refuse", "message": "x" * 10_000, "categories": ["y" * 1000] * 100})
    assert (len(verdict.message), len(verdict.categories)) == (MESSAGE_CHARS, CATEGORIES)
    assert max(map(len, verdict.categories)) == 64


def test_a_refusal_is_a_warning_on_the_wire_and_an_error_to_its_sender() -> None:
    verdict = Verdict(VerdictAction.REFUSE, "be kind", ("violence",))
    notice, error = notice_of(verdict, TEXT), error_of(verdict)
    assert notice is not None
    assert error is not None
    assert (notice.action, notice.input_kind, notice.command) == ("warn", "text", "set_prompt")
    assert (error.code, error.message) == ("MODERATED", "be kind")
    assert error_of(Verdict(VerdictAction.WARN)) is None
    ended = notice_of(Verdict(VerdictAction.TERMINATE), TEXT)
    assert ended is not None
    assert ended.action == "terminate"
    assert ended.message


def test_a_function_that_cannot_be_imported_is_told_at_the_start(tmp_path: Any) -> None:
    file = tmp_path / "hook.py"
    file.write_text("LIST = []\ndef check(asked):\n    return 'allow'\n")
    assert load_function(f"{file}:check")({}) == "allow"
    for wrong in (f"{file}:LIST", f"{file}:missing", "no_such_module:check", "nothing", f"{tmp_path / 'no.py'}:check"):
        with pytest.raises(ConfigError, match="callable"):
            load_function(wrong)
