"""The pace at which the messages of a Connection are read, and what waits for a client that does not read its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest
import structlog

from livereactor.base.limits import Limits
from livereactor.base.sparse_log import SparseLog
from livereactor.engine.port import Channel, ChannelEvent, ChannelOpened, MessageReceived
from livereactor.protocol import messages as m
from livereactor.protocol import v1
from livereactor.runtime.interfaces import Role
from livereactor.runtime.session.allowance import AT_ONCE, Allowance, bounds_of
from livereactor.runtime.session.data_channels import BACKLOG_BYTES, LOOK_BYTES, DataChannels
from livereactor.runtime.session.events import MembershipEvent, TransportLost

MANY = 400  # messages: what a link may send at once


class Host:
    """Keeps the ids of the commands it receives."""

    def __init__(self) -> None:
        self.read: list[str | None] = []
        self.lost: list[MembershipEvent] = []
        self.done = asyncio.Event()

    @property
    def members(self) -> Host:
        return self

    def frame_received(self, connection: int, *, binary: bool, now: float) -> None: ...

    def dispatch(self, event: MembershipEvent) -> None:
        if isinstance(event, TransportLost):
            self.lost.append(event)

    def post(self, work: Callable[[], None]) -> None: ...

    def receive(self, channels: DataChannels, message: m.ClientMessage) -> None:
        self.read.append(cast(m.Command, message).request_id)
        if len(self.read) == MANY:
            self.done.set()


class Line:
    """A data channel that delivers by hand."""

    label, is_open, max_message_bytes = m.DATA, False, 256 * 1024
    deliver: Callable[[ChannelEvent], None]

    def __init__(self, *, is_read: bool = True) -> None:
        self.is_read, self.sent, self.looks = is_read, 0, 0

    def send(self, data: bytes, *, text: bool) -> None:
        self.sent += len(data)

    @property
    def buffered_bytes(self) -> int:
        """What waits to be read: with libwebrtc, the network's thread has to answer it."""
        self.looks += 1
        return 0 if self.is_read else self.sent

    def listen(self, events: Callable[[ChannelEvent], None]) -> None:
        self.deliver = events


def open_channels(role: Role, link: str, *, company: bool, is_read: bool = True) -> tuple[Host, Line, DataChannels]:
    """A Connection that the model knows."""
    host, line, limits = Host(), Line(is_read=is_read), Limits()
    allowance = Allowance(bounds_of(limits, role, stepped=False, link=link))
    if company:
        allowance.hold_to(allowance.alone.in_company())
    channels = DataChannels(
        1,
        host,  # type: ignore[arg-type]
        limits,
        role=role,
        allowance=allowance,
        is_ours=True,
        may_record=False,
        log=SparseLog(structlog.get_logger()),
        leaves=lambda _: None,
    )
    channels.add(cast(Channel, line))
    channels.read_early()
    return host, line, channels


def send(line: Line, number: int) -> None:
    """Have the client send a command."""
    frame = v1.encode_client(m.Command("echo", {}, request_id=f"data_{number}"))
    assert frame is not None
    line.deliver(MessageReceived(frame[1], text=False))


def sent_at_once(role: Role, link: str, *, company: bool = False) -> tuple[Host, DataChannels]:
    """A Connection whose client has sent MANY commands at once."""
    host, line, channels = open_channels(role, link, company=company)
    for number in range(MANY):
        send(line, number)
    return host, channels


async def test_messages_of_an_owner_are_read_as_they_arrive() -> None:
    host, _ = sent_at_once("owner", "")
    assert len(host.read) == MANY


@pytest.mark.parametrize("role", ["owner", "viewer"])
async def test_messages_of_a_link_give_way_once_there_are_many_and_keep_their_order(role: Role) -> None:
    host, _ = sent_at_once(role, "share_1")
    assert AT_ONCE <= len(host.read) < MANY
    async with asyncio.timeout(30):
        await host.done.wait()
    assert host.read == [f"data_{number}" for number in range(MANY)]


async def test_messages_of_an_owner_in_company_give_way_too() -> None:
    host, channels = sent_at_once("owner", "", company=True)
    read = len(host.read)
    assert AT_ONCE <= read < MANY
    for number in range(read):  # the client did not wait for these
        channels.answer(m.Ack(f"data_{number}"))
    assert len(host.read) == read
    async with asyncio.timeout(30):
        await host.done.wait()
    assert host.read == [f"data_{number}" for number in range(MANY)]


async def test_an_owner_in_company_that_awaits_its_answers_does_not_wait() -> None:
    host, line, channels = open_channels("owner", "", company=True)
    for number in range(MANY):
        send(line, number)
        assert len(host.read) == number + 1
        channels.answer(m.Ack(f"data_{number}"))


async def test_messages_that_wait_are_not_read_once_their_connection_is_closed() -> None:
    host, channels = sent_at_once("owner", "share_1")
    read = len(host.read)
    channels.close()
    await asyncio.sleep(0.05)  # twenty of them would have been read
    assert len(host.read) == read


@pytest.mark.parametrize("is_read", [True, False])
def test_a_client_that_does_not_read_is_given_up_and_others_cost_few_looks(*, is_read: bool) -> None:
    host, line, channels = open_channels("owner", "", company=False, is_read=is_read)
    line.deliver(ChannelOpened())
    send(line, 0)
    for _ in range(1100):
        channels.send(m.ModelMessage("tick", {"text": "x" * 16 * 1024}))
    if is_read:
        assert line.sent > 2 * BACKLOG_BYTES
        assert line.looks <= line.sent / LOOK_BYTES
    assert bool(host.lost) != is_read
    assert is_read or line.sent <= BACKLOG_BYTES + 2 * LOOK_BYTES
