"""An Engine without sockets: two Peers of one MemoryEngine in one process, deterministic, on the loop.

For tests, ours and our users'. Offers and answers are SDP that other code can read; the two ends find each other by the
ufrag in it. A foreign offer (recorded from a browser, say) is answered as well, and its Peer stays in `connecting`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import count

from livereactor.base.errors import EngineError, PeerError
from livereactor.base.limits import Limits
from livereactor.engine.memory.media import MemoryAudioOutput, MemoryInput, MemoryVideoOutput
from livereactor.engine.memory.wire import MemoryChannel, Wire, join_channels
from livereactor.engine.port import (
    Candidate,
    CandidateFound,
    CandidatePair,
    ChannelAdded,
    CodecNegotiated,
    EngineCapabilities,
    KeyFrameWanted,
    Negotiated,
    PeerConfig,
    PeerEvent,
    PeerState,
    PeerStats,
    RateChanged,
    Section,
    StateChanged,
    TrackAdded,
    Use,
)
from livereactor.media.frames import VideoCodec
from livereactor.protocol.sdp import (
    Description,
    MediaSection,
    RtpCodec,
    answered_whole,
    bundled,
    parse_description,
    written,
)

_OFFERED = {  # payload type and rtpmap of what a memory peer offers; the numbers are Chromium's
    "video": (("96", "VP8/90000"), ("102", "H264/90000")),
    "audio": (("111", "opus/48000/2"),),
}
_USED_BY_OFFERER = {Use.SEND: "sendonly", Use.RECEIVE: "recvonly", Use.INACTIVE: "inactive"}
_FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)


# Descriptions of this engine are real SDP (RFC 8866), so that code which reads them needs no sockets. They have what a
# session or a page reads: sections with mid, kind, direction and codecs, BUNDLE, candidates.


def read_description(text: str) -> Description:
    """Read an offer or an answer; raises `PeerError` where it is none or names no ICE user fragment."""
    description = parse_description(text)
    if not description.ice_ufrag:
        raise PeerError("the description has no a=ice-ufrag; send what createOffer made")
    return description


def channel_labels(description: Description) -> list[str]:
    """Return the labels of the data channels that an offer of this engine opens."""
    return (description.session.value("x-memory-channels") or "").split()


def write_offer(ufrag: str, sections: Sequence[Section], channels: Sequence[str]) -> str:
    """An offer with these sections, mids `0`, `1`, …, and the application section last."""
    parts = [
        _media(str(n), section.kind, _USED_BY_OFFERER[section.use], dict(_OFFERED[section.kind]), ufrag, "actpass")
        for n, section in enumerate(sections)
    ]
    if channels:
        parts.append(_application(str(len(sections)), ufrag, "actpass"))
    lines = [f"a=x-memory-channels:{' '.join(channels)}"] if channels else []
    return _description([str(n) for n in range(len(parts))], lines, parts)


def write_answer(ufrag: str, offer: Description, uses: Mapping[str, Use]) -> str:
    """The answer to `offer`: every section of it in its order, the codec cut to one."""
    parts: list[list[str]] = []
    taken = bundled(offer)
    for section in taken.media:
        if section.kind == "application":
            parts.append(_application(section.mid, ufrag, "active"))
            continue
        codec = chosen_codec(section)
        direction = answer_direction(section, uses.get(section.mid, Use.INACTIVE))
        clock = "90000" if section.kind == "video" else "48000/2"
        codecs = {str(codec.payload): f"{codec.name}/{clock}"} if codec else {}
        parts.append(_media(section.mid, section.kind, direction, codecs, ufrag, "active"))
    answer = _description([section.mid for section in taken.media], [], parts)
    return str(answered_whole(parse_description(answer), offer))


def chosen_codec(section: MediaSection) -> RtpCodec | None:
    """Return the codec that both sides have, or None; VP8 first, which every client has."""
    names = (VideoCodec.VP8, VideoCodec.H264) if section.kind == "video" else ("opus",)
    return next((RtpCodec(found, str(name)) for name in names if (found := section.payload(name)) is not None), None)


def answer_direction(section: MediaSection, use: Use) -> str:
    """`inactive` where the offer does not allow the use, or no codec is common."""
    if chosen_codec(section) is None:
        return "inactive"
    if use is Use.SEND and section.receives:
        return "sendonly"
    if use is Use.RECEIVE and section.sends:
        return "recvonly"
    return "inactive"


def _description(mids: list[str], lines: list[str], parts: list[list[str]]) -> str:
    head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {' '.join(mids)}", *lines]
    return written([head, *parts])


def _media(mid: str, kind: str, direction: str, codecs: Mapping[str, str], ufrag: str, setup: str) -> list[str]:
    head = f"m={kind} 9 UDP/TLS/RTP/SAVPF {' '.join(codecs) or '0'}"
    maps = [f"a=rtpmap:{number} {codec}" for number, codec in codecs.items()]
    return _part([head, "c=IN IP4 0.0.0.0", f"a=mid:{mid}", f"a={direction}", "a=rtcp-mux", *maps], ufrag, setup)


def _application(mid: str, ufrag: str, setup: str) -> list[str]:
    head = ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", f"a=mid:{mid}"]
    return _part([*head, "a=sctp-port:5000", "a=max-message-size:262144"], ufrag, setup)


def _part(lines: list[str], ufrag: str, setup: str) -> list[str]:
    return [
        *lines,
        "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host",
        "a=end-of-candidates",
        f"a=ice-ufrag:{ufrag}",
        f"a=ice-pwd:{ufrag * 3}",
        f"a=fingerprint:{_FINGERPRINT}",
        f"a=setup:{setup}",
    ]


class MemoryEngine:
    """Fits `Engine` by shape; Peers of one MemoryEngine reach each other."""

    def __init__(self) -> None:
        self._peers: dict[str, MemoryPeer] = {}
        self._numbers = count(1)

    @property
    def capabilities(self) -> EngineCapabilities:
        """Say what this engine can do."""
        return EngineCapabilities("memory", (VideoCodec.VP8, VideoCodec.H264), True, True, loopback=True, tcp=False)

    async def start(self) -> None:
        """Do nothing: this engine has nothing to warm up."""

    async def peer(self, config: PeerConfig, events: Callable[[PeerEvent], None]) -> MemoryPeer:
        """A new Peer on the running loop."""
        ufrag = f"mem{next(self._numbers):05d}"
        self._peers[ufrag] = peer = MemoryPeer(ufrag, config, events, self._peers)
        return peer

    @property
    def peers(self) -> list[MemoryPeer]:
        """Every open Peer, oldest first."""
        return list(self._peers.values())

    async def aclose(self) -> None:
        """Close every Peer."""
        for peer in list(self._peers.values()):
            await peer.aclose()


class MemoryPeer:
    """Fits `Peer` by shape. `freeze`, `fail` and `limit` play what a network does to it."""

    def __init__(
        self, ufrag: str, config: PeerConfig, events: Callable[[PeerEvent], None], peers: dict[str, MemoryPeer]
    ) -> None:
        self.ufrag, self._config, self._events, self._peers = ufrag, config, events, peers
        self._loop = asyncio.get_running_loop()
        self._wire = Wire(self._loop)  # what this side sends
        self._state = PeerState.NEW
        self._silent = False  # closed by us: no event any more
        self._far: MemoryPeer | None = None
        self._offered: Description | None = None
        self._inputs: dict[str, MemoryInput] = {}
        self._video: dict[str, MemoryVideoOutput] = {}
        self._audio: dict[str, MemoryAudioOutput] = {}
        self._channels: list[MemoryChannel] = []
        self.candidates: list[Candidate] = []  # those that were added, for tests

    # --- Peer ---

    async def accept(self, offer: str, uses: Mapping[str, Use]) -> Negotiated:
        """Answer an offer; the connection is made when its Peer takes the answer."""
        self._begin()
        description = read_description(offer)
        answer = write_answer(self.ufrag, description, uses)
        self._offered = description
        for section in bundled(read_description(answer)).media:
            self._bind(section, sends=section.direction == "sendonly", receives=section.direction == "recvonly")
        return Negotiated(answer, dict(self._video), dict(self._audio))

    async def offer(self, sections: Sequence[Section], channels: Sequence[str]) -> str:
        """Make an offer; `Use.SEND` offers to send."""
        self._begin()
        text = write_offer(self.ufrag, sections, channels)
        self._offered = read_description(text)
        return text

    async def take_answer(self, answer: str) -> Negotiated:
        """Apply the answer to our offer, and connect."""
        if self._offered is None or self._far is not None:
            raise EngineError("this peer is not waiting for an answer; call offer() first")
        description = read_description(answer)
        if [section.mid for section in description.media] != [section.mid for section in self._offered.media]:
            raise PeerError("the sections of the answer differ from those of the offer; answer every section, in order")
        for section in description.media:  # its directions are the other side's
            self._bind(section, sends=section.direction == "recvonly", receives=section.direction == "sendonly")
        far = self._peers.get(description.ice_ufrag)
        if far is not None:
            self._connect(far)
        return Negotiated(answer, dict(self._video), dict(self._audio))

    async def add_candidate(self, candidate: Candidate) -> None:
        """Kept in `candidates`; a wire needs none."""
        self.candidates.append(candidate)

    async def stats(self) -> PeerStats:
        """Return the bytes that were sent; the wire has no delay and no loss."""
        sent = sum(output.bytes_sent for output in self._video.values())
        received = 0 if self._far is None else sum(output.bytes_sent for output in self._far._video.values())
        if self._state is not PeerState.CONNECTED:
            return PeerStats(bytes_sent=sent, bytes_received=received)
        pair = CandidatePair("wire", True, True, "host", "host", None, 0.0, sent, received)
        return PeerStats(
            rtt_ms=0.0,
            local_candidate="host",
            bytes_sent=sent,
            bytes_received=received,
            outbound={mid: {"bytes_sent": output.bytes_sent} for mid, output in self._video.items()},
            inbound={mid: {"bytes_received": track.bytes_received} for mid, track in self._inputs.items()},
            pairs=(pair,),
        )

    async def set_bitrate(self, *, min_bps: int | None = None, max_bps: int | None = None) -> None:
        """A wire has no bitrate; `limit` plays one."""

    async def aclose(self) -> None:
        """Close; the other side sees its channels close and then the Peer."""
        self._silent = True
        self._peers.pop(self.ufrag, None)
        far, self._far = self._far, None
        if far is not None:
            self._wire.carry(lambda: far._end("the other side closed"))
        self._end("")

    # --- what a test does to it ---

    def freeze(self, frozen: bool = True) -> None:
        """Hold everything in both directions, as a network that has gone silent does."""
        for peer in (self, self._far):
            if peer is not None:
                peer._wire.freeze(frozen)

    def fail(self, state: PeerState = PeerState.FAILED, reason: str = "the network is gone") -> None:
        """The transport of this side changed its state."""
        self._change(state, reason)

    def limit(self, mid: str, bps: int) -> None:
        """Congestion control allows the output `mid` this much."""
        self._emit(RateChanged(mid, bps))

    # --- inside ---

    def _begin(self) -> None:
        if self._state is not PeerState.NEW or self._offered is not None:
            raise EngineError("this peer already has a description, or is closed; create another one")
        self._emit(CandidateFound(Candidate("")))

    def _bind(self, section: MediaSection, *, sends: bool, receives: bool) -> None:
        mid, chosen = section.mid, chosen_codec(section)
        if section.kind == "application" or chosen is None:
            return
        if sends and section.kind == "video":
            codec = VideoCodec(chosen.name)
            self._video[mid] = MemoryVideoOutput(mid, codec, self._wire, lambda: self._emit(KeyFrameWanted(mid)))
            self._emit(CodecNegotiated(mid, codec))
        elif sends:
            self._audio[mid] = MemoryAudioOutput(mid, self._wire)
        elif receives:
            kind = "video" if section.kind == "video" else "audio"
            self._inputs[mid] = MemoryInput(mid, kind, lambda: self._want_key(mid))
            self._emit(TrackAdded(mid, self._inputs[mid]))

    def _connect(self, far: MemoryPeer) -> None:
        self._far, far._far = far, self
        for peer in (self, far):
            peer._change(PeerState.CONNECTING)
        # Two turns of the loop later, as on a network: never before the caller has its answer applied.
        self._wire.carry(lambda: self._wire.carry(lambda: self._connected(far)))

    def _connected(self, far: MemoryPeer) -> None:
        if self._far is not far or far._far is not self:
            return
        for near, other in ((self, far), (far, self)):
            near._change(PeerState.CONNECTED)
            for mid, output in (*near._video.items(), *near._audio.items()):
                output.connect(other._inputs.get(mid))
        chunked = self._config.chunking and far._config.chunking
        limit = Limits().chunked_message_bytes if chunked else Limits().message_bytes
        for label in channel_labels(self._offered) if self._offered else ():
            ends = [MemoryChannel(label, limit, peer._wire, peer._config.admit) for peer in (self, far)]
            join_channels(*ends)
            for peer, end in zip((self, far), ends, strict=True):
                peer._channels.append(end)
                peer._emit(ChannelAdded(end))

    def _want_key(self, mid: str) -> None:
        def arrive() -> None:
            output = self._far._video.get(mid) if self._far is not None else None
            if output is not None:
                output.key_wanted()

        self._wire.carry(arrive)

    def _end(self, reason: str) -> None:
        self._far = None
        for output in (*self._video.values(), *self._audio.values()):
            output.connect(None)
        for channel in self._channels:
            channel.shut()
        self._change(PeerState.CLOSED, reason)

    def _change(self, state: PeerState, reason: str = "") -> None:
        if self._state is not PeerState.CLOSED:
            self._state = state
            self._emit(StateChanged(state, reason))

    def _emit(self, event: PeerEvent) -> None:
        """Deliver an event on a later turn of the loop, never from within a call; may be called from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell, event)

    def _tell(self, event: PeerEvent) -> None:
        if not self._silent:
            self._events(event)
