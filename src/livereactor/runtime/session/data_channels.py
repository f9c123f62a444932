"""The data channels of one Connection: their wire format, the client's messages decoded, ours encoded. Loop only.

The session service acts on the messages; the membership machine decides which of them are allowed.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from livereactor.base.errors import ForbiddenError, LimitError, LivereactorError, PeerError, TooLargeError
from livereactor.base.limits import Limits
from livereactor.base.sparse_log import SparseLog
from livereactor.base.token_bucket import TokenBucket
from livereactor.engine.channel_inbound import WAITING_MESSAGES
from livereactor.engine.port import Channel, ChannelClosed, ChannelEvent, ChannelOpened, MessageReceived, PeerConfig
from livereactor.protocol import messages as m
from livereactor.protocol import v1
from livereactor.protocol.codecs import CODECS, Codec, format_of
from livereactor.runtime.interfaces import Role
from livereactor.runtime.session.allowance import AT_ONCE, HEAD_BYTES, TOGGLE_BURST, Allowance, InboundGate
from livereactor.runtime.session.events import ControlOpened, MembershipEvent, RefusePublish, TransportLost
from livereactor.runtime.session.member import DataOpened
from livereactor.runtime.session.membership import Membership
from livereactor.runtime.session.steps import too_large

LOOK_BYTES: Final = 1024 * 1024  # sent until it is asked how many of them wait: the engine's thread has to answer
BACKLOG_BYTES: Final = 8 * 1024 * 1024  # a client may leave unread; libwebrtc kills a channel above 16 MiB
HELD_BYTES: Final = 64 * 1024 * 1024  # of frames that wait to be read; one chunked message at most
READ_ON_LOOP: Final = 64 * 1024  # bytes of a message: up to a millisecond, like the way to a thread and back


class DataChannelsHost(Protocol):
    """The session service, as data channels see it."""

    @property
    def members(self) -> Membership: ...

    def dispatch(self, event: MembershipEvent) -> None:
        """Give an event to the membership machine; raises what the machine raises."""
        ...

    def post(self, work: Callable[[], None]) -> None:
        """Do `work` on the loop. Any thread."""
        ...

    def receive(self, channels: DataChannels, message: m.ClientMessage) -> None:
        """Act on a message. A `Command` gets exactly one `ModelMessage`, `Ack` or `Failure`; a request for a Clip
        exactly one `ClipReady`, `ClipFailed` or `Failure`, in the order of the requests."""
        ...


class DataChannels:
    """The channels of one Connection.

    Args:
        connection: its id.
        role: what the client may do; a viewer's messages are fewer and smaller.
        allowance: what the client may still send.
        is_ours: the client is livereactor's.
        may_record: the client may ask for Clips.
        log: of its Session.
        leaves: called with the allowance when the Connection is closed.
    """

    def __init__(
        self,
        connection: int,
        host: DataChannelsHost,
        limits: Limits,
        *,
        role: Role,
        allowance: Allowance,
        is_ours: bool,
        may_record: bool,
        log: SparseLog,
        leaves: Callable[[Allowance], None],
    ) -> None:
        self.connection, self.is_ours, self.may_record, self.log = connection, is_ours, may_record, log
        self._host, self._limits, self._leaves = host, limits, leaves
        self._allowance, self._largest = allowance, allowance.bounds.largest
        self._pace = TokenBucket(allowance.alone.in_company().pace, AT_ONCE)
        self._chunks = role == "owner"
        self._gate = InboundGate(allowance, host.post, refused=self._refused, ignored=self._ignored)
        self._asked: deque[int] = deque()  # bytes of each request that has no outcome yet
        self._toggles_told_until = 0.0
        self._toggles = allowance.toggles
        self._channels: dict[str, Channel] = {}
        self._codec: Codec | None = None
        self._decided = False  # by a frame of the client, not by assumption
        self._data_open = False
        self.is_joined = False  # the model knows this client: its messages may be acted on
        self._early: deque[tuple[m.ChannelLabel, bytes]] = deque()  # received before that
        self._unread: deque[tuple[m.ChannelLabel, bytes]] = deque()  # received since one that is read later
        self._unread_bytes = 0
        self._reading: asyncio.Task[None] | None = None
        self._held: deque[m.ServerMessage] = deque()  # sent before the format was known and `data` open
        self._sent: Counter[str] = Counter()  # bytes on each channel, since it was last asked how many wait
        self._faults: Counter[str] = Counter()
        self._closed = False

    @property
    def format(self) -> m.WireFormat | None:
        """The wire format; None before it is known."""
        return next((each for each, codec in CODECS.items() if codec is self._codec), None)

    # --- received ----------------------------------------------------------------------------------------------------

    def receiving(self, config: PeerConfig) -> PeerConfig:
        """Return the configuration of this Connection's Peer: what it may send is known before it sends."""
        # Without chunking, an engine puts together no message above 256 KiB for a client that may only watch.
        chunking = config.chunking and self._chunks
        return replace(config, chunking=chunking, receive_bytes=self._largest, admit=self._gate)

    def add(self, channel: Channel) -> None:
        """Add a channel that the client opened; any label but `control` is the data channel."""
        label = m.CONTROL if channel.label == m.CONTROL else m.DATA
        if self._closed or label in self._channels:
            channel.close()
            return
        self._channels[label] = channel
        channel.listen(lambda event: self._on_event(label, event))
        if channel.is_open:
            self._opened(label)

    def read_early(self) -> None:
        """Read the messages received so far, in order: the model knows this client now."""
        self.is_joined = True
        while self._early and not self._closed:
            self._take(*self._early.popleft())

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
                        self._host.dispatch(TransportLost(self.connection, "the client closed its data channel"))
        except LivereactorError as error:  # a refusal of the membership machine must not reach the engine
            self._fault(label, error)

    def _opened(self, label: m.ChannelLabel) -> None:
        self._data_open = self._data_open or label == m.DATA
        self._host.dispatch(DataOpened(self.connection) if label == m.DATA else ControlOpened(self.connection))
        self._release()

    def _received(self, label: m.ChannelLabel, data: bytes, text: bool) -> None:
        if not self._decided:  # the first frame decides, whatever was assumed before
            self._codec, self._decided = CODECS[format_of(data, text=text)], True
            self._release()
        assert self._codec is not None
        self._host.members.frame_received(self.connection, binary=not self._codec.TEXT, now=time.monotonic())
        if self.is_joined:
            self._take(label, data)
        elif len(self._early) < self._limits.held_messages and self._early_bytes() + len(data) <= HELD_BYTES:
            self._early.append((label, data))
        else:
            self._fault(label, PeerError("too many frames before the connection was live; wait for it", code="EARLY"))

    def _early_bytes(self) -> int:
        return sum(len(data) for _, data in self._early)

    def _take(self, label: m.ChannelLabel, data: bytes) -> None:
        """Read a message at once; aside where it is large, later where many came at once. Those behind it wait, so
        their order stays."""
        if self._reading is None and len(data) <= READ_ON_LOOP and self._is_its_turn():
            self._read(label, data)
        elif self._unread_bytes < HELD_BYTES and len(self._unread) < WAITING_MESSAGES:
            self._unread.append((label, data))
            self._unread_bytes += len(data)
            if self._reading is None:
                self._reading = asyncio.create_task(self._read_unread(), name=f"messages of {self.connection}")
        else:
            self._host.dispatch(TransportLost(self.connection, "messages arrive faster than they are read"))

    def _is_its_turn(self) -> bool:
        return not self._allowance.bounds.pace or self._pace.take(1, time.monotonic())

    async def _read_unread(self) -> None:
        try:
            while self._unread and not self._closed:
                if not self._is_its_turn():
                    await asyncio.sleep(self._pace.wait(1))
                    continue
                label, data = self._unread.popleft()
                self._unread_bytes -= len(data)
                try:
                    if len(data) <= READ_ON_LOOP:
                        self._read(label, data)
                    else:
                        message = await asyncio.to_thread(self._decoded, label, data)
                        if not self._closed:
                            self._act(label, data, message)
                except LivereactorError as error:
                    self._fault(label, error)
        finally:
            self._reading = None

    def _read(self, label: m.ChannelLabel, data: bytes) -> None:
        try:
            self._act(label, data, self._decoded(label, data))
        except LivereactorError as error:  # unreadable, or refused and of a kind that has no answer
            self._fault(label, error)

    def _decoded(self, label: m.ChannelLabel, data: bytes) -> m.ClientMessage:
        """Return the message in a frame. Any thread."""
        assert self._codec is not None
        limits = self._limits
        may_step = label == m.DATA and not self._codec.TEXT  # the steps of a stepped session carry frames
        limit = self._largest if may_step else min(self._largest, limits.message_bytes)
        return self._codec.decode_client(label, data, limit=limit, nodes=limits.json_nodes)

    def _act(self, label: m.ChannelLabel, data: bytes, message: m.ClientMessage) -> None:
        limit = self._limits.message_bytes
        if len(data) > limit and not isinstance(message, m.RequestStep):
            text = f"a message of {len(data)} bytes is over the limit of {limit}; upload large content"
            self._refused(label, TooLargeError(text), data[:HEAD_BYTES])
        elif isinstance(message, m.PauseTrack | m.ResumeTrack) and not self._toggles.take(1, time.monotonic()):
            self._refuse_toggle(label)
        else:
            if isinstance(message, m.Command | m.RequestStep):
                self._asked.append(len(data))
            self._host.receive(self, message)

    def _refuse_toggle(self, label: m.ChannelLabel) -> None:
        wait, rate, now = self._toggles.wait(1), self._limits.pause_rate, time.monotonic()
        if now >= self._toggles_told_until:
            self._toggles_told_until = now + TOGGLE_BURST
            text = f"tracks are paused and resumed more than {rate:g} times a second (pause_rate)"
            self._refused(label, LimitError(f"{text}; ask again in {wait:.1f} s"), b"")

    def _refused(self, label: m.ChannelLabel, error: LivereactorError, head: bytes) -> None:
        """Tell the client that a message was dropped: by its request's id, where it has one, else once for its size."""
        if self._closed:
            return
        is_new = not self._faults[error.code]
        self._fault(label, error)
        request_id = v1.request_id_of(head) if self.format is not m.WireFormat.V0 else None
        if request_id is not None:
            self.send(m.Failure(request_id, error.code, error.message, label))
        elif not head or is_new:
            self._tell(error)

    def _tell(self, error: LivereactorError) -> None:
        if self.format is m.WireFormat.V0:  # it has no errors
            self.send(m.RuntimeMessage("refused", {"code": error.code, "message": error.message}))
        else:
            self.send(m.Failure(None, error.code, error.message, m.CONTROL))

    def _ignored(self) -> None:
        if not self._closed:
            self._host.dispatch(TransportLost(self.connection, "the client went on sending more than it may"))

    def _fault(self, label: str, error: LivereactorError) -> None:
        """Count the fault, and log the first of each kind: a client must not fill the log."""
        self._faults[error.code] += 1
        if self._faults[error.code] == 1:
            self.log.warning(
                "frame dropped",
                apart=error.code,
                connection=self.connection,
                channel=label,
                code=error.code,
                reason=error.message,
            )

    # --- sent --------------------------------------------------------------------------------------------------------

    def answer(self, outcome: m.Ack | m.ModelMessage | m.Failure | m.StepResult) -> None:
        """Send the outcome of a command or step. The client waited for it, so its request counts no longer."""
        if self._asked:  # those that are answered out of turn differ in size, and all of them have one outcome
            size = self._asked.popleft()
            if not (self._unread and self._allowance.bounds.pace):  # else it sends on, without waiting
                self._gate.repay(size)
                if self._allowance.bounds.repays:
                    self._pace.give(1)
        self.send(outcome)

    def send(self, message: m.ServerMessage) -> None:
        """Send, or hold until the format is known and `data` is open. A message that cannot go is counted; nothing is
        raised."""
        if self._closed:
            return
        if self._codec is None or not self._data_open:
            if len(self._held) == self._limits.held_messages:
                self._held.popleft()
                limit = self._limits.held_messages
                self._fault(m.DATA, PeerError(f"{limit} messages await the client's first frame", code="UNHEARD"))
            self._held.append(message)
            return
        try:
            self._write(message)
        except LivereactorError as error:  # too large, not writable, or closed this very moment
            self._fault(m.DATA, error)
            self._answer_instead(message, error)

    def refuse_publish(self, refused: RefusePublish) -> None:
        """Send that the Connection may not publish a track."""
        # Only v1 has a place for another code than that of a track that is taken.
        if refused.code != m.PUBLISH_REFUSED and self.format is m.WireFormat.V1:
            self.send(m.Failure(refused.request_id, refused.code, refused.message, m.CONTROL))
        else:
            self.send(m.PublishRefused(refused.track, refused.request_id, refused.message))

    def refuse_recording(self, request_id: str | None) -> None:
        """Send that the Connection may not have Clips."""
        if self.format is m.WireFormat.V1:
            self.send(m.Failure(request_id, ForbiddenError.code, m.MAY_NOT_RECORD, m.CONTROL))
        else:
            self.send(m.ClipFailed(m.MAY_NOT_RECORD, request_id))

    def assume_v0(self) -> None:
        """Speak v0 until the client's first frame says otherwise: the client only listens."""
        if self._codec is None:
            self._codec = CODECS[m.WireFormat.V0]
            self._release()

    def close(self) -> None:
        """Receive and send nothing more."""
        self._closed = True
        self._gate.close()
        self._leaves(self._gate.allowance)
        self._held.clear()
        self._early.clear()
        self._unread.clear()
        self._channels.clear()

    def _release(self) -> None:
        while self._held and self._codec is not None and self._data_open:
            self.send(self._held.popleft())

    def _write(self, message: m.ServerMessage) -> None:
        assert self._codec is not None
        frame = self._codec.encode_server(message)
        channel = self._channels.get(frame[0]) if frame else None
        if frame is None or channel is None:  # this format has no place for it, or the client opened no `control`
            return
        self._sent[frame[0]] += len(frame[1])
        if self._sent[frame[0]] > LOOK_BYTES:
            self._sent[frame[0]] = 0
            if channel.buffered_bytes > max(BACKLOG_BYTES, channel.max_message_bytes):
                self._closed = True  # nothing more is queued for it
                self._host.dispatch(TransportLost(self.connection, "the client does not read its messages"))
                return
        channel.send(frame[1], text=self._codec.TEXT)

    def _answer_instead(self, message: m.ServerMessage, error: LivereactorError) -> None:
        """Send the one outcome of a request whose reply cannot be sent."""
        instead: m.ServerMessage
        match message:
            case m.StepResult(request_id=str() as request_id) if isinstance(error, TooLargeError):
                instead = too_large(request_id, message.step, error)
            case m.StepResult(request_id=str() as request_id):
                instead = m.StepResult(request_id, message.step, failure=m.StepFailure.FAILED, error=error.message)
            case m.ModelMessage(request_id=str() as request_id):
                instead = m.Failure(request_id, error.code, error.message)
            case m.SchemaDocument(request_id=str() as request_id):
                instead = m.Failure(request_id, error.code, error.message, m.CONTROL)
            case _:
                return
        try:
            self._write(instead)
        except LivereactorError as again:
            self._fault(m.DATA, again)
