"""The options of a coordinator, as its operator set them. Each default has its reason."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Final

from livereactor.base.limits import Limits
from livereactor.protocol import link
from livereactor.protocol.http import IceCredentials, IceServerBody, ModerationTerms
from livereactor.protocol.turn import turn_credentials

# Seconds. Clients ask once, early, and keep the answer: before a wait in the queue, before the session, and before a
# reconnect.
CREDENTIALS_LEAD: Final = 86_400
START_BYTES: Final = 65_536  # of a client's wishes as JSON: they stay with the Session's record, and lists read those
SIGNALLING_BYTES: Final = 256 * 1024  # an SDP has some 20 KiB, and no escaping makes a frame too large of it


@dataclass(frozen=True, slots=True)
class Quotas:
    """Limits of one account, unless its record has others. 0 = unlimited."""

    concurrent_sessions: int = 5  # enough for a visitor's tabs and a forgotten script, too few for a farm
    sessions_per_minute: int = 10  # a client that retries in a loop is refused within seconds
    session_burst: int = 3  # of those ten, at once


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a minute from one address, against floods (429); this machine is not counted. 0 = unlimited."""

    anonymous: int = 600  # without key or token: a page's files, health checks, and then some
    # Of tokens, sessions, connections and uploads: enough for a school behind one address, not for a script in a loop.
    creating: int = 240


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """STUN and TURN servers, as clients and workers get them.

    Attributes:
        stun: `stun:host:port`.
        servers: (username, credential, url), the same for every session.
        urls: `turn:host:port?transport=udp` of servers that share `secret` (coturn's `use-auth-secret`).
        secret: signs short-lived credentials; None = no such server.
    """

    stun: tuple[str, ...] = ()
    servers: tuple[tuple[str, str, str], ...] = field(default=(), repr=False)
    urls: tuple[str, ...] = ()
    secret: str | None = field(default=None, repr=False)

    def ice_servers(self, session: str, *, now_at: int, longest: float) -> list[IceServerBody]:
        """Return one body for each server.

        Args:
            session: the session that short-lived credentials are for; it appears in the TURN server's log.
            now_at: Unix seconds.
            longest: seconds the session may last once it runs, 0 = unlimited; its relay ends with its credentials.
        """
        bodies = [IceServerBody(uris=[url]) for url in self.stun]
        for username, password, url in self.servers:
            bodies.append(IceServerBody(uris=[url], credentials=IceCredentials(username=username, password=password)))
        if self.urls and self.secret is not None:
            made = turn_credentials(self.secret, session, now_at + CREDENTIALS_LEAD + int(longest))
            shown = IceCredentials(username=made.username, password=made.password)
            bodies.append(IceServerBody(uris=list(self.urls), credentials=shown))
        return bodies


@dataclass(frozen=True, slots=True)
class CoordinatorOptions:
    """The options of a coordinator. Durations are seconds.

    Attributes:
        limits: windows and sizes, shared with every runtime.
        admission_grace: time that a client which waited in the queue gets to connect before the next ticket is served.
        ticket_grace: time that a ticket keeps its place after its client's last poll; polls come up to 10 s apart.
        hold: the longest time a poll is held.
        lease: silence after which a worker is lost.
        store_grace: time after an outage of the store in which no silence counts, since no beat or poll was stored.
        drain_timeout: time that a draining worker may take for the session it has.
        kept: time for which a closed session can be looked up.
        events_kept: time for which events are kept, from which usage is counted.
        guests: serve callers without key or token as the account `guest`, if they are on this machine, without a proxy
            or a foreign page, and as long as no key exists (a coordinator on loopback).
        guests_from_anywhere: serve such callers from any machine and any page: the operator asked for it.
        moderation: terms on which content of sessions is moderated; None = it is not.
        public_url: URL at which clients reach the coordinator, where requests do not tell.
        peer_url: URL at which the other coordinators on the database reach this one; None = it is alone.
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
    moderation: ModerationTerms | None = None
    public_url: str | None = None
    peer_url: str | None = None

    def bounds(self) -> dict[str, int | float]:
        """Return every bound that this coordinator keeps, by name, for `GET /limits` and `livereactor limits`.

        Seconds are floats, bytes and counts are integers; of durations, quotas and rates, 0 = unlimited."""
        return {
            **asdict(self.limits),
            **asdict(self.quotas),
            "anonymous_per_minute": self.rates.anonymous,
            "creations_per_minute": self.rates.creating,
            "admission_grace": self.admission_grace,
            "ticket_grace": self.ticket_grace,
            "poll_hold": self.hold,
            "lease": self.lease,
            "drain_timeout": self.drain_timeout,
            "token_lifetime": float(self.token_lifetime),
            "scoped_token_lifetime": float(self.scoped_token_lifetime),
            "closed_session_kept": self.kept,
            "events_kept": self.events_kept,
            "start_bytes": START_BYTES,
            "signalling_bytes": SIGNALLING_BYTES,
        }
