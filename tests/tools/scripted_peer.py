"""The WebRTC side of `scripted_server`: answers one offer, hears and says what its script says, in either format."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias, TypeVar

import numpy as np

from livereactor.base.clock import monotonic_us
from livereactor.base.errors import EngineError, PeerError
from livereactor.base.limits import Limits
from livereactor.engine.port import (
    Candidate,
    Channel,
    ChannelAdded,
    ChannelEvent,
    ChannelOpened,
    Engine,
    KeyFrameWanted,
    MessageReceived,
    Negotiated,
    Peer,
    PeerConfig,
    PeerEvent,
    PeerState,
    ReceivedTrack,
    StateChanged,
    TrackAdded,
    Use,
    VideoOutput,
)
from livereactor.media.encoder import make_encoder
from livereactor.media.frames import VideoCodec
from livereactor.protocol import messages as m
from livereactor.protocol import v0, v1
from livereactor.protocol.codecs import format_of
from livereactor.protocol.http import CandidateBody, Offer

FPS = 25.0
WIDTH, HEIGHT = 320, 180
LIMIT = Limits().chunked_message_bytes
USES: Mapping[str, Use] = {"recvonly": Use.SEND, "sendonly": Use.RECEIVE}
CODECS = {m.WireFormat.V0: v0, m.WireFormat.V1: v1}
RECORDER_DISABLED = "recorder disabled"

Raw: TypeAlias = tuple[m.ChannelLabel, bytes, bool]  # label, bytes, whether it goes as text
Said: TypeAlias = m.ServerMessage | Raw
Kind = TypeVar("Kind", bound=m.ClientMessage)
Reply: TypeAlias = Callable[[m.ClientMessage], Sequence[Said]]


def ordinary(message: m.ClientMessage) -> Sequence[Said]:
    """What a healthy server answers: `echo` with its arguments, `refuse` with an error, any other command with an
    acknowledgement; every claim of a track is granted; nothing is recorded."""
    match message:
        case m.Command(name="echo"):
            return [m.ModelMessage("echo_reply", message.arguments, message.request_id)]
        case m.Command(name="refuse"):
            return [m.Failure(message.request_id, "busy", "come back later")]
        case m.Command():
            return [m.Ack(message.request_id)]
        case m.RequestSchema():
            return [m.SchemaDocument(SCHEMA, message.request_id)]
        case m.RequestClip() | m.RequestRecording():
            return [m.ClipFailed(RECORDER_DISABLED, message.request_id)]
        case m.PublishTrack():
            return [m.PublishGranted(message.name, message.request_id)]
        case _:
            return []


def silent(message: m.ClientMessage) -> Sequence[Said]:
    """Nothing is ever answered."""
    return []


SCHEMA: Mapping[str, object] = {
    "openapi": "3.1.0",
    "info": {"title": "m", "version": "v0.0.1", "description": ""},
    "x-reactor": {"tracks": [{"name": "main_video", "kind": "video", "direction": "out"}]},
}


class ScriptedPeer:
    """One connection.

    Attributes:
        heard: every message, in order of arrival, whichever channel it came on.
        garbled: frames that are not of the protocol, or not of the only format this server speaks.
        format: of the first frame.
        first_words: said, and `film` run, as soon as both channels are open.
    """

    def __init__(
        self,
        *,
        reply: Reply,
        only: m.WireFormat | None,
        chunking: bool = True,
        first_words: Sequence[Said] = (),
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.heard: list[m.ClientMessage] = []
        self.garbled: list[bytes] = []
        self.format: m.WireFormat | None = None
        self.labels: list[str] = []
        self.state = PeerState.NEW
        self.inputs: dict[str, ReceivedTrack] = {}
        self._reply, self._only, self._first_words, self._changed = reply, only, first_words, changed
        self._config = PeerConfig(chunking=chunking)
        self._peer: Peer | None = None
        self._channels: dict[str, Channel] = {}
        self._outputs: dict[str, VideoOutput] = {}
        self._names: dict[str, str] = {}
        self._films: dict[str, asyncio.Task[None]] = {}
        self._keys: set[str] = set()  # names of tracks whose next frame is a key frame
        self._early: list[Candidate] = []
        self._kept: list[Said] = []

    async def accept(self, engine: Engine, offer: Offer, *, resume: bool) -> str:
        """The answer; `resume`: send every output as soon as it is connected, as to a client of the flat routes."""
        self._names = {track.mid: track.name for track in offer.track_mapping}
        self._peer = await engine.peer(self._config, self._event)
        uses = {track.mid: USES[track.direction] for track in offer.track_mapping}
        accepted: Negotiated = await self._peer.accept(offer.sdp_offer, uses)
        self._outputs = {self._names[mid]: output for mid, output in accepted.video.items()}
        for candidate in self._early:
            await self._peer.add_candidate(candidate)
        if resume:
            for name in self._outputs:
                self._film(name)
        return accepted.answer

    async def add(self, candidates: Sequence[CandidateBody]) -> None:
        """Trickled ones, which may come before the offer."""
        for each in candidates:
            candidate = Candidate(each.candidate, each.sdp_mid, each.sdp_mline_index)
            if self._peer is None:
                self._early.append(candidate)
            else:
                await self._peer.add_candidate(candidate)

    def of(self, kind: type[Kind]) -> list[Kind]:
        """What was heard of one kind."""
        return [message for message in self.heard if isinstance(message, kind)]

    def say(self, *said: Said) -> None:
        """In this connection's format, or bytes as they are; kept until both channels are there."""
        if len(self._channels) < 2:
            self._kept += said
            return
        for each in said:
            if isinstance(each, tuple):
                label, data, text = each
            else:
                codec = CODECS[self.format or self._only or m.WireFormat.V0]
                frame = codec.encode_server(each)
                if frame is None:  # has no form in this format
                    continue
                (label, data), text = frame, codec.TEXT
            with suppress(EngineError):  # the client has gone meanwhile
                self._channels[label].send(data, text=text)

    async def aclose(self) -> None:
        """Stop sending, close the transport."""
        for film in self._films.values():
            film.cancel()
        await asyncio.gather(*self._films.values(), return_exceptions=True)
        if self._peer is not None:
            await self._peer.aclose()

    # --- inside --------------------------------------------------------------------------------------------------

    def _event(self, event: PeerEvent) -> None:
        match event:
            case StateChanged(state):
                self.state = state
            case TrackAdded(mid, track):
                self.inputs[self._names[mid]] = track
            case KeyFrameWanted(mid):
                self._keys.add(self._names[mid])
            case ChannelAdded(channel):
                self.labels.append(channel.label)
                self._channels[channel.label] = channel
                channel.listen(lambda happened: self._heard(channel.label, happened))
                if len(self._channels) == 2:
                    self.say(*self._first_words, *self._kept)
            case _:
                pass
        self._changed()

    def _heard(self, label: str, event: ChannelEvent) -> None:
        match event:
            case MessageReceived(data, text):
                self._message(label, data, text)
            case ChannelOpened():
                pass
            case _:
                pass
        self._changed()

    def _message(self, label: str, data: bytes, text: bool) -> None:
        self.format = self.format or format_of(data, text=text)
        if self._only not in (None, self.format):
            self.garbled.append(data)
            return
        try:
            message = CODECS[self.format].decode_client(label, data, limit=LIMIT)
        except PeerError:
            self.garbled.append(data)
            return
        self.heard.append(message)
        match message:
            case m.ResumeTrack(name) if name in self._outputs:
                self._film(name)
            case m.PauseTrack(name) if name in self._films:
                self._films.pop(name).cancel()
            case _:
                pass
        self.say(*self._reply(message))

    def _film(self, name: str) -> None:
        if name not in self._films:
            self._keys.add(name)
            self._films[name] = asyncio.create_task(self._send(name), name=f"film of {name}")

    async def _send(self, name: str) -> None:
        """Grey pictures, a little lighter each time."""
        output = self._outputs[name]
        encoder = make_encoder(output.codec or VideoCodec.VP8, width=WIDTH, height=HEIGHT, fps=FPS)
        try:
            for number in range(1_000_000):
                pixels = np.full((HEIGHT, WIDTH, 3), 40 + number % 150, np.uint8)
                key = name in self._keys
                self._keys.discard(name)
                output.send(encoder.encode(pixels, key=key, captured_us=monotonic_us()))
                await asyncio.sleep(1 / FPS)
        finally:
            encoder.close()
