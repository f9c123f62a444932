"""Events reach an operator's service at least once, in order, and signed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from livereactor.coordinator import webhooks as module
from livereactor.coordinator.webhooks import Webhooks
from livereactor.store.memory.store import MemoryStore
from livereactor.store.records import EventRecord

NOW_US = 1_900_000_000_000_000
SECRET = "a secret of some length"
URL = "https://ops.example/hook"


class Receiver:
    """The operator's service: what it got, and what it answers."""

    def __init__(self) -> None:
        self.got: list[httpx2.Request] = []
        self.answer: Callable[[], httpx2.Response] = lambda: httpx2.Response(204)
        self.meanwhile: Callable[[], Awaitable[object]] | None = None  # before the first answer, or each that hangs

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.got.append(request)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            try:
                await meanwhile()
            except asyncio.CancelledError:
                self.meanwhile = meanwhile
                raise
        return self.answer()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.got]

    @property
    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.got]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.0)


def hooks(
    store: MemoryStore,
    receiver: Receiver,
    *secrets: str,
    url: str = URL,
    unix_us: Callable[[], int] = lambda: NOW_US,
) -> Webhooks:
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(receiver))
    return Webhooks(store, url=url, secrets=secrets or [SECRET], unix_us=unix_us, client=client)


async def happens(store: MemoryStore, kind: str = "session.ended", **data: Any) -> None:
    event = EventRecord(kind, NOW_US, "ses_1", "acme", {"model": "pond", **data})
    await store.transact(lambda tx: tx.add_event(event))


async def test_what_happens_is_told_in_order_and_once(store: MemoryStore, receiver: Receiver) -> None:
    told = hooks(store, receiver)
    assert await told.deliver()
    for kind in ("session.created", "session.ended"):
        await happens(store, kind, token="jti")
    assert await told.deliver()
    assert await told.deliver()
    assert [body["type"] for body in receiver.bodies] == ["session.created", "session.ended"]
    assert receiver.bodies[0] == {
        "type": "session.created",
        "timestamp": "2030-03-17T17:46:40+00:00",
        "data": {"session_id": "ses_1", "account": "acme", "model": "pond"},
    }


async def test_what_happened_before_they_were_switched_on_is_not_told(store: MemoryStore, receiver: Receiver) -> None:
    await happens(store)
    told = hooks(store, receiver)
    assert await told.deliver()
    assert not receiver.got
    await happens(store)
    assert await told.deliver()
    assert receiver.ids == ["evt_2"]


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        (SECRET, SECRET.encode()),
        ("whsec_" + base64.b64encode(b"k" * 24).decode(), b"k" * 24),
        ("whsec_not base64!", b"whsec_not base64!"),
    ],
)
async def test_each_is_signed_as_the_specification_says(
    store: MemoryStore, receiver: Receiver, secret: str, key: bytes
) -> None:
    told = hooks(store, receiver, secret)
    await told.deliver()
    await happens(store)
    await told.deliver()
    (request,) = receiver.got
    at = request.headers["webhook-timestamp"]
    assert at == "1900000000"
    assert request.headers["webhook-signature"] == signature(request, key)


async def test_while_a_secret_is_replaced_the_old_and_the_new_both_sign(store: MemoryStore, receiver: Receiver) -> None:
    told = hooks(store, receiver, "the new secret", "the old secret")
    await told.deliver()
    await happens(store)
    await told.deliver()
    (request,) = receiver.got
    signatures = request.headers["webhook-signature"].split(" ")
    assert signatures == [signature(request, b"the new secret"), signature(request, b"the old secret")]


def signature(request: httpx2.Request, key: bytes) -> str:
    content = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.content
    return f"v1,{base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()}"


@pytest.mark.parametrize("status", [500, 503, 429, 408])
async def test_one_that_is_not_taken_now_is_told_again_under_its_id(
    store: MemoryStore, receiver: Receiver, status: int
) -> None:
    told = hooks(store, receiver)
    await told.deliver()
    await happens(store)
    await happens(store)
    receiver.answer = lambda: httpx2.Response(status)
    assert not await told.deliver()
    assert receiver.ids == ["evt_1"] * module.ATTEMPTS
    receiver.answer = lambda: httpx2.Response(200)
    assert await told.deliver()
    assert receiver.ids[module.ATTEMPTS :] == ["evt_1", "evt_2"]


