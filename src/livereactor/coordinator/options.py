"""How a coordinator serves: what its operator decided, as one value. Each default has its reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from livereactor.base.limits import Limits
from livereactor.protocol import link


@dataclass(frozen=True, slots=True)
class Quotas:
    """What one account may use, unless its record says otherwise (behaviour 18.6). 0 = unlimited."""

    concurrent_sessions: int = 5  # a visitor's tabs and a forgotten script, not a farm
    sessions_per_minute: int = 10  # a client that retries in a loop is told so within seconds
    session_burst: int = 3  # at once, of those ten


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a minute of one address, against floods (429); this machine is not counted. 0 = unlimited."""

    anonymous: int = 600  # without key or token: a page's files, health checks, and then some
    creating: int = (
        240  # of tokens, Sessions, Connections, uploads: a school behind one address, not a script in a loop
    )


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """STUN and TURN as clients and Workers are told of them.

    Attributes:
        stun: `stun:host:port`.
        servers: (username, credential, url), the same for everybody.
        urls: `turn:host:port?transport=udp` of servers that share `secret` with us (coturn's `use-auth-secret`).
        secret: signs short-lived credentials; None = none are made.
    """

    stun: tuple[str, ...] = ()
    servers: tuple[tuple[str, str, str], ...] = field(default=(), repr=False)
    urls: tuple[str, ...] = ()
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CoordinatorOptions:
    """How a coordinator serves. Seconds and counts.

    Attributes:
        limits: windows and sizes, shared with every runtime.
        admission_grace: an admitted client that waited gets so long to connect before the next Ticket is taken.
        ticket_grace: a Ticket keeps its place so long after its client's last poll; theirs come up to 10 s apart.
        hold: the longest a poll is held.
        lease: silence after which a Worker is lost.
        store_grace: after the store was away, nobody is expired for so long: everybody was silent.
        drain_timeout: what a draining Worker may take for the Session it has.
        kept: a closed Session can be looked at for so long.
        events_kept: and what happened, which usage is counted by, for so long.
        guests: callers without key or token are served as the account `guest` where they are on this machine, no proxy
            stands between and no foreign page asks, until there is a key (a coordinator on loopback).
        guests_from_anywhere: and those from elsewhere, and of any page, since the operator said so.
        public_url: as clients reach us, where requests do not tell.
        peer_url: as the other coordinators on the same database reach us; None = we are alone.
    """

    limits: Limits = field(default_factory=Limits)
    quotas: Quotas = field(default_factory=Quotas)
    rates: Rates = field(default_factory=Rates)
    turn: TurnOptions = field(default_factory=TurnOptions)
    admission_grace: float = 45.0
    ticket_grace: float = 60.0
    hold: float = 20.0
    lease: float = link.LEASE
    store_grace: float = link.LEASE
    drain_timeout: float = 30.0
    kept: float = 86_400.0
    events_kept: float = 35 * 86_400.0
    token_lifetime: int = 21_600
    scoped_token_lifetime: int = 3_600
    guests: bool = False
    guests_from_anywhere: bool = False
    public_url: str | None = None
    peer_url: str | None = None
