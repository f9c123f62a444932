import asyncio
from typing import Any

import pytest

from livereactor.client.events import BACKLOG, Emitter, Event


def message(kind: str) -> dict[str, Any]:
    return {"type": kind, "data": {}}


def test_handlers_are_called_in_the_order_of_their_registration() -> None:
    emitter, called = Emitter(), list[str]()
    emitter.on("status_changed", lambda _: called.append("first"))
    emitter.on("statusChanged", lambda _: called.append("second"))
    emitter.emit("status_changed", "ready")
    assert called == ["first", "second"]


def test_an_unknown_event_is_refused_with_the_names_of_the_others() -> None:
    with pytest.raises(ValueError, match="status_changed, session_id_changed"):
        Emitter().on("statusChange", print)


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="a handler must be callable"):
        Emitter().on("message", "print")  # pyright: ignore[reportArgumentType]


def test_the_same_handler_twice_is_called_once() -> None:
    emitter, got = Emitter(), list[str]()
    emitter.on("status_changed", got.append)
    emitter.on("status_changed", got.append)
    emitter.emit("status_changed", "ready")
    assert got == ["ready"]


def test_a_handler_for_all_and_for_some_is_called_once_for_each() -> None:
    emitter, got = Emitter(), list[str]()
    emitter.on("status_changed", got.append, only=["ready"])
    emitter.on("status_changed", got.append)
    emitter.on("status_changed", got.append, only=["connecting", "ready"])
    for status in ("connecting", "ready", "disconnected"):
        emitter.emit("status_changed", status)
    assert got == ["connecting", "ready", "disconnected"]


def test_a_raising_handler_stops_nobody() -> None:
    emitter, got = Emitter(), list[str]()
    emitter.on("status_changed", lambda _: 1 / 0)
    emitter.on("status_changed", got.append)
    emitter.emit("status_changed", "ready")
    assert got == ["ready"]


def test_a_handler_may_remove_itself_while_it_runs() -> None:
    emitter, got = Emitter(), list[str]()

    def handler(status: str) -> None:
        got.append(status)
        emitter.off("status_changed", handler)

    emitter.on("status_changed", handler)
    emitter.emit("status_changed", "connecting")
    emitter.emit("status_changed", "ready")
    assert got == ["connecting"]


def test_a_handler_removed_by_another_is_not_called_any_more() -> None:
    emitter, got = Emitter(), list[str]()
    emitter.on("status_changed", lambda _: emitter.off("status_changed", got.append))
    emitter.on("status_changed", got.append)
    emitter.emit("status_changed", "ready")
    assert got == []


def test_removing_a_handler_that_is_not_there_is_silent() -> None:
    Emitter().off("message", print)


def test_once_is_once() -> None:
    emitter, got = Emitter(), list[str]()
    emitter.once("status_changed", got.append)
    emitter.emit("status_changed", "connecting")
    emitter.emit("status_changed", "ready")
    assert got == ["connecting"]


def test_a_handler_that_asks_for_every_event_after_it_asked_for_one_gets_every_event() -> None:
    emitter, got = Emitter(), list[str]()
    emitter.once("status_changed", got.append)
    emitter.on("status_changed", got.append)
    emitter.once("status_changed", got.append)
    emitter.emit("status_changed", "connecting")
    emitter.emit("status_changed", "ready")
    assert got == ["connecting", "ready"]


def test_a_handler_gets_only_the_values_it_asked_for() -> None:
    emitter, statuses, types = Emitter(), list[str](), list[str]()
    emitter.on("status_changed", statuses.append, only=["ready"])
    emitter.on("message", lambda got: types.append(got["type"]), only=["dropped"])
    emitter.emit("status_changed", "connecting")
    emitter.emit("status_changed", "ready")
    emitter.emit("message", message("calm"))
    emitter.emit("message", message("dropped"))
    assert (statuses, types) == (["ready"], ["dropped"])