async def test_a_receiver_that_is_not_there_is_waited_for(store: MemoryStore, receiver: Receiver) -> None:
    told = hooks(store, receiver)
    await told.deliver()
    await happens(store)

    def nobody() -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    receiver.answer = nobody
    assert not await told.deliver()
    receiver.answer = lambda: httpx2.Response(200)
    assert await told.deliver()
    assert set(receiver.ids) == {"evt_1"}


async def test_one_that_is_refused_for_good_does_not_keep_the_others(store: MemoryStore, receiver: Receiver) -> None:
    told = hooks(store, receiver)
    await told.deliver()
    await happens(store)
    await happens(store)
    answers = iter([httpx2.Response(400), httpx2.Response(200)])
    receiver.answer = lambda: next(answers)
    assert await told.deliver()
    assert receiver.ids == ["evt_1", "evt_2"]


async def test_a_replacement_goes_on_at_once_where_the_one_before_it_ended(
    store: MemoryStore, receiver: Receiver
) -> None:
    first = hooks(store, receiver)
    await first.deliver()
    await happens(store)
    await first.deliver()
    await first.aclose()
    await happens(store)
    second = hooks(store, receiver)
    await second.deliver()
    assert receiver.ids == ["evt_1", "evt_2"]


async def test_only_one_of_several_replicas_tells(store: MemoryStore, receiver: Receiver) -> None:
    first, second = hooks(store, receiver), hooks(store, receiver)
    await first.deliver()
    await happens(store)
    assert await second.deliver()
    assert not receiver.got
    await first.deliver()
    assert receiver.ids == ["evt_1"]


async def test_the_end_of_one_that_does_not_lead_takes_nothing_from_the_one_that_does(
    store: MemoryStore, receiver: Receiver
) -> None:
    leading, other, third = (hooks(store, receiver) for _ in range(3))
    await leading.deliver()
    await other.deliver()
    await other.aclose()
    await happens(store)
    await third.deliver()
    assert receiver.ids == []
    await leading.deliver()
    assert receiver.ids == ["evt_1"]


async def test_whoever_was_overtaken_sets_no_cursor_back(store: MemoryStore, receiver: Receiver) -> None:
    now_us = NOW_US
    slow, late = (hooks(store, receiver, unix_us=lambda: now_us) for _ in range(2))
    await slow.deliver()
    await happens(store)
    await happens(store)

    async def overtaken() -> None:  # while the first waits for its answer
        nonlocal now_us
        now_us += round((module.LEADS_FOR + 1) * 1e6)
        assert await late.deliver()

    receiver.meanwhile = overtaken
    assert await slow.deliver()
    await happens(store)
    assert await late.deliver()
    assert receiver.ids == ["evt_1", "evt_1", "evt_2", "evt_3"]


async def test_every_url_hears_of_everything_whatever_the_others_take(store: MemoryStore, receiver: Receiver) -> None:
    away = Receiver()
    away.answer = lambda: httpx2.Response(503)
    both = [hooks(store, receiver), hooks(store, away, url="https://other.example/hook")]
    for each in both:
        await each.deliver()
    await happens(store)
    assert [await each.deliver() for each in both] == [True, False]
    assert receiver.ids == ["evt_1"]
    away.answer, away.got = lambda: httpx2.Response(204), []
    assert [await each.deliver() for each in both] == [True, True]
    assert (receiver.ids, away.ids) == (["evt_1"], ["evt_1"])


async def test_a_receiver_that_does_not_answer_in_time_has_not_taken_it(
    store: MemoryStore, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.01)
    told = hooks(store, receiver)
    await told.deliver()
    await happens(store)
    receiver.meanwhile = asyncio.Event().wait
    assert not await told.deliver()
    assert receiver.ids == ["evt_1"] * module.ATTEMPTS


async def test_it_starts_and_ends_and_may_end_twice(store: MemoryStore, receiver: Receiver) -> None:
    told = hooks(store, receiver)
    await told.start()
    await told.aclose()
    await told.aclose()
