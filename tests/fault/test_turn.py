"""The relay as `deploy/coturn.conf` sets it up: who may use it, with what, and where to it sends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aioice.stun import TransactionFailed
from aioice.turn import TurnClientUdpProtocol

from livereactor.cli.doctor_checks import Finding, turn_findings
from livereactor.cli.turn_client import RelayRefusedError, relayed_address
from livereactor.protocol.turn import TurnCredentials, turn_credentials
from livereactor.settings import resolve
from tests.tools.coturn import SECRET, Coturn, coturn
from tests.tools.nat import RELAY, Internet
from tests.tools.nat_fixtures import net

__all__ = ["net"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKERS = "10.9.8.0-10.9.8.255"  # where the workers of this relay are, reached at their private addresses
UNAUTHORIZED, FORBIDDEN = 401, 403  # RFC 8656, section 15


@pytest.fixture(scope="module")
def relay(net: Internet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coturn]:
    with ExitStack() as stack:
        with net.relay.inside():
            made = stack.enter_context(coturn(RELAY, tmp_path_factory.mktemp("coturn"), peers=WORKERS))
        yield made


@asynccontextmanager
async def allocated(net: Internet, relay: Coturn, shown: TurnCredentials) -> AsyncIterator[TurnClientUdpProtocol]:
    """A relay opened from the public network; `TransactionFailed` where it is refused."""
    server = (relay.host, relay.port)
    with net.public.inside():
        transport, client = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: TurnClientUdpProtocol(
                server, username=shown.username, password=shown.password, lifetime=600, channel_refresh_time=500
            ),
            remote_addr=server,
        )
    try:
        await client.connect()
        try:
            yield client
        finally:
            await client.delete()
    finally:
        transport.close()


async def refusal(net: Internet, relay: Coturn, shown: TurnCredentials, peer: str | None = None) -> int | None:
    """The code with which the relay, or the way from it to `peer`, is refused."""
    try:
        async with allocated(net, relay, shown) as client:
            if peer is not None:
                await client.channel_bind(0x4000, (peer, 40_000))
    except TransactionFailed as error:
        return error.response.attributes["ERROR-CODE"][0]
    return None


def shown_by(made: TurnCredentials) -> tuple[str, str]:
    return made.username, made.password


def fresh(relay: Coturn) -> TurnCredentials:
    return turn_credentials(relay.secret, "ses_1", int(time.time()) + 600)


async def test_credentials_are_refused_once_they_expired(net: Internet, relay: Coturn) -> None:
    assert await refusal(net, relay, fresh(relay)) is None
    assert await refusal(net, relay, turn_credentials(SECRET, "ses_1", int(time.time()) - 1)) == UNAUTHORIZED


async def test_credentials_are_refused_with_another_session_or_secret(net: Internet, relay: Coturn) -> None:
    good = fresh(relay)
    stolen = TurnCredentials(good.username + "0", good.password)
    assert await refusal(net, relay, stolen) == UNAUTHORIZED
    forged = turn_credentials("guessed", "ses_1", int(time.time()) + 600)
    assert await refusal(net, relay, forged) == UNAUTHORIZED


async def test_doctor_tries_the_credentials_over_both_transports(net: Internet, relay: Coturn) -> None:
    with net.public.inside():
        for url in relay.urls:
            assert relayed_address(url, *shown_by(fresh(relay))) == RELAY
        with pytest.raises(RelayRefusedError, match="401"):
            relayed_address(relay.urls[0], *shown_by(turn_credentials("guessed", "ses_1", int(time.time()) + 600)))
        with pytest.raises(OSError, match="refused"):
            relayed_address(relay.urls[1].replace(str(relay.port), "9"), "user", "password")


async def test_doctor_says_what_to_do_about_a_relay(net: Internet, relay: Coturn, tmp_path: Path) -> None:
    def found(relay: Coturn, secret: str) -> Finding:
        (tmp_path / "livereactor.toml").write_text(
            f'[turn]\nurls = ["turn:{relay.host}:{relay.port}"]\nsecret = "{secret}"\n'
        )
        settings = resolve(tmp_path, command_line={}, environ={}).settings
        (one,) = turn_findings(settings)
        return one

    with net.public.inside(), coturn("127.0.0.1", tmp_path) as unreachable:
        good, wrong, private = found(relay, relay.secret), found(relay, "guessed"), found(unreachable, SECRET)
    assert (good.status, good.text) == ("ok", f"turn:{relay.host}:{relay.port} relays from {RELAY}")
    assert (wrong.status, "credentials" in wrong.text, "clocks" in wrong.fix) == ("warn", True, True)
    assert (private.status, "external-ip" in private.fix) == ("warn", True)


@pytest.mark.parametrize(
    "peer",
    ["127.0.0.1", "10.9.7.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "0.0.0.0"],
)
async def test_the_relay_is_no_way_into_private_networks(net: Internet, relay: Coturn, peer: str) -> None:
    assert await refusal(net, relay, fresh(relay), peer) == FORBIDDEN


@pytest.mark.parametrize("peer", ["10.9.8.7", "203.0.113.99"])
async def test_the_relay_sends_to_workers_and_to_the_public(net: Internet, relay: Coturn, peer: str) -> None:
    assert await refusal(net, relay, fresh(relay), peer) is None
