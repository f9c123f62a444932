"""The interface to WebRTC. An Engine makes Peers; a Peer answers or makes an offer, sends, receives and reports.

What every adapter promises:

- Methods are awaited on one asyncio loop; events are delivered on that loop, in order, through the `events` callable
  given to `Engine.peer`. `VideoOutput.send`, `AudioOutput.send` and callbacks of `ReceivedTrack` are the exceptions:
  `send` may be called from any thread and never blocks, and input callbacks run on a thread of the engine.
- A Peer never creates a data channel when it accepts an offer (official clients would lose theirs).
- Sections are bound by mid; the answer keeps every section of the offer, its order and mid, and carries candidates.
- `aclose()` may be called twice, from any state; after it no event comes any more and nothing is kept alive.
- Engine failures are raised as `EngineError`, a description that cannot be used as `PeerError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, Protocol, TypeAlias

from livereactor.base.limits import Limits
from livereactor.media.frames import EncodedFrame, Frame, Sound, VideoCodec

Kind: TypeAlias = Literal["video", "audio"]
Admit: TypeAlias = Callable[[str, bytes], bool]


@dataclass(frozen=True, slots=True)
class EngineCapabilities:
    """The abilities of an adapter; code asks for them here, not by `isinstance`."""

    name: str
    video_codecs: tuple[VideoCodec, ...]  # those it can carry, preferred first
    chunking: bool  # data-channel chunking (docs/protocol.md)
    frame_metadata: bool  # tags on frames (docs/protocol.md)
    loopback: bool  # offers loopback candidates, so media works with no other address
    tcp: bool  # ICE over TCP


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server (RFC 8489, RFC 8656)."""

    urls: tuple[str, ...]
    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """Settings of one peer: how it gathers candidates and what it negotiates.

    Attributes:
        ice_servers: asked while gathering. A dead one must not delay answers; a relay's first candidate is waited for.
        relay_only: use relay candidates only (`ICE_TRANSPORT_POLICY=relay`).
        public_addresses: IP addresses at which others reach our host candidates, behind a 1:1 NAT; answers name these.
        port_range: lowest and highest UDP port, inclusive; None = the system's.
        chunking: negotiate data-channel chunking when the other side declares it.
        frame_metadata: negotiate frame tags when the other side declares them.
        start_bps, max_bps: where the bandwidth estimate starts and ends.
        min_bps: floor of the estimate; for peers without transport-cc, whose estimate starts far too low.
        video_codecs: what our video outputs can be given, preferred first: the first of them that a section offers is
            negotiated, and a section that offers none is inactive.
        receive_bytes: the largest chunked message that is put together here, where the adapter can tell.
        video_pixels: most of a frame of received video; a peer that sends a larger one fails, with this as the reason.
        data_channels: most that the other side may open in the life of this peer, closed ones too; a peer whose other
            side opens more fails, with this as the reason.
        admit: asked about each message with the label of its channel and its bytes, on the thread where it arrives; one
            that is not admitted is dropped. None = all are.
    """

    ice_servers: tuple[IceServer, ...] = ()
    relay_only: bool = False
    public_addresses: tuple[str, ...] = ()
    port_range: tuple[int, int] | None = None
    chunking: bool = True
    frame_metadata: bool = True
    start_bps: int = 2_500_000
    max_bps: int = 10_000_000
    min_bps: int | None = None
    video_codecs: tuple[VideoCodec, ...] = (VideoCodec.VP8, VideoCodec.H264)
    receive_bytes: int = Limits().chunked_message_bytes
    video_pixels: int = Limits().video_pixels
    data_channels: int = Limits().data_channels
    admit: Admit | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One ICE candidate as it is trickled; an empty line is the end marker."""

    line: str  # "candidate:…" without "a="
    mid: str | None = None
    line_index: int | None = None


class Use(Enum):
    """The use that the answerer makes of one media section of the offer."""

    SEND = "send"  # the offer's recvonly: we send an output
    RECEIVE = "receive"  # the offer's sendonly: an input
    INACTIVE = "inactive"  # unknown track, wrong kind, or no common codec


@dataclass(frozen=True, slots=True)
class Section:
    """One media section this side offers (client side and tests)."""

    kind: Kind
    use: Use
    name: str = ""


class PeerState(Enum):
    """State of the transport, as RTCPeerConnectionState names it (W3C webrtc-pc, section 4.3.3)."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    CLOSED = "closed"


