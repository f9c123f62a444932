"""A newer version of the class, swapped in when it has loaded; and what a bounded stepped Session makes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import livereactor as lr
from livereactor.base.errors import ModelLoadError, UnavailableError
from livereactor.runtime.execution import model_thread
from livereactor.runtime.execution.loading import load_model
from livereactor.runtime.execution.reload import Reloader, load_source
from livereactor.runtime.interfaces import SessionStart, StepInput, StepsDone
from tests.unit.runtime.execution.rig import OWNER, PATIENCE, call, model_running


class Text(lr.Message):
    text: str


class First(lr.Model):
    main_video = lr.VideoOut(fps=100)

    def load(self) -> None:
        self.weights_of = "first"

    @lr.command
    def who(self) -> Text:
        return Text(text=f"{type(self).__name__} with weights of {self.weights_of}")

    @lr.command
    def count(self, client: lr.Client) -> None:
        self.asked_by = client.id

    def stream(self) -> Iterator[Any]:
        while True:
            yield np.zeros((4, 4, 3), np.uint8)


class Second(First):
    weights = [lr.Weights("vae", url="https://models.example/vae", sha256="0" * 64)]  # noqa: RUF012

    def load(self) -> None:
        self.weights_of = "second"


class Slotted(First):
    __slots__ = ("more",)


LEFT: list[asyncio.Task[Any]] = []


class Breaks(First):
    async def load(self) -> None:  # type: ignore[override]
        LEFT.append(asyncio.create_task(asyncio.Event().wait()))
        raise ValueError("no such layer")


def who(thread: Any) -> str:
    reply = thread.call(call("who"), OWNER).result(PATIENCE)
    return reply.data["text"]


@pytest.mark.parametrize(("newer", "keep"), [(Breaks, False), (Slotted, True)])
def test_one_that_does_not_load_changes_nothing(newer: type[lr.Model], keep: bool) -> None:
    with model_running(First) as (thread, _):
        with pytest.raises(ModelLoadError):
            thread.reload(newer, keep=keep).result(PATIENCE)
        assert thread.definition.name == "first"
        thread.open(SessionStart("ses_2")).result(PATIENCE)
        assert who(thread) == "First with weights of first"
        assert all(task.cancelled() for task in LEFT)


def test_weights_that_are_new_are_fetched_before(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(model_thread, "fetch", lambda weights, progress: fetched.append(weights.name))
    with model_running(First) as (thread, _):
        thread.reload(Second, keep=False).result(PATIENCE)
        thread.open(SessionStart("ses_2")).result(PATIENCE)
        assert who(thread) == "Second with weights of second"
    assert fetched == ["vae"]


def test_other_weights_are_another_load() -> None:
    class Reweighted(First):
        weights = Second.weights

    assert load_source(First) != load_source(Reweighted)


def test_a_bounded_stepped_session_ends_after_its_last_result() -> None:
    with model_running(First, start=SessionStart("ses_1", stepped=True, steps=2)) as (thread, rig):
        order: list[str] = []
        for number in (1, 2):
            step = thread.step(StepInput())
            step.add_done_callback(lambda _, number=number: order.append(f"{number} {len(rig.of(StepsDone))}"))
            assert step.result(PATIENCE).step == number
        rig.until(lambda: rig.of(StepsDone))
        assert order == ["1 0", "2 0"]
        with pytest.raises(UnavailableError, match="all 2 steps"):
            thread.step(StepInput()).result(PATIENCE)


def test_whoever_steps_is_no_client() -> None:
    starting = (("commands[0]", call("count")),)
    with model_running(First, start=SessionStart("ses_1", stepped=True, starting=starting)) as (thread, _):
        thread.step(StepInput(commands=starting)).result(PATIENCE)
        session = thread.runner.session
        assert session is not None
        assert session.clients == {}


MODEL = """
import livereactor as lr

class Saved(lr.Model):
    main_video = lr.VideoOut()
    def load(self):
        self.value = {value}
    def stream(self):
        while True:
            yield None
"""


async def test_the_reloader_outlives_what_fails_and_compares_with_what_runs(tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text(MODEL.format(value=1))
    heard: asyncio.Queue[bool] = asyncio.Queue()
    outcomes: list[Any] = [RuntimeError("a bug"), False, True, True]

    async def changed(model: type[lr.Model], same: bool) -> bool:
        heard.put_nowait(same)
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    reloader = Reloader(str(file), load_model(str(file)))
    running = asyncio.create_task(reloader.run(changed))
    try:
        kept = []
        for note in ("2  # one", "2  # one\n    # two", "2  # one\n    # three", "2  # one\n    # four"):
            file.write_text(MODEL.format(value=note))
            kept.append(await asyncio.wait_for(heard.get(), PATIENCE))
        assert kept == [False, False, False, True]
    finally:
        running.cancel()
