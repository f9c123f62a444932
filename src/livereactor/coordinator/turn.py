"""The STUN and TURN servers that clients and Workers are told of, with credentials for one Session. Pure."""

from __future__ import annotations

from typing import Final

from livereactor.coordinator.options import TurnOptions
from livereactor.protocol.http import IceCredentials, IceServerBody
from livereactor.protocol.turn import turn_credentials

# Clients ask once, early, and keep the answer: before a wait in the queue, before the Session, before a reconnect.
WAITING_ROOM: Final = 86_400


def ice_servers(options: TurnOptions, session: str, *, now_at: int, longest: float) -> list[IceServerBody]:
    """Every server of the operator's, one body each.

    Args:
        session: whom short-lived credentials are for; it stands in the TURN server's log.
        now_at: Unix seconds.
        longest: seconds the Session may last once it runs, 0 = any time; its relay ends with its credentials.
    """
    bodies = [IceServerBody(uris=[url]) for url in options.stun]
    for username, password, url in options.servers:
        bodies.append(IceServerBody(uris=[url], credentials=IceCredentials(username=username, password=password)))
    if options.urls and options.secret is not None:
        made = turn_credentials(options.secret, session, now_at + WAITING_ROOM + int(longest))
        shown = IceCredentials(username=made.username, password=made.password)
        bodies.append(IceServerBody(uris=list(options.urls), credentials=shown))
    return bodies
