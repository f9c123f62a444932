"""The Engine on aiortc: pure Python over PyAV, for platforms without libwebrtc's wheel and as an independent peer.

What it lacks against libwebrtc: ICE over TCP, transport-wide congestion control (it goes by the receiver's REMB), and a
path that is not the loop's: every packet passes through Python. See docs/adr for the figures.
"""

from __future__ import annotations

from collections.abc import Callable

from livereactor.engine.aiortc.peer import AiortcPeer
from livereactor.engine.gathering import Relays
from livereactor.engine.port import EngineCapabilities, PeerConfig, PeerEvent, Section, Use
from livereactor.media.frames import VideoCodec


class AiortcEngine:
    """Fits the Protocol `Engine` in port.py."""

    def __init__(self) -> None:
        self._peers: set[AiortcPeer] = set()
        self._relays = Relays()
        self._warm = False

    @property
    def capabilities(self) -> EngineCapabilities:
        """Say what this engine can do."""
        return EngineCapabilities(
            name="aiortc",
            video_codecs=(VideoCodec.VP8, VideoCodec.H264),
            chunking=True,
            frame_metadata=True,
            loopback=True,
            tcp=False,
        )

    async def start(self) -> None:
        """One throwaway offer: the first of a process makes keys, loads codecs and reads the interfaces."""
        if not self._warm:
            self._warm = True
            peer = await self.peer(PeerConfig(), _ignore)
            await peer.offer([Section("video", Use.RECEIVE)], ["warm-up"])
            await peer.aclose()

    async def peer(self, config: PeerConfig, events: Callable[[PeerEvent], None]) -> AiortcPeer:
        """A new Peer on the running loop."""
        peer = AiortcPeer(self._relays, config, events, self._peers.discard)
        self._peers.add(peer)
        return peer

    async def aclose(self) -> None:
        """Close every Peer."""
        for peer in list(self._peers):
            await peer.aclose()


def _ignore(_: PeerEvent) -> None:
    """Ignore the events of the throwaway peer."""