# --- events of a Peer, on the loop -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CandidateFound:
    """A local candidate that was not in the description yet; `candidate.line == ""` ends gathering."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The transport changed; `reason` is readable and may be empty."""

    state: PeerState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TrackAdded:
    """The other side may now send on the section `mid`."""

    mid: str
    track: ReceivedTrack


@dataclass(frozen=True, slots=True)
class ChannelAdded:
    """The other side opened a data channel (or ours opened, on the offering side)."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class CodecNegotiated:
    """The output on section `mid` carries this codec from now on; other codecs are refused by its `send`."""

    mid: str
    codec: VideoCodec


@dataclass(frozen=True, slots=True)
class KeyFrameWanted:
    """The receiver of section `mid` cannot go on without a key frame."""

    mid: str


@dataclass(frozen=True, slots=True)
class RateChanged:
    """Congestion control allows section `mid` this many bits a second."""

    mid: str
    bps: int


PeerEvent: TypeAlias = (
    CandidateFound | StateChanged | TrackAdded | ChannelAdded | CodecNegotiated | KeyFrameWanted | RateChanged
)

# --- events of a Channel, on the loop ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChannelOpened:
    """The channel can send."""


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """One whole message; `text` tells a text frame from a binary one (SCTP PPID 51/56 against 53/57)."""

    data: bytes
    text: bool


@dataclass(frozen=True, slots=True)
class ChannelClosed:
    """The channel is gone; nothing more comes."""


ChannelEvent: TypeAlias = ChannelOpened | MessageReceived | ChannelClosed


class Channel(Protocol):
    """A data channel: ordered and reliable. Messages that came before `listen` are delivered by it, in order."""

    @property
    def label(self) -> str: ...
    @property
    def is_open(self) -> bool: ...
    @property
    def max_message_bytes(self) -> int:
        """Largest message `send` takes: 262,144 on a plain channel, more where chunking was negotiated."""
        ...

    @property
    def buffered_bytes(self) -> int:
        """Bytes accepted by `send` that have not left yet."""
        ...

    def listen(self, events: Callable[[ChannelEvent], None]) -> None:
        """Deliver events to `events` on the loop, those kept so far first."""
        ...

    def send(self, data: bytes, *, text: bool) -> None:
        """Queue one message; raises `TooLargeError` above the limit and `EngineError` when closed or full, and in
        either case sends nothing and keeps the channel alive."""
        ...

    async def drain(self, timeout: float) -> bool:
        """True once everything queued has left, False after `timeout` seconds or when closed."""
        ...

    def close(self) -> None: ...


class VideoOutput(Protocol):
    """One video track to one viewer. Newest wins; nothing queues beyond the last few frames."""

    @property
    def mid(self) -> str: ...
    @property
    def codec(self) -> VideoCodec | None:
        """The negotiated codec; None until it is negotiated."""
        ...

    def send(self, frame: EncodedFrame) -> bool:
        """Hand one encoded Frame over, from any thread, without blocking; False when it was dropped (another codec
        than negotiated, not connected, closed). Holds deltas back until this viewer has had a key frame, and asks for
        one by `KeyFrameWanted` when it cannot go on."""
        ...


class AudioOutput(Protocol):
    """One audio track to one viewer; Opus is the engine's own."""

    @property
    def mid(self) -> str: ...
    def send(self, sound: Sound) -> bool:
        """Hand over 10 ms blocks of int16 PCM, from any thread, without blocking; False when dropped."""
        ...


