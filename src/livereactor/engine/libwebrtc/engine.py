"""The default Engine: libwebrtc through `reactor-webrtc`, fed with bytes that were encoded once for all viewers.

Settings that matter, all process-wide: playout delay 0..0 stamped on what is sent (receivers show a frame at once) and
applied to what is received, channel callbacks on the network thread, chunking offered. The measurements behind them
are in docs/adr/0002.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable
from typing import Final

import reactor_webrtc as rw
import structlog

from livereactor.base.errors import EngineError
from livereactor.engine.gathering import Relays
from livereactor.engine.libwebrtc.encoder_tracks import EncoderTracks, Served
from livereactor.engine.libwebrtc.held import Held
from livereactor.engine.libwebrtc.outputs import Repeater
from livereactor.engine.libwebrtc.peer import LibwebrtcPeer
from livereactor.engine.port import ChannelAdded, EngineCapabilities, PeerConfig, PeerEvent, Section, Use
from livereactor.media.frames import VideoCodec

WARM_UP_TIMEOUT: Final = 3.0  # seconds; it takes 60 ms

log = structlog.get_logger(__name__)


class LibwebrtcEngine:
    """Fits the Protocol `Engine` in port.py. Several may live in one process: they share what libwebrtc has one of.

    Raises:
        EngineError: somebody else in this process, such as the official client, has libwebrtc set up already.
    """

    capabilities = EngineCapabilities(
        name="libwebrtc",
        video_codecs=(VideoCodec.VP8, VideoCodec.H264),
        chunking=True,
        frame_metadata=True,
        loopback=False,
        tcp=False,
    )

    def __init__(self) -> None:
        self.process = _process()
        self._peers: set[LibwebrtcPeer] = set()
        self._is_closed = False

    async def start(self) -> None:
        if self.process.is_warm:
            return
        self.process.is_warm = True
        try:
            await self._connect_to_ourselves()
        except (EngineError, TimeoutError) as error:  # a network may come later; each accept() says so again
            log.warning("the first connection to ourselves failed", reason=str(error))

    async def peer(self, config: PeerConfig, events: Callable[[PeerEvent], None]) -> LibwebrtcPeer:
        if self._is_closed:
            raise EngineError("the engine is closed; create another one")
        shared = self.process
        peer = LibwebrtcPeer(
            shared.factory,
            shared.relays,
            shared.encoder_tracks,
            shared.repeater,
            shared.held,
            config,
            events,
            self._forget,
        )
        self._peers.add(peer)
        shared.peers.add(peer)
        return peer

    async def aclose(self) -> None:
        self._is_closed = True
        for peer in list(self._peers):
            await peer.aclose()

    def _forget(self, peer: LibwebrtcPeer) -> None:
        self._peers.discard(peer)
        self.process.peers.discard(peer)

    async def _connect_to_ourselves(self) -> None:
        opened = asyncio.Event()
        server = await self.peer(PeerConfig(), _ignore)
        client = await self.peer(PeerConfig(), lambda event: opened.set() if isinstance(event, ChannelAdded) else None)
        try:
            async with asyncio.timeout(WARM_UP_TIMEOUT):
                offer = await client.offer([Section("video", Use.RECEIVE)], ["data"])
                await client.take_answer((await server.accept(offer, {"0": Use.SEND})).answer)
                await opened.wait()
        finally:
            await client.aclose()
            await server.aclose()


class _Process:
    """The parts that a process has one of: the factory, its encoder tracks, the repeater's thread, memory of relays."""

    def __init__(self) -> None:
        self.factory = _build_factory()
        self.held = Held()
        self.encoder_tracks = EncoderTracks(self.make_track, self.held.sweep)
        self.repeater = Repeater()
        self.relays = Relays()
        self.peers: set[LibwebrtcPeer] = set()  # until they are closed, by whichever thread
        self.is_warm = False
        atexit.register(self._close_peers)

    def _close_peers(self) -> None:
        """Close all peers before the interpreter ends: a callback that finds no interpreter aborts the process."""
        for peer in list(self.peers):
            peer.close_now()

    def make_track(self, encode: Callable[[rw.RawVideoFrameInfo], Served]) -> rw.Track:
        track = self.factory.create_video_track_with_options("video", inline_encoder=encode)
        assert isinstance(track, rw.Track)  # the other kind is for pre-encoded tracks
        return self.held.keep(track)


_lock = threading.Lock()
_shared: _Process | None = None


def _process() -> _Process:
    global _shared
    with _lock:
        if _shared is None:
            _shared = _Process()
        return _shared


def _build_factory() -> rw.PeerConnectionFactory:
    builder = rw.PeerConnectionFactoryBuilder()
    builder.with_metadata(True)
    builder.with_send_playout_delay(0.0, 0.0)
    builder.with_receive_playout_delay(0.0, 0.0)
    builder.with_dc_chunking()
    builder.with_dc_callbacks_on_network_thread(True)
    try:
        return builder.build()
    except RuntimeError as error:
        raise EngineError(
            f"libwebrtc is in use by another library of this process ({error}); run that library in a separate process"
        ) from error


def _ignore(_: PeerEvent) -> None:
    """The warm-up's server has nothing to tell."""
