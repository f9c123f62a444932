"""Short-lived TURN credentials, as coturn's `use-auth-secret` checks them (draft-uberti-behave-turn-rest). Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TurnCredentials:
    """The credentials that a client shows a TURN server."""

    username: str  # "<expires_at>:<session>"
    password: str = field(repr=False)


def turn_credentials(secret: str, session: str, expires_at: int) -> TurnCredentials:
    """Credentials that a TURN server knowing `secret` takes until `expires_at`.

    Args:
        secret: the server's `static-auth-secret`.
        session: who they are for; it stands in the server's log and counts against its `user-quota`.
        expires_at: Unix seconds. A relay is refreshed with the same credentials and ends when that is refused, so let
            them live as long as the Session may.
    """
    username = f"{expires_at}:{session}"
    # SHA-1 is the scheme's; as an HMAC key it is not weakened by known collisions.
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return TurnCredentials(username, base64.b64encode(digest).decode())
