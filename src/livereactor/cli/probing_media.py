"""The media half of `livereactor probe`: one Connection, brought up piece by piece."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from livereactor.client.errors import error_of
from livereactor.client.http.api import Api
from livereactor.client.http.reading import ReceivedDescriptor
from livereactor.client.transport.signalling import answer_to
from livereactor.client.types import TrackCapability
from livereactor.engine.port import (
    CandidateFound,
    CandidatePair,
    Channel,
    ChannelAdded,
    Engine,
    IceServer,
    InputTrack,
    Peer,
    PeerConfig,
    PeerEvent,
    PeerState,
    Section,
    StateChanged,
    TrackAdded,
    Use,
)
from livereactor.media.frames import Frame
from livereactor.protocol import messages as m
from livereactor.protocol import v0, v1

PATIENCE: Final = 15.0  # seconds for each step: ICE itself gives up later
POLLS: Final = 7  # for an answer, where the server does not hold the first: 13 s in all
LOOK: Final = 0.02  # seconds between two looks at what ICE has found
_USES: Final = {"recvonly": Use.RECEIVE, "sendonly": Use.SEND}


class MediaPath:
    """From the offer to the first frame.

    Args:
        api: the server's.
        session: ready.
        engine: started, or on its way.
    """

    def __init__(self, api: Api, session: ReceivedDescriptor, engine: asyncio.Task[Engine]) -> None:
        assert session.capabilities is not None
        self._api, self._session = api, session
        self._tracks = [TrackCapability(each.name, each.kind, each.direction) for each in session.capabilities.tracks]
        self._engine = engine
        self._peer: Peer | None = None
        self._state = PeerState.NEW
        self._inputs: dict[str, InputTrack] = {}
        self._channels: dict[str, Channel] = {}
        self._candidates: asyncio.Queue[CandidateFound] = asyncio.Queue()
        self._trickling: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._servers: tuple[IceServer, ...] = ()

    async def step(self, name: str) -> tuple[str | None, str]:
        """Do one; what it found, None where there is nothing to try, and what to do where that is not as it should be.

        Raises:
            LivereactorError: it failed; the sentence says what to do.
        """
        return await {
            "signalling": self._signalling,
            "ice": self._ice,
            "dtls": self._dtls,
            "channels": self._open_channels,
            "frame": self._frame,
        }[name]()

    async def aclose(self) -> None:
        """Close the Connection."""
        if self._trickling is not None:
            self._trickling.cancel()
        if self._peer is not None:
            await self._peer.aclose()

    async def _signalling(self) -> tuple[str, str]:
        session = self._session.session_id
        self._servers = await self._api.ice_servers(session)
        self._peer = await (await self._engine).peer(PeerConfig(ice_servers=self._servers), self._event)
        sections = [Section(each.kind, _USES[each.direction], each.name) for each in self._tracks]
        offer = await self._peer.offer(sections, ["control", "data"])
        connection = await self._api.create_connection(session)
        mapping = [(str(mid), each) for mid, each in enumerate(self._tracks)]
        self._trickling = asyncio.create_task(self._trickle(connection), name="probe candidates")
        began = time.monotonic()
        given = await self._api.send_offer(session, connection, offer, mapping, again=False)
        await self._peer.take_answer(given or await answer_to(self._api, session, connection, POLLS))
        took = (time.monotonic() - began) * 1000
        relays = sum(url.startswith("turn") for each in self._servers for url in each.urls)
        return f"connection {connection}, answered in {took:.0f} ms; {relays or 'no'} relays offered", ""

    async def _ice(self) -> tuple[str, str]:
        assert self._peer is not None
        pair = await self._pair()
        round_trip = "" if pair.rtt_ms is None else f", {pair.rtt_ms:.0f} ms there and back"
        relay = f" by {pair.relay_protocol}" if pair.relay_protocol else ""
        remote = f" to {pair.remote_type}" if pair.remote_type else ""
        text = f"{pair.local_type or 'a path'}{relay}{remote}{round_trip}"
        if pair.local_type == "relay":
            return text, "no direct path: open UDP between the two if a relay's delay and cost matter"
        return text, ""

    async def _pair(self) -> CandidatePair:
        """The first pair that answers checks; how many were tried is said where none does."""
        assert self._peer is not None
        tried: tuple[CandidatePair, ...] = ()
        give_up_at = time.monotonic() + PATIENCE
        while time.monotonic() < give_up_at and self._state not in (PeerState.FAILED, PeerState.CLOSED):
            tried = (await self._peer.stats()).pairs
            for pair in tried:
                if pair.succeeded:
                    return pair
            if self._state is PeerState.CONNECTED:  # of an engine that tells no pairs
                return CandidatePair("", nominated=True, succeeded=True)
            await asyncio.sleep(LOOK)
        relays = any(url.startswith("turn") for each in self._servers for url in each.urls)
        advice = (
            "the relays offered cannot be reached either: open their ports to this machine"
            if relays
            else "open UDP between this machine and the worker, or give the server a relay ([turn] in its settings)"
        )
        raise error_of("TRANSPORT_ERROR", f"no network path, {len(tried)} pairs tried; {advice}")

    async def _dtls(self) -> tuple[str, str]:
        advice = "something between lets small packets pass and large ones not: look at its MTU"
        await self._until(lambda: self._state is PeerState.CONNECTED, f"no handshake; {advice}")
        return "the transport is encrypted and up", ""

    async def _open_channels(self) -> tuple[str, str]:
        there = self._channels
        await self._until(
            lambda: all(label in there and there[label].is_open for label in (m.DATA, m.CONTROL)),
            f"open are {', '.join(there) or 'none'}, wanted are data and control; see the runtime's log",
        )
        return "data and control are open", ""

    async def _frame(self) -> tuple[str | None, str]:
        mids = [
            str(mid) for mid, each in enumerate(self._tracks) if (each.kind, each.direction) == ("video", "recvonly")
        ]
        if not mids:
            return None, ""
        track = self._tracks[int(mids[0])]
        await self._until(lambda: mids[0] in self._inputs, f"{track.name} was refused in the answer; see the log")
        loop, seen = asyncio.get_running_loop(), asyncio.Event()
        sizes: list[tuple[int, ...]] = []

        def arrived(frame: Frame) -> None:  # on a thread of the engine
            sizes.append(frame.pixels.shape)
            loop.call_soon_threadsafe(seen.set)

        self._inputs[mids[0]].on_frame(arrived)
        self._say(m.ResumeTrack(track.name))
        try:
            async with asyncio.timeout(PATIENCE):
                await seen.wait()
        except TimeoutError as error:
            advice = "look whether the model runs: its page, its log; a model that waits for input shows none"
            raise error_of("TRANSPORT_ERROR", f"no frame of {track.name} in {PATIENCE:g} s; {advice}") from error
        finally:
            self._inputs[mids[0]].on_frame(None)
        height, width = sizes[0][:2]
        return f"{track.name}, {width}x{height}", ""

    def _say(self, message: m.ClientMessage) -> None:
        old = self._session.server_info.server_version.startswith("2.")  # runtimes of 2.x know JSON alone
        frame = (v0 if old else v1).encode_client(message)
        assert frame is not None
        label, data = frame
        self._channels[label].send(data, text=old)

    async def _trickle(self, connection: int) -> None:
        while True:
            found = (await self._candidates.get()).candidate
            listed = [found] if found.line else []
            await self._api.send_candidates(self._session.session_id, connection, listed, is_final=not found.line)

    async def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    if self._state in (PeerState.FAILED, PeerState.CLOSED):
                        break
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        if not condition():
            raise error_of("TRANSPORT_ERROR", otherwise)

    def _event(self, event: PeerEvent) -> None:
        match event:
            case CandidateFound():
                self._candidates.put_nowait(event)
            case StateChanged(state):
                self._state = state
            case TrackAdded(mid, track):
                self._inputs[mid] = track
            case ChannelAdded(channel):
                self._channels[channel.label] = channel
                channel.listen(lambda _: self._changed.set())
            case _:
                pass
        self._changed.set()
