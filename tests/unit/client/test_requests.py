"""Requests that wait: each ends once, and no more wait than can be answered."""

from __future__ import annotations

import asyncio

import pytest

from livereactor.client.errors import CommandRejected, ForbiddenError, ReactorError, StepError
from livereactor.client.transport import requests as requests_module
from livereactor.client.transport.requests import Question, Requests
from livereactor.protocol import messages as m


class Asked:
    """Requests, what they sent, and the tasks that wait."""

    def __init__(self) -> None:
        self.requests = Requests()
        self.sent: list[str] = []

    def begin(self, question: Question, timeout: float = 5.0) -> asyncio.Task[m.ServerMessage]:
        return asyncio.create_task(self.requests.ask(question, timeout, self._send))

    def _send(self, question: Question) -> None:
        self.sent.append(question.request_id or "")


async def test_ids_tell_channels_apart_and_count_on() -> None:
    asked = Asked()
    waiting = [asked.begin(question) for question in (m.Command("a"), m.RequestSchema(), m.Command("b"))]
    await asyncio.sleep(0)
    assert asked.sent == ["data_1", "ctrl_2", "data_3"]
    asked.requests.abandon()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [getattr(each, "code", None) for each in outcomes] == ["DISCONNECTED"] * 3


async def test_a_reply_of_the_wrong_kind_is_none() -> None:
    asked = Asked()
    waiting = asked.begin(m.Command("a"))
    await asyncio.sleep(0)
    assert not asked.requests.resolve(m.SchemaDocument({}, "data_1"))
    assert not asked.requests.resolve(m.Ack("data_2"))
    assert not asked.requests.resolve(m.Ack(None))
    assert asked.requests.resolve(m.Ack("data_1"))
    assert not asked.requests.resolve(m.Ack("data_1"))
    assert await waiting == m.Ack("data_1")


@pytest.mark.parametrize(
    ("question", "code", "kind"),
    [
        (m.Command("a"), "busy", CommandRejected),
        (m.Command("a"), "invalid_command", CommandRejected),
        (m.Command("a"), "FORBIDDEN", ForbiddenError),
        (m.Command("a"), "", CommandRejected),
        (m.RequestSchema(), "busy", ReactorError),
        (m.RequestStep(None, {}, (), ()), "step_refused", StepError),
    ],
)
async def test_a_failure_is_raised_as_what_its_code_stands_for(
    question: Question, code: str, kind: type[ReactorError]
) -> None:
    asked = Asked()
    waiting = asked.begin(question)
    await asyncio.sleep(0)
    asked.requests.resolve(m.Failure(asked.sent[0], code, "because"))
    with pytest.raises(kind, match="because") as raised:
        await waiting
    assert raised.value.code == (code or "INTERNAL_ERROR")
    assert raised.value.component == "gpu"
    assert isinstance(raised.value, CommandRejected) == (kind is CommandRejected)


async def test_what_cannot_be_sent_does_not_wait() -> None:
    requests = Requests()

    def fail(_: Question) -> None:
        raise ValueError("no JSON")

    with pytest.raises(ValueError, match="no JSON"):
        await requests.ask(m.Command("a"), 5.0, fail)
    assert not requests.resolve(m.Ack("data_1"))


async def test_more_than_can_be_answered_are_refused_and_those_given_up_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requests_module, "MOST", 3)
    asked = Asked()
    waiting = [asked.begin(m.Command("a")) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(ReactorError, match="3 requests wait") as refused:
        await asked.requests.ask(m.Command("a"), 5.0, lambda _: None)
    assert (refused.value.code, refused.value.component) == ("RATE_LIMITED", "client")
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    waiting.append(asked.begin(m.Command("a")))
    await asyncio.sleep(0)
    assert asked.requests.resolve(m.Ack(asked.sent[-1]))
    assert await waiting[-1] == m.Ack("data_4")
    asked.requests.abandon()
    await asyncio.gather(*waiting, return_exceptions=True)
