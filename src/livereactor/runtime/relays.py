"""TURN servers of a stand-alone runtime, which makes their credentials; a coordinator sends its own with a Session."""

from __future__ import annotations

from dataclasses import dataclass, field

from livereactor.engine.port import IceServer
from livereactor.protocol.turn import turn_credentials


@dataclass(frozen=True, slots=True)
class SharedRelays:
    """TURN servers that accept credentials signed with their secret.

    Attributes:
        urls: as `turn:host:port?transport=udp`.
        lifetime: seconds that credentials are good for; a relay ends with the credentials it was opened with.
    """

    urls: tuple[str, ...]
    secret: str = field(repr=False)
    lifetime: float

    def server(self, session: str, *, now_at: float) -> IceServer:
        """Return the servers, with credentials for this Session from `now_at`, Unix seconds, on."""
        made = turn_credentials(self.secret, session, int(now_at + self.lifetime))
        return IceServer(self.urls, made.username, made.password)
