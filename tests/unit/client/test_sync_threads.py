"""The loop's thread and the handlers' thread: what waits, what is cancelled, what is in order."""

from __future__ import annotations

import asyncio
import atexit
import signal
import threading
import time
from collections.abc import Callable

import pytest

from livereactor.client._sync import loop as sync_loop
from livereactor.client._sync.generated.reactor import SyncTrack
from livereactor.client._sync.loop import HandlerThread, LoopThread
from livereactor.client._sync.support import SyncEmitter, SyncTracks
from livereactor.client.events import Emitter

PATIENCE = 30.0  # seconds for what takes a moment on an idle machine


@pytest.fixture
def loop() -> LoopThread:
    return LoopThread()


@pytest.fixture
def handlers() -> HandlerThread:
    return HandlerThread()


def test_work_is_done_on_another_thread_and_its_result_comes_back(loop: LoopThread) -> None:
    async def work() -> threading.Thread:
        return threading.current_thread()

    assert loop.run(work()) is loop.run(work()) is not threading.current_thread()


def test_an_error_comes_back_as_the_same_object(loop: LoopThread) -> None:
    error = ValueError("x")

    async def work() -> None:
        raise error

    with pytest.raises(ValueError, match="x") as caught:
        loop.run(work())
    assert caught.value is error


def test_a_timeout_of_the_work_is_the_works_own(loop: LoopThread) -> None:
    async def work() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        loop.run(work())


def test_the_loops_own_thread_is_refused_instead_of_waiting_for_itself(loop: LoopThread) -> None:
    async def work() -> None:
        loop.run(asyncio.sleep(0))

    with pytest.raises(RuntimeError, match="use Reactor here"):
        loop.run(work())


def test_ctrl_c_cancels_the_work_and_waits_until_it_has_cleared_up(loop: LoopThread) -> None:
    done: list[str] = []

    async def work() -> None:
        try:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # as the kernel does it
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            done.append("cleared up")

    with pytest.raises(KeyboardInterrupt):
        loop.run(work())
    assert done == ["cleared up"]


def test_a_callback_that_never_ends_does_not_keep_the_interpreter(
    loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_loop, "AT_EXIT", 0.05)
    at_exit: list[Callable[[], None]] = []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    held, over = threading.Event(), threading.Event()

    async def hang() -> None:
        held.set()
        over.wait(PATIENCE)

    program = threading.Thread(target=lambda: loop.run(hang()))
    program.start()
    assert held.wait(PATIENCE)
    for call in at_exit:
        call()
    over.set()
    program.join(PATIENCE)
    assert len(at_exit) == 1


def test_many_threads_wait_at_once(loop: LoopThread) -> None:
    meeting = asyncio.Barrier(8)
    met: list[int] = []

    async def work() -> int:
        return await meeting.wait()

    threads = [threading.Thread(target=lambda: met.append(loop.run(work()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(met) == list(range(8))


def test_handlers_run_in_order_and_one_that_raises_stops_no_other(handlers: HandlerThread) -> None:
    called: list[int] = []
    for number in range(100):
        handlers.submit(lambda number=number: called.append(number))
        if number % 40 == 0:
            handlers.submit(lambda: 1 / 0)  # type: ignore[arg-type]
    handlers.drain(PATIENCE)
    assert called == list(range(100))


def test_settling_on_the_handlers_own_thread_returns_at_once(handlers: HandlerThread) -> None:
    settled = threading.Event()

    def handler() -> None:
        handlers.drain(PATIENCE)
        settled.set()

    handlers.submit(handler)
    assert settled.wait(PATIENCE)


def test_settling_behind_a_full_queue_waits_for_its_handlers_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_loop, "BACKLOG", 4)
    handlers, go, called = HandlerThread(), threading.Event(), list[int]()
    handlers.submit(lambda: [None][not go.wait(PATIENCE)])
    for number in range(8):
        handlers.submit(lambda number=number: called.append(number))
    threading.Timer(0.05, go.set).start()
    began = time.monotonic()
    handlers.drain(PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2
    assert called[:3] == [0, 1, 2]


def test_an_idle_thread_ends_and_the_next_event_starts_another(
    handlers: HandlerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_loop, "IDLE", 0.01)
    seen: list[threading.Thread] = []
    for _ in range(2):
        handlers.submit(lambda: seen.append(threading.current_thread()))
        handlers.drain(PATIENCE)
        seen[-1].join(PATIENCE)
        assert not seen[-1].is_alive()
    assert seen[0] is not seen[1]


def test_what_is_too_much_is_lost_and_the_rest_stays_in_order(
    handlers: HandlerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, called = threading.Event(), list[int]()
    handlers.submit(lambda: [None][not go.wait(PATIENCE)])
    for number in range(2 * sync_loop.BACKLOG):
        handlers.submit(lambda number=number: called.append(number))
    go.set()
    while not called or called[-1] < sync_loop.BACKLOG - 2:
        handlers.drain(PATIENCE)
    assert called == list(range(len(called)))
    assert sync_loop.BACKLOG - 1 <= len(called) <= sync_loop.BACKLOG


@pytest.fixture
def emitter() -> Emitter:
    made = Emitter()
    made.replays = {"status_changed": lambda: [("ready",)]}
    return made


@pytest.fixture
def listening(emitter: Emitter) -> SyncEmitter:
    return SyncEmitter(emitter, SyncTracks(SyncTrack))


def settled(listening: SyncEmitter) -> None:
    listening.thread.drain(PATIENCE)


def test_a_handler_is_called_once_however_often_it_was_registered(emitter: Emitter, listening: SyncEmitter) -> None:
    called: list[str] = []
    for _ in range(3):
        listening.on("message", called.append)
    emitter.emit("message", {"type": "a"})
    settled(listening)
    assert len(called) == 1


def test_a_handler_that_was_taken_off_is_not_called(emitter: Emitter, listening: SyncEmitter) -> None:
    called: list[str] = []
    listening.on("error", called.append)
    listening.off("error", called.append)
    emitter.emit("error", "x")
    settled(listening)
    assert called == []


def test_once_is_once(emitter: Emitter, listening: SyncEmitter) -> None:
    called: list[str] = []
    listening.once("error", called.append)
    emitter.emit("error", "x")
    emitter.emit("error", "y")
    settled(listening)
    assert called == ["x"]


def test_a_handler_may_wait_for_the_loop_and_an_async_one_is_waited_for(
    emitter: Emitter, listening: SyncEmitter
) -> None:
    called: list[str] = []

    def plain(status: str) -> None:
        sync_loop.LOOP.run(asyncio.sleep(0.02))
        called.append(f"plain {status}")

    async def later(status: str) -> None:
        await asyncio.sleep(0.02)
        called.append(f"async {status}")

    listening.on("status_changed", plain)
    listening.on("status_changed", later)

    async def emit() -> None:
        emitter.emit("status_changed", "waiting")
        emitter.emit("status_changed", "ready")

    sync_loop.LOOP.run(emit())
    settled(listening)
    assert called == ["plain waiting", "async waiting", "plain ready", "async ready"]


def test_a_replay_has_been_handled_when_on_returns(listening: SyncEmitter) -> None:
    called: list[str] = []
    listening.on("status_changed", called.append, replay=True)
    assert called == ["ready"]


@pytest.mark.parametrize("wrong", [None, "handler"])
def test_what_cannot_be_called_is_refused(listening: SyncEmitter, wrong: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match="a handler must be callable"):
        listening.on("error", wrong)


def test_an_unknown_event_is_refused(listening: SyncEmitter) -> None:
    with pytest.raises(ValueError, match="no event 'ready'"):
        listening.on("ready", print)