def test_a_late_handler_can_ask_for_the_present_value() -> None:
    emitter, got = Emitter(), list[str]()
    emitter.replays = {"status_changed": lambda: [("ready",)]}
    emitter.on("status_changed", got.append, replay=True)
    assert got == ["ready"]


def test_what_is_replayed_to_an_async_handler_before_there_is_a_loop_comes_with_the_first_event() -> None:
    emitter, got = Emitter(), list[str]()

    async def handler(status: str) -> None:
        got.append(status)

    emitter.replays = {"status_changed": lambda: [("disconnected",)]}
    emitter.on("status_changed", handler, replay=True)

    async def connecting() -> None:
        emitter.emit("status_changed", "connecting")
        await asyncio.sleep(0)

    asyncio.run(connecting())
    assert got == ["disconnected", "connecting"]


async def test_an_async_handler_gets_its_events_one_after_the_other_and_delays_nobody() -> None:
    emitter, log, gate = Emitter(), list[str](), asyncio.Event()

    async def slow(got: dict[str, Any]) -> None:
        log.append(f"slow begins {got['type']}")
        await gate.wait()
        log.append(f"slow ends {got['type']}")

    emitter.on("message", slow)
    emitter.on("message", lambda got: log.append(f"quick {got['type']}"))
    for kind in ("a", "b"):
        emitter.emit("message", message(kind))
    await asyncio.sleep(0)
    assert log == ["quick a", "quick b", "slow begins a"]
    gate.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert log[2:] == ["slow begins a", "slow ends a", "slow begins b", "slow ends b"]


async def test_a_raising_async_handler_gets_the_next_event_too() -> None:
    emitter, got = Emitter(), list[str]()

    async def handler(status: str) -> None:
        got.append(status)
        raise RuntimeError(status)

    emitter.on("status_changed", handler)
    emitter.emit("status_changed", "connecting")
    emitter.emit("status_changed", "ready")
    for _ in range(5):
        await asyncio.sleep(0)
    assert got == ["connecting", "ready"]


async def test_an_iterator_gives_the_messages_since_it_was_made() -> None:
    emitter = Emitter()
    emitter.emit("message", message("before"))
    messages = emitter.messages()
    emitter.emit("message", message("after"))
    emitter.end_streams()
    assert [got["type"] async for got in messages] == ["after"]


async def test_an_iterator_gives_only_the_type_it_was_made_for() -> None:
    emitter = Emitter()
    messages = emitter.messages("dropped")
    for kind in ("calm", "dropped"):
        emitter.emit("message", message(kind))
    emitter.end_streams()
    assert [got["type"] async for got in messages] == ["dropped"]


async def test_an_iterator_that_nobody_reads_loses_the_oldest_and_counts_them() -> None:
    emitter = Emitter()
    messages = emitter.messages()
    for number in range(BACKLOG + 3):
        emitter.emit("message", {"type": "n", "data": {"n": number}})
    assert messages.dropped == 3
    assert (await anext(messages))["data"] == {"n": 3}


async def test_an_iterator_of_events_gives_name_and_arguments() -> None:
    emitter = Emitter()
    events = emitter.events()
    emitter.emit("session_id_changed", "ses_1")
    assert await anext(events) == Event("session_id_changed", ("ses_1",))


async def test_a_waiting_iterator_ends_with_the_session() -> None:
    emitter = Emitter()
    waiting = asyncio.create_task(anext(emitter.messages(), None))
    await asyncio.sleep(0)
    emitter.end_streams()
    async with asyncio.timeout(5):
        assert await waiting is None


async def test_an_iterator_that_is_made_when_nothing_comes_any_more_ends_at_once() -> None:
    emitter = Emitter()
    emitter.end_streams(for_good=True)
    async with asyncio.timeout(1.0):
        assert [event async for event in emitter.events()] == []
        assert [message async for message in emitter.messages()] == []
