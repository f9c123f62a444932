"""The model thread on its real thread: when handlers and steps run, and what becomes of failures.

Long because all of it is one machine with one rig, and a reader looks for a behaviour here first.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
import structlog

import livereactor as lr
from livereactor.base.errors import CommandError, LivereactorError, UnavailableError
from livereactor.base.limits import Limits
from livereactor.media.frames import Frame
from livereactor.runtime.execution.model_thread import ModelThread
from livereactor.runtime.interfaces import (
    Call,
    LoadFailed,
    MessageSent,
    ReceivedFile,
    SessionFailed,
    SessionStart,
    StepInput,
    StepsDone,
    StreamEnded,
)
from tests.unit.runtime.execution.rig import OWNER, PATIENCE, Rig, call, model_running

TRACEBACKS = (structlog.processors.format_exc_info,)


def picture(value: int) -> np.ndarray:
    return np.full((4, 4, 3), value % 256, np.uint8)


class Said1(lr.Message):
    text: str


class Counter(lr.Model):
    main_video = lr.VideoOut(fps=60)
    webcam = lr.VideoIn()
    level: int = lr.param(0, ge=0, le=200)

    def load(self) -> None:
        self.log_: list[Any] = []
        self.gate = threading.Event()
        self.gate.set()
        self.inside = threading.Event()
        self.stepping = False

    def open(self, session: lr.Session) -> None:
        self.log_.append(("open", session.id))
        self.count = 0

    def close(self, session: lr.Session) -> None:
        self.log_.append(("close", session.id))

    def joined(self, client: lr.Client) -> None:
        client.send(Said1(text=f"hello {client.id}"))

    @lr.command
    def note(self, n: int) -> None:
        assert not self.stepping
        self.log_.append(n)

    @lr.command
    def notes(self) -> Said1:
        return Said1(text=",".join(str(each) for each in self.log_))

    @lr.command
    def announce(self) -> Said1:
        self.send(Said1(text="to all"))
        return Said1(text="to you")

    @lr.command
    def refuse(self) -> None:
        raise lr.CommandError("busy", "come back later")

    @lr.command
    def crash(self) -> None:
        raise KeyError("secret-detail")

    @lr.command
    def size_of(self, file: lr.File) -> Said1:
        return Said1(text=f"{file.name} {file.size}")

    def stream(self) -> Iterator[Any]:
        while True:
            self.stepping = True
            self.inside.set()
            self.gate.wait(PATIENCE)
            self.count += 1
            self.log_.append("step")
            self.stepping = False
            yield picture(self.level or self.count)


def test_a_command_that_arrives_in_a_step_runs_after_it_and_before_the_next() -> None:
    with model_running(Counter) as (thread, rig):
        rig.until(lambda: rig.emissions)
        model: Any = thread.runner.model
        model.gate.clear()
        model.inside.clear()
        assert model.inside.wait(PATIENCE)
        future = thread.call(call("note", n=7), OWNER)
        assert not future.done()
        model.log_.clear()
        model.gate.set()
        assert future.result(PATIENCE) is None
        count = len(rig.emissions)
        rig.until(lambda: len(rig.emissions) > count)
        assert model.log_[:3] == ["step", 7, "step"]


def test_a_thousand_commands_run_in_order_each_with_one_outcome() -> None:
    with model_running(Counter) as (thread, _):
        futures = [thread.call(call("note", n=n), OWNER) for n in range(1000)]
        assert all(future.result(PATIENCE) is None for future in futures)
        text = thread.call(call("notes"), OWNER).result(PATIENCE)
        assert text is not None
        assert [each for each in text.data["text"].split(",") if each.isdigit()] == [str(n) for n in range(1000)]


def test_more_commands_than_the_queue_holds_are_refused_at_once() -> None:
    with model_running(Counter, limits=Limits(command_queue=3)) as (thread, rig):
        rig.until(lambda: rig.emissions)
        model: Any = thread.runner.model
        model.gate.clear()
        model.inside.clear()
        assert model.inside.wait(PATIENCE)
        futures = [thread.call(call("note", n=n), OWNER) for n in range(5)]
        assert [future.done() for future in futures] == [False, False, False, True, True]
        with pytest.raises(UnavailableError, match="3 commands or 64 MiB") as caught:
            futures[3].result(0)
        assert caught.value.code == "RATE_LIMITED"
        model.gate.set()
        assert [future.result(PATIENCE) for future in futures[:3]] == [None] * 3


def test_an_authors_refusal_reaches_the_caller_unchanged() -> None:
    with model_running(Counter) as (thread, _), pytest.raises(CommandError, match="come back later") as caught:
        thread.call(call("refuse"), OWNER).result(PATIENCE)
    assert caught.value.code == "busy"


def test_a_crash_in_a_handler_is_an_internal_error_without_detail_and_in_the_log_once() -> None:
    with structlog.testing.capture_logs() as logs, model_running(Counter) as (thread, rig):
        with pytest.raises(LivereactorError) as caught:
            thread.call(call("crash"), OWNER).result(PATIENCE)
        assert caught.value.code == "internal_error"
        assert "secret" not in caught.value.message
        count = len(rig.emissions)
        rig.until(lambda: len(rig.emissions) > count)
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["command failed"]


def test_a_reply_goes_before_what_the_handler_said() -> None:
    with model_running(Counter) as (thread, rig):
        order: list[str] = []
        future = thread.call(call("announce"), OWNER)
        future.add_done_callback(lambda _: order.append(f"reply after {len(rig.of(MessageSent))}"))
        rig.until(lambda: rig.of(MessageSent))
        future.result(PATIENCE)
        assert order == ["reply after 0"]


def test_a_message_to_one_client_names_it() -> None:
    with model_running(Counter) as (thread, rig):
        thread.join(OWNER)
        rig.until(lambda: rig.of(MessageSent))
        said = rig.of(MessageSent)[0]
        assert (said.client, said.message.type, said.message.data) == (1001, "said1", {"text": "hello 1001"})


def test_a_file_arrives_as_its_bytes_and_name() -> None:
    with model_running(Counter) as (thread, _):
        file = ReceivedFile("u1", "a.png", "image/png", b"12345")
        reply = thread.call(call("size_of", file=file), OWNER).result(PATIENCE)
        assert reply is not None
        assert reply.data == {"text": "a.png 5"}


def test_without_viewers_no_step_runs_but_commands_do() -> None:
    with model_running(Counter, wanted=False) as (thread, rig):
        assert thread.call(call("note", n=1), OWNER).result(PATIENCE) is None
        assert rig.emissions == []
        thread.want(frozenset({"main_video"}))
        rig.until(lambda: rig.emissions)
        thread.want(frozenset())
        thread.call(call("note", n=2), OWNER).result(PATIENCE)
        count = len(rig.emissions)
        thread.call(call("note", n=3), OWNER).result(PATIENCE)
        assert len(rig.emissions) == count


def test_a_full_output_holds_the_next_step_until_there_is_room() -> None:
    with model_running(Counter) as (thread, rig):
        rig.until(lambda: rig.emissions)
        rig.room = False
        thread.call(call("note", n=1), OWNER).result(PATIENCE)
        thread.call(call("note", n=2), OWNER).result(PATIENCE)
        count = len(rig.emissions)
        thread.call(call("note", n=3), OWNER).result(PATIENCE)
        assert len(rig.emissions) == count
        rig.room = True
        rig.callback()
        rig.until(lambda: len(rig.emissions) > count)


def test_the_next_session_finds_everything_at_its_default() -> None:
    with model_running(Counter) as (thread, rig):
        thread.call(call("set_level", level=99), OWNER).result(PATIENCE)
        thread.feed("webcam", Frame(picture(1)))
        thread.runner.input_active("webcam", True)
        rig.until(lambda: 99 in rig.firsts())
        model: Any = thread.runner.model
        thread.close("stopped").result(PATIENCE)
        assert model.log_[-1] == ("close", "ses_1")
        assert (model.level, model.webcam.latest(), model.webcam.active) == (0, None, False)
        rig.emissions.clear()
        thread.open(SessionStart("ses_2")).result(PATIENCE)
        rig.until(lambda: rig.emissions)
        assert rig.firsts()[0] == 1


def test_commands_still_waiting_when_a_session_ends_are_told_so() -> None:
    with model_running(Counter) as (thread, rig):
        rig.until(lambda: rig.emissions)
        model: Any = thread.runner.model
        model.gate.clear()
        model.inside.clear()
        assert model.inside.wait(PATIENCE)
        future = thread.call(call("note", n=1), OWNER)
        closed = thread.close("stopped")
        model.gate.set()
        closed.result(PATIENCE)
        with pytest.raises(UnavailableError) as caught:
            future.result(PATIENCE)
        assert caught.value.code == "session_ended"


def test_what_a_session_set_on_the_model_is_gone_in_the_next() -> None:
    class Keeps(lr.Model):
        main_video = lr.VideoOut()

        def load(self) -> None:
            self.prompt = ""

        @lr.command
        def set_prompt(self, prompt: str) -> None:
            self.prompt = self.secret = prompt

        @lr.command
        def look(self) -> Said1:
            return Said1(text=f"{self.prompt!r} {hasattr(self, 'secret')}")

        def stream(self) -> Iterator[Any]:
            while True:
                yield None

    with model_running(Keeps) as (thread, _):
        thread.call(call("set_prompt", prompt="mine"), OWNER).result(PATIENCE)
        thread.close("stopped").result(PATIENCE)
        thread.open(SessionStart("ses_2")).result(PATIENCE)
        reply = thread.call(call("look"), OWNER).result(PATIENCE)
        assert reply is not None
        assert reply.data["text"] == "'' False"


def test_a_stage_that_breaks_says_that_its_worker_cannot_go_on() -> None:
    class Evil(lr.Model):
        main_video = lr.VideoOut()

        def stream(self) -> Iterator[Any]:
            raise BaseException("not even an Exception")
            yield

    with structlog.testing.capture_logs(), model_running(Evil) as (_, rig):
        rig.until(lambda: rig.of(SessionFailed))
        assert not rig.of(SessionFailed)[0].reusable


def test_a_cancelled_handler_is_a_failed_command_and_the_model_goes_on() -> None:
    class Cancels(lr.Model):
        main_video = lr.VideoOut()

        @lr.command
        async def give_up(self) -> None:
            raise asyncio.CancelledError

        def stream(self) -> Iterator[Any]:
            while True:
                yield picture(1)

    with structlog.testing.capture_logs(), model_running(Cancels) as (thread, rig):
        with pytest.raises(LivereactorError) as caught:
            thread.call(call("give_up"), OWNER).result(PATIENCE)
        assert caught.value.code == "internal_error"
        count = len(rig.emissions)
        rig.until(lambda: len(rig.emissions) > count)


class Breaks(lr.Model):
    main_video = lr.VideoOut()

    def open(self, session: lr.Session) -> None:
        if session.extra_args.get("refuse"):
            raise RuntimeError("no memory left")

    def stream(self) -> Iterator[Any]:
        yield picture(1)
        raise ValueError("the grid is empty")


def test_an_exception_in_stream_ends_the_session_and_the_next_one_opens() -> None:
    with structlog.testing.capture_logs() as logs, model_running(Breaks) as (thread, rig):
        rig.until(lambda: rig.of(SessionFailed))
        failed = rig.of(SessionFailed)[0]
        assert failed.reusable
        assert re.fullmatch(r"the model stopped with an error at test_model_thread.py:\d+; its log .*", failed.reason)
        thread.close("error").result(PATIENCE)
        count = len(rig.emissions)
        thread.open(SessionStart("ses_2")).result(PATIENCE)
        rig.until(lambda: len(rig.emissions) > count)
        rig.until(lambda: len(rig.of(SessionFailed)) == 2)
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["stream failed"] * 2


def test_a_model_whose_open_fails_twice_is_not_reusable() -> None:
    with model_running(Breaks) as (thread, rig):
        thread.close("stopped").result(PATIENCE)
        rig.events.clear()
        for _ in range(2):
            with pytest.raises(LivereactorError):
                thread.open(SessionStart("ses_2", {"refuse": True})).result(PATIENCE)
        assert [event.reusable for event in rig.of(SessionFailed)] == [True, False]


class Wrong(lr.Model):
    main_video = lr.VideoOut()

    def stream(self) -> Iterator[Any]:
        yield {"main_vidoe": picture(1)}


def test_a_yield_that_cannot_be_sent_ends_the_session_with_what_was_expected() -> None:
    with structlog.testing.capture_logs(TRACEBACKS) as logs, model_running(Wrong) as (_, rig):
        rig.until(lambda: rig.of(SessionFailed))
        assert "did you mean 'main_video'?" in logs[-1]["exception"]


class Short(lr.Model):
    main_video = lr.VideoOut(fps=100)

    def stream(self) -> Iterator[Any]:
        for n in range(3):
            yield picture(n)


def test_a_stream_that_returns_ends_its_session() -> None:
    with model_running(Short) as (_, rig):
        rig.until(lambda: rig.of(StreamEnded))
        assert rig.firsts() == [0, 1, 2]


def test_a_bounded_session_makes_its_steps_and_no_more() -> None:
    with model_running(Counter, start=SessionStart("ses_1", steps=2)) as (thread, rig):
        rig.until(lambda: rig.of(StepsDone))
        thread.call(call("note", n=1), OWNER).result(PATIENCE)
        assert rig.firsts() == [1, 2]


def test_starting_input_is_applied_before_the_first_frame() -> None:
    starting = [("state.level", Call("set_level", {"level": 77}))]
    with model_running(Counter, start=SessionStart("ses_1", starting=starting)) as (_, rig):
        rig.until(lambda: rig.emissions)
        assert rig.firsts()[0] == 77


def test_starting_input_that_is_refused_opens_no_session() -> None:
    with model_running(Counter) as (thread, rig):
        thread.close("stopped").result(PATIENCE)
        rig.emissions.clear()
        with pytest.raises(LivereactorError, match=r"commands\[0\]: come back later") as caught:
            thread.open(SessionStart("ses_2", starting=[("commands[0]", Call("refuse", {}))])).result(PATIENCE)
        assert caught.value.code == "busy"
        with pytest.raises(UnavailableError):
            thread.call(call("note", n=1), OWNER).result(PATIENCE)
        assert rig.emissions == []


class NoLoad(lr.Model):
    main_video = lr.VideoOut()

    def load(self) -> None:
        raise FileNotFoundError("vae.safetensors is not there")

    def stream(self) -> Iterator[Any]:
        yield None


def test_a_load_that_fails_is_told_in_one_sentence_with_its_line() -> None:
    with structlog.testing.capture_logs(), model_running(NoLoad) as (thread, rig):
        assert "FileNotFoundError: vae.safetensors is not there (test_model_thread.py:" in rig.of(LoadFailed)[0].reason
        with pytest.raises(UnavailableError):
            thread.open(SessionStart("ses_1")).result(PATIENCE)


class Async(lr.Model):
    main_video = lr.VideoOut(fps=100)

    async def load(self) -> None:
        await asyncio.sleep(0)
        self.ended: list[str] = []

    async def open(self, session: lr.Session) -> None:
        self.value = 0
        self.fifth = threading.Event()
        self.task = asyncio.create_task(self.tick())

    async def close(self, session: lr.Session) -> None:
        self.task.cancel()
        self.ended.append("close")

    async def tick(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0.001)
        self.fifth.set()

    @lr.command
    async def set_value(self, value: int) -> Said1:
        await asyncio.sleep(0)
        self.value = value
        return Said1(text=str(value))

    async def stream(self) -> AsyncIterator[Any]:
        try:
            while True:
                await asyncio.sleep(0)
                yield picture(self.value)
        finally:
            await asyncio.sleep(0)
            self.ended.append("stream")


def test_async_hooks_handlers_and_stream_work() -> None:
    with model_running(Async) as (thread, rig):
        reply = thread.call(call("set_value", value=42), OWNER).result(PATIENCE)
        assert reply is not None
        assert reply.data == {"text": "42"}
        rig.until(lambda: 42 in rig.firsts())
        model: Any = thread.runner.model
        thread.close("stopped").result(PATIENCE)
        assert model.ended == ["stream", "close"]


def test_tasks_of_an_async_model_go_on_while_it_waits() -> None:
    with model_running(Async, wanted=False) as (thread, _):
        model: Any = thread.runner.model
        assert model.fifth.wait(PATIENCE)


class Watcher(lr.Model):
    main_video = lr.VideoOut(fps=30)
    webcam = lr.VideoIn()

    def open(self, session: lr.Session) -> None:
        self.offset = 0

    @lr.command
    def shift(self, by: int) -> None:
        self.offset = by

    def stream(self) -> Iterator[Any]:
        for frame in self.webcam.frames():
            yield picture(int(frame.pixels[0, 0, 0]) + self.offset)


def test_commands_run_and_sessions_end_while_a_model_waits_for_a_frame() -> None:
    with model_running(Watcher) as (thread, rig):
        assert thread.call(call("shift", by=10), OWNER).result(PATIENCE) is None
        thread.feed("webcam", Frame(picture(5)))
        rig.until(lambda: rig.emissions)
        assert rig.firsts() == [15]
        thread.close("stopped").result(PATIENCE)
        thread.open(SessionStart("ses_2")).result(PATIENCE)
        thread.feed("webcam", Frame(picture(6)))
        rig.until(lambda: len(rig.emissions) == 2)
        assert rig.firsts() == [15, 6]


class Waiter(lr.Model):
    main_video = lr.VideoOut(fps=1)
    webcam = lr.VideoIn()

    def open(self, session: lr.Session) -> None:
        self.asked = 0

    def stream(self) -> Iterator[Any]:
        while True:
            frame = self.webcam.latest()
            self.asked += 1
            yield lr.wait_for(self.webcam) if frame is None else frame


def test_frames_in_an_async_stream_says_what_to_write_instead() -> None:
    class Blocks(lr.Model):
        main_video = lr.VideoOut()
        webcam = lr.VideoIn()

        async def stream(self) -> AsyncIterator[Any]:
            for frame in self.webcam.frames():
                yield frame

    with structlog.testing.capture_logs(TRACEBACKS) as logs, model_running(Blocks) as (_, rig):
        rig.until(lambda: rig.of(SessionFailed))
        assert "yield lr.wait_for(self.webcam)" in logs[-1]["exception"]


def test_waiting_for_input_takes_no_steps_and_a_frame_ends_it_at_once() -> None:
    with model_running(Waiter) as (thread, rig):
        thread.want(frozenset({"main_video"}))
        model: Any = thread.runner.model
        thread.feed("webcam", Frame(picture(9), user_data=b"tag"))
        rig.until(lambda: rig.emissions)
        assert model.asked == 2
        frame: Any = rig.emissions[0]["main_video"][0]  # type: ignore[index]
        assert (frame.pixels[0, 0, 0], frame.user_data) == (9, b"tag")


def test_pacing_and_fps_change_while_running() -> None:
    class Tuned(lr.Model):
        main_video = lr.VideoOut(fps=1)

        @lr.command
        def faster(self) -> None:
            self.main_video.fps = 100
            self.main_video.flush()

        def stream(self) -> Iterator[Any]:
            while True:
                yield picture(1)

    with model_running(Tuned) as (thread, rig):
        thread.call(call("faster"), OWNER).result(PATIENCE)
        rig.until(lambda: len(rig.emissions) > 20)
        assert rig.times[-1] - rig.times[0] < 2
        assert (rig.fps, rig.flushed) == ({"main_video": 100}, ["main_video"])
        thread.close("stopped").result(PATIENCE)
        assert rig.fps == {"main_video": 1}


def test_a_stepped_session_runs_state_commands_media_and_one_step() -> None:
    class Mix(lr.Model):
        main_video = lr.VideoOut()
        webcam = lr.VideoIn()
        gain: int = lr.param(1)

        @lr.command
        def refuse(self) -> None:
            raise lr.CommandError("no")

        def stream(self) -> Iterator[Any]:
            while True:
                frame = self.webcam.latest()
                yield picture(0 if frame is None else int(frame.pixels[0, 0, 0]) * self.gain)

    with model_running(Mix, start=SessionStart("ses_1", stepped=True)) as (thread, rig):
        request = StepInput([("state.gain", Call("set_gain", {"gain": 3}))], [], {"webcam": [Frame(picture(5))]})
        done = thread.step(request).result(PATIENCE)
        frame: Any = done.tracks["main_video"][0]
        assert (done.step, frame.pixels[0, 0, 0], done.error) == (1, 15, None)
        refused = thread.step(StepInput(commands=[("commands[0]", Call("refuse", {}))])).result(PATIENCE)
        assert (refused.command_code, refused.entry, refused.tracks) == ("no", "commands[0]", {})
        assert thread.step(StepInput()).result(PATIENCE).step == 2
        assert rig.emissions == []


def test_a_model_that_hangs_does_not_hold_up_the_end() -> None:
    inside, release = threading.Event(), threading.Event()

    class Hangs(lr.Model):
        main_video = lr.VideoOut()

        def stream(self) -> Iterator[Any]:
            yield picture(1)
            inside.set()
            release.wait()
            yield picture(2)

    rig = Rig()
    thread = ModelThread(Hangs, sink=rig, listener=rig.listen)
    thread.start()
    thread.want(frozenset({"main_video"}))
    thread.open(SessionStart("ses_1")).result(PATIENCE)
    assert inside.wait(PATIENCE)
    closed = thread.close("stopped")
    try:
        assert thread.stop(0.05) is False
        with pytest.raises(UnavailableError):
            closed.result(0)
    finally:
        release.set()
        assert thread.stop(PATIENCE)


@pytest.mark.parametrize("keep", [True, False])
def test_a_newer_class_goes_on_with_what_load_made_or_loads_anew(keep: bool) -> None:
    def version(value: int) -> type[lr.Model]:
        class Twice(lr.Model):
            main_video = lr.VideoOut(fps=100)

            def load(self) -> None:
                self.loaded = value

            @lr.command
            def loaded_by(self) -> Said1:
                return Said1(text=str(self.loaded))

            def stream(self) -> Iterator[Any]:
                while True:
                    yield picture(value)

        return Twice

    with model_running(version(1)) as (thread, rig):
        rig.until(lambda: 1 in rig.firsts())
        thread.reload(version(2), keep=keep).result(PATIENCE)
        thread.open(SessionStart("ses_2")).result(PATIENCE)
        reply = thread.call(call("loaded_by"), OWNER).result(PATIENCE)
        assert reply is not None
        assert reply.data["text"] == ("1" if keep else "2")
        rig.until(lambda: 2 in rig.firsts())


def test_a_command_makes_the_next_frame_at_once() -> None:
    class Slow(lr.Model):
        main_video = lr.VideoOut(fps=2)
        colour: int = lr.param(0)

        def stream(self) -> Iterator[Any]:
            while True:
                yield picture(self.colour)

    with model_running(Slow) as (thread, rig):
        rig.until(lambda: len(rig.emissions) == 2)  # the next tick is half a second away, the bound a quarter
        began = rig.times[-1]
        thread.call(call("set_colour", colour=9), OWNER).result(PATIENCE)
        rig.until(lambda: 9 in rig.firsts())
        assert rig.times[-1] - began < 0.4
