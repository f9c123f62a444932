"""A Membership with a clock turned by hand, for tests that tell short stories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from livereactor.base.limits import Limits
from livereactor.runtime.interfaces import Role
from livereactor.runtime.session import events as e
from livereactor.runtime.session.lifecycle import ModelLoaded, SessionRequested
from livereactor.runtime.session.member import DataOpened, Offered, TransportUp
from livereactor.runtime.session.membership import Membership

Kind = TypeVar("Kind")
OUTPUTS, INPUTS = ("main_video", "voice"), ("webcam", "mic")


@dataclass(frozen=True)
class FrameReceived:
    """Calls `Membership.frame_received`."""

    connection: int
    binary: bool


@dataclass(frozen=True)
class CommandReceived:
    """Calls `Membership.command_received`."""

    connection: int


ServiceEvent: TypeAlias = e.MembershipEvent | FrameReceived | CommandReceived


def effects_of(members: Membership, event: ServiceEvent, now: float) -> list[e.MembershipEffect]:
    """Give a Membership an event, or a client's frame or command."""
    match event:
        case FrameReceived(connection=connection, binary=binary):
            members.frame_received(connection, binary=binary, now=now)
            return []
        case CommandReceived(connection=connection):
            return members.command_received(connection, now)
        case _:
            return members.handle(event, now)


class Acting:
    """`tell` an event now, `after` some seconds; what the last of them asked for is in `effects`."""

    def __init__(self, *, limits: Limits | None = None, idle_timeout: float = 0.0, ready: bool = True) -> None:
        self.now = 1000.0
        self.members = Membership(limits or Limits(), outputs=OUTPUTS, inputs=INPUTS, idle_timeout=idle_timeout)
        self.effects: list[e.MembershipEffect] = []
        if ready:
            self.tell(ModelLoaded())

    def tell(self, *events: ServiceEvent) -> list[e.MembershipEffect]:
        self.effects = [effect for event in events for effect in effects_of(self.members, event, self.now)]
        return self.effects

    def after(self, seconds: float) -> list[e.MembershipEffect]:
        """Turn the clock, waking the Membership at each deadline on the way, as its shell does."""
        until, effects = self.now + seconds, list[e.MembershipEffect]()
        while (deadline := self.members.deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            effects += self.members.handle(e.TimedOut(), self.now)
        self.now = until
        self.effects = effects
        return effects

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def start(self, **asked: float | None) -> None:
        self.tell(SessionRequested("ses_1", **asked))  # type: ignore[arg-type]  # windows only

    def connect(
        self, connection: int = 5000, *, role: Role = "owner", link: str = "", control: bool = True
    ) -> list[e.MembershipEffect]:
        """Offer, transport, channels."""
        events: list[e.MembershipEvent] = [
            Offered(connection, role, link),
            TransportUp(connection),
            DataOpened(connection),
        ]
        if control:
            events.insert(2, e.ControlOpened(connection))
        return self.tell(*events)
