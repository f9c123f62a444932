"""The pace at which the messages of a Connection are read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest
import structlog

from livereactor.base.limits import Limits
from livereactor.base.sparse_log import SparseLog
from livereactor.engine.port import Channel, ChannelEvent, MessageReceived
from livereactor.protocol import messages as m
from livereactor.protocol import v1
from livereactor.runtime.interfaces import Role
from livereactor.runtime.session.allowance import LINK_AT_ONCE, Allowance, bounds_of
from livereactor.runtime.session.data_channels import DataChannels
from livereactor.runtime.session.events import MembershipEvent

MANY = 400  # messages: what a link may send at once


class Host:
    """Keeps the ids of the commands it receives."""

    def __init__(self) -> None:
        self.read: list[str | None] = []
        self.done = asyncio.Event()

    @property
    def members(self) -> Host:
        return self

    def frame_received(self, connection: int, *, binary: bool, now: float) -> None: ...

    def dispatch(self, event: MembershipEvent) -> None: ...

    def post(self, work: Callable[[], None]) -> None: ...

    def receive(self, channels: DataChannels, message: m.ClientMessage) -> None:
        self.read.append(cast(m.Command, message).request_id)
        if len(self.read) == MANY:
            self.done.set()


class Line:
    """A data channel that delivers by hand."""

    label, is_open = m.DATA, False
    deliver: Callable[[ChannelEvent], None]

    def listen(self, events: Callable[[ChannelEvent], None]) -> None:
        self.deliver = events


def sent_at_once(role: Role, link: str) -> tuple[Host, DataChannels]:
    """A Connection whose client has sent MANY commands at once."""
    host, line, limits = Host(), Line(), Limits()
    channels = DataChannels(
        1,
        host,  # type: ignore[arg-type]
        limits,
        role=role,
        allowance=Allowance(bounds_of(limits, role, stepped=False, link=link)),
        is_ours=True,
        may_record=False,
        log=SparseLog(structlog.get_logger()),
        leaves=lambda _: None,
    )
    channels.add(cast(Channel, line))
    channels.read_early()
    for number in range(MANY):
        frame = v1.encode_client(m.Command("echo", {}, request_id=f"data_{number}"))
        assert frame is not None
        line.deliver(MessageReceived(frame[1], text=False))
    return host, channels


async def test_messages_of_an_owner_are_read_as_they_arrive() -> None:
    host, _ = sent_at_once("owner", "")
    assert len(host.read) == MANY


@pytest.mark.parametrize("role", ["owner", "viewer"])
async def test_messages_of_a_link_give_way_once_there_are_many_and_keep_their_order(role: Role) -> None:
    host, _ = sent_at_once(role, "share_1")
    assert LINK_AT_ONCE <= len(host.read) < MANY
    async with asyncio.timeout(30):
        await host.done.wait()
    assert host.read == [f"data_{number}" for number in range(MANY)]


async def test_messages_that_wait_are_not_read_once_their_connection_is_closed() -> None:
    host, channels = sent_at_once("owner", "share_1")
    read = len(host.read)
    channels.close()
    await asyncio.sleep(0.05)  # twenty of them would have been read
    assert len(host.read) == read
