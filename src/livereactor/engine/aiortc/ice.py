"""ICE for aiortc: host candidates at once, servers asked meanwhile, and a silent peer noticed early.

aioice waits up to 5 s for every STUN server before it gives a candidate out, takes any port, knows no loopback address
and notices a lost peer after 30 s. Each instance of its `Connection` is made to use this code instead.
"""

# aioice has no public way to add a candidate of ours, to pair it, or to see the path in use.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final

from aioice import Candidate as IceCandidate
from aioice import Connection, stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol, relayed_candidate, server_reflexive_candidate
from aiortc.rtcicetransport import parse_stun_turn_uri

from livereactor.base.limits import MIB
from livereactor.base.tasks import TaskSet, set_within
from livereactor.engine.gathering import Relays, no_candidate
from livereactor.engine.port import Candidate, CandidatePair, IceServer, PeerConfig, PeerState

LOOPBACK: Final = "127.0.0.1"
SERVER_TIMEOUT: Final = 5.0  # seconds for a STUN or TURN server to answer
CONSENT_INTERVAL: Final = 1.0  # seconds between checks; also what measures the round trip
DISCONNECTED_AFTER, FAILED_AFTER = 7.0, 17.0  # seconds of silence; libwebrtc's own figures
NO_PATH_AFTER: Final = 30.0  # seconds without any path (limits: offer_to_live)


