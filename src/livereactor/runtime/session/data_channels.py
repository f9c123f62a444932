"""One Connection's data channels: which wire format it speaks, what it says, and what is said to it.

Loop only. Decoding and checking happen here; who may do what is the Membership's, doing it the Runtime's.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Final, Protocol

from livereactor.base.errors import LivereactorError, PeerError, TooLargeError
from livereactor.base.limits import Limits
from livereactor.base.sparse_log import SparseLog
from livereactor.engine.port import Channel, ChannelClosed, ChannelEvent, ChannelOpened, MessageReceived
from livereactor.protocol import messages as m
from livereactor.protocol.codecs import CODECS, Codec, format_of
from livereactor.runtime.session.events import (
    ControlOpened,
    FrameReceived,
    MembershipEvent,
    PauseRequested,
    PublishRequested,
    RefusePublish,
    ResumeRequested,
    TransportLost,
    UnpublishRequested,
)
from livereactor.runtime.session.member import DataOpened
from livereactor.runtime.session.steps import too_large

BACKLOG_BYTES: Final = 8 * 1024 * 1024  # what a client may leave unread: libwebrtc kills a channel above 16 MiB
HELD_BYTES: Final = 64 * 1024 * 1024  # frames that came before the Connection was live; one chunked message at most

MAY_NOT_RECORD: Final = "this connection may not record; it needs a token with the scope `record`"
FAULT_CHARACTERS: Final = 64  # of what a client calls its error, for the log


class ConnectionHost(Protocol):
    """The Session as a Connection sees it."""

    def room(self, event: MembershipEvent) -> None:
        """Feed the Membership; raises what the Membership raises."""
        ...

    def command(self, connection: Connection, command: m.Command) -> None:
        """Run a command; exactly one `ModelMessage`, `Ack` or `Failure` is told in the end."""
        ...

    def step(self, connection: Connection, request: m.RequestStep) -> None: ...
    def uploaded(self, connection: int, upload_id: str) -> None: ...
    def schema_document(self) -> m.JsonObject: ...
    def capabilities_document(self) -> m.JsonObject: ...
    def client_stats(self, connection: int, stats: m.ClientStats) -> None: ...
    def clip(self, connection: Connection, request: m.RequestClip | m.RequestRecording) -> None:
        """Make a clip; exactly one `ClipReady` or `ClipFailed` is told, in the order of the requests."""
        ...


class Connection:
    """The wire of one Connection.

    Args:
        number: its id.
        ours: a client of livereactor, whose pings on `control` are answered (protocol 5.10).
        records: it may ask for Clips.
        log: of its Session.
    """

    def __init__(
        self, number: int, host: ConnectionHost, limits: Limits, *, ours: bool, records: bool, log: SparseLog
    ) -> None:
        self.number, self.log = number, log
        self._host, self._limits, self._ours = host, limits, ours
        self._records = records
        self._channels: dict[str, Channel] = {}
        self._codec: Codec | None = None
        self._decided = False  # by a frame of the client, not by assumption
        self._data_open = False
        self._joined = False  # the model knows this client: what it says may be acted on
        self._early: deque[tuple[m.ChannelLabel, bytes]] = deque()  # said before that
        self._held: deque[m.ServerMessage] = deque()  # told before the format was known and `data` open
        self._faults: Counter[str] = Counter()
        self._closed = False

    @property
    def format(self) -> m.WireFormat | None:
        """The wire format, None while it is not known."""
        return next((each for each, codec in CODECS.items() if codec is self._codec), None)

    # --- from the engine -----------------------------------------------------------------------------------------

    def add_channel(self, channel: Channel) -> None:
        """The client opened a channel; any label but `control` is the data channel (protocol 5.1)."""
        label = m.CONTROL if channel.label == m.CONTROL else m.DATA
        if self._closed or label in self._channels:
            channel.close()
            return
        self._channels[label] = channel
        channel.listen(lambda event: self._on_event(label, event))
        if channel.is_open:
            self._opened(label)

    def join(self) -> None:
        """The model knows this client: act on what it has said so far, in order (protocol 5.1)."""
        self._joined = True
        while self._early and not self._closed:
            self._heard(*self._early.popleft())

    def _on_event(self, label: m.ChannelLabel, event: ChannelEvent) -> None:
        if self._closed:
            return
        try:
            match event:
                case MessageReceived(data=data, text=text):
                    self._received(label, data, text)
                case ChannelOpened():
                    self._opened(label)
                case ChannelClosed():
                    if label == m.DATA:
                        self._host.room(TransportLost(self.number, "the client closed its data channel"))
        except LivereactorError as error:  # what the Membership refuses must not reach the engine that called
            self._fault(label, error)

    def _opened(self, label: m.ChannelLabel) -> None:
        self._data_open = self._data_open or label == m.DATA
        self._host.room(DataOpened(self.number) if label == m.DATA else ControlOpened(self.number))
        self._release()

    def _received(self, label: m.ChannelLabel, data: bytes, text: bool) -> None:
        if not self._decided:
            self._decide(data, text)
        assert self._codec is not None
        self._host.room(FrameReceived(self.number, binary=not self._codec.TEXT))
        if self._joined:
            self._heard(label, data)
        elif len(self._early) < self._limits.held_messages and self._early_bytes() + len(data) <= HELD_BYTES:
            self._early.append((label, data))
        else:
            self._fault(label, PeerError("too many frames before the connection was live; wait for it", code="EARLY"))

    def _early_bytes(self) -> int:
        return sum(len(data) for _, data in self._early)

    def _heard(self, label: m.ChannelLabel, data: bytes) -> None:
        assert self._codec is not None
        try:
            limit = self._channels[label].max_message_bytes
            self._take(self._codec.decode_client(label, data, limit=limit))
        except LivereactorError as error:  # unreadable, or a notice that the Membership refuses and that has no answer
            self._fault(label, error)

    def _decide(self, data: bytes, text: bool) -> None:
        """The first frame decides, whatever was assumed before (protocol 5.2)."""
        self._codec, self._decided = CODECS[format_of(data, text=text)], True
        self._release()

    def _fault(self, label: str, error: LivereactorError) -> None:
        """Counted, and logged once per kind: a client must not fill the log."""
        self._faults[error.code] += 1
        if self._faults[error.code] == 1:
            self.log.warning(
                "frame dropped",
                apart=error.code,
                connection=self.number,
                channel=label,
                code=error.code,
                reason=error.message,
            )

    # --- what clients say ----------------------------------------------------------------------------------------

    def _take(self, message: m.ClientMessage) -> None:
        number, host = self.number, self._host
        match message:
            case m.Command():
                host.command(self, message)
            case m.RequestStep():
                host.step(self, message)
            case m.Ping():
                if self._ours:
                    self.tell(m.Pong())
            case m.ResumeTrack(name=track):
                host.room(ResumeRequested(number, track))
            case m.PauseTrack(name=track):
                host.room(PauseRequested(number, track))
            case m.PublishTrack(name=track, request_id=request_id):
                host.room(PublishRequested(number, track, request_id))
            case m.UnpublishTrack(name=track):
                host.room(UnpublishRequested(number, track))
            case m.FileUploaded(file=file):
                host.uploaded(number, file.upload_id)
            case m.RequestSchema(request_id=request_id):
                self.tell(m.ModelSchema(host.schema_document(), request_id))
            case m.RequestCapabilities():
                self.tell(m.ModelCapabilities(host.capabilities_document()))
            case m.RequestClip() | m.RequestRecording() if not self._records:
                self.tell(m.ClipFailed(MAY_NOT_RECORD, message.request_id))
            case m.RequestClip() | m.RequestRecording():
                host.clip(self, message)
            case m.ClientStats():
                host.client_stats(number, message)
            case m.PeerFault(code=code):
                self.log.info("client reports an error", connection=number, code=str(code)[:FAULT_CHARACTERS])

    # --- what is said to them ------------------------------------------------------------------------------------

    def tell(self, message: m.ServerMessage) -> None:
        """Send, or hold until the format is known and `data` open; what cannot go is counted, never raised."""
        if self._closed:
            return
        if self._codec is None or not self._data_open:
            if len(self._held) == self._limits.held_messages:
                self._held.popleft()
                limit = self._limits.held_messages
                self._fault(m.DATA, PeerError(f"{limit} messages wait for the client's first frame", code="UNHEARD"))
            self._held.append(message)
            return
        try:
            self._send(message)
        except LivereactorError as error:  # too large, not writable, or closed this very moment
            self._fault(m.DATA, error)
            self._answer_instead(message, error)

    def refuse_publish(self, refused: RefusePublish) -> None:
        """The Membership gave another the slot, or nobody may have it."""
        # Only v1 has a place for another code than that of a slot that is taken.
        if refused.code != m.PUBLISH_REFUSED and self.format is m.WireFormat.V1:
            self.tell(m.Failure(refused.request_id, refused.code, refused.message, m.CONTROL))
        else:
            self.tell(m.PublishRefused(refused.track, refused.request_id, refused.message))

    def assume_listener(self) -> None:
        """The client listens and says nothing: speak v0 until its first frame says otherwise."""
        if self._codec is None:
            self._codec = CODECS[m.WireFormat.V0]
            self._release()

    def close(self) -> None:
        """Nothing is heard or said any more."""
        self._closed = True
        self._held.clear()
        self._early.clear()
        self._channels.clear()

    def _release(self) -> None:
        while self._held and self._codec is not None and self._data_open:
            self.tell(self._held.popleft())

    def _send(self, message: m.ServerMessage) -> None:
        assert self._codec is not None
        frame = self._codec.encode_server(message)
        channel = self._channels.get(frame[0]) if frame else None
        if frame is None or channel is None:  # this format has no place for it, or the client opened no `control`
            return
        if channel.buffered_bytes > max(BACKLOG_BYTES, channel.max_message_bytes):
            self._closed = True  # nothing more is queued for it
            self._host.room(TransportLost(self.number, "the client does not read what it is sent"))
            return
        channel.send(frame[1], text=self._codec.TEXT)

    def _answer_instead(self, message: m.ServerMessage, error: LivereactorError) -> None:
        """A reply that cannot be sent still needs its one outcome."""
        instead: m.ServerMessage
        match message:
            case m.StepResult(request_id=str() as request_id) if isinstance(error, TooLargeError):
                instead = too_large(request_id, message.step, error)
            case m.StepResult(request_id=str() as request_id):
                instead = m.StepResult(request_id, message.step, failure=m.StepFailure.FAILED, error=error.message)
            case m.ModelMessage(request_id=str() as request_id):
                instead = m.Failure(request_id, error.code, error.message)
            case m.ModelSchema(request_id=str() as request_id):
                instead = m.Failure(request_id, error.code, error.message, m.CONTROL)
            case _:
                return
        try:
            self._send(instead)
        except LivereactorError as again:
            self._fault(m.DATA, again)


class Connections(dict[int, Connection]):
    """The Connections of a Session, by number."""

    def tell(self, number: int | None, message: m.ServerMessage) -> None:
        """Tell one, if it is there, or all where `number` is None."""
        for connection in list(self.values()) if number is None else [self.get(number)]:
            if connection is not None:
                connection.tell(message)
