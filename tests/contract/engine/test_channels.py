"""Data channels: labels, text and binary, order, limits, drain, close."""

from __future__ import annotations

import pytest

from livereactor.base.errors import EngineError, TooLargeError
from livereactor.engine.port import Channel, ChannelClosed, ChannelOpened, MessageReceived, PeerConfig

from .conftest import EVERY_PAIR, Engines
from .harness import link

PLAIN = PeerConfig(chunking=False)
LIMIT = 262_144


async def test_both_channels_open_under_their_labels_on_both_sides(engines: Engines) -> None:
    async with link(engines.server, engines.client) as joined:
        for side in (joined.server, joined.client):
            for label in ("data", "control"):
                heard = await side.channel(label)
                await heard.inbox.get(ChannelOpened)
                assert heard.channel.label == label
                assert heard.channel.is_open


@EVERY_PAIR
async def test_text_and_binary_arrive_as_they_were_sent_in_order(engines: Engines) -> None:
    async with link(engines.server, engines.client) as joined:
        server, client = await joined.server.channel("data"), await joined.client.channel("data")
        await server.inbox.get(ChannelOpened)
        await client.inbox.get(ChannelOpened)
        for number in range(100):
            client.channel.send(str(number).encode(), text=number % 2 == 0)
            server.channel.send(str(number).encode(), text=number % 2 == 1)
        expected = [(str(number).encode(), number % 2 == 0) for number in range(100)]
        assert [(m.data, m.text) for m in await server.messages(100)] == expected
        assert [(m.data, not m.text) for m in await client.messages(100)] == expected


async def test_messages_that_came_before_listen_are_delivered_by_it(engines: Engines) -> None:
    async with link(engines.server, engines.client) as joined:
        client = await joined.client.channel("data")
        await client.inbox.get(ChannelOpened)
        client.channel.send(b"early", text=True)
        echo = await joined.client.channel("control")
        await echo.inbox.get(ChannelOpened)
        control = await joined.server.channel("control")
        echo.channel.send(b"later", text=True)
        await control.messages(1)
        server = await joined.server.channel("data")
        assert [message.data for message in await server.messages(1)] == [b"early"]


async def test_empty_messages_arrive(engines: Engines) -> None:
    async with link(engines.server, engines.client) as joined:
        server, client = await joined.server.channel("data"), await joined.client.channel("data")
        await client.inbox.get(ChannelOpened)
        client.channel.send(b"", text=True)
        client.channel.send(b"", text=False)
        client.channel.send(b"end", text=True)
        assert [m.data for m in await server.messages(3)] == [b"", b"", b"end"]


async def test_256_kib_pass_and_one_byte_more_is_refused_without_harm(engines: Engines) -> None:
    async with link(engines.server, engines.client, server_config=PLAIN, client_config=PLAIN) as joined:
        server, client = await joined.server.channel("data"), await joined.client.channel("data")
        await client.inbox.get(ChannelOpened)
        await server.inbox.get(ChannelOpened)
        for sender, receiver in ((client, server), (server, client)):
            assert sender.channel.max_message_bytes == LIMIT
            sender.channel.send(bytes(LIMIT), text=False)
            with pytest.raises(TooLargeError, match="262144"):
                sender.channel.send(bytes(LIMIT + 1), text=False)
            sender.channel.send(b"still here", text=True)
            assert [len(m.data) for m in await receiver.messages(2)] == [LIMIT, len("still here")]


@EVERY_PAIR
async def test_larger_messages_pass_where_both_sides_chunk(engines: Engines) -> None:
    both = engines.server.capabilities.chunking and engines.client.capabilities.chunking
    async with link(engines.server, engines.client) as joined:
        server, client = await joined.server.channel("data"), await joined.client.channel("data")
        await client.inbox.get(ChannelOpened)
        await server.inbox.get(ChannelOpened)
        assert client.channel.max_message_bytes == (64 * 1024 * 1024 if both else LIMIT)
        assert server.channel.max_message_bytes == client.channel.max_message_bytes
        large = bytes(range(256)) * (8192 if both else 1024)
        client.channel.send(large, text=False)
        server.channel.send(large, text=True)
        assert (await server.messages(1))[0] == MessageReceived(large, text=False)
        assert (await client.messages(1))[0] == MessageReceived(large, text=True)


async def test_what_was_queued_drains(engines: Engines) -> None:
    async with link(engines.server, engines.client) as joined:
        server, client = await joined.server.channel("data"), await joined.client.channel("data")
        await client.inbox.get(ChannelOpened)
        for _ in range(8):
            client.channel.send(bytes(200_000), text=False)
        assert client.channel.buffered_bytes > 0
        assert await client.channel.drain(10.0)
        assert client.channel.buffered_bytes == 0
        await server.messages(8)


async def test_a_receiver_too_slow_is_an_error_not_a_dead_channel(engines: Engines) -> None:
    async with link(engines.server, engines.client, server_config=PLAIN, client_config=PLAIN) as joined:
        server, client = await joined.server.channel("data"), await joined.client.channel("data")
        await client.inbox.get(ChannelOpened)
        sent = send_until_full(client.channel)
        assert client.channel.is_open
        assert await client.channel.drain(60.0)  # a second or two on an idle machine
        client.channel.send(b"end", text=True)
        assert len(await server.messages(sent + 1)) == sent + 1


def send_until_full(channel: Channel) -> int:
    """Send without a pause, so that nothing leaves; how many messages were taken."""
    for sent in range(1000):
        try:
            channel.send(bytes(LIMIT), text=False)
        except EngineError:
            return sent
    raise AssertionError("the channel took 250 MiB without a word")


async def test_closing_a_channel_closes_it_on_both_sides_and_sending_raises(engines: Engines) -> None:
    async with link(engines.server, engines.client) as joined:
        server, client = await joined.server.channel("data"), await joined.client.channel("data")
        await client.inbox.get(ChannelOpened)
        await server.inbox.get(ChannelOpened)
        server.channel.close()
        await client.inbox.get(ChannelClosed)
        await server.inbox.get(ChannelClosed)
        for heard in (server, client):
            assert not heard.channel.is_open
            with pytest.raises(EngineError):
                heard.channel.send(b"late", text=True)
            assert not await heard.channel.drain(0.1)
