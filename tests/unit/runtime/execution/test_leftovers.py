"""What an author starts in one Session must not reach the next: tasks, threads, Clients kept."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import livereactor as lr
from livereactor.runtime.interfaces import MessageSent, SessionStart
from tests.unit.runtime.execution.rig import OWNER, PATIENCE, Rig, call, model_running

ALICE, BOB = SessionStart("ses_same", number=1), SessionStart("ses_same", number=2)


class Text(lr.Message):
    text: str


class Keeps(lr.Model):
    """Every way to go on talking."""

    main_video = lr.VideoOut(fps=100)

    def load(self) -> None:
        self.kept: list[Any] = []
        self.threads: list[threading.Thread] = []
        self.go, self.said = threading.Event(), threading.Event()
        self.pool = ThreadPoolExecutor(1)
        self.cancelled = threading.Event()

    def speak(self, text: str) -> None:
        assert self.go.wait(PATIENCE)
        self.send(Text(text=text))

    @lr.command
    async def task(self) -> None:
        kept = self

        async def later() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                kept.cancelled.set()
                kept.send(Text(text="a task that ends"))

        asyncio.get_running_loop().call_later(0.05, lambda: kept.send(Text(text="a timer")))
        kept.kept.append(asyncio.create_task(later()))

    @lr.command
    def thread(self) -> None:
        thread = threading.Thread(target=self.speak, args=("a thread",), daemon=True)
        self.threads.append(thread)
        thread.start()

    @lr.command
    def client(self, client: lr.Client) -> None:
        self.kept.append(client)

    @lr.command
    def use_kept(self) -> None:
        self.kept[0].send(Text(text="to a client of before"))

    @lr.command
    def pooled(self) -> None:
        self.pool.submit(self.send, Text(text="pooled")).result(PATIENCE)

    @lr.command
    def speak_all(self) -> None:
        self.go.set()
        for thread in self.threads:
            thread.join(PATIENCE)

    @lr.command
    async def pause(self) -> None:
        await asyncio.sleep(0.1)

    def stream(self) -> Iterator[Any]:
        while True:
            yield np.zeros((4, 4, 3), np.uint8)


def said(rig: Rig) -> list[tuple[str, int]]:
    return [(event.message.data["text"], event.session) for event in rig.of(MessageSent)]


def ask(thread: Any, *commands: str) -> None:
    for name in commands:
        thread.call(call(name), OWNER).result(PATIENCE)


def next_session(thread: Any) -> None:
    thread.close("stopped").result(PATIENCE)
    thread.open(BOB).result(PATIENCE)


def test_tasks_and_timers_of_a_session_end_with_it() -> None:
    with model_running(Keeps, start=ALICE) as (thread, rig):
        model: Any = thread.runner.model
        ask(thread, "task")
        next_session(thread)
        assert model.cancelled.is_set()
        ask(thread, "pause", "pooled")
        assert said(rig) == [("pooled", 2)]


def test_a_thread_of_a_session_is_not_heard_in_the_next_and_a_pool_is() -> None:
    with model_running(Keeps, start=ALICE) as (thread, rig):
        ask(thread, "thread", "pooled")
        next_session(thread)
        ask(thread, "speak_all", "pooled")
        assert said(rig) == [("pooled", 1), ("pooled", 2)]


def test_a_client_that_was_kept_is_not_heard_in_the_next_session() -> None:
    with model_running(Keeps, start=ALICE) as (thread, rig):
        ask(thread, "client")
        ask(thread, "use_kept")
        next_session(thread)
        ask(thread, "use_kept")
        assert said(rig) == [("to a client of before", 1)]


def test_a_task_that_load_started_lives_on_and_is_heard_in_every_session() -> None:
    class Heart(Keeps):
        async def load(self) -> None:  # type: ignore[override]
            Keeps.load(self)
            self.heart = asyncio.create_task(self.beat())

        async def beat(self) -> None:
            while True:
                await asyncio.sleep(0.01)
                self.send(Text(text="beat"))

    with model_running(Heart, start=ALICE) as (thread, rig):
        ask(thread, "pause")
        next_session(thread)
        ask(thread, "pause")
        assert {number for _, number in said(rig)} == {1, 2}
