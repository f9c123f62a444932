"""A member: one Connection of a Session, its state, the outputs that it receives, and its deadlines. Pure.

`Membership` owns its members, passes them events, and asks each for its deadline. `ConnectionIds` gives out the ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from itertools import cycle
from typing import Final, Never, TypeAlias

from livereactor.base.errors import ConflictError, PeerError
from livereactor.base.limits import Limits
from livereactor.base.machine import Machine, Table
from livereactor.runtime.interfaces import Role

NO_DATA_CHANNEL: Final = 10.0  # seconds a transport may be up without a `data` channel


class MemberState(Enum):
    """The states of a Connection."""

    OFFERED = "offered"  # the client sent an offer; the transport is not up
    UP = "up"  # the transport is up; the channel `data` is not open
    LIVE = "live"  # the channel `data` is open: the model knows the connection


@dataclass(frozen=True, slots=True)
class AboutConnection:
    """An event or effect of one Connection. A subclass without fields of its own needs no decorator."""

    connection: int


@dataclass(frozen=True, slots=True)
class Offered:
    """An offer has come, the first or a new one, which replaces the transport."""

    connection: int
    role: Role = "owner"
    link: str = ""  # the share link that the client came by
    flat: bool = False  # the implicit Connection 1001 of old clients


class TransportUp(AboutConnection):
    """The transport is up: ICE and DTLS have succeeded."""


class DataOpened(AboutConnection):
    """The channel `data` has opened."""


MemberEvent: TypeAlias = Offered | TransportUp | DataOpened

_S = MemberState
LEGAL: Final[Table[MemberState, MemberEvent]] = Table(
    "Connection",
    {
        # An open channel proves the transport, whose own event comes from another thread of the engine, maybe later.
        _S.OFFERED: {Offered: _S.OFFERED, TransportUp: _S.UP, DataOpened: _S.LIVE},
        _S.UP: {Offered: _S.OFFERED, TransportUp: _S.UP, DataOpened: _S.LIVE},
        _S.LIVE: {Offered: _S.OFFERED, TransportUp: _S.LIVE, DataOpened: _S.LIVE},
    },
)


class MemberDue(Enum):
    """The actions that passed deadlines of a member ask for."""

    NEVER_LIVE = "the client did not connect within 30 s of its offer"
    NO_DATA = "the client opened no data channel within 10 s"
    DISPLACED = "the session is full, and its owner took this place"
    SILENT = "the client sent nothing for 20 s"
    ASSUME = "a silent client counts as a listener that speaks v0"


VIEWER_RANK: Final = 0


def rank_of(role: Role, link: str) -> int:
    """Return 0 for a viewer, 1 for a client of a share link that may control, 2 for the owner."""
    return VIEWER_RANK if role == "viewer" else 1 if link else 2


class Member(Machine[MemberState, MemberEvent, Never]):
    """The state of one Connection.

    Attributes:
        counts: it keeps the Session from being orphaned, also while it is being replaced.
        leaves_at: when it is closed because another has its place; None = it has a place.
    """

    def __init__(self, offer: Offered, limits: Limits, now: float) -> None:
        super().__init__(LEGAL)
        self._limits = limits
        self.connection = offer.connection
        self.counts = False
        self.leaves_at: float | None = None  # another took its place, and the notice is on its way
        self._start(offer, now)

    def _start(self, offer: Offered, now: float) -> None:
        self.role: Role = offer.role
        self.link = offer.link
        self.flat = offer.flat
        self.resumed: set[str] = set()
        self.joined = False  # the model knows of it
        self.has_control = False
        self.binary: bool | None = None  # v1; None = no frame has come
        self.implicit = False  # it has no `control`: outputs start by themselves, media claims its slot
        self._offered = self.heard_at = now
        self._up_at: float | None = None
        self._assume_at: float | None = None

    def _decide(self, event: MemberEvent, now: float) -> list[Never]:
        match event:
            case Offered():
                self._start(event, now)
            case TransportUp() if self._up_at is None:
                self._up_at = now
            case DataOpened() if self.state is not MemberState.LIVE:
                self.counts = True
                self.heard_at = now
                # The flat Connection is v0 at once, which the Membership sees to.
                self._assume_at = None if self.flat else now + self._limits.format_silence
            case _:
                pass
        return []

    def deadline(self) -> float:
        """Return when `due` will return something."""
        ends = self._ends()[0]
        return ends if self._assume_at is None else min(ends, self._assume_at)

    def due(self, now: float) -> MemberDue | None:
        """Return the action whose deadline has passed, or None; ASSUME is returned once."""
        ends, why = self._ends()
        if now >= ends:
            return why
        if self._assume_at is not None and now >= self._assume_at:
            self._assume_at = None
            return MemberDue.ASSUME
        return None

    def lives_until(self) -> float:
        """Return the moment at which a Connection that is not live yet is dropped."""
        return self._offered + self._limits.offer_to_live

    @property
    def rank(self) -> int:
        """The rank by which places are given: a viewer gives way to all, a client of a share link to the owner."""
        return rank_of(self.role, self.link)

    def _ends(self) -> tuple[float, MemberDue]:
        if self.leaves_at is not None:
            return self.leaves_at, MemberDue.DISPLACED
        if self.state is MemberState.LIVE:
            return self.heard_at + self._limits.client_silence, MemberDue.SILENT
        if self.state is MemberState.UP and self._up_at is not None:
            no_data = self._up_at + NO_DATA_CHANNEL
            if no_data < self.lives_until():
                return no_data, MemberDue.NO_DATA
        return self.lives_until(), MemberDue.NEVER_LIVE


FLAT_CONNECTION: Final = 1001  # the implicit Connection of old clients
FIRST_MINTED, LAST_CONNECTION = 5000, 9999  # 1002 to 4999 are left to callers


class ConnectionIds:
    """The connection ids of the Session that runs, and the client that each belongs to.

    A coordinator marks every request with its caller: a client with another share link must not read or replace what
    the owner has negotiated. A stand-alone runtime does not tell callers apart: all are "", as behind one key.

    A minted id belongs to its caller until the Session ends, so that the caller can return on it, but each caller keeps
    only its newest. An id that a client chose by itself, and the flat one, belong to a client while it is connected.

    Args:
        most: ids that are kept for one caller, beside those of present Connections.
    """

    def __init__(self, most: int = Limits().minted_ids) -> None:
        self._most = most
        self._next = cycle(range(FIRST_MINTED, LAST_CONNECTION + 1))
        self._minted: dict[int, str] = {}  # caller by id, the oldest first
        self._callers: dict[int, str] = {}

    def forget(self) -> None:
        """Forget all ids: another Session begins."""
        self._minted.clear()
        self._callers.clear()

    def mint(self, caller: str, there: Collection[int]) -> int:
        """Return a new id for the caller, which is neither among those that are `there` nor reserved for anyone.

        A caller with too many reserved ids loses its oldest; where all ids are reserved, the caller with the most does.
        """
        idle = [number for number in self._minted if number not in there]
        mine = [number for number in idle if self._minted[number] == caller]
        if len(mine) >= self._most:
            self._release(mine[0])
        elif len(self._minted.keys() | set(there)) > LAST_CONNECTION - FIRST_MINTED:
            greedy = Counter(self._minted[number] for number in idle).most_common(1)[0][0]
            self._release(next(number for number in idle if self._minted[number] == greedy))
        number = next(number for number in self._next if number not in there and number not in self._minted)
        self._minted[number] = self._callers[number] = caller
        return number

    def _release(self, number: int) -> None:
        del self._minted[number], self._callers[number]

    def is_minted(self, number: int) -> bool:
        """Return whether the id was given out in this Session."""
        return number in self._minted

    def claim(self, number: int, caller: str) -> None:
        """Give the id to the caller, whose offer was accepted."""
        self._callers[number] = caller

    def check(self, number: int, caller: str, there: Collection[int]) -> None:
        """Check that the caller may use an id.

        Args:
            there: ids of the present Connections.

        Raises:
            PeerError: not an id that a Connection can have.
            ConflictError: the id belongs to another client.
        """
        if not FLAT_CONNECTION <= number <= LAST_CONNECTION:
            raise PeerError(f"a connection id is {FLAT_CONNECTION} to {LAST_CONNECTION}; POST …/connections gives one")
        if (number in self._minted or number in there) and self._callers.get(number, caller) != caller:
            raise ConflictError(f"connection {number} is another client's; POST …/connections gives one of your own")