class Paths:
    """ICE of one Peer.

    Args:
        relays: the engine's.
        config: servers, policy and ports.
        found: a candidate that came after the description; an empty line ends gathering.
        changed: the path fell silent, came back or was given up.
    """

    def __init__(
        self,
        relays: Relays,
        config: PeerConfig,
        found: Callable[[Candidate], None],
        changed: Callable[[PeerState, str], None],
    ) -> None:
        self._relays, self._config = relays, config
        self._found, self._changed = found, changed
        self._answers = False
        self._tasks = TaskSet()
        self._connections: list[Connection] = []
        self.rtt_ms: float | None = None

    def adopt(self, connections: Iterable[Connection], *, answers: bool) -> None:
        """Take over gathering and watching, before aiortc gathers; an answer waits for a relay."""
        self._answers = answers
        for connection in connections:
            self._connections.append(connection)
            connection.get_component_candidates = partial(self._gather, connection)
            connection.query_consent = partial(self._watch, connection)
        self._run(self._limit_search())

    def require_candidate(self) -> None:
        """Raises `EngineError` when gathering found none, so that nobody could reach us."""
        if not any(connection.local_candidates for connection in self._connections):
            raise no_candidate(self._config)

    def add(self, line: str) -> None:
        """Add a remote candidate, in the background: a name may take seconds to resolve, or never do."""
        try:
            candidate = IceCandidate.from_sdp(line.removeprefix("a=").removeprefix("candidate:"))
        except (ValueError, IndexError, AssertionError):
            return
        if candidate.transport.lower() == "udp" and candidate.component == 1:
            for connection in self._connections:
                self._run(connection.add_remote_candidate(candidate))

    def local_type(self) -> str | None:
        """host, srflx, prflx or relay: our end of the path in use."""
        for connection in self._connections:
            for pair in connection._nominated.values():
                return pair.local_candidate.type
        return None

    def pairs(self, sent: int, received: int) -> tuple[CandidatePair, ...]:
        """The paths in use; aioice counts no bytes, so the first speaks for what the transport carried."""
        nominated = [pair for connection in self._connections for pair in connection._nominated.values()]
        return tuple(
            CandidatePair(
                f"{pair.local_addr}-{pair.remote_addr}",
                nominated=True,
                succeeded=True,
                local_type=pair.local_candidate.type,
                remote_type=pair.remote_candidate.type,
                rtt_ms=self.rtt_ms,
                bytes_sent=0 if index else sent,
                bytes_received=0 if index else received,
            )
            for index, pair in enumerate(nominated)
        )

    async def aclose(self) -> None:
        """Stop everything still under way."""
        await self._tasks.aclose()

    def _run(self, work: Awaitable[None]) -> None:
        self._tasks.keep(asyncio.ensure_future(work))

    # --- gathering ---

    async def _gather(
        self, connection: Connection, component: int, addresses: Sequence[str], timeout: float = SERVER_TIMEOUT
    ) -> list[IceCandidate]:
        """Return the host candidates at once; servers are asked meanwhile. aioice calls this in place of its own."""
        relay_only = self._config.relay_only
        # With no other address a machine still reaches itself: a laptop in flight mode keeps its picture.
        hosts = [] if relay_only else addresses or [LOOPBACK]
        protocols: list[StunProtocol] = []
        for host in hosts:
            if protocol := await self._bind(connection, component, host):
                protocols.append(protocol)
                connection._protocols.append(protocol)  # at once: gathering may be cancelled before the next address
        first_relay = asyncio.Event()  # or that there will be none
        asking = self._ask_servers(connection, component, protocols, timeout, first_relay)
        if not protocols:
            await asking  # there is no candidate without a server
        else:
            self._run(asking)
            await self._wait_for_relay(first_relay)
        return [protocol.local_candidate for protocol in protocols]

    async def _wait_for_relay(self, first_relay: asyncio.Event) -> None:
        patience = self._relays.patience(self._config) if self._answers else 0.0
        if patience and not await set_within(first_relay, patience):
            self._relays.missed(self._config)

    async def _bind(self, connection: Connection, component: int, host: str) -> StunProtocol | None:
        loop = asyncio.get_running_loop()
        for port in self._ports():
            try:
                _, protocol = await loop.create_datagram_endpoint(
                    lambda: StunProtocol(connection), local_addr=(host, port)
                )
            except OSError:  # the port is taken, or the address has just gone
                continue
            # Bursts of key frames arrive while the loop is busy with others.
            endpoint = protocol.transport.get_extra_info("socket")
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
            address, port = protocol.transport.get_extra_info("sockname")[:2]
            protocol.local_candidate = IceCandidate(
                foundation=candidate_foundation("host", "udp", address),
                component=component,
                transport="udp",
                priority=candidate_priority(component, "host"),
                host=address,
                port=port,
                type="host",
            )
            return protocol
        return None

    def _ports(self) -> list[int]:
        if self._config.port_range is None:
            return [0]
        low, high = self._config.port_range
        return random.sample(range(low, high + 1), high - low + 1)

    async def _ask_servers(
        self,
        connection: Connection,
        component: int,
        protocols: Sequence[StunProtocol],
        timeout: float,
        first_relay: asyncio.Event,
    ) -> None:
        asked = [
            asyncio.ensure_future(question)
            for server in self._config.ice_servers
            for url in server.urls
            for question in self._questions(connection, component, protocols, server, url)
        ]
        for answer in asyncio.as_completed(asked, timeout=timeout):
            try:
                candidate, protocol = await answer
            except (OSError, TimeoutError, stun.TransactionError):  # ConnectionError and gaierror are OSErrors
                continue
            self._take(connection, candidate, protocol)
            if candidate.type == "relay":
                self._relays.heard(self._config)
                first_relay.set()
        first_relay.set()
        for question in asked:
            question.cancel()
        self._found(Candidate(""))

    def _questions(
        self, connection: Connection, component: int, protocols: Sequence[StunProtocol], server: IceServer, url: str
    ) -> Iterable[Awaitable[tuple[IceCandidate, StunProtocol | None]]]:
        try:
            parsed = parse_stun_turn_uri(url)
        except ValueError:
            return
        address = (parsed["host"], parsed["port"])
        if parsed["scheme"] == "stun":
            for protocol in protocols:
                if ":" not in protocol.local_candidate.host:
                    yield server_reflexive_candidate(protocol, address)
        elif parsed["scheme"] in ("turn", "turns"):
            yield relayed_candidate(
                component=component,
                hide_related_address=self._config.relay_only,
                protocol_factory=lambda: StunProtocol(connection),
                turn_server=address,
                turn_username=server.username,
                turn_password=server.password,
                turn_ssl=parsed["scheme"] == "turns",
                turn_transport=parsed["transport"],
            )

    def _take(self, connection: Connection, candidate: IceCandidate, protocol: StunProtocol | None) -> None:
        connection._local_candidates.append(candidate)
        if protocol is not None:
            connection._protocols.append(protocol)
            for remote in connection._remote_candidates:
                connection._pair_remote_candidate(remote)
            connection.sort_check_list()
        self._found(Candidate(f"candidate:{candidate.to_sdp()}", line_index=0))

    # --- watching ---

    async def _watch(self, connection: Connection) -> None:
        """Ask the other side whether it still wants to hear us (RFC 7675). Called by aioice in place of its own."""
        heard = _Heard(connection)
        silent = False
        while True:
            await self._ask_consent(connection, heard)
            if heard.silence() > FAILED_AFTER:
                # aioice ends with its connection, which makes aiortc fail the transport.
                connection._query_consent_task = None
                return await connection.close()
            if (heard.silence() > DISCONNECTED_AFTER) is not silent:
                silent = not silent
                state = PeerState.DISCONNECTED if silent else PeerState.CONNECTED
                self._changed(state, f"the other side sent nothing for {DISCONNECTED_AFTER:.0f} s" if silent else "")
            await asyncio.sleep(CONSENT_INTERVAL)

    async def _ask_consent(self, connection: Connection, heard: _Heard) -> None:
        for pair in list(connection._nominated.values()):
            asked = time.monotonic()
            try:
                await pair.protocol.request(
                    connection.build_request(pair, nominate=False),
                    pair.remote_addr,
                    integrity_key=(connection.remote_password or "").encode(),
                    retransmissions=1,
                )
            except stun.TransactionError:
                continue
            heard.now()
            self.rtt_ms = (time.monotonic() - asked) * 1000

    async def _limit_search(self) -> None:
        """End the search for a path, since aioice searches while candidates may come and their end is unknown: the only
        candidate of a browser may be a name that resolves nowhere, and its own checks are what connects."""
        await asyncio.sleep(NO_PATH_AFTER)
        if self.local_type() is None:
            self._changed(PeerState.FAILED, f"no path to the other side was found in {NO_PATH_AFTER:.0f} s")


class _Heard:
    """The time at which anything last came over a connection: an answer, or data, which proves as much."""

    def __init__(self, connection: Connection) -> None:
        self._at = time.monotonic()
        receive = connection.data_received

        def received(data: bytes, component: int) -> None:
            self.now()
            receive(data, component)

        connection.data_received = received

    def now(self) -> None:
        self._at = time.monotonic()

    def silence(self) -> float:
        """Return the seconds since anything last came."""
        return time.monotonic() - self._at
