"""A runtime with a moderator: what clients send is judged before the model sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import livereactor as lr
from livereactor.base.limits import Limits
from livereactor.moderation.function.call import FunctionModerator
from livereactor.moderation.judge import Judge, JudgeBounds
from livereactor.protocol import messages as m
from livereactor.protocol import v0, v1
from livereactor.protocol.codecs import Codec
from livereactor.protocol.http import ModerationTerms
from livereactor.runtime.options import Moderated
from tests.integration.models import Plain, Said
from tests.integration.rig import Caller, Served, next_session_works, serving


class Painter(Plain):
    """Takes prompts that are marked, and texts that are not."""

    @lr.command(moderate=True)
    def paint(self, prompt: str, size: int = 1) -> None:
        self.seen.append(f"paint:{prompt}")

    @lr.command(moderate=True)
    def show(self, picture: lr.File) -> Said:
        return Said(text=picture.name)

    def uploaded(self, file: Any) -> None:
        self.seen.append(f"uploaded:{file.name}")


class Hook:
    """The operator's function: its verdict depends on words in the text or in the file's name; `gate` holds it."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, asked: dict[str, Any]) -> Any:
        self.asked.append(asked)
        await self.gate.wait()
        said = str([*asked["texts"], (asked["file"] or {}).get("name")])
        action = next((each for each in ("terminate", "refuse", "warn") if each in said), "allow")
        if "explode" in said:
            raise RuntimeError("the hook is broken")
        return {"action": action, "message": f"no {action}", "categories": ["rude"]}

    @property
    def texts(self) -> list[str]:
        return [each["text"] for asked in self.asked for each in asked["texts"]]


@asynccontextmanager
async def moderated(
    fields: str = "marked", on_failure: str = "open", limits: Limits | None = None, **bounds: Any
) -> AsyncGenerator[tuple[Served, Hook]]:
    hook = Hook()
    terms = ModerationTerms.model_validate({"fields": fields, "on_failure": on_failure})
    options = {"moderation": Moderated(Judge(FunctionModerator(hook), JudgeBounds(**bounds)), terms)}
    async with serving(Painter, options=options, limits=limits) as served:
        yield served, hook


async def uploaded(served: Served, sid: str, name: str, data: bytes = b"\x89PNG") -> m.UploadReference:
    asked = {"name": name, "size": len(data), "mime_type": "image/png"}
    slot = (await served.http.post(f"/sessions/{sid}/uploads", json=asked)).json()
    assert (await served.http.put(slot["path"], content=data)).status_code == 204
    return m.UploadReference(slot["presigned_id"], name, "image/png", len(data))


async def notice(caller: Caller) -> m.Moderation:
    label = "data" if caller.codec is v0 else "control"
    return await caller.hear_of(m.Moderation, label=label)


async def test_a_prompt_that_is_allowed_runs_and_unmarked_texts_are_not_asked_about() -> None:
    async with moderated() as (served, hook):
        caller = await served.client(await served.start_session())
        assert isinstance(await caller.command("paint", prompt="a koi"), m.Ack)
        assert isinstance(await caller.command("note", text="terminate"), m.Ack)
        assert "paint:a koi" in await caller.told()
        assert hook.texts == ["a koi"]
        asked = hook.asked[0]
        assert (asked["command"], asked["texts"][0]["field"], asked["model"]) == ("paint", "prompt", "painter")


async def test_every_text_is_asked_about_where_the_operator_wants_it() -> None:
    async with moderated("all") as (served, hook):
        caller = await served.client(await served.start_session())
        refused = await caller.command("note", text="refuse")
        assert (refused.code, refused.message) == ("MODERATED", "no refuse")
        assert hook.texts == ["refuse"]


@pytest.mark.parametrize("codec", [v0, v1])
async def test_a_refused_prompt_does_not_reach_the_model_and_its_sender_learns_why(codec: Codec) -> None:
    async with moderated() as (served, _):
        sid = await served.start_session()
        other = await served.client(sid)
        caller = await served.client(sid, codec, channels=("data", "control"))  # type: ignore[arg-type]
        failed = caller.begin("paint", prompt="refuse")
        if codec is v1:  # v0 has no errors
            assert (await caller.outcome(failed)).code == "MODERATED"
        told = await notice(caller)
        assert (told.action, told.input_kind, told.command) == ("warn", "text", "paint")
        assert (told.categories, told.message) == (("rude",), "no refuse")
        assert "paint" not in await other.told()
        await other.synced()


async def test_a_warning_comes_with_the_outcome_of_the_command() -> None:
    async with moderated() as (served, _):
        caller = await served.client(await served.start_session())
        assert isinstance(await caller.command("paint", prompt="warn"), m.Ack)
        assert (await notice(caller)).action == "warn"
        assert "paint:warn" in await caller.told()


@pytest.mark.parametrize("codec", [v0, v1])
async def test_a_session_is_ended_and_only_the_sender_learns_for_what(codec: Codec) -> None:
    async with moderated() as (served, _):
        sid = await served.start_session()
        viewer = await served.client(sid, role="viewer")
        caller = await served.client(sid, codec, channels=("data", "control"))  # type: ignore[arg-type]
        viewer.say(m.Ping())  # its format is known then
        failed = caller.begin("paint", prompt="terminate")
        caller.begin("paint", prompt="behind it")
        if codec is v1:
            assert (await caller.outcome(failed)).code == "MODERATED"
        told, seen = await notice(caller), await notice(viewer)
        assert (told.action, told.command, told.categories) == ("terminate", "paint", ("rude",))
        assert (seen.action, seen.command, seen.categories) == ("terminate", "", ())
        await caller.gone()
        await served.state("ready")
        assert served.runtime.members.end_reason == "moderated"
        await next_session_works(served)