class ReceivedTrack(Protocol):
    """A received track: the media that the other side sends on one section."""

    @property
    def mid(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    def on_frame(self, callback: Callable[[Frame], None] | None) -> None:
        """Deliver decoded Frames (RGB; a fresh array each) on a thread of the engine; None stops."""
        ...

    def on_sound(self, callback: Callable[[Sound], None] | None) -> None:
        """Deliver decoded Sound on a thread of the engine; None stops."""
        ...


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The answer of a negotiation and the outputs that it opened, by mid."""

    answer: str
    video: Mapping[str, VideoOutput] = field(default_factory=dict[str, "VideoOutput"])
    audio: Mapping[str, AudioOutput] = field(default_factory=dict[str, "AudioOutput"])


@dataclass(frozen=True, slots=True)
class CandidatePair:
    """One path that ICE tried. None = not measured, or not reported by this engine.

    Attributes:
        id: the same in every sample.
        nominated: ICE selected it; after a change of path several may be.
        succeeded: its checks were answered.
        local_type, remote_type: host | srflx | prflx | relay.
        relay_protocol: udp | tcp | tls, by which our relay is reached; None without one.
        bytes_sent, bytes_received: all it carried since it came up.
        outgoing_bps, incoming_bps: what congestion control takes to be available.
    """

    id: str
    nominated: bool
    succeeded: bool
    local_type: str | None = None
    remote_type: str | None = None
    relay_protocol: str | None = None
    rtt_ms: float | None = None
    bytes_sent: int = 0
    bytes_received: int = 0
    outgoing_bps: float | None = None
    incoming_bps: float | None = None


@dataclass(frozen=True, slots=True)
class PeerStats:
    """A sample; None = not measured yet. Counters are since the Peer was made.

    Attributes:
        outbound, inbound: figures by section (mid); a figure that is not measured is absent.
    """

    rtt_ms: float | None = None
    local_candidate: str | None = None  # host | srflx | prflx | relay, of the pair that carries the media
    bytes_sent: int = 0
    bytes_received: int = 0
    available_bps: float | None = None
    loss_ratio: float | None = None
    jitter_ms: float | None = None
    outbound: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict[str, Mapping[str, float | str]])
    inbound: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict[str, Mapping[str, float | str]])
    pairs: tuple[CandidatePair, ...] = ()


class Peer(Protocol):
    """One WebRTC transport."""

    async def accept(self, offer: str, uses: Mapping[str, Use]) -> Negotiated:
        """Answer an offer; `uses` says per mid what to do, mids it lacks are inactive. Returns as soon as the answer
        has its first candidates, a relay's among them where TURN servers are given; never waits for gathering to
        complete."""
        ...

    async def offer(self, sections: Sequence[Section], channels: Sequence[str]) -> str:
        """Make an offer with these sections in this order, then the data channels by label in order (client side)."""
        ...

    async def take_answer(self, answer: str) -> Negotiated:
        """Apply the answer to our offer; the outputs of its sending sections come back (client side)."""
        ...

    async def add_candidate(self, candidate: Candidate) -> None:
        """Add a trickled candidate; one it cannot use (TCP, IPv6, unresolvable) is ignored silently."""
        ...

    async def stats(self) -> PeerStats: ...
    async def set_bitrate(self, *, min_bps: int | None = None, max_bps: int | None = None) -> None: ...
    async def aclose(self) -> None: ...


class Engine(Protocol):
    """Makes Peers. One per process: an engine owns threads and process-wide settings."""

    @property
    def capabilities(self) -> EngineCapabilities: ...
    async def start(self) -> None:
        """Warm up on the running loop (a first connection costs some 20 ms more); may be called twice."""
        ...

    async def peer(self, config: PeerConfig, events: Callable[[PeerEvent], None]) -> Peer: ...
    async def aclose(self) -> None: ...