async def test_commands_keep_their_order_while_one_is_asked_about_and_others_do_not_wait() -> None:
    async with moderated() as (served, hook):
        sid = await served.start_session()
        caller, other = await served.client(sid), await served.client(sid)
        await caller.synced()
        hook.gate.clear()
        asked = caller.begin("paint", prompt="first")
        behind = caller.begin("note", text="second")
        await other.command("note", text="other")
        seen = await other.told()
        assert "other" in seen
        assert "second" not in seen
        hook.gate.set()
        assert isinstance(await caller.outcome(asked), m.Ack)
        assert isinstance(await caller.outcome(behind), m.Ack)
        seen = await other.told()
        assert seen.index("other") < seen.index("paint:first") < seen.index("second")


async def test_a_client_that_leaves_while_it_is_asked_about_changes_nothing() -> None:
    async with moderated() as (served, hook):
        sid = await served.start_session()
        caller, other = await served.client(sid), await served.client(sid)
        await caller.synced()
        hook.gate.clear()
        caller.begin("paint", prompt="late")
        await caller.side.aclose()
        await served.until(lambda: caller.number not in served.runtime.channels)
        hook.gate.set()
        await other.synced()
        assert "paint" not in await other.told()


@pytest.mark.parametrize(("on_failure", "code"), [("open", None), ("closed", "MODERATION_UNAVAILABLE")])
async def test_a_hook_that_fails_or_hangs_leaves_it_to_the_policy(on_failure: str, code: str | None) -> None:
    async with moderated(on_failure=on_failure, timeout=0.2) as (served, hook):
        caller = await served.client(await served.start_session())
        for prompt in ("explode", "hang"):
            if prompt == "hang":
                hook.gate.clear()
            outcome = await caller.command("paint", prompt=prompt)
            assert getattr(outcome, "code", None) == code
        await caller.synced()


async def test_files_are_judged_once_before_a_command_or_the_hook_of_the_model_gets_them() -> None:
    async with moderated() as (served, hook):
        sid = await served.start_session()
        caller = await served.client(sid)
        good, bad = await uploaded(served, sid, "koi.png"), await uploaded(served, sid, "refuse.png")
        for _ in range(3):
            caller.say(m.Command("show", {}, {"picture": good}, request_id="data_90"))
            assert (await caller.outcome("data_90")).data == {"text": "koi.png"}
        assert [asked["file"]["name"] for asked in hook.asked] == ["koi.png"]
        assert hook.asked[0]["file"]["data"] == b"\x89PNG"
        caller.say(m.Command("show", {}, {"picture": bad}, request_id="data_91"))
        assert (await caller.outcome("data_91")).code == "MODERATED"
        assert (await notice(caller)).input_kind == "image"
        caller.say(m.FileUploaded(good))
        caller.say(m.FileUploaded(bad))
        assert (await notice(caller)).command == ""
        seen = await caller.told()
        assert "uploaded:koi.png" in seen
        assert "refuse.png" not in seen


async def test_a_session_does_not_start_with_what_is_refused() -> None:
    async with moderated() as (served, hook):
        for body in (
            {"extra_args": {"scene": {"words": ["terminate"]}}},
            {"starting_input": {"state": {}, "commands": [{"command": "note", "data": {"text": "refuse"}}]}},
        ):
            refused = await served.http.post("/start_session", json=body)
            assert (refused.status_code, refused.json()["code"]) == (403, "MODERATED")
            assert served.runtime.state.value == "ready"
        assert hook.texts == ["terminate", "refuse"]
        # A client of a stand-alone runtime cannot choose the terms.
        sid = await served.start_session(moderation=None, extra_args={"scene": "a pond"})
        caller = await served.client(sid)
        assert (await caller.command("paint", prompt="refuse")).code == "MODERATED"


async def test_a_step_is_judged_as_a_whole() -> None:
    async with moderated() as (served, _):
        caller = await served.client(await served.start_session(generation="stepped"))
        commands = (m.Command("note", {"text": "before"}), m.Command("paint", {"prompt": "refuse"}))
        caller.say(m.RequestStep("data_1", {}, commands, ()))
        refused = await caller.hear_of(m.StepResult)
        assert (refused.failure, refused.code) == (m.StepFailure.REFUSED, "MODERATED")
        caller.say(m.RequestStep("data_2", {}, (m.Command("paint", {"prompt": "fine"}),), ()))
        assert (await caller.hear_of(m.StepResult)).failure is None


async def test_one_session_takes_only_some_of_the_moderators_places() -> None:
    limits = Limits(exit_timeout=4.0, moderation_questions=2)
    async with moderated(limits=limits) as (served, hook):
        sid = await served.start_session()
        callers = [await served.client(sid) for _ in range(4)]
        for each in callers:
            await each.synced()
        hook.gate.clear()
        waiting = [each.begin("paint", prompt="x") for each in callers]
        while len(served.runtime.calls.waiting) < 4 or len(hook.asked) < 2:  # noqa: ASYNC110  (frames arrive; nothing announces it)
            await asyncio.sleep(0)
        assert len(hook.asked) == 2
        hook.gate.set()
        for each, number in zip(callers, waiting, strict=True):
            assert isinstance(await each.outcome(number), m.Ack)


async def test_without_a_moderator_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    async with serving(Painter) as served:
        caller = await served.client(await served.start_session())
        await caller.synced()
        real: Callable[..., Any] = asyncio.create_task
        monkeypatch.setattr(asyncio, "create_task", lambda *a, **k: started.append(k.get("name")) or real(*a, **k))
        assert isinstance(await caller.command("paint", prompt="terminate"), m.Ack)
        assert not [each for each in started if str(each).startswith("calls of")]
